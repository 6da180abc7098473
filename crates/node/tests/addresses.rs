//! One port for IPv6 and IPv4, and which addresses answers name.
mod harness;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use harness::{TcpViewer, UdpViewer, feed_until, inject};
use node::{Node, NodeConfig, NodeError};
use sfu::StreamDescription;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A kernel without IPv6 has nothing for these tests to try.
fn has_ipv6() -> bool {
    UdpSocket::bind((V6, 0)).is_ok()
}

fn dual(workers: usize, public_addresses: &[IpAddr]) -> Node {
    let host = Ipv6Addr::UNSPECIFIED.into();
    Node::start(NodeConfig { host, workers, public_addresses: public_addresses.into(), ..NodeConfig::default() })
        .unwrap()
}

#[test]
fn one_port_serves_ipv6_and_ipv4_over_udp_and_tcp() {
    if !has_ipv6() {
        return;
    }
    for workers in [1, 3] {
        let node = dual(workers, &[V6, V4]);
        node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
        inject(&node, "live", 0, 3_000);
        let mut udp = [V4, V6].map(|ip| UdpViewer::join_from(&node, "live", ip));
        let mut tcp = [V4, V6].map(|ip| TcpViewer::join_at(&node, "live", ip));
        feed_until(|index| {
            inject(&node, "live", index + 1, 3_000);
            udp.iter_mut().for_each(UdpViewer::turn);
            tcp.iter_mut().for_each(TcpViewer::turn);
            let mut meters = udp.iter().map(|one| &one.viewer.meter).chain(tcp.iter().map(|one| &one.viewer.meter));
            meters.all(|meter| meter.packets() > 300)
        });
        for meter in udp.iter().map(|one| &one.viewer.meter).chain(tcp.iter().map(|one| &one.viewer.meter)) {
            assert_eq!(meter.missing(), 0);
        }
        node.shutdown();
        assert!(node.stats().iter().all(|worker| worker.faults == 0 && worker.send.errors == 0));
    }
}

#[test]
fn answers_name_every_address_that_was_given_in_its_order() {
    if !has_ipv6() {
        return;
    }
    let given: Vec<IpAddr> = ["203.0.113.7", "2001:db8::7", "198.51.100.7"].map(|text| text.parse().unwrap()).into();
    let node = dual(1, &given);
    node.open("live", StreamDescription::h264_opus(true, false)).unwrap();
    inject_video(&node);
    let answer = swarm_answer(&node);
    let named: Vec<(String, IpAddr)> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .map(|words| (words[2].to_owned(), words[4].parse().unwrap()))
        .collect();
    let wanted: Vec<(String, IpAddr)> =
        ["udp", "tcp"].iter().flat_map(|way| given.iter().map(|ip| ((*way).to_owned(), *ip))).collect();
    assert_eq!(named[..wanted.len()], wanted);
}

fn inject_video(node: &Node) {
    node.inject("live", sfu::Kind::Video, harness::frame(true, 0, 2_000), 0, true).unwrap();
}

fn swarm_answer(node: &Node) -> String {
    let identity = swarm::Identity::generate().unwrap();
    let (_, offer) = swarm::Viewer::new(std::time::Instant::now(), &identity, 1, "127.0.0.1:9".parse().unwrap());
    node.subscribe("live", offer, false).unwrap().1.sdp
}

#[test]
fn an_ipv6_address_on_a_host_of_ipv4_is_refused_at_the_start() {
    let refused = Node::start(NodeConfig { host: V4, workers: 1, public_addresses: vec![V6], ..NodeConfig::default() });
    assert!(matches!(refused.err(), Some(NodeError::Config(why)) if why.contains("::1")));
}
