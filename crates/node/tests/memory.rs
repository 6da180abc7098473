//! Who has watched and gone leaves nothing behind: what the whole process holds is counted, allocation by allocation.

mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use harness::{UdpViewer, feed_until, inject};
use node::{Node, NodeConfig};
use sfu::{StreamDescription, SubscriberConfig};

/// Counts bytes that are allocated and not given back, by all threads.
struct Counting;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: hands every call on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Joins, in rounds of this many: so many sessions at a time, and as many before that are over.
const AT_ONCE: usize = 10;
const WARM_UP_ROUNDS: usize = 2;
const ROUNDS: usize = 3;
/// Who has gone without a word is missed after this.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// For each join of the rounds that count. A session's name alone takes more.
const MOST_BYTES_A_JOIN: i64 = 8;

/// Ten viewers come, get pictures, and go, half of them without a word.
fn round(node: &Node) {
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut viewers: Vec<_> = (0..AT_ONCE).map(|_| UdpViewer::join_from(node, "live", home)).collect();
    feed_until(|_| {
        viewers.iter_mut().for_each(UdpViewer::turn);
        viewers.iter().all(|viewer| viewer.viewer.meter.packets() > 5)
    });
    for viewer in viewers.iter().skip(AT_ONCE / 2) {
        node.close(&viewer.session).unwrap();
    }
    drop(viewers);
    feed_until(|_| node.subscribers() == 0 && node.stats()[0].sessions.is_empty());
}

/// What is held once that has not changed for longer than the worker waits to look at its figures again.
fn settled() -> i64 {
    let (mut last, mut turns) = (0, 0);
    feed_until(|_| {
        let now = HELD.load(Ordering::Relaxed);
        turns = if now == last { turns + 1 } else { 0 };
        last = now;
        turns >= 40
    });
    last
}

#[test]
fn a_join_leaves_nothing_behind() {
    let subscriber = SubscriberConfig { consent_timeout: GONE_AFTER, ..SubscriberConfig::default() };
    let host = Ipv4Addr::LOCALHOST.into();
    let node = Node::start(NodeConfig { host, workers: 1, subscriber, ..NodeConfig::default() }).unwrap();
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    (0..10).for_each(|index| inject(&node, "live", index, 1_000));
    (0..WARM_UP_ROUNDS).for_each(|_| round(&node));
    node.drain_events();
    let mut before = settled();
    // A queue may grow once, when the machine is busy; what a join leaves behind is there after each round.
    let mut least = i64::MAX;
    for _ in 0..ROUNDS {
        round(&node);
        assert!(node.drain_events().len() >= 2 * AT_ONCE, "each came and went");
        let after = settled();
        println!("{AT_ONCE} joins, from {before} bytes: {:+}", after - before);
        least = least.min(after - before);
        before = after;
    }
    assert!(least <= MOST_BYTES_A_JOIN * AT_ONCE as i64, "each round leaves {least} bytes or more behind");
    node.shutdown();
}
