//! Serves one made-up stream with objects of the sizes that the benchmark names, until standard input closes.
//! Prints `port N`. For load measurements: `wrk http://127.0.0.1:N/hls/bench/v0/index.m3u8`.

use std::io::Read;

use bytes::Bytes;
use edge::{Config, Edge, Grid, Put};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |n| n.parse())?;
    let edge = Edge::start(&Config { threads, ..Config::default() })?;
    edge.open("bench", Grid { part_target_ms: 320, target_duration_s: 2 });
    let bytes = |length: usize| -> Bytes { (0..length).map(|n| (n * 7919 >> 3) as u8).collect::<Vec<_>>().into() };
    edge.put_index("bench", "index.m3u8", Bytes::from("#".repeat(700)))?;
    let names: Vec<_> = (0..6).map(|part| format!("1000.{part}.m4s")).collect();
    let mut media: Vec<_> = names.iter().map(|name| (name.clone(), bytes(364_000 / 6))).collect();
    media.push(("part.m4s".into(), bytes(34_000)));
    edge.put(
        "bench",
        Put {
            rendition: "v0".into(),
            msn: 1000,
            part: 5,
            live: Bytes::from("#".repeat(3300)),
            plain: Some(Bytes::from("#".repeat(1500))),
            joined: vec![("1000.m4s".into(), names)],
            media,
            hint: Some("1001.0.m4s".into()),
            ..Put::default()
        },
    )?;
    println!("port {}", edge.port());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    eprintln!("{:?}", edge.stats());
    Ok(())
}
