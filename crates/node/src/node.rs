//! The node: starts the workers, takes calls from any thread, and brings them to the worker that they concern.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, available_parallelism};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sfu::{Answer, Entropy, Identity, Kind, LayerWish, StreamDescription, Trickle, WallClock};

use crate::clock::random;
use crate::config::{MAX_WORKERS, NodeConfig};
use crate::dials::Dials;
use crate::error::NodeError;
use crate::event::{Event, Events};
use crate::gate::{Gate, GateStats};
use crate::poller::Poller;
use crate::post::{Audience, Call, Message, Post, Reply, StreamName};
use crate::seats::Seats;
use crate::shared::{Load, Shared};
use crate::socket::{UdpSocket, interface_addresses, listen};
use crate::stats::{Board, GateFigures, WorkerStats};
use crate::tap::TapQueue;
use crate::wake::Inbox;
use crate::worker::Worker;

/// Posts that a worker may be behind. A burst comes every 10 ms or so: this is a minute.
const INBOX: usize = 8192;
/// Addresses that an answer names; a machine with many bridges has many.
const MOST_ADDRESSES: usize = 8;
/// Ports tried when any will do.
const FREE_PORT_ATTEMPTS: usize = 16;
/// A worker answers within a turn of its loop, milliseconds even under load.
const CALL_TIMEOUT_S: u64 = 5;

/// One media core. All methods may be called from any thread; those that wait for a worker say so by their `Result`.
pub struct Node {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    gate: Mutex<Option<Gate>>,
    sessions: Mutex<Entropy>,
    local: SocketAddr,
}

impl Node {
    /// Binds the port and starts the workers.
    ///
    /// # Errors
    /// [`NodeError::System`] when the port is taken, [`NodeError::Config`] when the configuration cannot be met.
    pub fn start(mut config: NodeConfig) -> Result<Node, NodeError> {
        let system = |action| move |source| NodeError::System { action, source };
        let cores = available_parallelism().map_or(1, usize::from);
        if config.workers == 0 {
            config.workers = (cores / 2).max(1);
        }
        if config.workers > MAX_WORKERS {
            return Err(NodeError::Config(format!("workers must be at most {MAX_WORKERS}, not {}", config.workers)));
        }
        let (sockets, listener) = bind(&config)?;
        let address = sockets[0].local();
        let addresses = reachable(&config, address)?;
        let (now, since_1970) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let mut inboxes = Vec::with_capacity(config.workers);
        for _ in 0..config.workers {
            inboxes.push(Arc::new(Inbox::new(INBOX).map_err(system("cannot make an eventfd"))?));
        }
        let shared = Arc::new(Shared {
            identity: Identity::generate()?,
            clock: WallClock::new(now, since_1970),
            addresses,
            // On a core each, and one left for the rest of the machine.
            pin: config.workers > 1 && config.workers < cores,
            boards: (0..config.workers).map(|_| Board::default()).collect(),
            loads: (0..config.workers).map(|_| Load::default()).collect(),
            subscribers: AtomicUsize::new(0),
            events: Events::new().map_err(system("cannot make an eventfd"))?,
            seats: Arc::new(Seats::of_this_process()),
            gate: GateStats::default(),
            inboxes,
            config,
        });
        let seed = || random().map_err(system("no randomness from the operating system"));
        let node = Node {
            local: address,
            sessions: Mutex::new(Entropy::new(seed()?)),
            threads: Mutex::new(Vec::new()),
            gate: Mutex::new(None),
            shared: Arc::clone(&shared),
        };
        for (index, socket) in sockets.into_iter().enumerate() {
            let poller = Poller::new().map_err(system("cannot make an epoll descriptor"))?;
            let dials = Dials::new().map_err(system("cannot make an epoll descriptor"))?;
            let worker = Worker::new(index as u16, Arc::clone(&shared), socket, (poller, dials), seed()?);
            let thread = std::thread::Builder::new()
                .name(format!("media-{index}"))
                .spawn(move || worker.run())
                .map_err(system("cannot start a media worker"))?;
            node.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        let gate = Gate::open(listener, shared).map_err(system("cannot listen for TCP connections"))?;
        *node.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate);
        Ok(node)
    }

    /// Address and port that the sockets are bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// WHIP: takes a publisher's offer. The stream begins with its first media ([`Event::StreamStarted`]); a publisher before it
    /// is replaced at that moment.
    pub fn publish(&self, stream: &str, offer: String) -> Result<(Arc<str>, Answer), NodeError> {
        let (stream, worker) = self.owner(stream);
        let session = self.new_session(worker);
        let answer =
            self.call(worker, |reply| Call::Publish { stream, session: Arc::clone(&session), offer, reply })?;
        Ok((session, answer))
    }

    /// WHEP: takes a subscriber's offer.
    pub fn subscribe(&self, stream: &str, offer: String, layers_all: bool) -> Result<(Arc<str>, Answer), NodeError> {
        self.join(stream, Some(offer), layers_all)
    }

    /// WHEP's other direction: an offer of ours, for a viewer whose own cannot be taken. Its answer goes to [`Node::accept`]; without
    /// one the session ends as others that are never used.
    pub fn offer(&self, stream: &str) -> Result<(Arc<str>, Answer), NodeError> {
        self.join(stream, None, false)
    }

    fn join(&self, stream: &str, offer: Option<String>, layers_all: bool) -> Result<(Arc<str>, Answer), NodeError> {
        if !self.shared.enter() {
            return Err(NodeError::Full(self.shared.config.max_subscribers));
        }
        let worker = self.shared.idlest();
        let load = &self.shared.loads[usize::from(worker)];
        load.enter();
        let session = self.new_session(worker);
        let stream = StreamName::from(stream);
        let result = self.call(worker, |reply| Call::Subscribe {
            stream,
            session: Arc::clone(&session),
            offer,
            layers_all,
            reply,
        });
        // Once the call has reached the worker, that gives the place back: when it refuses, and when the session ends.
        if matches!(result, Err(NodeError::Down | NodeError::Busy)) {
            self.shared.leave();
            load.leave();
        }
        Ok((session, result?))
    }

    /// WHEP as a client: our offer for an upstream of `stream`. What it answers goes to [`Node::accept`]. `labels` are data channels
    /// that are opened with it, if the upstream has any.
    pub fn pull(&self, stream: &str, labels: Vec<String>) -> Result<(Arc<str>, Answer), NodeError> {
        let (stream, worker) = self.owner(stream);
        let session = self.new_session(worker);
        let answer = self.call(worker, |reply| Call::Pull { stream, session: Arc::clone(&session), labels, reply })?;
        Ok((session, answer))
    }

    /// The answer to [`Node::pull`] or [`Node::offer`].
    pub fn accept(&self, session: &str, answer: String) -> Result<(), NodeError> {
        let worker = self.worker_of(session)?;
        self.call(worker, |reply| Call::Accept { session: session.into(), answer, reply })
    }

    /// A PATCH body for a session.
    pub fn trickle(&self, session: &str, fragment: String) -> Result<Trickle, NodeError> {
        let worker = self.worker_of(session)?;
        self.call(worker, |reply| Call::Trickle { session: session.into(), fragment, reply })
    }

    /// What a viewer wants of the video's layers.
    pub fn choose(&self, session: &str, wish: LayerWish) -> Result<(), NodeError> {
        let worker = self.worker_of(session)?;
        self.call(worker, |reply| Call::Choose { session: session.into(), wish, reply })
    }

    /// Ends a session; false when there is none of that name.
    pub fn close(&self, session: &str) -> Result<bool, NodeError> {
        let Ok(worker) = self.worker_of(session) else { return Ok(false) };
        self.call(worker, |reply| Call::Close { session: session.into(), reply })
    }

    /// Begins a stream that [`Node::inject`] feeds.
    pub fn open(&self, stream: &str, description: StreamDescription) -> Result<(), NodeError> {
        let (stream, worker) = self.owner(stream);
        self.call(worker, |reply| Call::Open { stream, description, reply })
    }

    /// Hands an access unit of our own encoder to an open stream. Does not wait; for a stream that is not open it does nothing.
    pub fn inject(
        &self,
        stream: &str,
        kind: Kind,
        access_unit: Vec<u8>,
        time: u32,
        key_frame: bool,
    ) -> Result<(), NodeError> {
        let (stream, worker) = self.owner(stream);
        self.post(worker, Post::Inject { stream, kind, access_unit, time, key_frame })
    }

    /// Says `bytes` on the data channel `label` of everyone who takes `stream`, less the session `except`. One post and at most one
    /// wake a worker, however many there are. Does not wait; who has no such channel hears nothing.
    pub fn tell(
        &self,
        stream: &str,
        label: &str,
        text: bool,
        bytes: &[u8],
        except: Option<&str>,
    ) -> Result<(), NodeError> {
        let message = Arc::new(Message { label: label.into(), text, bytes: bytes.into() });
        let to = Audience::Stream { stream: stream.into(), except: except.map(Arc::from) };
        let workers = 0..self.shared.inboxes.len() as u16;
        let posted =
            workers.map(|worker| self.post(worker, Post::Tell { to: to.clone(), message: Arc::clone(&message) }));
        // every worker gets its post, also when one of them is too late to take it
        posted.fold(Ok(()), Result::and)
    }

    /// Says `bytes` on the data channel `label` of one session, of whatever kind. Does not wait.
    pub fn tell_session(&self, session: &str, label: &str, text: bool, bytes: &[u8]) -> Result<(), NodeError> {
        let worker = self.worker_of(session)?;
        let message = Arc::new(Message { label: label.into(), text, bytes: bytes.into() });
        self.post(worker, Post::Tell { to: Audience::Session(session.into()), message })
    }

    /// Ends a stream with all its sessions.
    pub fn end(&self, stream: &str) -> Result<(), NodeError> {
        let (stream, worker) = self.owner(stream);
        self.call(worker, |reply| Call::End { stream, reply })
    }

    /// Reads a stream as access units, from its newest key frame on.
    pub fn tap(&self, stream: &str) -> Result<Arc<TapQueue>, NodeError> {
        let queue = TapQueue::new().map_err(|source| NodeError::System { action: "cannot make an eventfd", source })?;
        let queue = Arc::new(queue);
        let (stream, worker) = self.owner(stream);
        self.call(worker, |reply| Call::Tap { stream, queue: Arc::clone(&queue), reply })?;
        Ok(queue)
    }

    /// Asks the source of a stream for a key frame in every layer; requests closer than 500 ms are one.
    pub fn request_key_frame(&self, stream: &str) -> Result<(), NodeError> {
        let (stream, worker) = self.owner(stream);
        self.post(worker, Post::KeyFrameWanted { stream, layer: None })
    }

    /// The newest snapshot of each worker, at most 200 ms old.
    pub fn stats(&self) -> Vec<Arc<WorkerStats>> {
        self.shared.boards.iter().map(Board::read).collect()
    }

    /// TCP connections at the gate and in all.
    pub fn gate(&self) -> GateFigures {
        let gate = &self.shared.gate;
        GateFigures {
            accepted: gate.accepted.load(Ordering::Relaxed),
            refused: gate.refused.load(Ordering::Relaxed),
            dismissed: gate.dismissed.load(Ordering::Relaxed),
            waiting: gate.waiting.load(Ordering::Relaxed),
            open: self.shared.seats.taken(),
        }
    }

    /// Subscribers now, without waiting for a snapshot.
    pub fn subscribers(&self) -> usize {
        self.shared.subscribers.load(Ordering::Acquire)
    }

    /// Most subscribers that this node takes.
    pub fn max_subscribers(&self) -> usize {
        self.shared.config.max_subscribers
    }

    /// What happened since the last call.
    pub fn drain_events(&self) -> Vec<Event> {
        self.shared.events.drain()
    }

    /// The queue of events, for its descriptor.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Says goodbye to all peers and ends the workers. Calls after it answer [`NodeError::Down`].
    pub fn shutdown(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        if let Some(mut gate) = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take() {
            gate.close();
        }
        for inbox in &self.shared.inboxes {
            let mut stop = Post::Stop;
            while let Err(back) = inbox.push(stop) {
                stop = back;
                std::thread::yield_now();
            }
        }
        for thread in threads {
            // A worker that panicked outside of a session has said so on stderr; there is nothing left to end.
            let _ = thread.join();
        }
    }

    fn owner(&self, stream: &str) -> (StreamName, u16) {
        (stream.into(), self.shared.owner_of(stream))
    }

    /// A session's name: its worker in three hex digits, then 128 random bits, since who knows it may end it.
    fn new_session(&self, worker: u16) -> Arc<str> {
        let random = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).draw();
        let mut name = format!("{worker:03x}");
        for byte in &random[..16] {
            name.push_str(&format!("{byte:02x}"));
        }
        name.into()
    }

    fn worker_of(&self, session: &str) -> Result<u16, NodeError> {
        let index = session.get(..3).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        index
            .filter(|index| usize::from(*index) < self.shared.inboxes.len())
            .ok_or_else(|| NodeError::SessionUnknown(session.to_owned()))
    }

    fn post(&self, worker: u16, post: Post) -> Result<(), NodeError> {
        self.shared.inboxes[usize::from(worker)].push(post).map_err(|_| NodeError::Busy)
    }

    fn call<T>(&self, worker: u16, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, NodeError> {
        if self.threads.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Err(NodeError::Down);
        }
        let (reply, answer) = sync_channel(1);
        self.post(worker, Post::Call(call(reply)))?;
        match answer.recv_timeout(Duration::from_secs(CALL_TIMEOUT_S)) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(NodeError::Late(CALL_TIMEOUT_S)),
            Err(RecvTimeoutError::Disconnected) => Err(NodeError::Down),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// One UDP socket a worker, and the TCP listener, all on one port. With port 0 the kernel chooses among free UDP ports; should that
/// one be taken for TCP, another is tried.
fn bind(config: &NodeConfig) -> Result<(Vec<UdpSocket>, TcpListener), NodeError> {
    let system = |action| move |source| NodeError::System { action, source };
    let attempts = if config.port == 0 { FREE_PORT_ATTEMPTS } else { 1 };
    let mut refusal = None;
    let host = served(config.host);
    for _ in 0..attempts {
        let mut address = SocketAddr::new(host, config.port);
        let mut sockets = Vec::with_capacity(config.workers);
        for _ in 0..config.workers {
            let socket = UdpSocket::bind(address, config.workers > 1).map_err(system("cannot bind the media port"))?;
            address = socket.local();
            sockets.push(socket);
        }
        match listen(address) {
            Ok(listener) => return Ok((sockets, listener)),
            Err(source) => refusal = Some(source),
        }
    }
    let source = refusal.unwrap_or_else(|| std::io::Error::other("no port was tried"));
    Err(system("cannot listen for TCP connections on the media port")(source))
}

/// "::" on a machine without IPv6 is all that it has: IPv4.
fn served(host: IpAddr) -> IpAddr {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if host == any && UdpSocket::bind(SocketAddr::new(any, 0), false).is_err() {
        return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    }
    host
}

/// The addresses that we name to peers: those configured, else the bound one, else those of the interfaces.
fn reachable(config: &NodeConfig, bound: SocketAddr) -> Result<Vec<SocketAddr>, NodeError> {
    let ips: Vec<IpAddr> = if !config.public_addresses.is_empty() {
        config.public_addresses.clone()
    } else if !bound.ip().is_unspecified() {
        vec![bound.ip()]
    } else {
        let found =
            interface_addresses().map_err(|source| NodeError::System { action: "cannot list interfaces", source })?;
        let usable = |ip: &&IpAddr| ip.is_ipv4() || bound.is_ipv6();
        let outside: Vec<IpAddr> = found.iter().filter(usable).filter(|ip| !ip.is_loopback()).copied().collect();
        // A machine without a network still serves itself.
        if outside.is_empty() { found.iter().filter(usable).copied().collect() } else { outside }
    };
    if ips.is_empty() {
        return Err(NodeError::Config("no address to be reached at: no interface is up".into()));
    }
    let reachable = |ip: &IpAddr| ip.is_ipv4() || bound.is_ipv6();
    if let Some(unreachable) = ips.iter().find(|ip| !reachable(ip)) {
        return Err(NodeError::Config(format!(
            "{unreachable} cannot be reached on a media host of IPv4, {}",
            bound.ip()
        )));
    }
    Ok(ips.into_iter().take(MOST_ADDRESSES).map(|ip| SocketAddr::new(ip, bound.port())).collect())
}
