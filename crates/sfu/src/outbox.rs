//! Where sealed datagrams wait to be sent: one buffer, one list, trains of equal sizes.
use std::net::SocketAddr;

/// How a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// A datagram a packet.
    Udp,
    /// ICE-TCP (RFC 4571 framing is the shell's).
    Tcp,
}

/// A peer's transport address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// IP address and port.
    pub address: SocketAddr,
}

impl Peer {
    /// A UDP peer.
    pub fn udp(address: SocketAddr) -> Peer {
        Peer { protocol: Protocol::Udp, address }
    }

    /// A peer at the other end of a TCP connection.
    pub fn tcp(address: SocketAddr) -> Peer {
        Peer { protocol: Protocol::Tcp, address }
    }
}

/// One datagram in an [`Outbox`]: bytes `offset..offset + len` of its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Where it begins in the buffer.
    pub offset: usize,
    /// Its length, bytes.
    pub len: usize,
    /// Where it goes.
    pub to: Peer,
}

/// Datagrams that may leave as one UDP_SEGMENT message: all `segment` bytes long, the last one may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    /// Where the first one begins in the buffer.
    pub offset: usize,
    /// Length of all together, bytes.
    pub len: usize,
    /// Length of each, bytes; the last one may be shorter.
    pub segment: usize,
    /// How many datagrams it holds (1: send it plain).
    pub count: usize,
    /// Where they go.
    pub to: Peer,
}

/// Datagrams to send, one behind the other in one buffer. Cleared and used again; it grows only until it is warm.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    sealed: Vec<Sealed>,
}

impl Outbox {
    /// With room for `bytes` of datagrams.
    pub fn with_capacity(bytes: usize) -> Outbox {
        Outbox { bytes: Vec::with_capacity(bytes), sealed: Vec::with_capacity(bytes / 1000 + 16) }
    }

    /// Takes a datagram that is ready to send.
    pub fn push(&mut self, to: Peer, datagram: &[u8]) {
        self.sealed.push(Sealed { offset: self.bytes.len(), len: datagram.len(), to });
        self.bytes.extend_from_slice(datagram);
    }

    /// Lets `write` append exactly one datagram to the buffer; it is taken back when `write` says `false`.
    pub(crate) fn write(&mut self, to: Peer, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let offset = self.bytes.len();
        if write(&mut self.bytes) {
            self.sealed.push(Sealed { offset, len: self.bytes.len() - offset, to });
            true
        } else {
            self.bytes.truncate(offset);
            false
        }
    }

    /// The buffer that offsets count from.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All datagrams in the order in which they must leave.
    pub fn sealed(&self) -> &[Sealed] {
        &self.sealed
    }

    /// Destination and bytes of each datagram, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Peer, &[u8])> {
        self.sealed.iter().map(|s| (s.to, &self.bytes[s.offset..s.offset + s.len]))
    }

    /// The datagrams grouped to trains of at most `most_segments` and `most_bytes` (kernel limits: 64 segments before 6.9,
    /// 65,507 bytes), in order.
    pub fn trains(&self, most_segments: usize, most_bytes: usize) -> impl Iterator<Item = Train> + '_ {
        let mut rest = self.sealed.as_slice();
        std::iter::from_fn(move || {
            let (first, others) = rest.split_first()?;
            let mut train = Train { offset: first.offset, len: first.len, segment: first.len, count: 1, to: first.to };
            let mut open = true;
            let mut used = 0;
            for next in others {
                let fits = open
                    && next.to == train.to
                    && next.len <= train.segment
                    && train.count < most_segments
                    && train.len + next.len <= most_bytes;
                if !fits {
                    break;
                }
                train.len += next.len;
                train.count += 1;
                used += 1;
                open = next.len == train.segment; // a shorter one ends the train
            }
            rest = &others[used..];
            Some(train)
        })
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty()
    }

    /// Forgets all datagrams, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sealed.clear();
    }
}

/// What a datagram is, by its first byte (RFC 7983).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// A check of ICE (RFC 8489).
    Stun,
    /// A handshake's record, or what goes inside DTLS.
    Dtls,
    /// SRTP or SRTCP.
    Srtp,
    /// None of these.
    Unknown,
}

impl DatagramKind {
    /// Of a datagram.
    pub fn of(datagram: &[u8]) -> DatagramKind {
        match datagram.first() {
            Some(0..=3) => DatagramKind::Stun,
            Some(20..=63) => DatagramKind::Dtls,
            Some(128..=191) => DatagramKind::Srtp,
            _ => DatagramKind::Unknown,
        }
    }
}

/// Our ufrag in a STUN binding request (the part of USERNAME before the colon), for steering. `None` for everything else,
/// also for responses: those go by the peer's address or, failing that, are offered to every session that awaits one.
pub fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    wire::stun::username(datagram)?.split_once(':').map(|(ours, _)| ours)
}
