//! The figures that others read.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::cpu_of_this_thread;
use crate::event::Event;
use crate::stats::{SessionStats, SourceStats, StreamStats};
use crate::stream::Feed;

use super::{SNAPSHOT, Worker};

/// So many sessions are looked at one by one in every snapshot; of more at most once in [`SNAPSHOT`], for each costs 1 µs, and joins
/// by the hundred make a snapshot every 20 ms.
const FEW: usize = 64;

/// The sessions one by one, as they were last looked at.
pub(super) struct Listing {
    sessions: Arc<[SessionStats]>,
    next: Instant,
}

impl Listing {
    pub(super) fn new(now: Instant) -> Listing {
        Listing { sessions: Arc::default(), next: now }
    }
}

impl Worker {
    /// Lets others read the figures as they are now. When to do so again, if not all of them are of now.
    pub(super) fn post_snapshot(&mut self, now: Instant) -> Option<Instant> {
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
        let late = if stats.subscribers <= FEW || now >= self.listing.next || self.stopping {
            self.list_sessions(now, stats.subscribers);
            None
        } else {
            Some(self.listing.next)
        };
        stats.sessions = Arc::clone(&self.listing.sessions);
        self.shared.boards[usize::from(self.index)].post(stats);
        for stream in self.layers_changed.drain(..) {
            self.shared.events.push(Event::LayersChanged { stream: stream.to_string() });
        }
        late
    }

    fn list_sessions(&mut self, now: Instant, count: usize) {
        let mut sessions = Vec::with_capacity(count);
        sessions.extend(self.takers.iter().flatten().map(|taker| SessionStats {
            session: Arc::clone(&taker.session),
            stream: Arc::clone(&taker.stream),
            age: now.saturating_duration_since(taker.since),
            subscriber: taker.subscriber.stats(now),
        }));
        self.listing = Listing { sessions: sessions.into(), next: now + SNAPSHOT };
    }
}
