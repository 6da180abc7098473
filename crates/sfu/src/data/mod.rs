//! Data channels: labelled messages beside the media, within limits that keep them from ever being the media's trouble.
//!
//! | file | what |
//! |---|---|
//! | `books.rs` | labels, rate, figures and events of a session's channels, whoever speaks SCTP |
//! | `channels.rs` | a subscriber's channels: SCTP over its DTLS (RFC 8831), a peer opens them, we answer |
//! | `crumbs.rs` | small pieces of messages, which cost more than their bytes |
//! | `dcep.rs` | the messages that open a channel (RFC 8832) |
//! | `meter.rs` | how often something may happen |
//!
//! Sessions that come in ([`crate::Ingest`]) have the channels of `str0m`, with the same books.
use std::sync::Arc;

mod books;
mod channels;
pub(crate) mod crumbs;
mod dcep;
mod meter;

pub(crate) use books::Books;
pub(crate) use channels::{Channels, PORT};
pub(crate) use meter::Meter;

/// Longest label of a channel, bytes.
pub(crate) const MOST_LABEL_BYTES: usize = 64;

/// What the data channels of one session may cost. Beyond it a message of an unordered or partially reliable channel is
/// dropped, an ordered reliable channel is closed (a gap in it would be a lie); both are counted in [`DataStats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataLimits {
    /// Channels at a time.
    pub channels: usize,
    /// Longest message either way; told to the peer as `a=max-message-size`.
    pub message_bytes: usize,
    /// Bytes that may wait for the peer, all channels together.
    pub buffered_bytes: usize,
    /// Messages from the peer, a second in the long run.
    pub messages_per_s: u32,
    /// Messages at once, after silence.
    pub messages_at_once: u32,
    /// Datagrams from the peer that are looked at, a second; those above are lost, as by a bad network.
    pub datagrams_per_s: u32,
    /// Small pieces of messages (less than 256 bytes) that may wait for others, roughly. Datagrams with more are lost.
    pub crumbs: u32,
    /// How many more small pieces may come each second.
    pub crumbs_per_s: u32,
    /// After so many channels that we had to close, the session has no channels any more.
    pub strikes: u32,
}

impl Default for DataLimits {
    fn default() -> Self {
        DataLimits {
            channels: 8,
            message_bytes: 16 << 10,
            buffered_bytes: 64 << 10,
            messages_per_s: 30,
            messages_at_once: 60,
            datagrams_per_s: 400,
            crumbs: 512,
            crumbs_per_s: 4,
            strikes: 8,
        }
    }
}

/// Why a channel closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataClose {
    /// The peer closed it, or all of them at once.
    Peer,
    /// More channels than [`DataLimits::channels`].
    TooMany,
    /// A message longer than [`DataLimits::message_bytes`].
    TooLong,
    /// More messages than [`DataLimits::messages_per_s`].
    TooFast,
    /// The peer takes in less than it is sent: [`DataLimits::buffered_bytes`] wait.
    Full,
    /// Not by the protocol: unknown channel, broken or foreign messages.
    Protocol,
}

impl DataClose {
    /// Stable name for API users.
    pub fn code(self) -> &'static str {
        match self {
            DataClose::Peer => "closed_by_peer",
            DataClose::TooMany => "too_many_channels",
            DataClose::TooLong => "message_too_long",
            DataClose::TooFast => "too_fast",
            DataClose::Full => "buffer_full",
            DataClose::Protocol => "protocol_error",
        }
    }
}

/// What happened on the data channels of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataEvent {
    /// The peer opened a channel, or took ours; messages may be sent.
    Opened {
        /// What the channel is called.
        label: Arc<str>,
    },
    /// A message came.
    Message {
        /// What its channel is called.
        label: Arc<str>,
        /// The peer says that it is UTF-8, which is not checked.
        text: bool,
        /// The message; may be empty.
        bytes: Vec<u8>,
    },
    /// A channel is over.
    Closed {
        /// What it was called.
        label: Arc<str>,
        /// Why.
        why: DataClose,
    },
}

/// What became of a message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSent {
    /// It waits for its turn; on a channel that may lose messages it can still be lost on the way.
    Queued,
    /// The peer has no open channel with that label.
    NoChannel,
    /// It would not fit; the channel may lose messages.
    Dropped,
    /// It would not fit; the channel may not lose messages, and was closed.
    Closed,
}

/// Figures of the data channels of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataStats {
    /// Open now.
    pub channels: usize,
    /// Channels opened since the session began.
    pub opened: u64,
    /// Messages from the peer that were taken.
    pub received: u64,
    /// Bytes of those.
    pub received_bytes: u64,
    /// Messages to the peer that were queued.
    pub sent: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Messages from the peer above the rate, on channels that may lose some.
    pub dropped_fast: u64,
    /// Messages to the peer that found no room, on channels that may lose some.
    pub dropped_full: u64,
    /// Datagrams above the rate, and those with small pieces beyond [`DataLimits::crumbs`].
    pub dropped_datagrams: u64,
    /// Channels that we closed because there were too many.
    pub closed_many: u64,
    /// For a message that was too long.
    pub closed_long: u64,
    /// For too many messages.
    pub closed_fast: u64,
    /// For want of room.
    pub closed_full: u64,
    /// For what is not by the protocol.
    pub closed_protocol: u64,
}

impl DataStats {
    pub(crate) fn note_closed(&mut self, why: DataClose) {
        match why {
            DataClose::Peer => {}
            DataClose::TooMany => self.closed_many += 1,
            DataClose::TooLong => self.closed_long += 1,
            DataClose::TooFast => self.closed_fast += 1,
            DataClose::Full => self.closed_full += 1,
            DataClose::Protocol => self.closed_protocol += 1,
        }
    }

    /// Channels that we closed, for whatever reason.
    pub fn closed(&self) -> u64 {
        self.closed_many + self.closed_long + self.closed_fast + self.closed_full + self.closed_protocol
    }
}
