//! What one packet of a publisher costs until it lies in a burst for the workers, against opening it alone; in the first lap of
//! its transport-wide numbers, which are guarded, and after it. `cargo bench -p sfu --bench ingest` prints one line.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sfu::{Credentials, Entropy, Identity, Ingest, IngestSetup, Outbox, StreamPosition, WallClock};
use swarm::Peer;
use wire::srtp::{Opener, Profile, Sealer};

const OFFER: &str = include_str!("../../wire/tests/data/chromium_whip.sdp");
/// Of the offer: the picture's source, H.264's payload type, and the element of transport-wide numbers.
const PICTURE: u32 = 2_980_988_755;
const PAYLOAD_TYPE: u8 = 102;
const ELEMENT: u8 = 3;
const PACKETS: u32 = 60_000;
/// Packets of a frame; one comes each 200 us, 5,000 a second.
const FRAME: u32 = 25;
const APART: Duration = Duration::from_micros(200);
const PAYLOAD_BYTES: usize = 1_100;
/// Packets of which the time is taken together. The median of those is what counts: others use the machine too.
const BATCH: usize = 250;
/// Packets after which no transport-wide number can lie below zero.
const FIRST_LAP: usize = 1 << 15;

fn packet(number: u32) -> Vec<u8> {
    let (place, key) = (number % FRAME, (number / FRAME).is_multiple_of(50));
    let marker = if place == FRAME - 1 { 0x80 } else { 0 };
    let mut packet = vec![0x90, marker | PAYLOAD_TYPE];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number / FRAME * 450).to_be_bytes());
    packet.extend(PICTURE.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, ELEMENT << 4 | 1]);
    packet.extend((number as u16).to_be_bytes());
    packet.push(0);
    // FU-A (RFC 6184 5.8): start, middle, end
    let edge = if place == 0 { 0x80 } else { u8::from(place == FRAME - 1) << 6 };
    packet.extend([0x7c, edge | if key { 5 } else { 1 }]);
    packet.resize(packet.len() + PAYLOAD_BYTES, 0x5a);
    packet
}

/// Nanoseconds a packet, in the median batch.
fn each(batches: &[Duration]) -> f64 {
    let mut batches = batches.to_vec();
    batches.sort_unstable();
    batches[batches.len() / 2].as_nanos() as f64 / BATCH as f64
}

fn main() {
    let mut now = Instant::now();
    let (server, publisher): (SocketAddr, SocketAddr) =
        ("192.0.2.1:7900".parse().unwrap(), "10.0.0.1:4000".parse().unwrap());
    let mut entropy = Entropy::new([1; 32]);
    let setup = IngestSetup {
        identity: Identity::generate().expect("a certificate"),
        credentials: Credentials::new(0, &mut entropy),
        entropy,
        clock: WallClock::new(now, Duration::from_secs(1_800_000_000)),
        addresses: vec![server],
        resume: StreamPosition::default(),
    };
    let (mut peer, offer) = Peer::new(now, OFFER, publisher, server);
    let (mut ingest, answer) = Ingest::publish(now, setup, &offer).expect("an answer");
    peer.accept(now, &answer.sdp);
    let mut outbox = Outbox::default();
    while !peer.transport.connected() {
        now += Duration::from_millis(5);
        peer.drain(now).iter().for_each(|datagram| ingest.handle_datagram(now, sfu::Peer::udp(publisher), datagram));
        ingest.handle_timeout(now);
        ingest.poll(now, &mut outbox);
        outbox.iter().for_each(|(_, datagram)| peer.receive(now, datagram));
        outbox.clear();
    }
    let (mut spent, mut bursts) = (vec![Duration::ZERO; PACKETS as usize / BATCH], 0);
    for number in 0..PACKETS {
        now += APART;
        let mut datagram = packet(number);
        let (sealer, _) = peer.transport.keys().expect("connected");
        assert!(sealer.seal_rtp(&mut datagram, 0, 20, number.into()));
        let began = Instant::now();
        ingest.handle_datagram(now, sfu::Peer::udp(publisher), &datagram);
        if ingest.poll_timeout().is_some_and(|due| due <= now) {
            ingest.handle_timeout(now);
        }
        ingest.poll(now, &mut outbox);
        bursts += ingest.poll_burst().map_or(0, |burst| burst.len());
        spent[number as usize / BATCH] += began.elapsed();
        while ingest.poll_event().is_some() {}
        outbox.clear();
        // the peer's answers to checks
        if number % 5_000 == 0 {
            peer.drain(now)
                .iter()
                .for_each(|datagram| ingest.handle_datagram(now, sfu::Peer::udp(publisher), datagram));
        }
    }
    assert!(ingest.stats().packets > u64::from(PACKETS) * 9 / 10, "{:?}", ingest.stats());

    let sealer = Sealer::new(Profile::AeadAes256Gcm, &[7; 32], &[9; 12]).expect("keys");
    let mut opener = Opener::new(Profile::AeadAes256Gcm, &[7; 32], &[9; 12]).expect("keys");
    let mut alone = vec![Duration::ZERO; PACKETS as usize / BATCH];
    for number in 0..PACKETS {
        let mut datagram = packet(number);
        assert!(sealer.seal_rtp(&mut datagram, 0, 20, number.into()));
        let began = Instant::now();
        assert!(opener.open_rtp(&mut datagram).is_ok());
        alone[number as usize / BATCH] += began.elapsed();
    }
    let (first, then) = spent.split_at(FIRST_LAP / BATCH);
    let (first, then, alone) = (each(first), each(then), each(&alone));
    println!(
        "sfu.ingest: {then:.0} ns/packet of {PAYLOAD_BYTES} B, {first:.0} in the first lap, {bursts} packets out \
         (vs opening alone, {alone:.0} ns: {:.2})",
        then / alone
    );
}
