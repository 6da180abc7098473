//! Which worker owns a datagram. The kernel spreads a port over its sockets by the hash of the addresses, so every peer keeps
//! hitting one socket, which may be another worker's. STUN says the owner by the worker index in our half of the username; what
//! follows from that address goes the same way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Addresses of one generation; two are remembered. Each address costs about 50 bytes.
const ADDRESSES: usize = 32_768;
/// Consent checks come every 5 s (RFC 7675), so an address that says nothing for so long has no session any more.
const IDLE: Duration = Duration::from_secs(60);

/// The address table of one worker's socket: who was heard lately, and who before that. When the newer half is full it becomes the
/// older one, so whoever floods us with made-up addresses turns the halves over, but those that go on talking stay known.
#[derive(Debug, Default)]
pub(crate) struct Steering {
    newer: HashMap<SocketAddr, u16>,
    older: HashMap<SocketAddr, u16>,
    turned: Option<Instant>,
}

impl Steering {
    /// The owner of a datagram, where it can be told. `named` is the worker that a STUN check names; a new session from a known
    /// address (a browser re-uses its port after a reload) may have another owner.
    pub(crate) fn route(&mut self, now: Instant, from: SocketAddr, named: Option<u16>) -> Option<u16> {
        let known = self.newer.get(&from).copied();
        let owner = named.or(known).or_else(|| self.older.get(&from).copied())?;
        if known != Some(owner) {
            if self.newer.len() >= ADDRESSES {
                self.turn(now);
            }
            self.newer.insert(from, owner);
        }
        Some(owner)
    }

    /// Forgets addresses that have been idle for one or two minutes; to be called now and then.
    pub(crate) fn expire(&mut self, now: Instant) {
        if now.saturating_duration_since(*self.turned.get_or_insert(now)) >= IDLE {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.older = std::mem::take(&mut self.newer);
        self.turned = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_check_goes_to_the_same_worker() {
        let mut steering = Steering::default();
        let (now, from, other) = (Instant::now(), "192.0.2.1:5".parse().unwrap(), "192.0.2.1:6".parse().unwrap());
        assert_eq!(steering.route(now, from, None), None);
        assert_eq!(steering.route(now, from, Some(3)), Some(3));
        assert_eq!(steering.route(now, from, None), Some(3));
        assert_eq!(steering.route(now, other, None), None);
        assert_eq!(steering.route(now, from, Some(1)), Some(1), "a new session, another owner");
        steering.expire(now);
        steering.expire(now + IDLE);
        assert_eq!(steering.route(now, from, None), Some(1), "heard of a minute ago");
        steering.expire(now + 2 * IDLE);
        steering.expire(now + 3 * IDLE);
        assert_eq!(steering.route(now, from, None), None);
    }

    #[test]
    fn a_flood_of_addresses_neither_grows_the_table_nor_drives_out_who_goes_on_talking() {
        let mut steering = Steering::default();
        let (now, viewer) = (Instant::now(), "192.0.2.1:5".parse().unwrap());
        assert_eq!(steering.route(now, viewer, Some(3)), Some(3));
        for index in 0..(5 * ADDRESSES as u32) {
            assert_eq!(steering.route(now, SocketAddr::from((index.to_be_bytes(), 9)), Some(0)), Some(0));
            if index.is_multiple_of(ADDRESSES as u32 / 2) {
                assert_eq!(steering.route(now, viewer, None), Some(3), "after {index}");
            }
            assert!(steering.newer.len() <= ADDRESSES && steering.older.len() <= ADDRESSES);
        }
    }
}
