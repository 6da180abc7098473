//! Subscribers: joining, being sent to, leaving; and what is told on their data channels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sfu::{
    Answer, CloseReason, Credentials, Entropy, Outbox, Peer, Protocol, SfuError, Subscriber, SubscriberEvent,
    SubscriberSetup,
};

use crate::error::NodeError;
use crate::event::Event;
use crate::post::{Audience, Message, StreamName};
use crate::unused::Admission;

use super::{Place, SUBSCRIBERS_A_FLUSH, Taker, Worker, channel_event};

impl Worker {
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        stream: StreamName,
        session: Arc<str>,
        offer: Option<&str>,
        layers_all: bool,
    ) -> Result<Answer, NodeError> {
        self.make_room(now)?;
        let credentials = Credentials::new(self.index, &mut self.entropy);
        let seed = self.entropy.draw();
        let known = self.streams.get_mut(&stream).filter(|known| known.is_live(now));
        let Some(known) = known else { return Err(NodeError::StreamUnknown(stream.to_string())) };
        let setup = SubscriberSetup {
            identity: self.shared.identity.clone(),
            credentials,
            entropy: Entropy::new(seed),
            clock: self.shared.clock,
            addresses: self.shared.addresses.clone(),
            layers_all,
            config: self.shared.config.subscriber.clone(),
        };
        let made = catch_unwind(AssertUnwindSafe(|| match offer {
            Some(offer) => Subscriber::answer(now, setup, offer, &known.cache),
            None => Subscriber::offer(now, setup, &known.cache),
        }));
        let (subscriber, answer) = made.unwrap_or_else(|_| {
            self.stats.faults += 1;
            Err(SfuError::Internal("the offer made the core panic".into()))
        })?;
        let slot = self.free_takers.pop().unwrap_or_else(|| {
            self.takers.push(None);
            self.takers.len() - 1
        });
        known.subscribers.push(slot);
        self.by_ufrag.insert(subscriber.ufrag().to_owned(), Place::Subscriber(slot));
        self.by_session.insert(Arc::clone(&session), Place::Subscriber(slot));
        self.unused.add(now, &session);
        self.takers[slot] = Some(Box::new(Taker {
            subscriber,
            stream,
            session,
            since: now,
            remotes: Vec::new(),
            used: false,
            connected: false,
        }));
        self.stats.joins += 1;
        self.changed = true;
        self.after_taker(now, slot);
        Ok(answer)
    }

    /// Lets `work` change a subscriber, then looks at what came of it. A panic ends this one session.
    pub(super) fn with_taker<R>(
        &mut self,
        now: Instant,
        slot: usize,
        work: impl FnOnce(&mut Taker, &mut sfu::StreamCache, &mut Outbox) -> R,
    ) -> Option<R> {
        let taker = self.takers.get_mut(slot)?.as_mut()?;
        let stream = self.streams.get_mut(&taker.stream)?;
        let outbox = &mut self.outbox;
        match catch_unwind(AssertUnwindSafe(|| work(taker, &mut stream.cache, outbox))) {
            Ok(result) => {
                self.after_taker(now, slot);
                Some(result)
            }
            Err(_) => {
                self.stats.faults += 1;
                self.drop_taker(slot, "fault");
                None
            }
        }
    }

    fn after_taker(&mut self, now: Instant, slot: usize) {
        while let Some(taker) = self.takers[slot].as_mut()
            && let Some(event) = taker.subscriber.poll_event()
        {
            self.taker_event(now, slot, event);
        }
        if let Some(taker) = self.takers[slot].as_mut() {
            while let Some(event) = taker.subscriber.poll_data() {
                self.shared.events.push(channel_event(&taker.session, &taker.stream, event));
            }
        }
        if let Some(taker) = &self.takers[slot] {
            self.taker_timers.set(slot, taker.subscriber.poll_timeout());
        }
    }

    pub(super) fn taker_event(&mut self, now: Instant, slot: usize, event: SubscriberEvent) {
        let Some(taker) = self.takers[slot].as_mut() else { return };
        match event {
            SubscriberEvent::Connected => {
                taker.connected = true;
                self.changed = true;
                self.stats.connect.record(now.saturating_duration_since(taker.since), 1);
                self.shared.events.push(Event::SessionConnected {
                    session: taker.session.to_string(),
                    stream: taker.stream.to_string(),
                });
            }
            SubscriberEvent::Remote(peer) => {
                let first = !std::mem::replace(&mut taker.used, true);
                taker.remotes.push(peer);
                self.note_use(first);
                self.route(peer, Place::Subscriber(slot));
            }
            SubscriberEvent::FirstFrame { after } => self.stats.first_frame.record(after, 1),
            SubscriberEvent::KeyFrameWanted { layer } => {
                let stream = Arc::clone(&taker.stream);
                if let Some(known) = self.streams.get_mut(&stream)
                    && known.cache.want_key_frame(now, layer)
                {
                    self.want_key_frame(now, stream, layer);
                }
            }
            SubscriberEvent::LayerChanged { layer } => self.shared.events.push(Event::LayerChanged {
                session: taker.session.to_string(),
                stream: taker.stream.to_string(),
                layer,
            }),
            SubscriberEvent::Closed(reason) => self.drop_taker(slot, reason.code()),
        }
    }

    /// Sees that there is room for one more session that may never be used.
    pub(super) fn make_room(&mut self, now: Instant) -> Result<(), NodeError> {
        let waits = |session: &str| match self.by_session.get(session) {
            Some(Place::Subscriber(slot)) => self.takers[*slot].as_ref().is_some_and(|taker| !taker.used),
            Some(Place::Source(slot)) => self.sources[*slot].as_ref().is_some_and(|source| !source.used),
            None => false,
        };
        match self.unused.admit(now, waits) {
            Admission::Granted => Ok(()),
            Admission::Refused => Err(NodeError::Crowded(self.shared.config.max_unused)),
            Admission::Instead(session) => {
                match self.by_session.get(&session).copied() {
                    Some(Place::Subscriber(slot)) => self.drop_taker(slot, CloseReason::NeverConnected.code()),
                    Some(Place::Source(slot)) => self.drop_source(now, slot, CloseReason::NeverConnected.code()),
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// A session was used for the first time, or is gone and never was.
    pub(super) fn note_use(&mut self, noted: bool) {
        if noted {
            self.unused.remove();
        }
    }

    /// Datagrams from `peer` are for this session from now on.
    pub(super) fn route(&mut self, peer: Peer, place: Place) {
        self.by_peer.insert(peer, place);
        if peer.protocol == Protocol::Tcp {
            self.connections.prove(peer);
        }
    }

    /// Forgets where a session's datagrams came from, except where another one has taken over.
    pub(super) fn unroute(&mut self, peers: &[Peer], place: Place) {
        for peer in peers {
            if self.by_peer.get(peer) == Some(&place) {
                self.by_peer.remove(peer);
            }
        }
    }

    pub(super) fn drop_taker(&mut self, slot: usize, reason: &'static str) {
        let Some(taker) = self.takers[slot].take() else { return };
        self.changed = true;
        self.free_takers.push(slot);
        self.taker_timers.set(slot, None);
        self.by_session.remove(&taker.session);
        self.by_ufrag.remove(taker.subscriber.ufrag());
        self.unroute(&taker.remotes, Place::Subscriber(slot));
        self.note_use(!taker.used);
        self.over.push(Arc::clone(&taker.session));
        if let Some(stream) = self.streams.get_mut(&taker.stream) {
            stream.subscribers.retain(|other| *other != slot);
            stream.lap.again(stream.subscribers.len());
        }
        self.shared.leave();
        self.shared.loads[usize::from(self.index)].leave();
        self.shared.events.push(Event::SessionClosed {
            session: taker.session.to_string(),
            stream: taker.stream.to_string(),
            reason,
        });
    }

    pub(super) fn tell(&mut self, now: Instant, to: &Audience, message: &Message) {
        let Message { label, text, bytes } = message;
        match to {
            Audience::Session(session) => match self.by_session.get(session).copied() {
                Some(Place::Subscriber(slot)) => {
                    self.with_taker(now, slot, |taker, _, outbox| {
                        taker.subscriber.send_data(now, label, *text, bytes, outbox);
                    });
                }
                Some(Place::Source(slot)) => {
                    self.with_source(now, slot, |ingest| ingest.send_data(now, label, *text, bytes));
                }
                None => {}
            },
            Audience::Stream { stream, except } => {
                let slots = self.streams.get(stream).map(|known| known.subscribers.clone()).unwrap_or_default();
                for (step, slot) in slots.into_iter().enumerate() {
                    if self.takers[slot].as_ref().is_some_and(|taker| Some(&taker.session) != except.as_ref()) {
                        self.with_taker(now, slot, |taker, _, outbox| {
                            taker.subscriber.send_data(now, label, *text, bytes, outbox);
                        });
                    }
                    if step % SUBSCRIBERS_A_FLUSH == SUBSCRIBERS_A_FLUSH - 1 {
                        self.flush();
                    }
                }
            }
        }
    }
}
