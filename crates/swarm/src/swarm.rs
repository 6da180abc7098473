//! The thread that drives the viewers: one socket each, one epoll, one table of timers.
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::description::Remote;
use crate::transport::Identity;
use crate::viewer::Viewer;

/// A viewer's number.
pub type ViewerId = u64;

/// What went wrong with a call.
#[derive(Debug)]
pub enum SwarmError {
    Io(io::Error),
    /// The answer has no credentials, fingerprint or UDP candidate.
    BadAnswer,
    /// No viewer has this number.
    Unknown(ViewerId),
    /// No certificate could be made.
    Identity,
}

impl fmt::Display for SwarmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SwarmError::Io(error) => write!(f, "the system refused: {error}"),
            SwarmError::BadAnswer => {
                f.write_str("the answer lacks credentials, a SHA-256 fingerprint or a UDP candidate")
            }
            SwarmError::Unknown(id) => write!(f, "there is no viewer {id}"),
            SwarmError::Identity => f.write_str("no certificate could be made"),
        }
    }
}

impl std::error::Error for SwarmError {}

impl From<io::Error> for SwarmError {
    fn from(error: io::Error) -> Self {
        SwarmError::Io(error)
    }
}

/// A viewer's books.
#[derive(Debug, Clone, Copy)]
pub struct ViewerReport {
    pub id: ViewerId,
    pub connected: bool,
    pub failed: bool,
    pub packets: u64,
    pub missing: u64,
    pub bytes: u64,
    pub first_key_frame_ns: Option<u64>,
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Seat {
    socket: UdpSocket,
    viewer: Viewer,
    timer: Option<Instant>,
}

#[derive(Default)]
struct Seats {
    seats: HashMap<ViewerId, Seat>,
    timers: BTreeSet<(Instant, ViewerId)>,
    next: ViewerId,
}

impl Seats {
    /// Sends what the viewer wants to send, and re-arms its timer.
    fn after(&mut self, id: ViewerId) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        while let Some((to, datagram)) = seat.viewer.poll_transmit() {
            // A full buffer loses the datagram, as any network may.
            let _ = seat.socket.send_to(&datagram, to);
        }
        let due = seat.viewer.poll_timeout();
        if due != seat.timer {
            if let Some(old) = seat.timer {
                self.timers.remove(&(old, id));
            }
            if let Some(due) = due {
                self.timers.insert((due, id));
            }
            seat.timer = due;
        }
    }

    fn handle_timers(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.timers.first()
            && due <= now
        {
            self.timers.pop_first();
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.timer = None;
                seat.viewer.handle_timeout(now);
                self.after(id);
                // A timer that is due again at once waits for the next round.
                if let Some(seat) = self.seats.get_mut(&id)
                    && seat.timer.is_some_and(|again| again <= now)
                {
                    self.timers.remove(&(seat.timer.take().unwrap_or(now), id));
                    let later = now + Duration::from_millis(1);
                    seat.timer = Some(later);
                    self.timers.insert((later, id));
                }
            }
        }
    }

    fn handle_readable(&mut self, id: ViewerId, buffer: &mut [u8]) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        for _ in 0..64 {
            let Ok((len, from)) = seat.socket.recv_from(buffer) else { break };
            seat.viewer.handle_datagram(Instant::now(), monotonic_ns(), from, &mut buffer[..len]);
        }
        self.after(id);
    }
}

pub(crate) struct Epoll(std::os::fd::OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: plain system call; the descriptor is ours alone when it is not negative.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nobody else owns it.
        Ok(Epoll(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }))
    }

    pub(crate) fn add(&self, socket: &UdpSocket, id: ViewerId) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: id };
        // SAFETY: both descriptors are open, `event` lives through the call.
        let done = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn wait(&self, events: &mut [libc::epoll_event], timeout: Duration) -> usize {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the slice bounds what the kernel writes.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, millis) };
        usize::try_from(count).unwrap_or(0)
    }
}

/// The swarm. Its thread runs until it is dropped.
pub struct Swarm {
    identity: Identity,
    seats: Arc<Mutex<Seats>>,
    epoll: Arc<Epoll>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swarm {
    /// Starts the thread.
    pub fn new() -> Result<Swarm, SwarmError> {
        let identity = Identity::generate().ok_or(SwarmError::Identity)?;
        let (seats, epoll) = (Arc::new(Mutex::new(Seats::default())), Arc::new(Epoll::new()?));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (seats, epoll, stop) = (seats.clone(), epoll.clone(), stop.clone());
            std::thread::Builder::new().name("swarm".into()).spawn(move || run(&seats, &epoll, &stop))?
        };
        Ok(Swarm { identity, seats, epoll, stop, thread: Some(thread) })
    }

    /// A new viewer: its number and the offer to POST.
    pub fn offer(&self) -> Result<(ViewerId, String), SwarmError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        deepen(&socket);
        let local: SocketAddr = socket.local_addr()?;
        let mut seats = locked(&self.seats);
        let id = seats.next;
        seats.next += 1;
        let (viewer, offer) = Viewer::new(Instant::now(), &self.identity, id + 1, local);
        self.epoll.add(&socket, id)?;
        seats.seats.insert(id, Seat { socket, viewer, timer: None });
        Ok((id, offer))
    }

    /// The server's answer to a viewer's offer: it connects.
    pub fn accept(&self, id: ViewerId, answer: &str) -> Result<(), SwarmError> {
        let remote = Remote::parse(answer).ok_or(SwarmError::BadAnswer)?;
        let mut seats = locked(&self.seats);
        let seat = seats.seats.get_mut(&id).ok_or(SwarmError::Unknown(id))?;
        seat.viewer.accept(Instant::now(), remote);
        seats.after(id);
        Ok(())
    }

    /// Ends a viewer.
    pub fn remove(&self, id: ViewerId) {
        let mut seats = locked(&self.seats);
        if let Some(seat) = seats.seats.remove(&id)
            && let Some(due) = seat.timer
        {
            seats.timers.remove(&(due, id));
        }
    }

    /// The books of all viewers.
    pub fn reports(&self) -> Vec<ViewerReport> {
        let seats = locked(&self.seats);
        let report = |(&id, seat): (&ViewerId, &Seat)| ViewerReport {
            id,
            connected: seat.viewer.connected(),
            failed: seat.viewer.failed(),
            packets: seat.viewer.meter.packets(),
            missing: seat.viewer.meter.missing(),
            bytes: seat.viewer.meter.bytes(),
            first_key_frame_ns: seat.viewer.meter.first_key_frame_ns(),
        };
        seats.seats.iter().map(report).collect()
    }

    /// Latencies of stamped packets over all viewers: (milliseconds, count), ascending.
    pub fn latencies_ms(&self) -> Vec<(f64, u64)> {
        let seats = locked(&self.seats);
        let mut sum: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
        for (ms, count) in seats.seats.values().flat_map(|seat| seat.viewer.meter.latencies_ms()) {
            *sum.entry((ms * 1000.0) as u64).or_default() += u64::from(count);
        }
        sum.into_iter().map(|(us, count)| (us as f64 / 1000.0, count)).collect()
    }

    /// Starts all counts anew; connections stay.
    pub fn restart(&self) {
        for seat in locked(&self.seats).seats.values_mut() {
            seat.viewer.meter.restart();
        }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A panic of another thread does not make the books unreadable.
fn locked(seats: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run(seats: &Mutex<Seats>, epoll: &Epoll, stop: &AtomicBool) {
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    let mut buffer = vec![0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let due = locked(seats).timers.first().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let wait = due.unwrap_or(Duration::from_millis(20)).min(Duration::from_millis(20));
        // Rounded up: a wait of zero would spin until the timer is due.
        let ready = epoll.wait(&mut events, wait + Duration::from_micros(999));
        let mut seats = locked(seats);
        for event in &events[..ready] {
            seats.handle_readable(event.u64, &mut buffer);
        }
        seats.handle_timers(Instant::now());
    }
}

/// Viewers have a machine each; here hundreds share a thread, and what waits for it must not count as lost on the way.
fn deepen(socket: &UdpSocket) {
    let bytes: libc::c_int = 2 << 20;
    // SAFETY: the option's value is a c_int that lives for the call. What the kernel does not grant it cuts down.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}
