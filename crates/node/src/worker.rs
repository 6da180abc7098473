//! One worker thread: it owns its socket and its sessions, and shares nothing that it would have to lock per packet.
//!
//! A turn of its loop: wait for the socket, the inbox or the next deadline; take in all that is there; run what is due; send.
//! Streams are mirrored on every worker (a cache of shared packets), so a subscriber is served by the worker that its ufrag
//! names, wherever the stream comes in.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sfu::{
    Answer, Burst, CloseReason, Credentials, DataEvent, DatagramKind, Entropy, Ingest, IngestEvent, IngestSetup,
    Injector, Kind, Layer, Outbox, Packet, Peer, Protocol, SfuError, StreamDescription, Subscriber, SubscriberEvent,
    SubscriberSetup, Trickle, stun_ufrag,
};

use crate::clock::{cpu_of_this_thread, hurry, pin_to_core, wait};
use crate::connections::{Connections, ReadOutcome};
use crate::dials::Dials;
use crate::error::NodeError;
use crate::event::Event;
use crate::gate::Admitted;
use crate::handshakes::{Handshakes, SHARE};
use crate::poller::{Poller, Ready};
use crate::post::{Audience, Call, Message, Post, StreamName};
use crate::receive::{BATCH, Receiver};
use crate::shared::Shared;
use crate::socket::UdpSocket;
use crate::stats::{SessionStats, SourceStats, StreamStats, WorkerStats};
use crate::steer::Steering;
use crate::stream::{Feed, ORPHAN_LINGER, Stream, Tapped};
use crate::tap::TapQueue;
use crate::timers::Timers;
use crate::train::Sender;
use crate::unused::{Admission, Unused};

/// Subscribers whose datagrams go out together: about 16 trains a system call, and the outbox stays in the L2 cache.
const SUBSCRIBERS_A_FLUSH: usize = 16;
/// Batches read before the rest gets its turn.
const BATCHES_A_TURN: usize = 8;
/// Posts taken before the rest gets its turn.
const POSTS_A_TURN: usize = 1024;
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Age of the figures while media flows.
const SNAPSHOT: Duration = Duration::from_millis(200);
/// Their age after a stream or session came or went: a thousand joins a second must not mean a thousand snapshots.
const SNAPSHOT_OF_CHANGE: Duration = Duration::from_millis(20);

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Subscriber(usize),
    Source(usize),
}

struct Taker {
    subscriber: Subscriber,
    stream: StreamName,
    session: Arc<str>,
    since: Instant,
    /// Where its datagrams come from.
    remotes: Vec<Peer>,
    /// A genuine check has come.
    used: bool,
    connected: bool,
}

struct Source {
    ingest: Ingest,
    stream: StreamName,
    session: Arc<str>,
    /// We pull it from an upstream, from this socket; otherwise it was published to us.
    dial: Option<UdpSocket>,
    connected: bool,
    /// Where its datagrams come from.
    remotes: Vec<Peer>,
    /// A genuine check has come.
    used: bool,
}

/// The state of one worker thread.
pub(crate) struct Worker {
    index: u16,
    shared: Arc<Shared>,
    socket: UdpSocket,
    receiver: Option<Receiver>,
    sender: Sender,
    connections: Connections,
    dials: Dials,
    /// How many sockets there are.
    dialled: usize,
    ready: Vec<Ready>,
    scratch: Option<Box<[u8]>>,
    /// Sessions that ended, whose connections go after the next flush.
    over: Vec<Arc<str>>,
    outbox: Outbox,
    entropy: Entropy,
    unused: Unused,
    steering: Steering,
    handshakes: Handshakes,
    streams: HashMap<StreamName, Stream>,
    takers: Vec<Option<Box<Taker>>>,
    sources: Vec<Option<Box<Source>>>,
    free_takers: Vec<usize>,
    free_sources: Vec<usize>,
    by_session: HashMap<Arc<str>, Place>,
    by_ufrag: HashMap<String, Place>,
    by_peer: HashMap<Peer, Place>,
    taker_timers: Timers,
    source_timers: Timers,
    /// Packets that came in during this turn, by stream: they go out together, as trains.
    arrived: Vec<Arrived>,
    stats: WorkerStats,
    /// A stream or session came or went since the last snapshot.
    changed: bool,
    /// Streams whose layers are others than before: told once a snapshot shows them.
    layers_changed: Vec<StreamName>,
    stopping: bool,
}

/// Packets of one stream that wait for the end of the turn.
struct Arrived {
    stream: StreamName,
    packets: Vec<Arc<Packet>>,
    /// They are from a source of ours: the other workers need them too.
    ours: bool,
}

impl Worker {
    pub(crate) fn new(
        index: u16,
        shared: Arc<Shared>,
        socket: UdpSocket,
        (poller, dials): (Poller, Dials),
        seed: [u8; 32],
    ) -> Worker {
        let sender = Sender::new(shared.config.send, &socket);
        Worker {
            index,
            socket,
            receiver: Some(Receiver::new()),
            sender,
            connections: Connections::new(poller, shared.config.connection_patience),
            dials,
            dialled: 0,
            ready: Vec::new(),
            scratch: None,
            over: Vec::new(),
            outbox: Outbox::with_capacity(256 << 10),
            entropy: Entropy::new(seed),
            unused: Unused::new(
                shared.config.max_unused.div_ceil(shared.inboxes.len().max(1)),
                shared.config.unused_grace,
            ),
            steering: Steering::default(),
            handshakes: Handshakes::default(),
            streams: HashMap::new(),
            takers: Vec::new(),
            sources: Vec::new(),
            free_takers: Vec::new(),
            free_sources: Vec::new(),
            by_session: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_peer: HashMap::new(),
            taker_timers: Timers::default(),
            source_timers: Timers::default(),
            arrived: Vec::new(),
            stats: WorkerStats { index, ..WorkerStats::default() },
            changed: false,
            layers_changed: Vec::new(),
            stopping: false,
            shared,
        }
    }

    /// Runs until [`Post::Stop`].
    pub(crate) fn run(mut self) {
        hurry();
        if self.shared.pin {
            pin_to_core(usize::from(self.index));
        }
        let inbox = Arc::clone(&self.shared.inboxes[usize::from(self.index)]);
        let mut housekeeping = Instant::now();
        let mut snapshot: Option<Instant> = Some(housekeeping);
        let mut snapped = housekeeping;
        let mut more = false;
        while !self.stopping {
            let now = Instant::now();
            let deadline = [self.taker_timers.next(), self.source_timers.next(), snapshot, Some(housekeeping)]
                .into_iter()
                .flatten()
                .min();
            if !more && inbox.rest() {
                let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now));
                wait([self.socket.raw(), inbox.fd(), self.connections.fd(), self.dials.fd()], timeout);
            }
            inbox.rise();

            let now = Instant::now();
            let received = self.take_datagrams(now) + self.take_dialled(now);
            let frames = self.take_frames(now);
            let mut posts = 0;
            while posts < POSTS_A_TURN
                && let Some(post) = inbox.pop()
            {
                posts += 1;
                self.take_post(now, post);
            }
            let fired = self.run_timers(now);
            self.deliver(now);
            self.flush();
            self.tend_connections(now);
            let shaken = self.shake_hands();
            more = !self.handshakes.is_empty() || posts == POSTS_A_TURN || received >= BATCH * BATCHES_A_TURN;

            let end = Instant::now();
            if received + frames + posts + fired + shaken > 0 {
                self.stats.turn.record(end - now, 1);
                // Figures change only when something was done: an idle worker sleeps.
                let due = if self.changed { snapped + SNAPSHOT_OF_CHANGE } else { end + SNAPSHOT };
                snapshot = Some(snapshot.map_or(due, |other| other.min(due)));
            }
            if end >= housekeeping {
                housekeeping = end + HOUSEKEEPING;
                self.keep_house(end);
                if !self.layers_changed.is_empty() {
                    snapshot = Some(end);
                }
            }
            if snapshot.is_some_and(|due| end >= due) {
                (snapshot, snapped, self.changed) = (None, end, false);
                self.post_snapshot(end);
            }
        }
        self.close_all(Instant::now());
        self.post_snapshot(Instant::now());
    }

    // ---- datagrams in

    fn take_datagrams(&mut self, now: Instant) -> usize {
        // It is put back below; nothing in between takes it.
        let Some(mut receiver) = self.receiver.take() else { return 0 };
        let socket = self.socket.clone();
        let mut total = 0;
        for _ in 0..BATCHES_A_TURN {
            let count = receiver.receive(&socket, |from, datagram| self.take_datagram(now, Peer::udp(from), datagram));
            total += count;
            if count < BATCH {
                break;
            }
        }
        self.receiver = Some(receiver);
        total
    }

    /// What upstreams have sent to the sockets of our pulls.
    fn take_dialled(&mut self, now: Instant) -> usize {
        if self.dialled == 0 {
            return 0;
        }
        let Some(mut receiver) = self.receiver.take() else { return 0 };
        let (mut slots, mut total) = (Vec::new(), 0);
        self.dials.readable(&mut slots);
        for slot in slots {
            let dial = self.sources.get(slot).and_then(Option::as_ref).and_then(|source| source.dial.clone());
            let Some(dial) = dial else { continue };
            for _ in 0..BATCHES_A_TURN {
                let count = receiver.receive(&dial, |from, datagram| match DatagramKind::of(datagram) {
                    DatagramKind::Unknown => self.stats.unknown += 1,
                    _ => {
                        self.with_source(now, slot, |ingest| ingest.handle_datagram(now, Peer::udp(from), datagram));
                    }
                });
                total += count;
                if count < BATCH {
                    break;
                }
            }
        }
        self.receiver = Some(receiver);
        total
    }

    fn take_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        let ufrag = match DatagramKind::of(datagram) {
            DatagramKind::Unknown => {
                self.stats.unknown += 1;
                return;
            }
            DatagramKind::Stun => stun_ufrag(datagram),
            DatagramKind::Dtls | DatagramKind::Srtp => None,
        };
        if self.shared.inboxes.len() > 1 {
            let named = ufrag.and_then(Credentials::worker_of).filter(|w| usize::from(*w) < self.shared.inboxes.len());
            let known = named.is_none() && self.by_peer.contains_key(&from);
            if !known
                && let Some(owner) = self.steering.route(now, from.address, named)
                && owner != self.index
            {
                self.stats.handed_over += 1;
                let _ =
                    self.shared.inboxes[usize::from(owner)].push(Post::Datagram { from, bytes: (&*datagram).into() });
                return;
            }
        }
        self.sort_datagram(now, from, datagram);
    }

    /// One that is ours: handshakes wait, all else is handled now.
    fn sort_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        if self.handshakes.concerns(datagram) && self.by_peer.contains_key(&from) {
            self.handshakes.push(from, datagram);
        } else {
            self.handle_datagram(now, from, datagram);
        }
    }

    /// Goes on with handshakes, now that media has left, for a while.
    fn shake_hands(&mut self) -> usize {
        if self.handshakes.is_empty() {
            return 0;
        }
        let (began, mut count) = (Instant::now(), 0);
        let mut now = began;
        while now - began < SHARE
            && let Some((from, mut datagram)) = self.handshakes.pop()
        {
            self.handle_datagram(now, from, &mut datagram);
            count += 1;
            now = Instant::now();
        }
        self.flush();
        self.tend_connections(now);
        count
    }

    /// What has come in on TCP connections, and those that have room again.
    fn take_frames(&mut self, now: Instant) -> usize {
        if self.connections.is_empty() {
            return 0;
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.connections.ready(&mut ready);
        let count = ready.len();
        for event in ready.drain(..) {
            if event.writable
                && let Some(peer) = self.connections.resume(event.id)
            {
                self.hold(now, peer, false);
            }
            if event.readable {
                self.read_connection(now, event.id);
            }
        }
        self.ready = ready;
        count
    }

    fn read_connection(&mut self, now: Instant, id: u64) {
        let mut scratch = self.scratch.take().unwrap_or_else(Connections::scratch);
        match self.connections.read(now, id, &mut scratch) {
            ReadOutcome::Nothing => {}
            ReadOutcome::Ended => self.connections.close(id),
            ReadOutcome::Bytes(count) => {
                if let Some((from, mut deframer)) = self.connections.take_deframer(id) {
                    let mut frames = 0;
                    let whole = deframer.push(&mut scratch[..count], |datagram| {
                        frames += 1;
                        self.handle_datagram(now, from, datagram);
                    });
                    self.connections.stats.frames_in += frames;
                    match whole {
                        Ok(()) => self.connections.put_deframer(id, deframer),
                        Err(_) => self.connections.close(id),
                    }
                }
            }
        }
        self.scratch = Some(scratch);
    }

    /// A connection from the gate. One for a session that is not ours is closed by being dropped.
    fn take_connection(&mut self, now: Instant, admitted: Admitted) {
        let session = match self.by_ufrag.get(&admitted.ufrag) {
            Some(Place::Subscriber(slot)) => self.takers[*slot].as_ref().map(|taker| Arc::clone(&taker.session)),
            Some(Place::Source(slot)) => self.sources[*slot].as_ref().map(|source| Arc::clone(&source.session)),
            None => None,
        };
        if let Some(session) = session {
            self.connections.add(now, admitted, session);
        }
    }

    /// Holds or releases the subscriber behind a connection.
    fn hold(&mut self, now: Instant, peer: Peer, held: bool) {
        if let Some(Place::Subscriber(slot)) = self.by_peer.get(&peer).copied() {
            self.with_taker(now, slot, |taker, cache, outbox| {
                // what is released may have found another way by now
                if !held || taker.subscriber.remote() == Some(peer) {
                    taker.subscriber.hold(now, held, cache, outbox);
                }
            });
        }
    }

    /// A connection is gone, and with it an address of its session.
    fn lose(&mut self, now: Instant, peer: Peer) {
        match self.by_peer.remove(&peer) {
            Some(Place::Subscriber(slot)) => {
                self.with_taker(now, slot, |taker, _, outbox| {
                    taker.remotes.retain(|other| *other != peer);
                    taker.subscriber.lose(now, peer, outbox);
                });
            }
            Some(Place::Source(slot)) => {
                if let Some(source) = self.sources[slot].as_mut() {
                    source.remotes.retain(|other| *other != peer);
                }
            }
            None => {}
        }
    }

    /// A datagram for one of our own sessions, from our socket or handed over.
    fn handle_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        let kind = DatagramKind::of(datagram);
        let by_ufrag = match kind {
            DatagramKind::Stun => stun_ufrag(datagram).map(|ufrag| self.by_ufrag.get(ufrag).copied()),
            _ => None,
        };
        let place = match by_ufrag {
            // A check for a session that is gone is nobody's, whatever its address was before.
            Some(place) => place,
            None => self.by_peer.get(&from).copied(),
        };
        match place {
            Some(Place::Subscriber(slot)) => {
                self.with_taker(now, slot, |taker, cache, outbox| {
                    taker.subscriber.handle_datagram(now, from, datagram, cache, outbox);
                });
            }
            Some(Place::Source(slot)) => {
                self.with_source(now, slot, |ingest| ingest.handle_datagram(now, from, datagram));
            }
            None => self.stats.unknown += 1,
        }
    }

    // ---- posts

    fn take_post(&mut self, now: Instant, post: Post) {
        match post {
            Post::Datagram { from, mut bytes } => self.sort_datagram(now, from, &mut bytes),
            Post::Connection(admitted) => self.take_connection(now, *admitted),
            Post::Burst { stream, burst } => self.gather(&stream, &burst, false),
            Post::Described { stream, description } => self.describe(&stream, description, Feed::Elsewhere),
            Post::Ended { stream, reason } => {
                self.deliver(now);
                self.end_stream(now, &stream, reason);
            }
            Post::KeyFrameWanted { stream, layer } => self.request_key_frame(now, &stream, layer),
            Post::Inject { stream, kind, access_unit, time, key_frame } => {
                self.inject(now, &stream, kind, &access_unit, time, key_frame);
            }
            Post::Tell { to, message } => self.tell(now, &to, &message),
            Post::Call(call) => self.take_call(now, call),
            Post::Stop => self.stopping = true,
        }
    }

    fn take_call(&mut self, now: Instant, call: Call) {
        // A caller that no longer waits needs no answer.
        match call {
            Call::Publish { stream, session, offer, reply } => {
                let _ = reply.send(self.publish(now, stream, session, &offer));
            }
            Call::Subscribe { stream, session, offer, layers_all, reply } => {
                let result = self.subscribe(now, stream, session, &offer, layers_all);
                if result.is_err() {
                    self.shared.leave();
                    self.shared.loads[usize::from(self.index)].leave();
                }
                let _ = reply.send(result);
            }
            Call::Pull { stream, session, labels, reply } => {
                let _ = reply.send(self.pull(now, stream, session, &labels));
            }
            Call::Accept { session, answer, reply } => {
                let _ = reply.send(self.accept(now, &session, &answer));
            }
            Call::Trickle { session, fragment, reply } => {
                let _ = reply.send(self.trickle(now, &session, &fragment));
            }
            Call::Choose { session, wish, reply } => {
                let _ = reply.send(match self.by_session.get(&session).copied() {
                    Some(Place::Subscriber(slot)) => {
                        self.with_taker(now, slot, |taker, cache, outbox| {
                            taker.subscriber.set_wish(now, wish, cache, outbox);
                        });
                        Ok(())
                    }
                    _ => Err(NodeError::SessionUnknown(session.to_string())),
                });
            }
            Call::Close { session, reply } => {
                let place = self.by_session.get(&session).copied();
                if let Some(place) = place {
                    self.close(now, place);
                }
                let _ = reply.send(Ok(place.is_some()));
            }
            Call::Open { stream, description, reply } => {
                self.open(now, &stream, description);
                let _ = reply.send(Ok(()));
            }
            Call::End { stream, reply } => {
                let known =
                    self.streams.contains_key(&stream) || self.sources.iter().flatten().any(|s| s.stream == stream);
                if known {
                    self.end_everywhere(now, &stream, "ended");
                }
                let _ = reply.send(if known { Ok(()) } else { Err(NodeError::StreamUnknown(stream.to_string())) });
            }
            Call::Tap { stream, queue, reply } => {
                let _ = reply.send(self.tap(now, &stream, queue));
            }
        }
    }

    // ---- subscribers

    fn subscribe(
        &mut self,
        now: Instant,
        stream: StreamName,
        session: Arc<str>,
        offer: &str,
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
        let made = catch_unwind(AssertUnwindSafe(|| Subscriber::answer(now, setup, offer, &known.cache)));
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
    fn with_taker<R>(
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

    fn taker_event(&mut self, now: Instant, slot: usize, event: SubscriberEvent) {
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
    fn make_room(&mut self, now: Instant) -> Result<(), NodeError> {
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
    fn note_use(&mut self, noted: bool) {
        if noted {
            self.unused.remove();
        }
    }

    /// Datagrams from `peer` are for this session from now on.
    fn route(&mut self, peer: Peer, place: Place) {
        self.by_peer.insert(peer, place);
        if peer.protocol == Protocol::Tcp {
            self.connections.prove(peer);
        }
    }

    /// Forgets where a session's datagrams came from, except where another one has taken over.
    fn unroute(&mut self, peers: &[Peer], place: Place) {
        for peer in peers {
            if self.by_peer.get(peer) == Some(&place) {
                self.by_peer.remove(peer);
            }
        }
    }

    fn drop_taker(&mut self, slot: usize, reason: &'static str) {
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
        }
        self.shared.leave();
        self.shared.loads[usize::from(self.index)].leave();
        self.shared.events.push(Event::SessionClosed {
            session: taker.session.to_string(),
            stream: taker.stream.to_string(),
            reason,
        });
    }

    /// Gives a burst to the stream's cache, its subscribers and its taps on this worker.
    fn forward(&mut self, now: Instant, name: &StreamName, burst: &Burst) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.cache.push(burst);
        let arrival = burst.first().map(|packet| packet.arrival);
        let count = stream.subscribers.len();
        if count > 0 {
            stream.turn = (stream.turn + 1) % count;
        }
        let mut happened: Vec<(usize, SubscriberEvent)> = Vec::new();
        let mut faults: Vec<usize> = Vec::new();
        let mut unsent = 0;
        for step in 0..count {
            let slot = stream.subscribers[(stream.turn + step) % count];
            let Some(taker) = self.takers[slot].as_mut() else { continue };
            let (outbox, cache) = (&mut self.outbox, &stream.cache);
            let done = catch_unwind(AssertUnwindSafe(|| taker.subscriber.forward(now, burst, cache, outbox)));
            if done.is_err() {
                faults.push(slot);
                continue;
            }
            while let Some(event) = taker.subscriber.poll_event() {
                happened.push((slot, event));
            }
            self.taker_timers.set(slot, taker.subscriber.poll_timeout());
            unsent += 1;
            if unsent == SUBSCRIBERS_A_FLUSH || step + 1 == count {
                if !self.connections.is_empty() {
                    self.connections.send(&self.outbox);
                }
                self.sender.send(&self.socket, &mut self.outbox);
                if let Some(arrival) = arrival {
                    self.stats.forward.record(arrival.elapsed(), unsent as u64);
                }
                unsent = 0;
            }
        }
        stream.taps.retain_mut(|tapped| {
            tapped.tap.push(now, burst);
            while let Some(unit) = tapped.tap.poll() {
                tapped.queue.push(unit);
            }
            !tapped.queue.is_closed()
        });
        for slot in faults {
            self.stats.faults += 1;
            self.drop_taker(slot, "fault");
        }
        for (slot, event) in happened {
            self.taker_event(now, slot, event);
        }
    }

    // ---- data channels

    fn tell(&mut self, now: Instant, to: &Audience, message: &Message) {
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

    // ---- sources

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

    fn publish(
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
        self.add_source(now, ingest, stream, session, None);
        Ok(answer)
    }

    fn pull(
        &mut self,
        now: Instant,
        stream: StreamName,
        session: Arc<str>,
        labels: &[String],
    ) -> Result<Answer, NodeError> {
        let slot = self.free_source();
        let dialled = self.dials.dial(self.socket.local().ip(), slot);
        let made = dialled
            .map_err(|source| NodeError::System { action: "cannot open a socket to pull with", source })
            .and_then(|dial| {
                let mut setup = self.ingest_setup(&stream);
                setup.addresses.iter_mut().for_each(|address| address.set_port(dial.local().port()));
                Ok((Ingest::pull(now, setup, labels)?, dial))
            });
        self.free_sources.push(slot);
        let ((ingest, sdp), dial) = made?;
        self.add_source(now, ingest, stream, session, Some(dial));
        Ok(Answer { sdp, etag: String::new() })
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
        ingest: Ingest,
        stream: StreamName,
        session: Arc<str>,
        dial: Option<UdpSocket>,
    ) {
        let slot = self.free_source();
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

    fn accept(&mut self, now: Instant, session: &str, answer: &str) -> Result<(), NodeError> {
        let Some(Place::Source(slot)) = self.by_session.get(session).copied() else {
            return Err(NodeError::SessionUnknown(session.to_owned()));
        };
        let done = self.with_source(now, slot, |ingest| ingest.accept(now, answer));
        Ok(done.unwrap_or_else(|| Err(SfuError::Internal("the answer made the core panic".into())))?)
    }

    fn trickle(&mut self, now: Instant, session: &str, fragment: &str) -> Result<Trickle, NodeError> {
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

    fn with_source<R>(&mut self, now: Instant, slot: usize, work: impl FnOnce(&mut Ingest) -> R) -> Option<R> {
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

    fn drop_source(&mut self, now: Instant, slot: usize, reason: &'static str) {
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

    // ---- streams

    /// Tells the other workers what a stream holds.
    fn announce(&self, stream: &StreamName, description: &StreamDescription) {
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

    fn describe(&mut self, name: &StreamName, description: StreamDescription, feed: Feed) {
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

    fn open(&mut self, now: Instant, name: &StreamName, description: StreamDescription) {
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

    fn inject(&mut self, now: Instant, name: &StreamName, kind: Kind, access_unit: &[u8], time: u32, key_frame: bool) {
        let Some(Stream { feed: Feed::Injector(injector), .. }) = self.streams.get_mut(name) else { return };
        let burst = match kind {
            Kind::Video => injector.push_video(now, access_unit, time, key_frame),
            Kind::Audio => injector.push_audio(now, access_unit, time),
        };
        self.gather(name, &burst, true);
    }

    /// Keeps a burst for the end of the turn.
    fn gather(&mut self, stream: &StreamName, burst: &Burst, ours: bool) {
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
    fn deliver(&mut self, now: Instant) {
        for mut arrived in std::mem::take(&mut self.arrived) {
            // Video first: the short Opus packet is then the tail of the train.
            arrived.packets.sort_by_key(|packet| packet.kind);
            let burst: Burst = arrived.packets.into();
            let stream = arrived.stream;
            if arrived.ours {
                self.tell_others(|| Post::Burst { stream: Arc::clone(&stream), burst: Arc::clone(&burst) });
            }
            self.forward(now, &stream, &burst);
        }
    }

    /// A subscriber here needs a key frame: tells the worker that owns the source.
    fn want_key_frame(&mut self, now: Instant, stream: StreamName, layer: Layer) {
        match self.streams.get(&stream).map(|known| &known.feed) {
            Some(Feed::Elsewhere) => {
                let owner = self.shared.owner_of(&stream);
                let _ = self.shared.inboxes[usize::from(owner)].push(Post::KeyFrameWanted { stream, layer });
            }
            _ => self.request_key_frame(now, &stream, layer),
        }
    }

    fn request_key_frame(&mut self, now: Instant, name: &StreamName, layer: Layer) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.key_frame_requests += 1;
        match &mut stream.feed {
            Feed::Ingest(slot) => {
                let slot = *slot;
                self.with_source(now, slot, |ingest| ingest.request_key_frame(now, layer));
            }
            Feed::Injector(injector) => {
                if injector.request_key_frame(now) {
                    self.shared.events.push(Event::KeyFrameWanted { stream: name.to_string() });
                }
            }
            Feed::Elsewhere | Feed::Orphan(_) => {}
        }
    }

    fn tap(&mut self, now: Instant, name: &StreamName, queue: Arc<TapQueue>) -> Result<(), NodeError> {
        let Some(stream) = self.streams.get_mut(name) else { return Err(NodeError::StreamUnknown(name.to_string())) };
        let mut tap = sfu::Tap::new(now, &stream.cache);
        while let Some(unit) = tap.poll() {
            queue.push(unit);
        }
        stream.taps.push(Tapped { tap, queue });
        Ok(())
    }

    fn end_everywhere(&mut self, now: Instant, stream: &StreamName, reason: &'static str) {
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

    fn end_stream(&mut self, now: Instant, name: &StreamName, _reason: &'static str) {
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
    fn close(&mut self, now: Instant, place: Place) {
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

    fn close_all(&mut self, now: Instant) {
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

    // ---- time

    fn run_timers(&mut self, now: Instant) -> usize {
        let mut due = Vec::new();
        self.source_timers.take_due(now, &mut due);
        for slot in due.drain(..) {
            self.with_source(now, slot, |ingest| ingest.handle_timeout(now));
        }
        self.taker_timers.take_due(now, &mut due);
        let count = due.len();
        for (step, slot) in due.into_iter().enumerate() {
            self.with_taker(now, slot, |taker, cache, outbox| taker.subscriber.handle_timeout(now, cache, outbox));
            if step % SUBSCRIBERS_A_FLUSH == SUBSCRIBERS_A_FLUSH - 1 {
                self.flush();
            }
        }
        count
    }

    fn flush(&mut self) {
        if !self.connections.is_empty() {
            self.connections.send(&self.outbox);
        }
        self.sender.send(&self.socket, &mut self.outbox);
        if let Some(refused) = self.sender.poll_refused() {
            self.shared.events.push(Event::SendRung(refused));
        }
    }

    /// What sending has told of the TCP connections; then those of sessions that are over.
    fn tend_connections(&mut self, now: Instant) {
        while let Some(peer) = self.connections.poll_full() {
            self.hold(now, peer, true);
        }
        for session in std::mem::take(&mut self.over) {
            self.connections.end(now, &session);
        }
        while let Some(peer) = self.connections.poll_lost() {
            self.lose(now, peer);
        }
    }

    fn keep_house(&mut self, now: Instant) {
        self.steering.expire(now);
        self.connections.expire(now);
        for (name, stream) in &mut self.streams {
            let choices = stream.cache.choices(now);
            if !matches!(stream.feed, Feed::Elsewhere) && choices != stream.choices {
                stream.choices = choices;
                self.layers_changed.push(Arc::clone(name));
            }
        }
        let ended: Vec<StreamName> = self
            .streams
            .iter()
            .filter(|(_, stream)| matches!(stream.feed, Feed::Orphan(since) if now.saturating_duration_since(since) >= ORPHAN_LINGER))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for stream in ended {
            self.end_everywhere(now, &stream, "source_lost");
        }
    }

    // ---- figures

    fn post_snapshot(&mut self, now: Instant) {
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

/// What happened on a session's data channels, for the owner of the node.
fn channel_event(session: &Arc<str>, stream: &StreamName, event: DataEvent) -> Event {
    let (session, stream) = (Arc::clone(session), Arc::clone(stream));
    match event {
        DataEvent::Opened { label } => Event::ChannelOpened { session, stream, label },
        DataEvent::Message { label, text, bytes } => Event::Message { session, stream, label, text, bytes },
        DataEvent::Closed { label, why } => Event::ChannelClosed { session, stream, label, why },
    }
}
