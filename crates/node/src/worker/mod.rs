//! One worker thread: it owns its socket and its sessions, and shares nothing that it would have to lock per packet.
//!
//! A turn of its loop: wait for the socket, the inbox or the next deadline; take in all that is there; run what is due; send.
//! Streams are mirrored on every worker (a cache of shared packets), so a subscriber is served by the worker that its ufrag
//! names, wherever the stream comes in.
//!
//! | file | what |
//! |---|---|
//! | `inbound.rs` | datagrams, frames and connections, each to its session |
//! | `posts.rs` | what the other threads ask for |
//! | `takers.rs` | subscribers, and what they are told |
//! | `laps.rs` | bursts to subscribers |
//! | `sources.rs` | publishers and our pulls |
//! | `streams.rs` | the mirrored streams and their key frames |
//! | `figures.rs` | what others read |

mod figures;
mod inbound;
mod laps;
mod posts;
mod sources;
mod streams;
mod takers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sfu::{DataEvent, Entropy, Ingest, Outbox, Packet, Peer, Subscriber};

use crate::clock::{hurry, pin_to_core, wait};
use crate::connections::Connections;
use crate::dials::Dials;
use crate::event::Event;
use crate::handshakes::Handshakes;
use crate::poller::{Poller, Ready};
use crate::post::StreamName;
use crate::receive::{BATCH, Receiver};
use crate::shared::Shared;
use crate::socket::UdpSocket;
use crate::stats::WorkerStats;
use crate::steer::Steering;
use crate::stream::{Feed, ORPHAN_LINGER, Stream};
use crate::timers::Timers;
use crate::train::Sender;
use crate::unused::Unused;

use figures::Listing;
use laps::PORTION;

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
    /// Subscribers whose deadline has passed.
    due_takers: VecDeque<usize>,
    source_timers: Timers,
    /// Packets that came in during this turn, by stream: they go out together, as trains.
    arrived: Vec<Arrived>,
    /// Streams whose pictures not all subscribers have yet.
    laps: VecDeque<StreamName>,
    stats: WorkerStats,
    listing: Listing,
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
            due_takers: VecDeque::new(),
            source_timers: Timers::default(),
            arrived: Vec::new(),
            laps: VecDeque::new(),
            stats: WorkerStats { index, ..WorkerStats::default() },
            listing: Listing::new(Instant::now()),
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
            self.run_laps();
            self.flush();
            self.tend_connections(now);
            let shaken = self.shake_hands();
            more = !self.handshakes.is_empty()
                || !self.laps.is_empty()
                || !self.due_takers.is_empty()
                || posts == POSTS_A_TURN
                || received >= BATCH * BATCHES_A_TURN;

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
                (snapped, self.changed) = (end, false);
                snapshot = self.post_snapshot(end);
            }
        }
        self.close_all(Instant::now());
        self.post_snapshot(Instant::now());
    }

    // ---- time

    fn run_timers(&mut self, now: Instant) -> usize {
        let mut due = Vec::new();
        self.source_timers.take_due(now, &mut due);
        for slot in due.drain(..) {
            self.with_source(now, slot, |ingest| ingest.handle_timeout(now));
        }
        // All that are due have their turn before one of them has another.
        if self.due_takers.is_empty() {
            self.taker_timers.take_due(now, &mut due);
            self.due_takers.extend(due);
        }
        let until = now + PORTION;
        let mut fired = 0;
        while let Some(slot) = self.due_takers.pop_front() {
            self.with_taker(now, slot, |taker, cache, outbox| taker.subscriber.handle_timeout(now, cache, outbox));
            fired += 1;
            if fired % SUBSCRIBERS_A_FLUSH == 0 {
                self.flush();
                if Instant::now() >= until {
                    break;
                }
            }
        }
        fired
    }

    fn flush(&mut self) {
        send_out(&mut self.connections, &mut self.sender, &self.socket, &mut self.outbox);
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
}

/// Sends what lies in the outbox, each datagram the way that its peer is reached.
fn send_out(connections: &mut Connections, sender: &mut Sender, socket: &UdpSocket, outbox: &mut Outbox) {
    if !connections.is_empty() {
        connections.send(outbox);
    }
    sender.send(socket, outbox);
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
