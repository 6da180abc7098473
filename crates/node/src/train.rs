//! Datagrams out: the trains of an [`Outbox`] become `UDP_SEGMENT` messages, and about 16 of them leave in one `sendmmsg`.
//!
//! The ladder is GSO, then sendmmsg, then sendto. Each rung is a switch, so that it can be measured; a rung that the kernel
//! refuses stays off, and says so once. Sending never blocks: what the socket buffer does not take is dropped and counted,
//! and repaired by NACK.

use std::io;
use std::mem::{size_of, zeroed};
use std::str::FromStr;

use sfu::{Outbox, Protocol, Train};

use crate::socket::{SockAddr, UdpSocket};

/// Messages of one system call. With trains it is the outbox of about 16 subscribers that fills it.
const MESSAGES: usize = 64;
/// The kernel's `UDP_MAX_SEGMENTS`, as it was before Linux 6.9 raised it to 128.
const SEGMENTS: usize = 64;
/// A train is one IP datagram to the kernel until the device cuts it.
const TRAIN_BYTES: usize = 65_507;
/// So many `EINVAL` for trains one after the other mean that no path takes them; a few mean a destination with a small MTU.
const REFUSALS: u32 = 16;
/// Ancillary data of one `UDP_SEGMENT` message: a header of 16 bytes and a u16, aligned.
const CONTROL_WORDS: usize = 3;

/// How datagrams leave, the fastest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// One system call a datagram.
    Sendto,
    /// One system call for many datagrams.
    Sendmmsg,
    /// Trains of equal datagrams, cut by the kernel or the device, many in one system call.
    Gso,
}

impl Rung {
    /// The name in configuration, statistics and events.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Sendto => "sendto",
            Rung::Sendmmsg => "sendmmsg",
            Rung::Gso => "gso",
        }
    }
}

impl FromStr for Rung {
    type Err = String;

    /// "auto" is the fastest rung.
    fn from_str(name: &str) -> Result<Rung, String> {
        match name {
            "auto" | "gso" => Ok(Rung::Gso),
            "sendmmsg" => Ok(Rung::Sendmmsg),
            "sendto" => Ok(Rung::Sendto),
            other => Err(format!("send must be auto, gso, sendmmsg or sendto, not {other:?}")),
        }
    }
}

/// A rung that the kernel refused: what it was, why, and which one is used from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungRefused {
    /// What was tried.
    pub refused: Rung,
    /// What is used from now on.
    pub now: Rung,
    /// What the kernel said.
    pub reason: String,
}

/// Counters of what went out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SendStats {
    /// Datagrams that went out.
    pub datagrams: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// System calls.
    pub calls: u64,
    /// Messages by their number of datagrams: 1, 2, 3-4, 5-8, 9-16, more.
    pub trains: [u64; 6],
    /// Datagrams dropped because the socket buffer was full.
    pub dropped: u64,
    /// Datagrams that the kernel refused for another reason (no route, ICMP error, firewall).
    pub errors: u64,
}

/// Sends the outboxes of one worker.
pub struct Sender {
    rung: Rung,
    ipv6_socket: bool,
    refusals: u32,
    refused: Option<RungRefused>,
    trains: Vec<Train>,
    names: Box<[SockAddr]>,
    vectors: Box<[libc::iovec]>,
    controls: Box<[[u64; CONTROL_WORDS]]>,
    headers: Box<[libc::mmsghdr]>,
    /// Counters since it was made.
    pub stats: SendStats,
}

// SAFETY: the raw pointers are written before each system call and read only by it.
unsafe impl Send for Sender {}

impl Sender {
    /// A sender whose highest rung is `rung`.
    pub fn new(rung: Rung, socket: &UdpSocket) -> Sender {
        // SAFETY: all-zero headers and vectors are valid: null pointers of length zero.
        let (vectors, headers) = unsafe { (vec![zeroed(); MESSAGES], vec![zeroed(); MESSAGES]) };
        Sender {
            rung,
            ipv6_socket: socket.local().is_ipv6(),
            refusals: 0,
            refused: None,
            trains: Vec::with_capacity(MESSAGES),
            names: vec![SockAddr::empty(); MESSAGES].into(),
            vectors: vectors.into(),
            controls: vec![[0; CONTROL_WORDS]; MESSAGES].into(),
            headers: headers.into(),
            stats: SendStats::default(),
        }
    }

    /// The rung in use.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// The rung that was given up since the last call, if one was.
    pub fn poll_refused(&mut self) -> Option<RungRefused> {
        self.refused.take()
    }

    /// Sends all datagrams of `outbox` and empties it.
    pub fn send(&mut self, socket: &UdpSocket, outbox: &mut Outbox) {
        if outbox.is_empty() {
            return;
        }
        let mut trains = std::mem::take(&mut self.trains);
        let most = if self.rung == Rung::Gso { SEGMENTS } else { 1 };
        trains.extend(outbox.trains(most, TRAIN_BYTES).filter(|train| train.to.protocol == Protocol::Udp));
        for batch in trains.chunks(MESSAGES) {
            self.transmit(socket, outbox.bytes(), batch);
        }
        trains.clear();
        self.trains = trains;
        outbox.clear();
    }

    fn transmit(&mut self, socket: &UdpSocket, bytes: &[u8], batch: &[Train]) {
        for train in batch {
            self.stats.datagrams += train.count as u64;
            self.stats.bytes += train.len as u64;
            let class = match train.count {
                0..=1 => 0,
                2 => 1,
                3..=4 => 2,
                5..=8 => 3,
                9..=16 => 4,
                _ => 5,
            };
            self.stats.trains[class] += 1;
        }
        let mut rest = batch;
        while let Some(first) = rest.first() {
            let result = match self.rung {
                Rung::Sendto => self.send_cut(socket, bytes, first),
                Rung::Sendmmsg if first.count > 1 => self.send_cut(socket, bytes, first),
                Rung::Sendmmsg | Rung::Gso => self.send_many(socket, bytes, rest),
            };
            match result {
                Ok(sent) => {
                    self.refusals = 0;
                    rest = &rest[sent..];
                }
                Err(error) if would_block(&error) => {
                    self.stats.dropped += rest.iter().map(|train| train.count as u64).sum::<u64>();
                    return;
                }
                Err(error) => {
                    if !self.step_down(first, &error) {
                        if first.count > 1 {
                            // Counts its own errors.
                            let _ = self.send_cut(socket, bytes, first);
                        } else {
                            self.stats.errors += 1;
                        }
                        rest = &rest[1..];
                    }
                }
            }
        }
    }

    /// Gives up the rung when `error` says that the kernel does not know it. True: try the same train on the next rung.
    fn step_down(&mut self, train: &Train, error: &io::Error) -> bool {
        let code = error.raw_os_error().unwrap_or(0);
        let now = match self.rung {
            Rung::Gso if train.count > 1 => {
                // EIO: the device cannot checksum what it would have to cut. EINVAL: the option is unknown, or the path's MTU is
                // below one segment, which speaks against one destination only.
                self.refusals += u32::from(code == libc::EINVAL);
                let unknown = [libc::EIO, libc::ENOPROTOOPT, libc::EOPNOTSUPP].contains(&code);
                if !unknown && self.refusals < REFUSALS {
                    return false;
                }
                Rung::Sendmmsg
            }
            Rung::Gso | Rung::Sendmmsg if code == libc::ENOSYS => Rung::Sendto,
            _ => return false,
        };
        self.refused = Some(RungRefused { refused: self.rung, now, reason: error.to_string() });
        self.rung = now;
        true
    }

    /// Sends each datagram of a train by itself. A full socket buffer ends it with that error; others are counted.
    fn send_cut(&mut self, socket: &UdpSocket, bytes: &[u8], train: &Train) -> io::Result<usize> {
        let name = SockAddr::for_socket(train.to.address, self.ipv6_socket);
        for datagram in bytes[train.offset..train.offset + train.len].chunks(train.segment) {
            self.stats.calls += 1;
            // SAFETY: datagram and name live for the call.
            let sent = unsafe {
                libc::sendto(
                    socket.raw(),
                    datagram.as_ptr().cast(),
                    datagram.len(),
                    libc::MSG_DONTWAIT,
                    name.as_ptr(),
                    name.len(),
                )
            };
            if sent < 0 {
                let error = io::Error::last_os_error();
                if would_block(&error) {
                    return Err(error);
                }
                self.stats.errors += 1;
            }
        }
        Ok(1)
    }

    fn send_many(&mut self, socket: &UdpSocket, bytes: &[u8], batch: &[Train]) -> io::Result<usize> {
        for (index, train) in batch.iter().enumerate() {
            self.names[index] = SockAddr::for_socket(train.to.address, self.ipv6_socket);
            self.vectors[index] = libc::iovec {
                iov_base: bytes[train.offset..train.offset + train.len].as_ptr().cast_mut().cast(),
                iov_len: train.len,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.names[index].as_mut_ptr().cast();
            header.msg_namelen = self.names[index].len();
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            if train.count > 1 {
                header.msg_control = self.controls[index].as_mut_ptr().cast();
                header.msg_controllen = size_of::<[u64; CONTROL_WORDS]>();
                // SAFETY: the control buffer is aligned and CMSG_SPACE(2) = 24 bytes long, which is its size.
                unsafe {
                    let control = libc::CMSG_FIRSTHDR(header);
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as usize;
                    libc::CMSG_DATA(control).cast::<u16>().write_unaligned(train.segment as u16);
                }
            } else {
                header.msg_control = std::ptr::null_mut();
                header.msg_controllen = 0;
            }
        }
        self.stats.calls += 1;
        // SAFETY: the first batch.len() <= MESSAGES headers were filled in above; the kernel only reads what they point at.
        let sent = unsafe {
            libc::sendmmsg(socket.raw(), self.headers.as_mut_ptr(), batch.len() as libc::c_uint, libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }
}

/// ENOBUFS is the queue of the device that is full, EAGAIN the buffer of the socket.
fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu::Peer;
    use std::time::Duration;

    fn send(rung: Rung, sizes: &[usize]) -> (Vec<usize>, SendStats) {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let to = Peer::udp(peer.local_addr().unwrap());
        let mut sender = Sender::new(rung, &socket);
        let mut outbox = Outbox::default();
        for (index, size) in sizes.iter().enumerate() {
            outbox.push(to, &vec![index as u8; *size]);
        }
        sender.send(&socket, &mut outbox);
        assert!(outbox.is_empty());
        let mut buffer = [0; 4096];
        let got = (0..sizes.len())
            .map(|index| {
                let (length, from) = peer.recv_from(&mut buffer).unwrap();
                assert_eq!(from, socket.local());
                assert!(buffer[..length].iter().all(|byte| *byte == index as u8), "datagram {index} is out of order");
                length
            })
            .collect();
        (got, sender.stats)
    }

    #[test]
    fn equal_datagrams_leave_as_one_train_with_a_short_tail() {
        let sizes = [1000, 1000, 1000, 1000, 1000, 140];
        let (got, stats) = send(Rung::Gso, &sizes);
        assert_eq!(got, sizes);
        assert_eq!((stats.calls, stats.datagrams, stats.trains), (1, 6, [0, 0, 0, 1, 0, 0]));
    }

    #[test]
    fn every_rung_delivers_the_same_datagrams() {
        let sizes: Vec<usize> = (0..100).map(|index| if index % 7 == 0 { 90 } else { 1100 + index % 3 }).collect();
        for (rung, most_calls) in [(Rung::Gso, 2), (Rung::Sendmmsg, 2), (Rung::Sendto, 100)] {
            let (got, stats) = send(rung, &sizes);
            assert_eq!(got, sizes, "{}", rung.name());
            assert!(stats.calls <= most_calls, "{}: {} calls", rung.name(), stats.calls);
            assert_eq!((stats.dropped, stats.errors), (0, 0));
        }
    }

    #[test]
    fn an_unreachable_destination_is_counted_and_the_others_are_served() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sender = Sender::new(Rung::Gso, &socket);
        let mut outbox = Outbox::default();
        // Port 0 is refused by the kernel with EINVAL.
        for to in ["127.0.0.1:0".parse().unwrap(), peer.local_addr().unwrap()] {
            for _ in 0..2 {
                outbox.push(Peer::udp(to), &[9; 10]);
            }
        }
        sender.send(&socket, &mut outbox);
        let mut buffer = [0; 20];
        assert_eq!(peer.recv(&mut buffer).unwrap(), 10);
        assert_eq!(sender.stats.errors, 2);
        assert_eq!(sender.rung(), Rung::Gso);
    }

    #[test]
    fn a_rung_that_the_kernel_does_not_know_stays_off_and_says_so_once() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let mut sender = Sender::new(Rung::Gso, &socket);
        let train = Train { offset: 0, len: 20, segment: 10, count: 2, to: Peer::udp(socket.local()) };
        assert!(sender.step_down(&train, &io::Error::from_raw_os_error(libc::EIO)));
        assert_eq!(sender.rung(), Rung::Sendmmsg);
        assert_eq!(sender.poll_refused().map(|refused| refused.refused), Some(Rung::Gso));
        assert_eq!(sender.poll_refused(), None);
    }
}
