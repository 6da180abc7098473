//! Which worker owns a datagram. The kernel spreads a port over its sockets by the hash of the addresses, so every peer keeps
//! hitting one socket, which may be another worker's. STUN says the owner by the worker index in our half of the username; what
//! follows from that address goes the same way.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Addresses remembered by one worker. Each costs about 50 bytes; an attacker who spoofs more only makes us forget idle ones.
const ADDRESSES: usize = 65_536;
/// Consent checks come every 5 s (RFC 7675), so an address that says nothing for so long has no session any more.
const IDLE: Duration = Duration::from_secs(60);

/// The address table of one worker's socket.
#[derive(Debug, Default)]
pub(crate) struct Steering {
    owners: HashMap<SocketAddr, Owner>,
}

#[derive(Debug)]
struct Owner {
    worker: u16,
    seen: Instant,
}

impl Steering {
    /// The owner of a datagram, where it can be told. `named` is the worker that a STUN check names.
    pub(crate) fn route(&mut self, now: Instant, from: SocketAddr, named: Option<u16>) -> Option<u16> {
        match (self.owners.get_mut(&from), named) {
            // A new session from a known address (a browser re-uses its port after a reload) may have another owner.
            (Some(owner), Some(worker)) => {
                *owner = Owner { worker, seen: now };
                Some(worker)
            }
            (Some(owner), None) => {
                owner.seen = now;
                Some(owner.worker)
            }
            (None, Some(worker)) => {
                if self.owners.len() >= ADDRESSES {
                    self.expire(now);
                }
                if self.owners.len() < ADDRESSES {
                    self.owners.insert(from, Owner { worker, seen: now });
                }
                Some(worker)
            }
            (None, None) => None,
        }
    }

    /// Forgets addresses that have been idle; to be called now and then.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.owners.retain(|_, owner| now.saturating_duration_since(owner.seen) < IDLE);
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
        steering.expire(now + IDLE);
        assert_eq!(steering.route(now, from, None), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut steering = Steering::default();
        let now = Instant::now();
        for index in 0..(ADDRESSES as u32 + 10) {
            assert_eq!(steering.route(now, SocketAddr::from((index.to_be_bytes(), 9)), Some(0)), Some(0));
        }
        assert_eq!(steering.owners.len(), ADDRESSES);
        steering.route(now + IDLE, "192.0.2.1:5".parse().unwrap(), Some(0));
        assert_eq!(steering.owners.len(), 1);
    }
}
