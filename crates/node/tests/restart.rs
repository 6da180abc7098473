//! Viewers whose network changes: an ICE restart by PATCH, another address, the same session. Over real sockets.
mod harness;

use std::net::{IpAddr, Ipv4Addr};

use harness::{UdpViewer, feed_until, inject, start};
use node::Event;
use sfu::StreamDescription;

/// More than the addresses that a session may have at once.
const MOVES: u8 = 12;

#[test]
fn a_viewer_that_moves_again_and_again_keeps_its_session_and_its_media() {
    let node = start(2);
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    let home = |number: u8| IpAddr::V4(Ipv4Addr::new(127, 0, 1, number + 1));
    let mut index = 0;
    let mut viewer = UdpViewer::join_from(&node, "live", home(0));
    let mut still = UdpViewer::join_from(&node, "live", home(100));
    for number in 0..=MOVES {
        if number > 0 {
            viewer.move_to(&node, home(number));
        }
        let before = viewer.viewer.meter.packets();
        // All that the meter counts from here on has come to the new address.
        feed_until(|_| {
            index += 1;
            inject(&node, "live", index, 3_000);
            viewer.turn();
            still.turn();
            viewer.viewer.meter.packets() > before + 30
        });
        assert!(!viewer.viewer.failed());
    }
    assert_eq!(still.viewer.meter.missing(), 0, "nobody else noticed");
    // Its reports reach the session from where it is now.
    let session = viewer.session.clone();
    feed_until(|_| {
        index += 1;
        inject(&node, "live", index, 3_000);
        viewer.turn();
        still.turn();
        let stats = node.stats();
        let mut sessions = stats.iter().flat_map(|worker| worker.sessions.iter());
        let one = sessions.find(|one| *one.session == *session).unwrap();
        one.subscriber.remote.is_some_and(|peer| peer.address.ip() == home(MOVES))
    });
    assert_eq!(node.subscribers(), 2);
    node.shutdown();
    let connected = node.drain_events().into_iter().filter(|event| matches!(event, Event::SessionConnected { .. }));
    assert_eq!(connected.count(), 2, "each connected once");
    assert!(node.stats().iter().all(|worker| worker.faults == 0));
}

#[test]
fn the_old_credentials_are_worth_nothing_after_a_restart() {
    let node = start(1);
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut viewer = UdpViewer::join_from(&node, "live", home);
    let (mut index, mut checks): (u32, Vec<Vec<u8>>) = (0, Vec::new());
    feed_until(|_| {
        index += 1;
        inject(&node, "live", index, 3_000);
        viewer.turn_with(
            |datagram| {
                if datagram[..2] == [0, 1] {
                    checks.push(datagram.to_vec());
                }
                true
            },
            |_| {},
        );
        viewer.viewer.meter.packets() > 30
    });
    let unknown = || node.stats().iter().map(|worker| worker.unknown).sum::<u64>();
    viewer.move_to(&node, home);
    let (before, packets) = (unknown(), viewer.viewer.meter.packets());
    feed_until(|_| {
        index += 1;
        inject(&node, "live", index, 3_000);
        viewer.turn();
        checks.iter().for_each(|check| viewer.send_raw(&node, check));
        unknown() > before + 20 && viewer.viewer.meter.packets() > packets + 30
    });
    assert!(!viewer.viewer.failed());
}
