//! A node under fire over real sockets: nothing grows without bound, and those who watch lose nothing.
mod harness;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use harness::{UdpViewer, feed_until, inject};
use node::{Node, NodeConfig, NodeError};
use sfu::StreamDescription;
use swarm::{Identity, Viewer};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OFFERS: usize = 10_000;

fn live(config: NodeConfig) -> Node {
    let node = Node::start(NodeConfig { host: LOCALHOST, ..config }).unwrap();
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    node
}

fn unused(node: &Node) -> usize {
    node.stats().iter().map(|worker| worker.unused).sum()
}

#[test]
fn ten_thousand_offers_that_nobody_uses_are_bounded_and_keep_nobody_out() {
    const MOST: usize = 300;
    let grace = Duration::from_millis(300);
    let node = live(NodeConfig { workers: 2, max_unused: MOST, unused_grace: grace, ..NodeConfig::default() });
    let mut watching = UdpViewer::join_from(&node, "live", LOCALHOST);
    let identity = Identity::generate().unwrap();
    let offer = Viewer::new(Instant::now(), &identity, 1, "127.0.0.1:9".parse().unwrap()).1;
    let (mut sent, mut refused, mut index, mut late) = (0, 0, 0, None);
    feed_until(|_| {
        index += 1;
        inject(&node, "live", index, 3_000);
        watching.turn();
        // As fast as it goes, so that the bound is reached long before the first of them has had its time.
        let until = Instant::now() + Duration::from_millis(15);
        while sent < OFFERS && Instant::now() < until {
            sent += 1;
            match node.subscribe("live", offer.clone(), false) {
                Ok(_) => {}
                Err(error @ NodeError::Crowded(_)) => {
                    assert_eq!((error.status(), error.code()), (503, "busy"));
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
            assert!(node.subscribers() <= MOST + 10);
        }
        assert!(unused(&node) <= MOST);
        // Who comes in good faith gets in while the flood goes on: the oldest of the unused makes room.
        if late.is_none() && sent > OFFERS / 2 {
            late = refused_or_joined(&node);
        }
        if let Some(late) = &mut late {
            late.turn();
        }
        sent == OFFERS && late.as_ref().is_some_and(|late| late.viewer.meter.packets() > 50)
    });
    assert!(refused > 0, "all of {OFFERS} were taken");
    assert_eq!(watching.viewer.meter.missing(), 0);
    assert!(node.stats().iter().all(|worker| worker.faults == 0));
}

/// A viewer, if the node takes one more just now.
fn refused_or_joined(node: &Node) -> Option<UdpViewer> {
    let probe = Viewer::new(Instant::now(), &Identity::generate()?, 1, "127.0.0.1:9".parse().ok()?).1;
    let (session, _) = node.subscribe("live", probe, false).ok()?;
    node.close(&session).ok()?;
    Some(UdpViewer::join_from(node, "live", LOCALHOST))
}

#[test]
fn publishers_that_never_come_are_bounded_too() {
    let node = live(NodeConfig { workers: 1, max_unused: 20, unused_grace: Duration::MAX, ..NodeConfig::default() });
    let offer = include_str!("../../wire/tests/data/chromium_whip.sdp");
    let taken = (0..200).filter(|_| node.publish("other", offer.to_owned()).is_ok()).count();
    assert_eq!(taken, 20);
    assert!(matches!(node.publish("other", offer.to_owned()), Err(NodeError::Crowded(20))));
}

#[test]
fn floods_of_every_kind_are_not_answered_and_the_viewers_lose_nothing() {
    for workers in [1, 3] {
        let node = live(NodeConfig { workers, ..NodeConfig::default() });
        let mut watching = UdpViewer::join_from(&node, "live", LOCALHOST);
        let attackers: Vec<UdpSocket> = (2..10)
            .map(|host| {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let check = |count: u32| {
            let mut bytes = vec![0, 1, 0, 20, 0x21, 0x12, 0xA4, 0x42, 7, 7, 7, 7, 7, 7, 7, 7];
            bytes.extend(count.to_be_bytes());
            // Names of worker 0 that no session has.
            bytes.extend([0, 6, 0, 15]);
            bytes.extend(format!("AA{count:08x}:peer").bytes());
            bytes.push(0);
            bytes
        };
        let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1][..], &[0; 99]].concat();
        let media = [&[0x80, 96][..], &[9; 1_000]].concat();
        let mut count = 0;
        feed_until(|index| {
            inject(&node, "live", index + 1, 3_000);
            for socket in &attackers {
                for _ in 0..20 {
                    count += 1;
                    for bytes in [&check(count), &hello, &media, &vec![0xff; 64]] {
                        let _ = socket.send_to(bytes, node.local());
                    }
                }
                let mut buffer = [0; 64];
                assert!(socket.recv_from(&mut buffer).is_err(), "an attacker was answered");
            }
            watching.turn();
            watching.viewer.meter.packets() > 600
        });
        assert_eq!(watching.viewer.meter.missing(), 0);
        node.shutdown();
        let stats = node.stats();
        assert!(stats.iter().all(|worker| worker.faults == 0 && worker.overflows == 0));
        assert!(stats.iter().map(|worker| worker.unknown).sum::<u64>() > 1_000);
    }
}
