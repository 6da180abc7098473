//! Attackers who know more than strangers do: a session's name, what it has sent, or its address. Over real sockets.
mod harness;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use harness::{UdpViewer, feed_until, inject};
use node::{Node, NodeConfig};
use sfu::{DatagramKind, StreamDescription, SubscriberConfig};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn live(subscriber: SubscriberConfig) -> Node {
    let node = Node::start(NodeConfig { host: LOCALHOST, workers: 2, subscriber, ..NodeConfig::default() }).unwrap();
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    node
}

fn rejected(node: &Node) -> u64 {
    node.stats().iter().flat_map(|worker| worker.sessions.iter()).map(|session| session.subscriber.rejected).sum()
}

fn is_dtls(datagram: &[u8]) -> bool {
    DatagramKind::of(datagram) == DatagramKind::Dtls
}

#[test]
fn replays_and_forgeries_from_a_viewers_own_address_cost_it_nothing() {
    let node = live(SubscriberConfig::default());
    let mut viewer = UdpViewer::join_from(&node, "live", LOCALHOST);
    let mut sent: Vec<Vec<u8>> = Vec::new();
    feed_until(|index| {
        inject(&node, "live", index + 1, 3_000);
        viewer.turn_with(
            |datagram| {
                sent.push(datagram.to_vec());
                true
            },
            |_| {},
        );
        let reports = sent.iter().filter(|datagram| DatagramKind::of(datagram) == DatagramKind::Srtp).count();
        reports >= 2 && viewer.viewer.meter.packets() > 100
    });
    // All that it ever sent but its checks, whose answers are owed: its handshake, its reports; as it was, and damaged. And media.
    let seen: Vec<Vec<u8>> =
        sent.iter().filter(|datagram| DatagramKind::of(datagram) != DatagramKind::Stun).cloned().collect();
    let (mut bytes_in, mut bytes_out, mut rounds) = (0, 0, 0_u8);
    let before = viewer.viewer.meter.packets();
    feed_until(|_| {
        rounds = rounds.wrapping_add(1);
        inject(&node, "live", 1_000 + u32::from(rounds), 3_000);
        for datagram in &seen {
            let mut forged = datagram.clone();
            let at = usize::from(rounds) % forged.len();
            forged[at] ^= 1 << (rounds % 8);
            let media = [&[0x80, 96, 0, rounds][..], &[rounds; 600]].concat();
            for bytes in [datagram, &forged, &media] {
                bytes_in += if is_dtls(bytes) { bytes.len() } else { 0 };
                viewer.send_raw(&node, bytes);
            }
        }
        viewer.turn_with(|_| true, |datagram| bytes_out += if is_dtls(datagram) { datagram.len() } else { 0 });
        rejected(&node) > 300 && viewer.viewer.meter.packets() > before + 300
    });
    assert_eq!(viewer.viewer.meter.missing(), 0);
    assert!(!viewer.viewer.failed() && bytes_out <= bytes_in, "{bytes_out} bytes of DTLS for {bytes_in}");
    node.shutdown();
    assert!(node.stats().iter().all(|worker| worker.faults == 0));
}

#[test]
fn forged_checks_under_a_viewers_name_and_hellos_behind_them_are_not_answered() {
    let node = live(SubscriberConfig::default());
    let mut viewer = UdpViewer::join_from(&node, "live", LOCALHOST);
    // What a viewer sends first: a check whose key a stranger cannot know, and a ClientHello.
    let (mut check, mut hello): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    feed_until(|index| {
        inject(&node, "live", index + 1, 3_000);
        viewer.turn_with(
            |datagram| {
                let first = if is_dtls(datagram) { &mut hello } else { &mut check };
                first.get_or_insert_with(|| datagram.to_vec());
                true
            },
            |_| {},
        );
        viewer.viewer.meter.packets() > 50
    });
    let (mut check, hello) = (check.unwrap(), hello.unwrap());
    let genuine = check[19];
    let strangers: Vec<UdpSocket> = (2..12)
        .map(|host| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let before = viewer.viewer.meter.packets();
    feed_until(|index| {
        inject(&node, "live", 1_000 + index, 3_000);
        for stranger in &strangers {
            for _ in 0..10 {
                // Another transaction each time, over which its integrity was not made.
                check[19] = genuine ^ (1 + (check[19] ^ genuine) % 255);
                for bytes in [&check, &hello] {
                    let _ = stranger.send_to(bytes, node.local());
                }
            }
            assert!(stranger.recv_from(&mut [0; 64]).is_err(), "a stranger was answered");
        }
        viewer.turn();
        rejected(&node) > 500 && viewer.viewer.meter.packets() > before + 300
    });
    assert_eq!(viewer.viewer.meter.missing(), 0);
}

#[test]
fn half_open_sessions_end_by_themselves_and_nobody_waits_for_them() {
    const PEERS: usize = 40;
    let connect_timeout = Duration::from_secs(2);
    let node = live(SubscriberConfig { connect_timeout, ..SubscriberConfig::default() });
    let mut watching = UdpViewer::join_from(&node, "live", LOCALHOST);
    // Their checks are genuine; half of them never begin the handshake, the others begin it for ever and never go on.
    let mut halves: Vec<(UdpViewer, Option<Vec<u8>>)> =
        (0..PEERS).map(|_| (UdpViewer::join_from(&node, "live", LOCALHOST), None)).collect();
    let mut most = 0;
    feed_until(|index| {
        inject(&node, "live", index + 1, 3_000);
        for (number, (half, hello)) in halves.iter_mut().enumerate() {
            half.turn_with(
                |datagram| {
                    if is_dtls(datagram) {
                        hello.get_or_insert_with(|| datagram.to_vec());
                    }
                    !is_dtls(datagram)
                },
                |_| {},
            );
            if let Some(hello) = hello.as_ref().filter(|_| number % 2 == 0) {
                half.send_raw(&node, hello);
            }
        }
        watching.turn();
        most = most.max(node.subscribers());
        most > PEERS && node.subscribers() == 1 && watching.viewer.meter.packets() > 300
    });
    assert_eq!(watching.viewer.meter.missing(), 0);
    assert!(halves.iter().all(|(half, _)| half.viewer.meter.packets() == 0));
    node.shutdown();
    assert!(node.stats().iter().all(|worker| worker.faults == 0));
}
