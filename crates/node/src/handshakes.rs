//! Handshakes wait for media: one message of theirs is up to a millisecond of arithmetic, and hundreds may come at once.

use std::collections::VecDeque;
use std::time::Duration;

use sfu::Peer;

/// How long a turn of the loop goes on with handshakes before it looks for media again.
pub(crate) const SHARE: Duration = Duration::from_millis(1);
/// Datagrams that wait; what is above that comes again, DTLS repeats itself.
const MOST: usize = 1024;
/// Of one address: a flight of certificates is four or five.
const MOST_OF_A_PEER: usize = 12;

/// DTLS datagrams of known peers, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    waiting: VecDeque<(Peer, Box<[u8]>)>,
    /// Datagrams that found no room.
    pub(crate) dropped: u64,
}

impl Handshakes {
    /// Whether this datagram has to wait: messages of a handshake, and what comes behind one.
    pub(crate) fn concerns(&self, datagram: &[u8]) -> bool {
        match datagram.first() {
            Some(20..=22) => true,
            Some(23) => !self.waiting.is_empty(),
            _ => false,
        }
    }

    pub(crate) fn push(&mut self, from: Peer, datagram: &[u8]) {
        let of_this = self.waiting.iter().filter(|(peer, _)| *peer == from).count();
        if self.waiting.len() >= MOST || of_this >= MOST_OF_A_PEER {
            self.dropped += 1;
        } else {
            self.waiting.push_back((from, datagram.into()));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(Peer, Box<[u8]>)> {
        self.waiting.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_neither_one_nor_many_fill_it() {
        let mut handshakes = Handshakes::default();
        let peer = |port: u16| Peer::udp(([192, 0, 2, 1], port).into());
        assert!(handshakes.concerns(&[22, 1]) && !handshakes.concerns(&[23, 1]) && !handshakes.concerns(&[0x80]));
        for count in 0..20 {
            handshakes.push(peer(1), &[22, count]);
        }
        assert!(handshakes.concerns(&[23, 1]), "data behind a handshake stays behind it");
        assert_eq!(handshakes.dropped, 8);
        for port in 2..2_000 {
            handshakes.push(peer(port), &[22, 0]);
        }
        assert_eq!(handshakes.waiting.len(), MOST);
        assert_eq!(handshakes.pop().map(|(from, bytes)| (from, bytes[1])), Some((peer(1), 0)));
        assert_eq!(handshakes.pop().map(|(from, bytes)| (from, bytes[1])), Some((peer(1), 1)));
        while handshakes.pop().is_some() {}
        assert!(handshakes.is_empty() && !handshakes.concerns(&[23]));
    }
}
