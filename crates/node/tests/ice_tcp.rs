//! ICE-TCP over real sockets: viewers and publishers without UDP, slow ones, and those who come to the gate with something else.
mod harness;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use harness::{Frames, TcpViewer, closed_by_peer, feed_until, frame, inject, send_frame, start};
use node::{Event, Node, NodeConfig};
use sfu::{AccessUnit, Kind, StreamDescription};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

#[test]
fn a_viewer_without_udp_gets_every_packet_from_any_worker() {
    for workers in [1, 3] {
        let node = start(workers);
        node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
        inject(&node, "live", 0, 3_000);
        let mut viewers: Vec<TcpViewer> = (0..workers).map(|_| TcpViewer::join(&node, "live")).collect();
        feed_until(|index| {
            inject(&node, "live", index + 1, 3_000);
            viewers.iter_mut().for_each(TcpViewer::turn);
            viewers.iter().all(|one| one.viewer.meter.packets() > 400)
        });
        for one in &viewers {
            assert!(one.viewer.meter.first_key_frame_ns().is_some());
            assert_eq!(one.viewer.meter.missing(), 0);
            assert!(!one.viewer.failed() && one.open);
        }
        assert_eq!(node.gate().accepted, workers as u64);
        // The end of a session is the end of its connection.
        for one in &mut viewers {
            assert!(node.close(&one.session).unwrap());
            assert!(closed_by_peer(&mut one.stream));
        }
        node.shutdown();
        let stats = node.stats();
        assert!(stats.iter().all(|worker| worker.faults == 0 && worker.connections.dropped == 0));
        assert_eq!((node.gate().open, node.gate().waiting), (0, 0));
    }
}

#[test]
fn a_slow_viewer_skips_to_a_key_frame_and_the_others_notice_nothing() {
    let node = start(1);
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 8_000);
    let (mut slow, mut swift) = (TcpViewer::join(&node, "live"), TcpViewer::join(&node, "live"));
    let mut index = 0;
    let mut injected = 0_u64;
    let mut next = |bytes: usize| {
        index += 1;
        injected += bytes as u64;
        inject(&node, "live", index, bytes);
        injected
    };
    feed_until(|_| {
        next(8_000);
        slow.turn();
        swift.turn();
        slow.viewer.meter.packets() > 50 && swift.viewer.meter.packets() > 50
    });
    let before = slow.viewer.meter.bytes();
    let injected_before = next(8_000);
    // It stops reading, until its connection has been full for 6 MB.
    let mut full_at = None;
    feed_until(|_| {
        let mut now = 0;
        for _ in 0..4 {
            now = next(8_000);
        }
        swift.turn();
        let full = node.stats()[0].connections.full > 0;
        full_at = full_at.or(full.then_some(now));
        full_at.is_some_and(|at| now > at + 6_000_000)
    });
    let injected_then = next(8_000);
    let goal = slow.viewer.meter.packets() + 2_000;
    feed_until(|_| {
        next(8_000);
        slow.turn();
        swift.turn();
        slow.viewer.meter.packets() > goal
    });
    let skipped = (injected_then - injected_before).saturating_sub(slow.viewer.meter.bytes() - before);
    assert!(skipped > 2_000_000, "it got the past instead of the present: only {skipped} bytes were left out");
    assert_eq!(slow.viewer.meter.missing(), 0, "what is left out leaves no gap in the numbers");
    assert_eq!(swift.viewer.meter.missing(), 0);
    node.shutdown();
    let stats = &node.stats()[0];
    assert_eq!((stats.connections.dropped, stats.faults), (0, 0));
}

/// A publisher (str0m) on a TCP connection.
struct TcpPublisher {
    rtc: Rtc,
    stream: TcpStream,
    frames: Frames,
    next: Instant,
    connected: bool,
}

impl TcpPublisher {
    fn turn(&mut self, local: SocketAddr, remote: SocketAddr) {
        let rtc = &mut self.rtc;
        let mut inputs: Vec<Vec<u8>> = Vec::new();
        assert!(self.frames.read(&mut self.stream, |datagram| inputs.push(datagram.to_vec())));
        for datagram in &inputs {
            let receive = Receive::new(Protocol::Tcp, remote, local, datagram).unwrap();
            rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
        }
        let now = Instant::now();
        if now >= self.next {
            rtc.handle_input(Input::Timeout(now)).unwrap();
        }
        loop {
            match rtc.poll_output().unwrap() {
                Output::Timeout(due) => break self.next = due,
                Output::Transmit(transmit) => {
                    assert_eq!(transmit.proto, Protocol::Tcp);
                    send_frame(&mut self.stream, &transmit.contents).unwrap();
                }
                Output::Event(event) => self.connected |= matches!(event, str0m::Event::Connected),
            }
        }
    }
}

#[test]
fn a_publisher_without_udp_brings_its_stream() {
    let node = start(2);
    let remote = node.local();
    let stream = TcpStream::connect(remote).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    let local = stream.local_addr().unwrap();
    let now = Instant::now();
    let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).build(now);
    rtc.add_local_candidate(Candidate::host(local, "tcp").unwrap());
    let mut api = rtc.sdp_api();
    let mid = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = api.apply().unwrap();
    let (_, answer) = node.publish("camera", offer.to_sdp_string()).unwrap();
    // As on a network without UDP: that candidate does not arrive.
    let answer: String =
        answer.sdp.lines().filter(|line| !line.contains(" udp ")).map(|line| format!("{line}\r\n")).collect();
    rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
    let mut publisher = TcpPublisher { rtc, stream, frames: Frames::default(), next: now, connected: false };
    let (mut tap, mut units): (_, Vec<AccessUnit>) = (None, Vec::new());
    feed_until(|index| {
        publisher.turn(local, remote);
        if publisher.connected {
            let writer = publisher.rtc.writer(mid).unwrap();
            let pt = writer.payload_params().next().unwrap().pt();
            let time = MediaTime::new(u64::from(index) * 900, Frequency::new(90_000).unwrap());
            writer.write(pt, Instant::now(), time, frame(index.is_multiple_of(20), index, 5_000)).unwrap();
            publisher.turn(local, remote);
        }
        if tap.is_none() {
            tap = node.tap("camera").ok();
        }
        units.extend(tap.iter().flat_map(|tap| tap.drain()));
        units.len() >= 50
    });
    assert!(units[0].key_frame);
    assert!(units.iter().all(|unit| unit.kind == Kind::Video && !unit.lost_before));
    assert_eq!(node.gate().open, 1);
}

fn impatient(patience: Duration) -> Node {
    let host: IpAddr = "127.0.0.1".parse().unwrap();
    Node::start(NodeConfig { host, workers: 2, connection_patience: patience, ..NodeConfig::default() }).unwrap()
}

/// A binding request for `username`, unsigned.
fn check(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut bytes = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xA4, 0x42];
    bytes.extend_from_slice(&[7; 12]);
    bytes.extend_from_slice(&[0, 6, 0, username.len() as u8]);
    bytes.extend_from_slice(username.as_bytes());
    bytes.resize(20 + 4 + padded, 0);
    bytes
}

#[test]
fn who_says_nothing_or_nonsense_is_sent_away() {
    let node = impatient(Duration::from_millis(200));
    let connect = || TcpStream::connect(node.local()).unwrap();
    let mut silent = connect();
    assert!(closed_by_peer(&mut silent), "silence");
    let mut half = connect();
    std::io::Write::write_all(&mut half, &[0, 100, 0]).unwrap();
    assert!(closed_by_peer(&mut half), "half a frame");
    let browser = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let garbage: [&[u8]; 3] = [browser, &[0xff; 64], &[0, 0, 0, 0]];
    for bytes in garbage {
        let mut stream = connect();
        std::io::Write::write_all(&mut stream, bytes).unwrap();
        assert!(closed_by_peer(&mut stream), "{bytes:?}");
    }
    // AA names worker 0, AB worker 1, zz none; no session is called that.
    for username in ["AAabcdefgh:peer", "ABabcdefgh:peer", "zzabcdefgh:peer", "x:peer"] {
        let mut stream = connect();
        send_frame(&mut stream, &check(username)).unwrap();
        assert!(closed_by_peer(&mut stream), "{username}");
    }
    node.shutdown();
    assert_eq!((node.gate().open, node.gate().waiting), (0, 0));
    assert!(node.stats().iter().all(|worker| worker.faults == 0 && worker.connections.open == 0));
}

#[test]
fn a_check_under_a_known_name_with_a_wrong_key_does_not_keep_its_connection() {
    let node = impatient(Duration::from_millis(200));
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    let mut viewer = TcpViewer::join(&node, "live");
    feed_until(|index| {
        inject(&node, "live", index + 1, 3_000);
        viewer.turn();
        viewer.viewer.meter.packets() > 20
    });
    // The name is all that somebody on the way could have read.
    let offer = swarm::Viewer::over_tcp(
        Instant::now(),
        &swarm::Identity::generate().unwrap(),
        2,
        viewer.stream.local_addr().unwrap(),
    )
    .1;
    let (_, answer) = node.subscribe("live", offer, false).unwrap();
    let ufrag = swarm::Remote::parse(&answer.sdp).unwrap().ufrag;
    let mut thief = TcpStream::connect(node.local()).unwrap();
    send_frame(&mut thief, &check(&format!("{ufrag}:peer"))).unwrap();
    assert!(closed_by_peer(&mut thief));
    let packets = viewer.viewer.meter.packets();
    feed_until(|index| {
        inject(&node, "live", 1_000 + index, 3_000);
        viewer.turn();
        viewer.viewer.meter.packets() > packets + 100
    });
    assert!(viewer.open);
}

#[test]
fn a_flood_of_silent_connections_keeps_nobody_out() {
    let node = impatient(Duration::from_secs(60));
    node.open("live", StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, "live", 0, 3_000);
    // One address may not have more than its share waiting.
    let mut held: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(node.local()).unwrap()).collect();
    let mut one_more = TcpStream::connect(node.local()).unwrap();
    assert!(closed_by_peer(&mut one_more));
    // Many addresses together may fill the gate; then the oldest make room.
    for host in 2..=9 {
        for _ in 0..64 {
            held.push(connect_from(IpAddr::from([127, 0, 0, host]), node.local()));
        }
    }
    held.drain(..64).for_each(|mut oldest| assert!(closed_by_peer(&mut oldest)));
    let mut viewer = TcpViewer::join(&node, "live");
    feed_until(|index| {
        inject(&node, "live", index + 1, 3_000);
        viewer.turn();
        viewer.viewer.meter.packets() > 100
    });
    assert!(node.gate().waiting <= 512);
    assert!(!node.drain_events().iter().any(|event| matches!(event, Event::SessionClosed { .. })));
    node.shutdown();
    assert_eq!(node.gate().open, 0);
}

/// A connection from a loopback address of our choice.
fn connect_from(host: IpAddr, to: SocketAddr) -> TcpStream {
    use std::os::fd::FromRawFd;
    let (IpAddr::V4(host), SocketAddr::V4(to)) = (host, to) else { panic!("IPv4 only") };
    let name = |ip: std::net::Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
        sin_zero: [0; 8],
    };
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let (own, other) = (name(host, 0), name(*to.ip(), to.port()));
    // SAFETY: plain system calls on values that live for the calls; the descriptor is owned by the stream.
    unsafe {
        let raw = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(raw >= 0);
        let stream = TcpStream::from_raw_fd(raw);
        assert_eq!(libc::bind(raw, (&raw const own).cast(), length), 0);
        assert_eq!(libc::connect(raw, (&raw const other).cast(), length), 0);
        stream
    }
}
