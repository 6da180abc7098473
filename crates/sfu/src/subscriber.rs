//! One viewer (or downstream node): answers its offer, connects, starts it from the cache, forwards, repairs.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::StreamCache;
use crate::clock::WallClock;
use crate::entropy::{Credentials, Entropy};
use crate::error::SfuError;
use crate::identity::Identity;
use crate::outbox::{Outbox, Peer};
use crate::packet::{Kind, Layer, Packet};

/// What may be tuned; the defaults are the measured ones.
#[derive(Debug, Clone)]
pub struct SubscriberConfig {
    /// Without a STUN check or a genuine SRTCP packet for so long, the session closes (RFC 7675).
    pub consent_timeout: Duration,
    /// An answer that nobody uses is forgotten after this.
    pub connect_timeout: Duration,
    /// Packets of a backlog that leave together; the next ones follow after `slot`.
    pub segments_per_slot: usize,
    pub slot: Duration,
    /// Start from the cached GOP; otherwise wait for the next key frame.
    pub instant_start: bool,
    /// Least time between two answers to a viewer's PLI.
    pub replay_interval: Duration,
}

impl Default for SubscriberConfig {
    fn default() -> Self {
        SubscriberConfig {
            consent_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            segments_per_slot: 8,
            slot: Duration::from_millis(1),
            instant_start: true,
            replay_interval: Duration::from_millis(300),
        }
    }
}

/// What a subscriber is made of.
pub struct SubscriberSetup {
    pub identity: Identity,
    pub credentials: Credentials,
    pub entropy: Entropy,
    pub clock: WallClock,
    /// Addresses under which this socket is reached; become the answer's candidates. At least one.
    pub addresses: Vec<SocketAddr>,
    /// `?layers=all`: the offer's video m-lines get one layer each (a node pulls), instead of one choice on the first.
    pub layers_all: bool,
    pub config: SubscriberConfig,
}

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub sdp: String,
    /// For the ETag header, without quotes; changes at an ICE restart.
    pub etag: String,
}

/// What a PATCH did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trickle {
    /// Candidates taken: 204.
    Taken,
    /// ICE restarted: 200 with this body and ETag.
    Restarted { fragment: String, etag: String },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Nobody ever used the answer.
    NeverConnected,
    /// The peer fell silent.
    ConsentExpired,
    /// The peer closed DTLS or said BYE.
    PeerClosed,
    /// The handshake failed or the certificate is not the one the offer named.
    Handshake,
    /// `close()` was called.
    Local,
}

impl CloseReason {
    /// Stable name for API users.
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::NeverConnected => "never_connected",
            CloseReason::ConsentExpired => "consent_expired",
            CloseReason::PeerClosed => "peer_closed",
            CloseReason::Handshake => "handshake_failed",
            CloseReason::Local => "closed",
        }
    }
}

/// What happened to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriberEvent {
    /// ICE and DTLS are up; media flows from here on.
    Connected,
    /// The peer's address is known or has changed: route its datagrams here.
    Remote(Peer),
    /// The first whole key frame is out, so long after the answer.
    FirstFrame { after: Duration },
    /// Only a new key frame helps (nothing in the cache to start from): see [`StreamCache::want_key_frame`].
    KeyFrameWanted { layer: Layer },
    /// It is over; drop the value.
    Closed(CloseReason),
}

/// Figures of one track of a subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrackStats {
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    pub nacks: u64,
    /// Packets asked for that the cache no longer had.
    pub nacks_missed: u64,
    pub plis: u64,
    /// Of the newest receiver report, 0..1.
    pub loss: f64,
    pub packets_lost: i64,
    pub jitter_ms: f64,
}

/// Figures of a subscriber.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubscriberStats {
    pub connected: bool,
    pub remote: Option<Peer>,
    pub video: TrackStats,
    pub audio: TrackStats,
    pub rtt_ms: Option<f64>,
    /// Media and repair, over the last second or so.
    pub bitrate_bps: u64,
    /// Receiver's estimate, when it sends REMB.
    pub remb_bps: Option<u64>,
    /// Layer that video is taken from now.
    pub layer: Option<Layer>,
    pub connect_ms: Option<f64>,
    pub first_frame_ms: Option<f64>,
    /// Starts and PLI answers out of the cache.
    pub replays: u64,
    /// Packets that wait for their slot.
    pub backlog: u64,
    /// Datagrams that were no good: unparsable, forged, replayed.
    pub rejected: u64,
}

/// One WHEP session: ICE (full, controlled), DTLS (passive), SRTP and a forwarder per track.
pub struct Subscriber {
    _private: (),
}

impl Subscriber {
    /// Answers a WHEP offer for the stream in `cache`. The SDP is complete at once.
    ///
    /// Errors: the offer cannot be read, or has no codec in common with the stream.
    pub fn answer(
        now: Instant,
        setup: SubscriberSetup,
        offer: &str,
        cache: &StreamCache,
    ) -> Result<(Subscriber, Answer), SfuError> {
        let _ = (now, setup, offer, cache);
        todo!()
    }

    /// A PATCH body (RFC 8840 fragment).
    pub fn trickle(&mut self, now: Instant, fragment: &str) -> Result<Trickle, SfuError> {
        let _ = (now, fragment);
        todo!()
    }

    /// A datagram from the network. `datagram` is used as scratch (decrypted in place).
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: Peer,
        datagram: &mut [u8],
        cache: &StreamCache,
        out: &mut Outbox,
    ) {
        let _ = (now, from, datagram, cache, out);
        todo!()
    }

    /// A burst that `cache.push` has just taken.
    pub fn forward(&mut self, now: Instant, burst: &[Arc<Packet>], cache: &StreamCache, out: &mut Outbox) {
        let _ = (now, burst, cache, out);
        todo!()
    }

    /// The timer of [`Subscriber::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: Instant, cache: &StreamCache, out: &mut Outbox) {
        let _ = (now, cache, out);
        todo!()
    }

    /// When [`Subscriber::handle_timeout`] is due; ask again after every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    pub fn poll_event(&mut self) -> Option<SubscriberEvent> {
        todo!()
    }

    /// Our ufrag, under which STUN checks find this session.
    pub fn ufrag(&self) -> &str {
        todo!()
    }

    /// Where the peer is, once a check of its has been genuine.
    pub fn remote(&self) -> Option<Peer> {
        todo!()
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) and closes: [`SubscriberEvent::Closed`] follows.
    pub fn close(&mut self, now: Instant, out: &mut Outbox) {
        let _ = (now, out);
        todo!()
    }

    pub fn stats(&self, now: Instant) -> SubscriberStats {
        let _ = now;
        todo!()
    }

    /// Whether the subscriber takes this kind of media.
    pub fn takes(&self, kind: Kind) -> bool {
        let _ = kind;
        todo!()
    }
}
