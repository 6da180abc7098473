//! The TCP connections of one worker: frames in, frames out, and what waits when a connection is slow.
//!
//! The kernel is given little to hold, so that what a viewer gets is young; what it does not take waits here, a slot's worth of
//! packets at most: the worker holds a subscriber whose connection is full ([`Connections::poll_full`]) until it is free again.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::mem::size_of_val;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sfu::{Outbox, Peer, Protocol, Sealed};

use crate::framing::{Deframer, write_frame};
use crate::gate::Admitted;
use crate::poller::{Interest, Poller, Ready};
use crate::seats::Seat;

/// What waits for one connection at most. The subscriber is held from the first byte on, so this takes what one turn still
/// brings; what does not fit (a session that cannot be held) is dropped by whole bursts.
const MOST_QUEUED_BYTES: usize = 256 << 10;
/// The kernel's buffer for one connection (it doubles the number): 200 ms of round trip at 10 Mbit/s.
const SEND_BUFFER_BYTES: libc::c_int = 128 << 10;
/// Unsent bytes in it below which we are woken to write more: what is unsent is late.
const UNSENT_BYTES: libc::c_int = 16 << 10;
/// Read by one call.
const READ_BYTES: usize = 64 << 10;
/// One that says nothing goes after this; a peer that consents says something every 5 s (RFC 7675), backup pairs every 25 s.
const IDLE: Duration = Duration::from_secs(60);
/// Time for a goodbye to leave.
const LINGER: Duration = Duration::from_secs(1);

/// Figures of a worker's connections since its start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Open now.
    pub open: usize,
    /// Frames that came.
    pub frames_in: u64,
    /// Frames that were sent.
    pub frames_out: u64,
    /// Bytes that were sent, framing included.
    pub bytes_out: u64,
    /// Frames for a connection that was full or gone.
    pub dropped: u64,
    /// How often a connection was full.
    pub full: u64,
}

/// Who a connection is for; the worker's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its checks have not been genuine yet.
    Unproven {
        until: Instant,
    },
    Open,
    /// Its session is over; what waits may leave until then.
    Ending {
        until: Instant,
    },
}

struct Connection {
    stream: TcpStream,
    from: SocketAddr,
    _seat: Seat,
    session: Arc<str>,
    phase: Phase,
    heard: Instant,
    deframer: Deframer,
    queue: VecDeque<u8>,
}

/// What reading a connection gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Bytes(usize),
    Nothing,
    Ended,
}

/// See the module.
pub(crate) struct Connections {
    poller: Poller,
    open: HashMap<u64, Connection>,
    by_address: HashMap<SocketAddr, u64>,
    next_id: u64,
    /// A connection whose checks are not genuine goes after this.
    patience: Duration,
    framed: Vec<u8>,
    full: Vec<Peer>,
    lost: Vec<Peer>,
    pub(crate) stats: ConnectionStats,
}

impl Connections {
    pub(crate) fn new(poller: Poller, patience: Duration) -> Connections {
        Connections {
            poller,
            open: HashMap::new(),
            by_address: HashMap::new(),
            next_id: 0,
            patience,
            framed: Vec::new(),
            full: Vec::new(),
            lost: Vec::new(),
            stats: ConnectionStats::default(),
        }
    }

    /// Readable when one of them has something.
    pub(crate) fn fd(&self) -> RawFd {
        self.poller.fd()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Room for [`Connections::read`].
    pub(crate) fn scratch() -> Box<[u8]> {
        vec![0; READ_BYTES].into()
    }

    /// Takes over a connection for `session`. One more from the same address and port (to another address of ours) is refused.
    pub(crate) fn add(&mut self, now: Instant, admitted: Admitted, session: Arc<str>) {
        let Admitted { stream, from, seat, .. } = admitted;
        if self.by_address.contains_key(&from) {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        bound_buffers(&stream);
        if self.poller.add(stream.as_raw_fd(), id, Interest::Read).is_err() {
            return;
        }
        self.by_address.insert(from, id);
        let phase = Phase::Unproven { until: now + self.patience };
        let (deframer, queue) = (Deframer::default(), VecDeque::new());
        self.open.insert(id, Connection { stream, from, _seat: seat, session, phase, heard: now, deframer, queue });
    }

    /// Appends the connections that have something.
    pub(crate) fn ready(&self, ready: &mut Vec<Ready>) {
        self.poller.wait(Some(Duration::ZERO), ready);
    }

    /// Reads what is there into `bytes`.
    pub(crate) fn read(&mut self, now: Instant, id: u64, bytes: &mut [u8]) -> ReadOutcome {
        let Some(connection) = self.open.get_mut(&id) else { return ReadOutcome::Nothing };
        match connection.stream.read(bytes) {
            Ok(0) => ReadOutcome::Ended,
            Ok(count) => {
                connection.heard = now;
                ReadOutcome::Bytes(count)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                ReadOutcome::Nothing
            }
            Err(_) => ReadOutcome::Ended,
        }
    }

    /// Whom `id` is from, and its deframer, to be put back by [`Connections::put_deframer`].
    pub(crate) fn take_deframer(&mut self, id: u64) -> Option<(Peer, Deframer)> {
        let connection = self.open.get_mut(&id)?;
        Some((Peer::tcp(connection.from), std::mem::take(&mut connection.deframer)))
    }

    pub(crate) fn put_deframer(&mut self, id: u64, deframer: Deframer) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.deframer = deframer;
        }
    }

    /// Sends the frames of `outbox` that are for TCP peers.
    pub(crate) fn send(&mut self, outbox: &Outbox) {
        let mut rest = outbox.sealed();
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|sealed| sealed.to == first.to).count();
            let (run, others) = rest.split_at(same);
            rest = others;
            if first.to.protocol == Protocol::Tcp {
                self.send_run(outbox.bytes(), run);
            }
        }
    }

    fn send_run(&mut self, bytes: &[u8], run: &[Sealed]) {
        let id = self.by_address.get(&run[0].to.address).copied();
        let Some((id, connection)) = id.and_then(|id| Some((id, self.open.get_mut(&id)?))) else {
            self.stats.dropped += run.len() as u64;
            return;
        };
        self.framed.clear();
        for sealed in run {
            write_frame(&bytes[sealed.offset..sealed.offset + sealed.len], &mut self.framed);
        }
        if connection.queue.len() + self.framed.len() > MOST_QUEUED_BYTES {
            self.stats.dropped += run.len() as u64;
            return;
        }
        self.stats.frames_out += run.len() as u64;
        self.stats.bytes_out += self.framed.len() as u64;
        if !connection.queue.is_empty() {
            connection.queue.extend(&self.framed);
            return;
        }
        match write(&connection.stream, &self.framed) {
            Some(written) if written == self.framed.len() => {}
            Some(written) => {
                connection.queue.extend(&self.framed[written..]);
                let _ = self.poller.change(connection.stream.as_raw_fd(), id, Interest::ReadWrite);
                self.stats.full += 1;
                self.full.push(Peer::tcp(connection.from));
            }
            None => self.close(id),
        }
    }

    /// A connection that has become full since the last call.
    pub(crate) fn poll_full(&mut self) -> Option<Peer> {
        self.full.pop()
    }

    /// There is room: writes what waits. The peer, when all of it has left.
    pub(crate) fn resume(&mut self, id: u64) -> Option<Peer> {
        let connection = self.open.get_mut(&id)?;
        while !connection.queue.is_empty() {
            match write(&connection.stream, connection.queue.as_slices().0) {
                Some(0) => return None,
                Some(written) => drop(connection.queue.drain(..written)),
                None => {
                    self.close(id);
                    return None;
                }
            }
        }
        let (peer, over) = (Peer::tcp(connection.from), matches!(connection.phase, Phase::Ending { .. }));
        let _ = self.poller.change(connection.stream.as_raw_fd(), id, Interest::Read);
        if over {
            self.close(id);
        }
        Some(peer)
    }

    /// The session has accepted a check that came by this connection.
    pub(crate) fn prove(&mut self, peer: Peer) {
        if let Some(connection) = self.by_address.get(&peer.address).and_then(|id| self.open.get_mut(id))
            && matches!(connection.phase, Phase::Unproven { .. })
        {
            connection.phase = Phase::Open;
        }
    }

    /// The session is over: its connections go, once what waits for them has left. To be called after its goodbye was sent.
    pub(crate) fn end(&mut self, now: Instant, session: &str) {
        let ended: Vec<u64> =
            self.open.iter().filter(|(_, connection)| *connection.session == *session).map(|(id, _)| *id).collect();
        for id in ended {
            match self.open.get_mut(&id) {
                Some(connection) if !connection.queue.is_empty() => {
                    connection.phase = Phase::Ending { until: now + LINGER };
                }
                _ => self.close(id),
            }
        }
    }

    /// Closes those that are idle, unproven or have lingered for too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        let late = |connection: &Connection| match connection.phase {
            Phase::Unproven { until } | Phase::Ending { until } => now >= until,
            Phase::Open => now.saturating_duration_since(connection.heard) >= IDLE,
        };
        let late: Vec<u64> = self.open.iter().filter(|(_, connection)| late(connection)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.close(id));
    }

    pub(crate) fn close(&mut self, id: u64) {
        if let Some(connection) = self.open.remove(&id) {
            self.by_address.remove(&connection.from);
            self.lost.push(Peer::tcp(connection.from));
        }
    }

    /// A connection that is gone since the last call.
    pub(crate) fn poll_lost(&mut self) -> Option<Peer> {
        self.lost.pop()
    }

    /// The figures now.
    pub(crate) fn snapshot(&self) -> ConnectionStats {
        ConnectionStats { open: self.open.len(), ..self.stats }
    }
}

/// Writes as much as the kernel takes; `None` when the connection is broken.
fn write(mut stream: &TcpStream, bytes: &[u8]) -> Option<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return None,
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(written)
}

/// Keeps the kernel's queue short. A refusal only means a longer one.
fn bound_buffers(stream: &TcpStream) {
    let set = |level, name, value: libc::c_int| {
        // SAFETY: the option value is a c_int that lives for the call.
        unsafe {
            let length = size_of_val(&value) as libc::socklen_t;
            libc::setsockopt(stream.as_raw_fd(), level, name, (&raw const value).cast(), length)
        }
    };
    set(libc::SOL_SOCKET, libc::SO_SNDBUF, SEND_BUFFER_BYTES);
    set(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES);
}
