//! Data channels of a session that comes in: `str0m` speaks SCTP, this keeps its channels by label and within the limits.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use str0m::Rtc;
use str0m::channel::{ChannelData, ChannelId, Reliability};

use crate::data::{DataClose, DataEvent, DataLimits, DataSent, DataStats, MOST_LABEL_BYTES, Meter};

struct Channel {
    id: ChannelId,
    label: Arc<str>,
    /// Ordered and reliable: a message may not be left out.
    whole: bool,
}

/// The channels of one session; empty until the peer or we open one.
pub(super) struct Channels {
    limits: DataLimits,
    channels: Vec<Channel>,
    messages: Meter,
    events: VecDeque<DataEvent>,
    stats: DataStats,
}

impl Channels {
    pub(super) fn new(now: Instant, limits: DataLimits) -> Channels {
        Channels {
            limits,
            channels: Vec::new(),
            messages: limits.message_meter(now),
            events: VecDeque::new(),
            stats: DataStats::default(),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<DataEvent> {
        self.events.pop_front()
    }

    pub(super) fn stats(&self) -> DataStats {
        DataStats { channels: self.channels.len(), ..self.stats }
    }

    /// A channel is open.
    pub(super) fn opened(&mut self, rtc: &mut Rtc, id: ChannelId, label: String) {
        if self.channels.len() >= self.limits.channels {
            return self.close(rtc, id, DataClose::TooMany);
        }
        if label.len() > MOST_LABEL_BYTES || self.stats.closed() >= u64::from(self.limits.strikes) {
            return self.close(rtc, id, DataClose::Protocol);
        }
        let config = rtc.channel(id).and_then(|channel| channel.config().cloned());
        let whole = config.is_none_or(|config| config.ordered && config.reliability == Reliability::Reliable);
        let label: Arc<str> = label.into();
        self.channels.push(Channel { id, label: Arc::clone(&label), whole });
        self.stats.opened += 1;
        self.events.push_back(DataEvent::Opened { label });
    }

    pub(super) fn closed(&mut self, id: ChannelId) {
        self.forget(id, DataClose::Peer);
    }

    pub(super) fn received(&mut self, now: Instant, rtc: &mut Rtc, data: ChannelData) {
        let Some(channel) = self.channels.iter().find(|channel| channel.id == data.id) else { return };
        if data.data.len() > self.limits.message_bytes {
            self.close(rtc, data.id, DataClose::TooLong);
        } else if self.messages.pass(now) {
            self.stats.received += 1;
            self.stats.received_bytes += data.data.len() as u64;
            let label = Arc::clone(&channel.label);
            self.events.push_back(DataEvent::Message { label, text: !data.binary, bytes: data.data });
        } else if channel.whole {
            self.close(rtc, data.id, DataClose::TooFast);
        } else {
            self.stats.dropped_fast += 1;
        }
    }

    /// Sends on the first channel of that label. `str0m` bounds what waits (`set_sctp_max_buffered_amount`).
    pub(super) fn send(&mut self, rtc: &mut Rtc, label: &str, text: bool, message: &[u8]) -> DataSent {
        let Some(channel) = self.channels.iter().find(|channel| *channel.label == *label) else {
            return DataSent::NoChannel;
        };
        let (id, whole) = (channel.id, channel.whole);
        // it has no empty messages
        let written = !message.is_empty()
            && message.len() <= self.limits.message_bytes
            && rtc.channel(id).is_some_and(|mut channel| channel.write(!text, message).unwrap_or(false));
        if written {
            self.stats.sent += 1;
            self.stats.sent_bytes += message.len() as u64;
            DataSent::Queued
        } else if whole {
            self.close(rtc, id, DataClose::Full);
            DataSent::Closed
        } else {
            self.stats.dropped_full += 1;
            DataSent::Dropped
        }
    }

    fn close(&mut self, rtc: &mut Rtc, id: ChannelId, why: DataClose) {
        rtc.direct_api().close_data_channel(id);
        self.stats.note_closed(why);
        self.forget(id, why);
    }

    fn forget(&mut self, id: ChannelId, why: DataClose) {
        if let Some(position) = self.channels.iter().position(|channel| channel.id == id) {
            let label = self.channels.swap_remove(position).label;
            self.events.push_back(DataEvent::Closed { label, why });
        }
    }
}
