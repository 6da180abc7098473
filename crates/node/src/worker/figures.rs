//! The figures that others read.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::cpu_of_this_thread;
use crate::event::Event;
use crate::stats::{SessionStats, SourceStats, StreamStats};
use crate::stream::Feed;

use super::Worker;

impl Worker {
    pub(super) fn post_snapshot(&mut self, now: Instant) {
        let mut stats = self.stats.clone();
        stats.rung = Some(self.sender.rung());
        stats.cpu = cpu_of_this_thread();
        stats.send = self.sender.stats;
        if let Some(receiver) = &self.receiver {
            stats.receive = receiver.stats;
        }
        stats.unused = self.unused.count();
        stats.handshakes_dropped = self.handshakes.dropped;
        stats.connections = self.connections.snapshot();
        stats.overflows = self.shared.inboxes[usize::from(self.index)].overflows();
        stats.subscribers = self.takers.iter().flatten().count();
        stats.streams = self
            .streams
            .iter()
            .map(|(name, stream)| StreamStats {
                name: Arc::clone(name),
                owner: !matches!(stream.feed, Feed::Elsewhere),
                injected: matches!(stream.feed, Feed::Injector(_)),
                fed: !matches!(stream.feed, Feed::Orphan(_)),
                subscribers: stream.subscribers.len(),
                taps: stream.taps.len(),
                cache: stream.cache.stats(now),
                layer_names: stream.cache.description().video.as_ref().map_or(Vec::new(), |video| video.layers.clone()),
                key_frame_requests: stream.key_frame_requests,
            })
            .collect();
        stats.sources = self
            .sources
            .iter()
            .flatten()
            .map(|source| SourceStats {
                session: Arc::clone(&source.session),
                stream: Arc::clone(&source.stream),
                pull: source.dial.is_some(),
                connected: source.connected,
                ingest: source.ingest.stats(),
            })
            .collect();
        stats.sessions = self
            .takers
            .iter()
            .flatten()
            .map(|taker| SessionStats {
                session: Arc::clone(&taker.session),
                stream: Arc::clone(&taker.stream),
                age: now.saturating_duration_since(taker.since),
                subscriber: taker.subscriber.stats(now),
            })
            .collect();
        self.shared.boards[usize::from(self.index)].post(stats);
        for stream in self.layers_changed.drain(..) {
            self.shared.events.push(Event::LayersChanged { stream: stream.to_string() });
        }
    }
}
