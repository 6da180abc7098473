//! One stream to many viewers of the swarm, all in this process: what a worker spends on it, by its own clock.
//!
//! `cargo run --release -p node --example fan_out -- [viewers] [workers] [gso|sendmmsg|sendto] [seconds]`
//!
//! The stream is that of bench/sfu.py: 25 pictures/s at 1.5 Mbit/s with a key frame each 2 s, 50 audio packets/s.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::stats::{Histogram, WorkerStats};
use node::train::Rung;
use node::{Node, NodeConfig};
use sfu::{Kind, StreamDescription};
use swarm::Swarm;

const STREAM: &str = "bench";
const KEY_FRAME_BYTES: usize = 40_000;
const FRAME_BYTES: usize = 6_700;
const GOP: u32 = 50;

fn argument<T: FromStr>(index: usize, default: T) -> T {
    std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// An Annex-B access unit of about `bytes` bytes.
fn frame(key: bool, bytes: usize, seed: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 64);
    if key {
        out.extend([0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    }
    out.extend([0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
    out.extend((0..bytes).map(|at| (at as u8 ^ seed) | 1));
    out
}

fn feed(node: &Node, stop: &AtomicBool) {
    let began = Instant::now();
    for tick in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if tick.is_multiple_of(2) {
            let key = (tick / 2).is_multiple_of(GOP);
            let unit = frame(key, if key { KEY_FRAME_BYTES } else { FRAME_BYTES }, tick as u8);
            node.inject(STREAM, Kind::Video, unit, tick / 2 * 3600, key).expect("the worker takes it");
        }
        let mut stamped = b"AVCT".to_vec();
        stamped.extend(swarm::monotonic_ns().to_be_bytes());
        stamped.resize(100, 0);
        node.inject(STREAM, Kind::Audio, stamped, tick * 960, false).expect("the worker takes it");
        let due = began + Duration::from_millis(20) * (tick + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn main() {
    let (viewers, workers) = (argument(1, 300_usize), argument(2, 1_usize));
    let (send, seconds) = (argument(3, Rung::Gso), argument(4, 5_u64));
    let host = "127.0.0.1".parse().expect("an address");
    let node = Node::start(NodeConfig { host, workers, send, ..NodeConfig::default() }).expect("the node starts");
    let node = Arc::new(node);
    node.open(STREAM, StreamDescription::h264_opus(true, true)).expect("the stream opens");
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = std::thread::spawn({
        let (node, stop) = (Arc::clone(&node), Arc::clone(&stop));
        move || feed(&node, &stop)
    });
    std::thread::sleep(Duration::from_millis(500));

    let swarms: Vec<Swarm> = (0..viewers.div_ceil(200)).map(|_| Swarm::new().expect("a swarm")).collect();
    let before = Figures::now(&node);
    for index in 0..viewers {
        let swarm = &swarms[index % swarms.len()];
        let (viewer, offer) = swarm.offer().expect("an offer");
        let (_, answer) = node.subscribe(STREAM, offer, false).expect("an answer");
        swarm.accept(viewer, &answer.sdp).expect("the answer is good");
        std::thread::sleep(Duration::from_millis(4));
    }
    std::thread::sleep(Duration::from_secs(2));
    let joined = Figures::now(&node);

    swarms.iter().for_each(Swarm::restart);
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    let end = Figures::now(&node);
    let took = began.elapsed().as_secs_f64();
    let reports: Vec<_> = swarms.iter().flat_map(Swarm::reports).collect();
    stop.store(true, Ordering::Relaxed);
    feeder.join().expect("the feeder ends");

    let (used, sent) = (end.cpu_s - joined.cpu_s, end.packets - joined.packets);
    let per_packet = used / sent as f64;
    let joins = joined.cpu_s - before.cpu_s - (joined.packets - before.packets) as f64 * per_packet;
    let ms = |histogram: &Histogram, share| histogram.quantile(share).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    println!(
        "{viewers} viewers, {workers} workers, {}: {:.0} packets per CPU-second ({:.2} us each), {:.0} packets/s, load {:.3}",
        send.name(),
        1.0 / per_packet,
        per_packet * 1e6,
        sent as f64 / took,
        used / took,
    );
    println!(
        "  connected {}, received {}, missing {}; sent after p50 {:.2} p95 {:.2} p99 {:.2} ms (sound alone: {:.2} {:.2} {:.2}); {:.2} ms of CPU a join; trains {:?}",
        reports.iter().filter(|report| report.connected).count(),
        reports.iter().map(|report| report.packets).sum::<u64>(),
        reports.iter().map(|report| report.missing).sum::<u64>(),
        ms(&end.forward, 0.5),
        ms(&end.forward, 0.95),
        ms(&end.forward, 0.99),
        ms(&end.sound, 0.5),
        ms(&end.sound, 0.95),
        ms(&end.sound, 0.99),
        joins.max(0.0) / viewers as f64 * 1e3,
        end.trains,
    );
    node.shutdown();
}

/// Figures of all workers together.
struct Figures {
    cpu_s: f64,
    packets: u64,
    trains: [u64; 6],
    forward: Histogram,
    sound: Histogram,
}

impl Figures {
    /// Snapshots are as old as 200 ms: waits for fresh ones.
    fn now(node: &Node) -> Figures {
        std::thread::sleep(Duration::from_millis(250));
        let workers: Vec<Arc<WorkerStats>> = node.stats();
        let (mut forward, mut sound) = (Histogram::default(), Histogram::default());
        let mut trains = [0; 6];
        for worker in &workers {
            forward.merge(&worker.forward);
            sound.merge(&worker.sound);
            for (sum, count) in trains.iter_mut().zip(worker.send.trains) {
                *sum += count;
            }
        }
        Figures {
            cpu_s: workers.iter().map(|worker| worker.cpu.as_secs_f64()).sum(),
            packets: workers.iter().map(|worker| worker.send.datagrams).sum(),
            trains,
            forward,
            sound,
        }
    }
}
