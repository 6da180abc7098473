//! Streams: mirrored on every worker, fed by one of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sfu::{Burst, CloseReason, Injector, Kind, Layer, StreamDescription};

use crate::error::NodeError;
use crate::event::Event;
use crate::post::{Post, StreamName};
use crate::stream::{Feed, Stream, Tapped};
use crate::tap::TapQueue;

use super::{Arrived, Place, Worker};

impl Worker {
    /// Tells the other workers what a stream holds.
    pub(super) fn announce(&self, stream: &StreamName, description: &StreamDescription) {
        self.tell_others(|| Post::Described { stream: Arc::clone(stream), description: description.clone() });
    }

    fn tell_others(&self, mut post: impl FnMut() -> Post) {
        for (index, inbox) in self.shared.inboxes.iter().enumerate() {
            if index != usize::from(self.index) {
                // A worker whose inbox is full is seconds late; it is counted there.
                let _ = inbox.push(post());
            }
        }
    }

    pub(super) fn describe(&mut self, name: &StreamName, description: StreamDescription, feed: Feed) {
        self.changed = true;
        match self.streams.get_mut(name) {
            Some(stream) => {
                if *stream.cache.description() != description {
                    stream.cache.describe(description);
                }
                stream.feed = feed;
            }
            None => {
                self.streams.insert(Arc::clone(name), Stream::new(description, feed));
            }
        }
    }

    pub(super) fn open(&mut self, now: Instant, name: &StreamName, description: StreamDescription) {
        let position = self.streams.get(name).map(|known| known.cache.position()).unwrap_or_default();
        let displaced = match self.streams.get(name).map(|known| &known.feed) {
            Some(Feed::Ingest(slot)) => Some(*slot),
            _ => None,
        };
        let injector = Injector::new(description.clone(), self.shared.clock, position);
        self.announce(name, &description);
        self.describe(name, description, Feed::Injector(Box::new(injector)));
        if let Some(slot) = displaced {
            self.close(now, Place::Source(slot));
        }
        self.shared.events.push(Event::StreamStarted { stream: name.to_string(), session: None });
    }

    pub(super) fn inject(
        &mut self,
        now: Instant,
        name: &StreamName,
        kind: Kind,
        access_unit: &[u8],
        time: u32,
        key_frame: bool,
    ) {
        let Some(Stream { feed: Feed::Injector(injector), .. }) = self.streams.get_mut(name) else { return };
        let burst = match kind {
            Kind::Video => injector.push_video(now, access_unit, time, key_frame),
            Kind::Audio => injector.push_audio(now, access_unit, time),
        };
        self.gather(name, &burst, true);
    }

    /// Keeps a burst for the end of the turn.
    pub(super) fn gather(&mut self, stream: &StreamName, burst: &Burst, ours: bool) {
        if burst.is_empty() {
            return;
        }
        match self.arrived.iter_mut().find(|arrived| arrived.stream == *stream) {
            Some(arrived) => arrived.packets.extend(burst.iter().cloned()),
            None => {
                self.arrived.push(Arrived { stream: Arc::clone(stream), packets: burst.to_vec(), ours });
            }
        }
    }

    /// Serves what came in during this turn: to the other workers, then to our own subscribers.
    pub(super) fn deliver(&mut self, now: Instant) {
        for arrived in std::mem::take(&mut self.arrived) {
            let burst: Burst = arrived.packets.into();
            let stream = arrived.stream;
            if arrived.ours {
                self.tell_others(|| Post::Burst { stream: Arc::clone(&stream), burst: Arc::clone(&burst) });
            }
            self.forward(now, &stream, &burst);
        }
    }

    /// A subscriber here needs a key frame: tells the worker that owns the source.
    pub(super) fn want_key_frame(&mut self, now: Instant, stream: StreamName, layer: Layer) {
        match self.streams.get(&stream).map(|known| &known.feed) {
            Some(Feed::Elsewhere) => {
                let owner = self.shared.owner_of(&stream);
                let _ =
                    self.shared.inboxes[usize::from(owner)].push(Post::KeyFrameWanted { stream, layer: Some(layer) });
            }
            _ => self.request_key_frame(now, &stream, Some(layer)),
        }
    }

    /// Of one layer, or of all.
    pub(super) fn request_key_frame(&mut self, now: Instant, name: &StreamName, layer: Option<Layer>) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.key_frame_requests += 1;
        match &mut stream.feed {
            Feed::Ingest(slot) => {
                let slot = *slot;
                self.with_source(now, slot, |ingest| match layer {
                    Some(layer) => ingest.request_key_frame(now, layer),
                    None => ingest.request_key_frames(now),
                });
            }
            Feed::Injector(injector) => {
                if injector.request_key_frame(now) {
                    self.shared.events.push(Event::KeyFrameWanted { stream: name.to_string() });
                }
            }
            Feed::Elsewhere | Feed::Orphan(_) => {}
        }
    }

    pub(super) fn tap(&mut self, now: Instant, name: &StreamName, queue: Arc<TapQueue>) -> Result<(), NodeError> {
        let Some(stream) = self.streams.get_mut(name) else { return Err(NodeError::StreamUnknown(name.to_string())) };
        let mut tap = sfu::Tap::new(now, &stream.cache);
        while let Some(unit) = tap.poll() {
            queue.push(unit);
        }
        stream.taps.push(Tapped { tap, queue });
        Ok(())
    }

    pub(super) fn end_everywhere(&mut self, now: Instant, stream: &StreamName, reason: &'static str) {
        self.tell_others(|| Post::Ended { stream: Arc::clone(stream), reason });
        let slots: Vec<usize> = (0..self.sources.len())
            .filter(|slot| self.sources[*slot].as_ref().is_some_and(|source| source.stream == *stream))
            .collect();
        let known = self.streams.contains_key(stream);
        self.end_stream(now, stream, reason);
        for slot in slots {
            self.close(now, Place::Source(slot));
        }
        if known {
            self.shared.events.push(Event::StreamEnded { stream: stream.to_string(), reason });
        }
    }

    pub(super) fn end_stream(&mut self, now: Instant, name: &StreamName, _reason: &'static str) {
        self.finish_lap(name);
        let Some(stream) = self.streams.get(name) else { return };
        for slot in stream.subscribers.clone() {
            self.say_goodbye(now, slot, "stream_ended");
        }
        self.changed = true;
        if let Some(stream) = self.streams.remove(name) {
            for tapped in &stream.taps {
                tapped.queue.close();
            }
        }
    }

    /// Ends a session of our own accord.
    pub(super) fn close(&mut self, now: Instant, place: Place) {
        match place {
            Place::Subscriber(slot) => self.say_goodbye(now, slot, CloseReason::Local.code()),
            Place::Source(slot) => {
                self.with_source(now, slot, |ingest| ingest.close(now));
                self.drop_source(now, slot, CloseReason::Local.code());
            }
        }
    }

    fn say_goodbye(&mut self, now: Instant, slot: usize, reason: &'static str) {
        if let Some(taker) = self.takers[slot].as_mut() {
            let outbox = &mut self.outbox;
            if catch_unwind(AssertUnwindSafe(|| taker.subscriber.close(now, outbox))).is_err() {
                self.stats.faults += 1;
            }
        }
        self.drop_taker(slot, reason);
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        for slot in 0..self.takers.len() {
            self.say_goodbye(now, slot, "shutdown");
        }
        for slot in 0..self.sources.len() {
            if self.sources[slot].is_some() {
                self.with_source(now, slot, |ingest| ingest.close(now));
                self.drop_source(now, slot, "shutdown");
            }
        }
        for stream in self.streams.values() {
            for tapped in &stream.taps {
                tapped.queue.close();
            }
        }
        self.streams.clear();
        self.flush();
        self.tend_connections(now);
    }
}
