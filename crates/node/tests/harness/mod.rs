//! What the tests over real sockets share: a node on loopback, frames to inject, and a viewer on a TCP connection.
#![allow(dead_code)] // each test binary uses its part

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use node::{Node, NodeConfig};
use sfu::Kind;
use swarm::{Identity, Remote, Viewer, monotonic_ns};

pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A node on 127.0.0.1.
pub(crate) fn start(workers: usize) -> Node {
    let host = "127.0.0.1".parse().unwrap();
    Node::start(NodeConfig { host, workers, ..NodeConfig::default() }).unwrap()
}

/// A key frame or another frame of `bytes` bytes, in Annex-B form.
pub(crate) fn frame(key: bool, index: u32, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut unit = |head: u8, length: usize| {
        out.extend([0, 0, 0, 1, head]);
        // Never two zeros in a row: those would need emulation prevention.
        out.extend((0..length).map(|at| (at as u8 ^ index as u8) | 1));
    };
    if key {
        unit(0x67, 20);
        unit(0x68, 4);
        unit(0x65, bytes);
    } else {
        unit(0x41, bytes);
    }
    out
}

/// Picture and sound number `index` of a stream of 100 a second, with a key frame every 25.
pub(crate) fn inject(node: &Node, stream: &str, index: u32, bytes: usize) {
    let key = index.is_multiple_of(25);
    let data = frame(key, index, if key { 4 * bytes } else { bytes });
    node.inject(stream, Kind::Video, data, index * 900, key).unwrap();
    node.inject(stream, Kind::Audio, vec![index as u8; 80], index * 480, false).unwrap();
}

/// Runs `turn` every 10 ms, the pace of the stream, until it is done.
pub(crate) fn feed_until(mut turn: impl FnMut(u32) -> bool) {
    let began = Instant::now();
    for index in 0.. {
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}");
        if turn(index) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends one RFC 4571 frame.
pub(crate) fn send_frame(stream: &mut TcpStream, datagram: &[u8]) -> std::io::Result<()> {
    let mut bytes = (datagram.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(datagram);
    stream.write_all(&bytes)
}

/// Reads until the other side closes; false when it has not within the deadline.
pub(crate) fn closed_by_peer(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(_) => return true, // a reset
        }
    }
}

/// Whole frames out of a byte stream, the test's own way.
#[derive(Default)]
pub(crate) struct Frames(Vec<u8>);

impl Frames {
    /// Reads what is there (at most for a few milliseconds); false at the end of the stream.
    pub(crate) fn read(&mut self, stream: &mut TcpStream, mut handle: impl FnMut(&mut [u8])) -> bool {
        let mut buffer = [0; 16_384];
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.0.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        while self.0.len() >= 2 {
            let length = 2 + usize::from(u16::from_be_bytes([self.0[0], self.0[1]]));
            if self.0.len() < length {
                break;
            }
            let mut datagram: Vec<u8> = self.0.drain(..length).skip(2).collect();
            handle(&mut datagram);
        }
        true
    }
}

/// A viewer whose only way is TCP.
pub(crate) struct TcpViewer {
    pub(crate) viewer: Viewer,
    pub(crate) stream: TcpStream,
    pub(crate) session: String,
    pub(crate) open: bool,
    frames: Frames,
    remote: SocketAddr,
}

impl TcpViewer {
    /// Joins `stream` of `node` over the TCP candidate of its answer.
    pub(crate) fn join(node: &Node, stream: &str) -> TcpViewer {
        TcpViewer::join_at(node, stream, node.local().ip())
    }

    /// The same, at one of several addresses.
    pub(crate) fn join_at(node: &Node, stream: &str, ip: IpAddr) -> TcpViewer {
        let address = SocketAddr::new(ip, node.local().port());
        let connection = TcpStream::connect(address).unwrap();
        connection.set_nodelay(true).unwrap();
        connection.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let identity = Identity::generate().unwrap();
        let (mut viewer, offer) = Viewer::over_tcp(Instant::now(), &identity, 1, connection.local_addr().unwrap());
        let (session, answer) = node.subscribe(stream, offer, false).unwrap();
        let tcp = |line: &&str| line.contains(" tcp ") && line.contains("tcptype passive");
        assert!(answer.sdp.lines().any(|line| tcp(&line)), "no TCP candidate in {}", answer.sdp);
        viewer.accept(Instant::now(), Remote::parse(&answer.sdp).unwrap());
        let session = session.to_string();
        TcpViewer { viewer, stream: connection, session, open: true, frames: Frames::default(), remote: address }
    }

    /// Reads, runs timers, writes.
    pub(crate) fn turn(&mut self) {
        let (viewer, remote) = (&mut self.viewer, self.remote);
        self.open &= self.frames.read(&mut self.stream, |datagram| {
            viewer.handle_datagram(Instant::now(), monotonic_ns(), remote, datagram);
        });
        let now = Instant::now();
        if self.viewer.poll_timeout().is_some_and(|due| due <= now) {
            self.viewer.handle_timeout(now);
        }
        while let Some((to, datagram)) = self.viewer.poll_transmit() {
            assert_eq!(to, self.remote);
            self.open &= send_frame(&mut self.stream, &datagram).is_ok();
        }
    }
}

/// A viewer on a UDP socket.
pub(crate) struct UdpViewer {
    pub(crate) viewer: Viewer,
    pub(crate) session: String,
    pub(crate) answer: String,
    socket: UdpSocket,
}

impl UdpViewer {
    /// Joins `stream` of `node` from the loopback address `ip`.
    pub(crate) fn join_from(node: &Node, stream: &str, ip: IpAddr) -> UdpViewer {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let identity = Identity::generate().unwrap();
        let (mut viewer, offer) = Viewer::new(Instant::now(), &identity, 1, socket.local_addr().unwrap());
        let (session, answer) = node.subscribe(stream, offer, false).unwrap();
        viewer.accept(Instant::now(), Remote::parse(&answer.sdp).unwrap());
        UdpViewer { viewer, session: session.to_string(), answer: answer.sdp, socket }
    }

    /// Reads, runs timers, writes.
    pub(crate) fn turn(&mut self) {
        self.turn_with(|_| true, |_| {});
    }

    /// The same. `wanted` says of each datagram whether it is to be sent, `heard` sees what comes.
    pub(crate) fn turn_with(&mut self, mut wanted: impl FnMut(&[u8]) -> bool, mut heard: impl FnMut(&[u8])) {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = self.socket.recv_from(&mut buffer) {
            heard(&buffer[..count]);
            self.viewer.handle_datagram(Instant::now(), monotonic_ns(), from, &mut buffer[..count]);
        }
        let now = Instant::now();
        if self.viewer.poll_timeout().is_some_and(|due| due <= now) {
            self.viewer.handle_timeout(now);
        }
        while let Some((to, datagram)) = self.viewer.poll_transmit() {
            if wanted(&datagram) {
                let _ = self.socket.send_to(&datagram, to);
            }
        }
    }

    /// The viewer's network changes: it goes on from a new socket, after an ICE restart by PATCH.
    pub(crate) fn move_to(&mut self, node: &Node, ip: IpAddr) {
        self.socket = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
        self.socket.set_nonblocking(true).unwrap();
        let fragment = self.viewer.restart(self.socket.local_addr().unwrap());
        match node.trickle(&self.session, fragment).unwrap() {
            sfu::Trickle::Restarted { fragment, .. } => self.viewer.accept_restart(Instant::now(), &fragment),
            sfu::Trickle::Taken => panic!("no restart"),
        }
    }

    /// Sends bytes from the viewer's own address, as one who can forge that would.
    pub(crate) fn send_raw(&self, node: &Node, datagram: &[u8]) {
        let _ = self.socket.send_to(datagram, node.local());
    }
}
