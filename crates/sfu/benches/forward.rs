//! What one packet costs one subscriber before the kernel takes it: rewriting, sealing, bookkeeping.
//! `cargo bench -p sfu` prints one line per figure.
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::sync::Arc;
use std::time::Instant;

use harness::{Source, Viewer, clock, ms, subscriber_setup};
use sfu::{Identity, Outbox, Packet, Peer, StreamCache, StreamDescription, Subscriber, SubscriberConfig};
use wire::srtp::{Profile, Sealer};

const SUBSCRIBERS: usize = 100;
const TICKS: usize = 500;

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let start = Instant::now();
    let description = StreamDescription::h264_opus(true, true);
    let mut source = Source::new(start, clock(start), description.clone());
    let mut cache = StreamCache::new(description);
    let identity = Identity::generate().expect("a certificate");
    let mut outbox = Outbox::with_capacity(1 << 20);
    let (mut subscribers, mut viewers) = (Vec::new(), Vec::new());
    let (mut handshake_ns, mut now) = (0u128, start);
    for number in 0..SUBSCRIBERS {
        let address = format!("10.0.{}.{}:4000", number / 200, number % 200 + 1).parse().expect("an address");
        let (mut viewer, offer) = Viewer::new(now, address, true, true);
        let mut setup = subscriber_setup(number as u8, start, SubscriberConfig::default());
        setup.identity = identity.clone();
        let began = Instant::now();
        let (mut subscriber, answer) = Subscriber::answer(now, setup, &offer, &cache).expect("an answer");
        handshake_ns += began.elapsed().as_nanos();
        viewer.accept(&answer.sdp);
        while !viewer.connected {
            now += ms(1);
            let sent = viewer.drain(now);
            let began = Instant::now();
            for mut datagram in sent {
                subscriber.handle_datagram(now, Peer::udp(address), &mut datagram, &cache, &mut outbox);
            }
            subscriber.handle_timeout(now, &cache, &mut outbox);
            handshake_ns += began.elapsed().as_nanos();
            for (_, datagram) in outbox.iter() {
                viewer.receive(now, datagram);
                viewer.drain(now);
            }
            outbox.clear();
        }
        subscribers.push(subscriber);
        viewers.push(viewer);
    }
    println!("sfu.join: {:.2} ms of CPU (answer, ICE, DTLS; goal 1.5)", handshake_ns as f64 / SUBSCRIBERS as f64 / 1e6);
    drop(viewers);

    let ticks: Vec<Vec<Arc<Packet>>> = (0..TICKS).map(|tick| source.produce(start + ms(20 * tick as u64))).collect();
    let (mut packets, mut bytes, mut trains, mut spent) = (0u64, 0u64, 0u64, 0u128);
    for burst in &ticks {
        now += ms(20);
        let late = cache.push(burst);
        let began = Instant::now();
        for group in subscribers.chunks_mut(16) {
            for subscriber in group.iter_mut() {
                subscriber.forward(now, &late, &cache, &mut outbox);
            }
            packets += outbox.sealed().len() as u64;
            bytes += outbox.bytes().len() as u64;
            trains += outbox.trains(64, 65_000).count() as u64;
            outbox.clear();
        }
        // the rest of key frames, a slot each
        for slot in 1..=4 {
            let at = now + ms(slot);
            for subscriber in subscribers.iter_mut().filter(|s| s.poll_timeout().is_some_and(|due| due <= at)) {
                subscriber.handle_timeout(at, &cache, &mut outbox);
            }
            packets += outbox.sealed().len() as u64;
            bytes += outbox.bytes().len() as u64;
            outbox.clear();
        }
        spent += began.elapsed().as_nanos();
    }
    let each = spent as f64 / packets as f64;

    // the same bytes through the cipher alone
    let sealer = Sealer::new(Profile::AeadAes256Gcm, &[7; 32], &[9; 12]).expect("keys");
    let payload = vec![0x5a; (bytes / packets) as usize - 16 - 20];
    let (mut buffer, rounds) = (Vec::with_capacity(2048), 200_000u64);
    let began = Instant::now();
    for sequence in 0..rounds {
        buffer.clear();
        buffer.extend_from_slice(&[0x90; 20]);
        buffer.extend_from_slice(&payload);
        assert!(sealer.seal_rtp(&mut buffer, 0, 20, sequence));
    }
    let cipher = began.elapsed().as_nanos() as f64 / rounds as f64;
    println!(
        "sfu.forward: {each:.0} ns/packet of {} B (vs copying and sealing alone: {:.2})",
        bytes / packets,
        each / cipher
    );
    println!("sfu.train: {:.1} packets (live bursts)", packets as f64 / trains as f64);

    let before = resident();
    let (_, offer) = Viewer::new(now, "10.1.0.1:4000".parse().expect("an address"), true, true);
    let idle: Vec<Subscriber> = (0..1000)
        .map(|number| {
            let mut setup = subscriber_setup(number as u8, start, SubscriberConfig::default());
            setup.identity = identity.clone();
            Subscriber::answer(now, setup, &offer, &cache).expect("an answer").0
        })
        .collect();
    let each = resident().saturating_sub(before) / idle.len() as u64;
    println!("sfu.memory: {:.1} kB per subscriber that has not connected yet", each as f64 / 1000.0);
}
