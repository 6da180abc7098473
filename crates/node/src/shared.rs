//! What all workers of a node share: constants, inboxes, counters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sfu::{Identity, WallClock};

use crate::config::NodeConfig;
use crate::event::Events;
use crate::gate::GateStats;
use crate::post::Post;
use crate::seats::Seats;
use crate::stats::Board;
use crate::wake::Inbox;

/// A count of subscribers.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicUsize);

impl Load {
    pub(crate) fn enter(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) identity: Identity,
    pub(crate) clock: WallClock,
    /// Addresses that answers and offers name.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) pin: bool,
    pub(crate) inboxes: Vec<Arc<Inbox<Post>>>,
    pub(crate) boards: Vec<Board>,
    pub(crate) loads: Vec<Load>,
    pub(crate) subscribers: AtomicUsize,
    pub(crate) events: Events,
    /// TCP connections that there may be.
    pub(crate) seats: Arc<Seats>,
    pub(crate) gate: GateStats,
}

impl Shared {
    /// Takes one of the places for subscribers; false when there is none.
    pub(crate) fn enter(&self) -> bool {
        let most = self.config.max_subscribers;
        self.subscribers
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < most).then_some(count + 1))
            .is_ok()
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.subscribers.fetch_sub(1, Ordering::AcqRel);
    }

    /// The worker that holds the sources of a stream: always the same one, so that sources can replace each other.
    pub(crate) fn owner_of(&self, stream: &str) -> u16 {
        // FNV-1a: stable, and good enough for a handful of streams.
        let hash = stream
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        (hash % self.inboxes.len() as u64) as u16
    }

    /// The worker with the fewest subscribers.
    pub(crate) fn idlest(&self) -> u16 {
        let least = (0..self.loads.len()).min_by_key(|index| self.loads[*index].count());
        least.unwrap_or(0) as u16
    }
}
