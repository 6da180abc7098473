//! Sources: publishers and our pulls, from their offers to their goodbyes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sfu::{
    Answer, Burst, CloseReason, Credentials, DataEvent, Entropy, Ingest, IngestEvent, IngestSetup, Outbox, SfuError,
    Trickle,
};

use crate::error::NodeError;
use crate::event::Event;
use crate::post::StreamName;
use crate::socket::UdpSocket;
use crate::stream::{Feed, Stream};

use super::{Place, Source, Worker, channel_event};

impl Worker {
    fn ingest_setup(&mut self, stream: &StreamName) -> IngestSetup {
        IngestSetup {
            identity: self.shared.identity.clone(),
            credentials: Credentials::new(self.index, &mut self.entropy),
            entropy: Entropy::new(self.entropy.draw()),
            clock: self.shared.clock,
            addresses: self.shared.addresses.clone(),
            resume: self.streams.get(stream).map(|known| known.cache.position()).unwrap_or_default(),
        }
    }

    pub(super) fn publish(
        &mut self,
        now: Instant,
        stream: StreamName,
        session: Arc<str>,
        offer: &str,
    ) -> Result<Answer, NodeError> {
        self.make_room(now)?;
        let setup = self.ingest_setup(&stream);
        let made = catch_unwind(AssertUnwindSafe(|| Ingest::publish(now, setup, offer)));
        let (ingest, answer) = made.unwrap_or_else(|_| {
            self.stats.faults += 1;
            Err(SfuError::Internal("the offer made the core panic".into()))
        })?;
        let slot = self.free_source();
        self.add_source(now, slot, ingest, stream, session, None);
        Ok(answer)
    }

    pub(super) fn pull(
        &mut self,
        now: Instant,
        stream: StreamName,
        session: Arc<str>,
        labels: &[String],
    ) -> Result<Answer, NodeError> {
        let slot = self.free_source();
        match self.dial(now, slot, &stream, labels) {
            Ok((ingest, sdp, dial)) => {
                self.add_source(now, slot, ingest, stream, session, Some(dial));
                Ok(Answer { sdp, etag: String::new() })
            }
            Err(error) => {
                self.free_sources.push(slot);
                Err(error)
            }
        }
    }

    /// A pull's session, its offer and its socket.
    fn dial(
        &mut self,
        now: Instant,
        slot: usize,
        stream: &StreamName,
        labels: &[String],
    ) -> Result<(Ingest, String, UdpSocket), NodeError> {
        let dialled = self.dials.dial(self.socket.local().ip(), slot);
        let dial =
            dialled.map_err(|source| NodeError::System { action: "cannot open a socket to pull with", source })?;
        let mut setup = self.ingest_setup(stream);
        setup.addresses.iter_mut().for_each(|address| address.set_port(dial.local().port()));
        let (ingest, sdp) = Ingest::pull(now, setup, labels)?;
        Ok((ingest, sdp, dial))
    }

    fn free_source(&mut self) -> usize {
        self.free_sources.pop().unwrap_or_else(|| {
            self.sources.push(None);
            self.sources.len() - 1
        })
    }

    fn add_source(
        &mut self,
        now: Instant,
        slot: usize,
        ingest: Ingest,
        stream: StreamName,
        session: Arc<str>,
        dial: Option<UdpSocket>,
    ) {
        self.by_ufrag.insert(ingest.ufrag().to_owned(), Place::Source(slot));
        self.by_session.insert(Arc::clone(&session), Place::Source(slot));
        // A pull is our own wish.
        let used = dial.is_some();
        if used {
            self.dialled += 1;
        } else {
            self.unused.add(now, &session);
        }
        let source = Source { ingest, stream, session, dial, connected: false, remotes: Vec::new(), used };
        self.sources[slot] = Some(Box::new(source));
        self.changed = true;
        self.after_source(now, slot);
    }

    pub(super) fn accept(&mut self, now: Instant, session: &str, answer: &str) -> Result<(), NodeError> {
        let done = match self.by_session.get(session).copied() {
            None => return Err(NodeError::SessionUnknown(session.to_owned())),
            Some(Place::Source(slot)) => self.with_source(now, slot, |ingest| ingest.accept(now, answer)),
            Some(Place::Subscriber(slot)) => {
                self.with_taker(now, slot, |taker, cache, _| taker.subscriber.accept(now, answer, cache))
            }
        };
        Ok(done.unwrap_or_else(|| Err(SfuError::Internal("the answer made the core panic".into())))?)
    }

    pub(super) fn trickle(&mut self, now: Instant, session: &str, fragment: &str) -> Result<Trickle, NodeError> {
        let before;
        let done = match self.by_session.get(session).copied() {
            None => return Err(NodeError::SessionUnknown(session.to_owned())),
            Some(Place::Source(slot)) => {
                before = self.sources[slot].as_ref().map(|source| source.ingest.ufrag().to_owned());
                self.with_source(now, slot, |ingest| ingest.trickle(now, fragment))
            }
            Some(Place::Subscriber(slot)) => {
                before = self.takers[slot].as_ref().map(|taker| taker.subscriber.ufrag().to_owned());
                self.with_taker(now, slot, |taker, _, _| taker.subscriber.trickle(now, fragment))
            }
        };
        let done = done.unwrap_or_else(|| Err(SfuError::Internal("the fragment made the core panic".into())))?;
        if let (Trickle::Restarted { .. }, Some(place)) = (&done, self.by_session.get(session).copied()) {
            if let Some(before) = before {
                self.by_ufrag.remove(&before);
            }
            let now_called = match place {
                Place::Source(slot) => self.sources[slot].as_ref().map(|source| source.ingest.ufrag().to_owned()),
                Place::Subscriber(slot) => self.takers[slot].as_ref().map(|taker| taker.subscriber.ufrag().to_owned()),
            };
            if let Some(ufrag) = now_called {
                self.by_ufrag.insert(ufrag, place);
            }
            if let Place::Subscriber(slot) = place {
                self.forget_remotes(slot);
            }
        }
        Ok(done)
    }

    /// After an ICE restart only the address in use is still the session's.
    fn forget_remotes(&mut self, slot: usize) {
        let Some(taker) = self.takers[slot].as_mut() else { return };
        let path = taker.subscriber.remote();
        let (kept, gone) = taker.remotes.drain(..).partition(|peer| Some(*peer) == path);
        taker.remotes = kept;
        self.unroute(&gone, Place::Subscriber(slot));
    }

    pub(super) fn with_source<R>(
        &mut self,
        now: Instant,
        slot: usize,
        work: impl FnOnce(&mut Ingest) -> R,
    ) -> Option<R> {
        let source = self.sources.get_mut(slot)?.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| work(&mut source.ingest))) {
            Ok(result) => {
                self.after_source(now, slot);
                Some(result)
            }
            Err(_) => {
                self.stats.faults += 1;
                self.drop_source(now, slot, "fault");
                None
            }
        }
    }

    /// Drains what a source has to say: datagrams, events, packets; then its timer.
    fn after_source(&mut self, now: Instant, slot: usize) {
        let Some(source) = self.sources[slot].as_mut() else { return };
        let mut dialled = Outbox::default();
        let outbox = if source.dial.is_some() { &mut dialled } else { &mut self.outbox };
        let mut bursts: Vec<Burst> = Vec::new();
        let mut happened: Vec<IngestEvent> = Vec::new();
        let mut said: Vec<DataEvent> = Vec::new();
        let drained = catch_unwind(AssertUnwindSafe(|| {
            source.ingest.poll(now, outbox);
            while let Some(event) = source.ingest.poll_event() {
                happened.push(event);
            }
            while let Some(burst) = source.ingest.poll_burst() {
                bursts.push(burst);
            }
            while let Some(event) = source.ingest.poll_data() {
                said.push(event);
            }
        }));
        if let Some(dial) = &source.dial {
            self.sender.send(dial, &mut dialled);
        }
        if drained.is_err() {
            self.stats.faults += 1;
            self.drop_source(now, slot, "fault");
            return;
        }
        self.source_timers.set(slot, source.ingest.poll_timeout());
        let stream = Arc::clone(&source.stream);
        for event in said {
            self.shared.events.push(channel_event(&source.session, &stream, event));
        }
        let mut closed = None;
        for event in happened {
            match event {
                IngestEvent::Closed(reason) => closed = Some(reason),
                other => self.source_event(now, slot, other),
            }
        }
        let feeds =
            matches!(self.streams.get(&stream), Some(Stream { feed: Feed::Ingest(feeding), .. }) if *feeding == slot);
        if feeds {
            for burst in bursts {
                self.gather(&stream, &burst, true);
            }
        }
        if let Some(reason) = closed {
            self.drop_source(now, slot, reason.code());
        }
    }

    fn source_event(&mut self, now: Instant, slot: usize, event: IngestEvent) {
        let Some(source) = self.sources[slot].as_mut() else { return };
        let stream = Arc::clone(&source.stream);
        match event {
            IngestEvent::Connected => {
                source.connected = true;
                self.shared
                    .events
                    .push(Event::SessionConnected { session: source.session.to_string(), stream: stream.to_string() });
            }
            IngestEvent::Remote(peer) => {
                let first = !std::mem::replace(&mut source.used, true);
                let dialled = source.dial.is_some();
                if !dialled {
                    source.remotes.push(peer);
                    self.route(peer, Place::Source(slot));
                }
                self.note_use(first);
            }
            IngestEvent::Started(description) => {
                let session = Some(source.session.to_string());
                self.announce(&stream, &description);
                let before = self.streams.get(&stream).map(|known| &known.feed);
                // Make before break: the source before this one goes only now that media has come.
                let displaced = match before {
                    Some(Feed::Ingest(before)) if *before != slot => Some(*before),
                    _ => None,
                };
                self.describe(&stream, description, Feed::Ingest(slot));
                if let Some(before) = displaced {
                    self.close(now, Place::Source(before));
                }
                self.shared.events.push(Event::StreamStarted { stream: stream.to_string(), session });
            }
            IngestEvent::Resumed => self
                .shared
                .events
                .push(Event::StreamResumed { stream: stream.to_string(), session: source.session.to_string() }),
            IngestEvent::Silent => self
                .shared
                .events
                .push(Event::StreamSilent { stream: stream.to_string(), session: source.session.to_string() }),
            IngestEvent::Closed(reason) => self.drop_source(now, slot, reason.code()),
        }
    }

    pub(super) fn drop_source(&mut self, now: Instant, slot: usize, reason: &'static str) {
        let Some(source) = self.sources[slot].take() else { return };
        self.changed = true;
        self.free_sources.push(slot);
        self.source_timers.set(slot, None);
        self.by_session.remove(&source.session);
        self.by_ufrag.remove(source.ingest.ufrag());
        self.unroute(&source.remotes, Place::Source(slot));
        self.note_use(!source.used);
        self.dialled -= usize::from(source.dial.is_some());
        self.over.push(Arc::clone(&source.session));
        self.shared.events.push(Event::SessionClosed {
            session: source.session.to_string(),
            stream: source.stream.to_string(),
            reason,
        });
        let Some(stream) = self.streams.get_mut(&source.stream) else { return };
        if matches!(stream.feed, Feed::Ingest(feeding) if feeding == slot) {
            stream.feed = Feed::Orphan(now);
            // A publisher that ends its session (DELETE) ends its stream. One that is lost may come back: a page that is loaded anew closes
            // its connection too. And an upstream may be replaced.
            if reason == CloseReason::Local.code() && source.dial.is_none() {
                self.end_everywhere(now, &source.stream, "publisher_left");
            }
        }
    }
}
