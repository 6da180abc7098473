//! Data channels of a session that comes in: `str0m` speaks SCTP, this keeps its channels by label and within the limits.
use std::sync::Arc;
use std::time::Instant;

use str0m::Rtc;
use str0m::channel::{ChannelData, ChannelId, Reliability};

use crate::data::{Books, DataClose, DataEvent, DataLimits, DataSent, DataStats, MOST_LABEL_BYTES};
use crate::handshake::Inlet;

/// The channels of one session; empty until the peer or we open one. What comes for them has passed the inlet.
pub(super) struct Channels(Books<ChannelId>, Option<Arc<Inlet>>);

impl Channels {
    pub(super) fn new(now: Instant, limits: DataLimits, inlet: Option<Arc<Inlet>>) -> Channels {
        Channels(Books::new(now, limits), inlet)
    }

    /// Something is about to come.
    pub(super) fn set_now(&self, now: Instant) {
        self.1.iter().for_each(|inlet| inlet.set_now(now));
    }

    pub(super) fn poll_event(&mut self) -> Option<DataEvent> {
        self.0.poll_event()
    }

    pub(super) fn stats(&self) -> DataStats {
        let mut stats = self.0.stats();
        stats.dropped_datagrams += self.1.as_ref().map_or(0, |inlet| inlet.dropped());
        stats
    }

    /// A channel is open.
    pub(super) fn opened(&mut self, rtc: &mut Rtc, id: ChannelId, label: String) {
        self.1.iter().for_each(|inlet| inlet.forgive()); // the message that opened it
        if self.0.ids().count() >= self.0.limits.channels {
            return self.close(rtc, id, DataClose::TooMany);
        }
        if label.len() > MOST_LABEL_BYTES || self.0.is_struck() {
            return self.close(rtc, id, DataClose::Protocol);
        }
        let config = rtc.channel(id).and_then(|channel| channel.config().cloned());
        let whole = config.is_none_or(|config| config.ordered && config.reliability == Reliability::Reliable);
        self.0.open(id, label, whole);
    }

    pub(super) fn closed(&mut self, id: ChannelId) {
        self.0.forget(id, DataClose::Peer);
    }

    /// A message came; one on a channel that we have closed is too late.
    pub(super) fn received(&mut self, now: Instant, rtc: &mut Rtc, data: ChannelData) {
        self.1.iter().for_each(|inlet| inlet.forgive());
        if self.0.has(data.id)
            && let Err(why) = self.0.take(now, data.id, !data.binary, data.data)
        {
            self.close(rtc, data.id, why);
        }
    }

    /// Sends on the first channel of that label. `str0m` bounds what waits (`set_sctp_max_buffered_amount`).
    pub(super) fn send(&mut self, rtc: &mut Rtc, label: &str, text: bool, message: &[u8]) -> DataSent {
        let Some((id, whole)) = self.0.find(label) else { return DataSent::NoChannel };
        // it has no empty messages
        let written = !message.is_empty()
            && message.len() <= self.0.limits.message_bytes
            && rtc.channel(id).is_some_and(|mut channel| channel.write(!text, message).unwrap_or(false));
        let sent = self.0.sent(written, whole, message.len());
        if sent == DataSent::Closed {
            self.close(rtc, id, DataClose::Full);
        }
        sent
    }

    fn close(&mut self, rtc: &mut Rtc, id: ChannelId, why: DataClose) {
        rtc.direct_api().close_data_channel(id);
        self.0.close(id, why);
    }
}
