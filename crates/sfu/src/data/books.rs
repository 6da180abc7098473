//! What is known of the channels of a session, whichever library speaks SCTP: their labels, the rate of messages, figures and
//! events. Whoever speaks it closes what these books say must close.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{DataClose, DataEvent, DataLimits, DataSent, DataStats, Meter};

struct Channel<Id> {
    id: Id,
    label: Arc<str>,
    /// Ordered and reliable: a message may not be left out.
    whole: bool,
}

/// The books of one session; `Id` is the library's name for a channel.
pub(crate) struct Books<Id> {
    /// What the channels may cost.
    pub(crate) limits: DataLimits,
    /// Figures; [`Books::stats`] has all of them.
    pub(crate) counts: DataStats,
    channels: Vec<Channel<Id>>,
    messages: Meter,
    events: VecDeque<DataEvent>,
}

impl<Id: Copy + PartialEq> Books<Id> {
    pub(crate) fn new(now: Instant, limits: DataLimits) -> Books<Id> {
        Books {
            limits,
            counts: DataStats::default(),
            channels: Vec::new(),
            messages: Meter::new(now, limits.messages_per_s, limits.messages_at_once),
            events: VecDeque::new(),
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<DataEvent> {
        self.events.pop_front()
    }

    pub(crate) fn stats(&self) -> DataStats {
        DataStats { channels: self.channels.len(), ..self.counts }
    }

    /// Ids of the open channels.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.channels.iter().map(|channel| channel.id)
    }

    /// Whether a channel is open.
    pub(crate) fn has(&self, id: Id) -> bool {
        self.ids().any(|known| known == id)
    }

    /// The first channel of that label, and whether none of its messages may be left out.
    pub(crate) fn find(&self, label: &str) -> Option<(Id, bool)> {
        let channel = self.channels.iter().find(|channel| *channel.label == *label)?;
        Some((channel.id, channel.whole))
    }

    /// A channel is open.
    pub(crate) fn open(&mut self, id: Id, label: String, whole: bool) {
        let label: Arc<str> = label.into();
        self.channels.push(Channel { id, label: Arc::clone(&label), whole });
        self.counts.opened += 1;
        self.events.push_back(DataEvent::Opened { label });
    }

    /// A message came. `Err`: why its channel must close.
    pub(crate) fn take(&mut self, now: Instant, id: Id, text: bool, bytes: Vec<u8>) -> Result<(), DataClose> {
        let channel = self.channels.iter().find(|channel| channel.id == id).ok_or(DataClose::Protocol)?;
        if bytes.len() > self.limits.message_bytes {
            return Err(DataClose::TooLong);
        }
        if self.messages.pass(now) {
            self.counts.received += 1;
            self.counts.received_bytes += bytes.len() as u64;
            self.events.push_back(DataEvent::Message { label: Arc::clone(&channel.label), text, bytes });
        } else if channel.whole {
            return Err(DataClose::TooFast);
        } else {
            self.counts.dropped_fast += 1;
        }
        Ok(())
    }

    /// A message of so many bytes was written, or found no room. [`DataSent::Closed`]: its channel, `whole`, must close.
    pub(crate) fn sent(&mut self, written: bool, whole: bool, bytes: usize) -> DataSent {
        if written {
            self.counts.sent += 1;
            self.counts.sent_bytes += bytes as u64;
            DataSent::Queued
        } else if whole {
            DataSent::Closed
        } else {
            self.counts.dropped_full += 1;
            DataSent::Dropped
        }
    }

    /// We close a channel, also one that never was open. Whether there shall be no channels any more.
    pub(crate) fn close(&mut self, id: Id, why: DataClose) -> bool {
        self.counts.note_closed(why);
        self.forget(id, why);
        self.is_struck()
    }

    /// Whether we had to close so many channels that no more are taken.
    pub(crate) fn is_struck(&self) -> bool {
        self.counts.closed() >= u64::from(self.limits.strikes)
    }

    /// A channel is over.
    pub(crate) fn forget(&mut self, id: Id, why: DataClose) {
        if let Some(position) = self.channels.iter().position(|channel| channel.id == id) {
            let label = self.channels.swap_remove(position).label;
            self.events.push_back(DataEvent::Closed { label, why });
        }
    }

    /// All of them are over.
    pub(crate) fn end(&mut self, why: DataClose) {
        for channel in self.channels.drain(..) {
            self.events.push_back(DataEvent::Closed { label: channel.label, why });
        }
    }
}
