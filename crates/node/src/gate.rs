//! Where TCP connections come in (ICE-TCP, RFC 6544): one thread listens on the media port, and lets a connection stand there until its
//! first frame names the session that it is for. Only then does a worker get it. Nothing is read here, only looked at, so that
//! a connection costs its descriptor and some 100 bytes until then.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sfu::{Credentials, stun_ufrag};

use crate::framing::{FrameTooLong, first_datagram};
use crate::poller::{Interest, Poller, Ready};
use crate::post::Post;
use crate::seats::{Seat, Seats, network};
use crate::shared::Shared;
use crate::wake::Wake;

/// Connections that may stand here; one more sends the oldest away. A flood of silent ones does not keep others out.
const MOST_WAITING: usize = 512;
/// Of one address (IPv6: one /64).
const MOST_WAITING_OF_ONE: usize = 64;
/// Connections taken before the waiting ones get their turn.
const ACCEPTS_A_TURN: usize = 64;
/// Rest after the process ran out of descriptors.
const REST: Duration = Duration::from_millis(200);
/// Longest first frame: a STUN check has some 100 bytes, its username at most 513.
const FIRST_FRAME_BYTES: usize = 1024;

const LISTENER: u64 = 0;
const STOP: u64 = 1;

/// Figures of the gate since its start.
#[derive(Debug, Default)]
pub(crate) struct GateStats {
    pub(crate) accepted: AtomicU64,
    /// No seat, or too many waiting from one address.
    pub(crate) refused: AtomicU64,
    /// Sent away: silent, no STUN check, or for nobody here.
    pub(crate) dismissed: AtomicU64,
    pub(crate) waiting: AtomicU64,
}

/// A connection that a worker gets: nothing of it has been read.
pub(crate) struct Admitted {
    pub(crate) stream: TcpStream,
    pub(crate) from: SocketAddr,
    pub(crate) seat: Seat,
    /// Our ufrag in its first check.
    pub(crate) ufrag: String,
}

/// The thread's handle.
pub(crate) struct Gate {
    stop: Arc<(AtomicBool, Wake)>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// Listens for the workers of `shared`.
    ///
    /// # Errors
    /// The kernel's, when there is no descriptor or thread left.
    pub(crate) fn open(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Gate> {
        let stop = Arc::new((AtomicBool::new(false), Wake::new()?));
        let poller = Poller::new()?;
        poller.add(listener.as_raw_fd(), LISTENER, Interest::Read)?;
        poller.add(stop.1.fd(), STOP, Interest::Read)?;
        let watch = Watch {
            poller,
            listener,
            seats: Arc::clone(&shared.seats),
            shared,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            of_network: HashMap::new(),
            next_id: STOP + 1,
            resting_until: None,
        };
        let signal = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("media-tcp".into()).spawn(move || watch.run(&signal.0))?;
        Ok(Gate { stop, thread: Some(thread) })
    }

    /// Closes the listener and all that wait.
    pub(crate) fn close(&mut self) {
        self.stop.0.store(true, Ordering::Release);
        self.stop.1.raise();
        if let Some(thread) = self.thread.take() {
            // Had it panicked, stderr has said so; there is nothing left to end.
            let _ = thread.join();
        }
    }
}

struct Waiting {
    stream: TcpStream,
    from: SocketAddr,
    seat: Seat,
    until: Instant,
}

/// What the first bytes of a connection say.
enum First {
    /// Not enough of them yet.
    Open,
    /// A check for the session of this ufrag, on this worker.
    For(String, u16),
    /// Nothing for us, or the end.
    Nobody,
}

struct Watch {
    poller: Poller,
    listener: TcpListener,
    shared: Arc<Shared>,
    seats: Arc<Seats>,
    waiting: HashMap<u64, Waiting>,
    /// In the order of their deadlines; those that are gone stay until their turn comes.
    order: VecDeque<u64>,
    of_network: HashMap<IpAddr, usize>,
    next_id: u64,
    resting_until: Option<Instant>,
}

impl Watch {
    fn run(mut self, stop: &AtomicBool) {
        let mut ready: Vec<Ready> = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            let oldest = self.order.front().and_then(|id| self.waiting.get(id)).map(|waiting| waiting.until);
            let due = [oldest, self.resting_until].into_iter().flatten().min();
            ready.clear();
            self.poller.wait(due.map(|due| due.saturating_duration_since(now)), &mut ready);
            let now = Instant::now();
            for event in &ready {
                match event.id {
                    LISTENER => self.accept(now),
                    STOP => {}
                    id => self.look(id),
                }
            }
            self.expire(now);
            if self.resting_until.is_some_and(|until| now >= until) {
                self.resting_until = None;
                let _ = self.poller.change(self.listener.as_raw_fd(), LISTENER, Interest::Read);
            }
            self.shared.gate.waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS_A_TURN {
            match self.listener.accept() {
                Ok((stream, from)) => self.admit(now, stream, from),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Gone before we came.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(_) => {
                    // No descriptor left: the backlog stays readable, and asking again at once would only burn time.
                    self.resting_until = Some(now + REST);
                    let _ = self.poller.change(self.listener.as_raw_fd(), LISTENER, Interest::Paused);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, now: Instant, stream: TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let home = network(from.ip());
        let here = self.of_network.get(&home).copied().unwrap_or(0);
        let seat = (here < MOST_WAITING_OF_ONE).then(|| self.seats.take(from.ip())).flatten();
        let Some(seat) = seat else {
            self.shared.gate.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let id = self.next_id;
        let ready = stream.set_nonblocking(true).is_ok()
            && stream.set_nodelay(true).is_ok()
            && self.poller.add(stream.as_raw_fd(), id, Interest::ReadOnce).is_ok();
        if !ready {
            self.shared.gate.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next_id += 1;
        self.shared.gate.accepted.fetch_add(1, Ordering::Relaxed);
        while self.waiting.len() >= MOST_WAITING
            && let Some(oldest) = self.order.pop_front()
        {
            self.dismiss(oldest);
        }
        self.waiting.insert(id, Waiting { stream, from, seat, until: now + self.shared.config.connection_patience });
        self.order.push_back(id);
        *self.of_network.entry(home).or_default() += 1;
    }

    /// Something has come in on a waiting connection.
    fn look(&mut self, id: u64) {
        let Some(waiting) = self.waiting.get(&id) else { return };
        match first(&waiting.stream, self.shared.inboxes.len()) {
            First::Open => {}
            First::Nobody => self.dismiss(id),
            First::For(ufrag, worker) => {
                let Some(Waiting { stream, from, seat, .. }) = self.leave(id) else { return };
                self.poller.remove(stream.as_raw_fd());
                let admitted = Box::new(Admitted { stream, from, seat, ufrag });
                // A worker whose inbox is full is seconds late: the connection is closed, and the peer tries again.
                let _ = self.shared.inboxes[usize::from(worker)].push(Post::Connection(admitted));
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(id) = self.order.front().copied() {
            if self.waiting.get(&id).is_some_and(|waiting| waiting.until > now) {
                return;
            }
            self.order.pop_front();
            self.dismiss(id);
        }
    }

    fn dismiss(&mut self, id: u64) {
        if self.leave(id).is_some() {
            self.shared.gate.dismissed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        let home = network(waiting.from.ip());
        if let Some(count) = self.of_network.get_mut(&home) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&home);
            }
        }
        // Those that left early would pile up behind one that stays for its five seconds.
        if self.order.len() > 2 * MOST_WAITING {
            self.order.retain(|id| self.waiting.contains_key(id));
        }
        Some(waiting)
    }
}

/// Looks at the first frame without taking it.
fn first(stream: &TcpStream, workers: usize) -> First {
    let mut bytes = [0; FIRST_FRAME_BYTES];
    let length = match stream.peek(&mut bytes) {
        Ok(0) => return First::Nobody,
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return First::Open,
        Err(_) => return First::Nobody,
    };
    match first_datagram(&bytes[..length]) {
        Ok(None) if length < FIRST_FRAME_BYTES => First::Open,
        Ok(None) | Err(FrameTooLong) => First::Nobody,
        Ok(Some(datagram)) => {
            let named = stun_ufrag(datagram).and_then(|ufrag| Some((ufrag, Credentials::worker_of(ufrag)?)));
            match named {
                Some((ufrag, worker)) if usize::from(worker) < workers => First::For(ufrag.to_owned(), worker),
                _ => First::Nobody,
            }
        }
    }
}
