//! How many TCP connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections from one address (IPv6: one /64). An office behind one NAT has as many viewers, each with one or two connections.
const MOST_OF_ONE: usize = 256;
/// Connections of the node, if the limit of descriptors allows.
const MOST: usize = 4096;
/// Descriptors that the rest of the process keeps.
const RESERVED_SHARE: u64 = 2;

/// The book of who is seated.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    taken: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

impl Seats {
    /// As many as this process may have open, half of them at most, and never more than 4,096.
    pub(crate) fn of_this_process() -> Seats {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` lives for the call.
        let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
        let half = if known { limit.rlim_cur / RESERVED_SHARE } else { MOST as u64 };
        Seats::new(usize::try_from(half).unwrap_or(MOST).min(MOST))
    }

    pub(crate) fn new(most: usize) -> Seats {
        Seats { most, taken: Mutex::default() }
    }

    /// A seat for a connection from `address`; `None` when there is none. It is given back when it is dropped.
    pub(crate) fn take(self: &Arc<Seats>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, of_networks) = &mut *taken;
        let here = of_networks.get(&network).copied().unwrap_or(0);
        if *total >= self.most || here >= MOST_OF_ONE {
            return None;
        }
        *total += 1;
        of_networks.insert(network, here + 1);
        Some(Seat { seats: Arc::clone(self), network })
    }

    /// Seats taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    network: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.0 -= 1;
        if let Some(count) = taken.1.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.1.remove(&self.network);
            }
        }
    }
}

/// Whom an address belongs to: itself, or the /64 that a site is given.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_limit_and_the_others_have_theirs() {
        let seats = Arc::new(Seats::new(MOST));
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let held: Vec<Seat> = (0..MOST_OF_ONE).map(|_| seats.take(one).unwrap()).collect();
        assert!(seats.take(one).is_none());
        assert!(seats.take("192.0.2.2".parse().unwrap()).is_some());
        drop(held);
        assert!(seats.take(one).is_some());
        assert_eq!(seats.taken(), 0);
        assert!(seats.taken.lock().unwrap().1.is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn all_together_have_one_too() {
        let seats = Arc::new(Seats::new(3));
        let held: Vec<Seat> = (1..=3).map(|host| seats.take(IpAddr::from([192, 0, 2, host])).unwrap()).collect();
        assert!(seats.take("192.0.2.9".parse().unwrap()).is_none());
        drop(held);
        assert!(seats.take("192.0.2.9".parse().unwrap()).is_some());
    }

    #[test]
    fn a_site_of_ipv6_is_one_address() {
        let networks: Vec<IpAddr> =
            ["2001:db8::1", "2001:db8::ffff:1", "::ffff:192.0.2.1"].map(|text| network(text.parse().unwrap())).into();
        assert_eq!(networks[0], networks[1]);
        assert_eq!(networks[2], "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
