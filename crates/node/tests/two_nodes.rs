//! Two nodes over real sockets: one pulls from the other, and what was injected comes out of its tap.

mod harness;

use std::time::Instant;

use harness::{DEADLINE, feed_until, frame, inject, start};
use node::{Event, Node, NodeError};
use sfu::{AccessUnit, Kind, StreamDescription};

fn wait_for(node: &Node, what: &str, mut wanted: impl FnMut(&Event) -> bool) {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        if node.drain_events().iter().any(&mut wanted) {
            return;
        }
        wait_readable(node.events().fd());
    }
    panic!("{what}: not within {DEADLINE:?}");
}

fn wait_readable(fd: i32) {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut poll, 1, 100) };
}

fn pull(upstream: &Node, downstream: &Node, stream: &str) -> String {
    let (session, offer) = downstream.pull(stream, Vec::new()).unwrap();
    let (_, answer) = upstream.subscribe(stream, offer.sdp, true).unwrap();
    downstream.accept(&session, answer.sdp).unwrap();
    session.to_string()
}

#[test]
fn what_is_injected_upstream_comes_out_of_the_tap_downstream() {
    for workers in [1, 3] {
        let (upstream, downstream) = (start(workers), start(workers));
        upstream.open("far", StreamDescription::h264_opus(true, true)).unwrap();
        let inject = |index: u32| {
            let key = index.is_multiple_of(50);
            let data = frame(key, index, if key { 20_000 } else { 3_000 });
            upstream.inject("far", Kind::Video, data, index * 900, key).unwrap();
            upstream.inject("far", Kind::Audio, vec![index as u8; 80], index * 480, false).unwrap();
        };
        inject(0);
        let session = pull(&upstream, &downstream, "far");
        let mut next = 1;
        let mut tap = None;
        let mut units: Vec<AccessUnit> = Vec::new();
        feed_until(|_| {
            inject(next);
            next += 1;
            if tap.is_none() {
                tap = downstream.tap("far").ok();
            }
            units.extend(tap.iter().flat_map(|tap| tap.drain()));
            units.iter().filter(|unit| unit.kind == Kind::Video).count() >= 100
        });
        let video: Vec<&AccessUnit> = units.iter().filter(|unit| unit.kind == Kind::Video).collect();
        assert!(video[0].key_frame, "a tap begins with a key frame");
        assert!(units.iter().all(|unit| !unit.lost_before));
        assert!(video.is_sorted_by_key(|unit| unit.time.ticks));
        // What was cached before the join came squeezed onto the live line; the rest has its true times.
        for pair in video[20..].windows(2) {
            assert_eq!(pair[1].time.ticks - pair[0].time.ticks, 900, "no frame is missing");
        }
        let first = video.iter().position(|unit| unit.key_frame).unwrap();
        assert_eq!(video[first].data.len(), frame(true, 0, 20_000).len());
        assert!(units.iter().filter(|unit| unit.kind == Kind::Audio).all(|unit| unit.data.len() == 80));

        assert!(downstream.close(&session).unwrap());
        wait_for(&upstream, "the upstream hears of the end", |event| matches!(event, Event::SessionClosed { .. }));
        assert_eq!(upstream.subscribers(), 0);
        for node in [&upstream, &downstream] {
            node.shutdown();
            assert!(node.stats().iter().all(|worker| worker.faults == 0 && worker.overflows == 0));
        }
    }
}

#[test]
fn another_upstream_goes_on_where_the_first_one_stopped() {
    let (first, second, downstream) = (start(1), start(1), start(1));
    for node in [&first, &second] {
        node.open("far", StreamDescription::h264_opus(true, false)).unwrap();
    }
    let inject = |node: &Node, index: u32| {
        let key = index.is_multiple_of(20);
        node.inject("far", Kind::Video, frame(key, index, 2_000), index * 900, key).unwrap();
    };
    inject(&first, 0);
    let session = pull(&first, &downstream, "far");
    let mut tap = None;
    let mut times: Vec<u64> = Vec::new();
    let read = |tap: &mut Option<_>, times: &mut Vec<u64>| {
        if tap.is_none() {
            *tap = downstream.tap("far").ok();
        }
        times.extend(
            tap.iter().flat_map(|tap: &std::sync::Arc<node::TapQueue>| tap.drain()).map(|unit| unit.time.ticks),
        );
        times.len()
    };
    feed_until(|index| {
        inject(&first, index + 1);
        read(&mut tap, &mut times) >= 30
    });
    first.shutdown();
    drop(first);
    inject(&second, 0);
    let before = times.len();
    pull(&second, &downstream, "far");
    feed_until(|index| {
        inject(&second, index + 1);
        read(&mut tap, &mut times) >= before + 30
    });
    assert!(times.is_sorted(), "time goes on over the change");
    wait_for(
        &downstream,
        "the session of the first is over",
        |event| matches!(event, Event::SessionClosed { session: closed, .. } if *closed == session),
    );
}

/// Names of the layers of a stream's picture, by the figures of whoever holds it.
fn layer_names(node: &Node, stream: &str) -> Vec<String> {
    let workers = node.stats();
    let streams = workers.iter().flat_map(|worker| &worker.streams);
    streams.filter(|one| &*one.name == stream).map(|one| one.layer_names.clone()).next().unwrap_or_default()
}

#[test]
fn layers_have_the_same_names_however_many_nodes_they_came_through() {
    let (origin, relay, edge) = (start(1), start(1), start(1));
    let mut description = StreamDescription::h264_opus(true, true);
    description.video.as_mut().unwrap().layers = vec!["high".into(), "mid-1".into(), "low".into()];
    origin.open("far", description.clone()).unwrap();
    inject(&origin, "far", 0, 2_000);
    pull(&origin, &relay, "far");
    let mut pulled = false;
    feed_until(|index| {
        inject(&origin, "far", index + 1, 2_000);
        if !pulled && relay.tap("far").is_ok() {
            pull(&relay, &edge, "far");
            pulled = true;
        }
        pulled && [&origin, &relay, &edge].iter().all(|node| layer_names(node, "far") == ["high", "mid-1", "low"])
    });
}

#[test]
fn calls_for_what_is_not_there_are_refused() {
    let node = start(2);
    assert!(matches!(node.subscribe("none", "v=0\r\n".into(), false), Err(NodeError::StreamUnknown(_))));
    assert!(matches!(node.tap("none"), Err(NodeError::StreamUnknown(_))));
    assert!(matches!(node.end("none"), Err(NodeError::StreamUnknown(_))));
    assert!(matches!(node.trickle("000abc", "a=candidate:1".into()), Err(NodeError::SessionUnknown(_))));
    assert!(matches!(node.trickle("fffabc", "a=candidate:1".into()), Err(NodeError::SessionUnknown(_))));
    assert!(!node.close("\u{fc}\u{fc}").unwrap());
    assert_eq!(node.subscribers(), 0, "a refused subscriber takes no place");
    node.shutdown();
    assert!(matches!(node.tap("none"), Err(NodeError::Down)));
}

#[test]
fn many_streams_come_from_one_upstream_at_once() {
    const STREAMS: usize = 6;
    for workers in [1, 3] {
        let (upstream, downstream) = (start(workers), start(workers));
        let names: Vec<String> = (0..STREAMS).map(|index| format!("far{index}")).collect();
        let inject = |index: u32| {
            for (which, name) in names.iter().enumerate() {
                let key = index.is_multiple_of(50);
                let data = frame(key, index, 500 + 100 * which);
                upstream.inject(name, Kind::Video, data, index * 900, key).unwrap();
            }
        };
        for name in &names {
            upstream.open(name, StreamDescription::h264_opus(true, false)).unwrap();
        }
        inject(0);
        for name in &names {
            pull(&upstream, &downstream, name);
        }
        let mut taps: Vec<Option<std::sync::Arc<node::TapQueue>>> = vec![None; STREAMS];
        let mut sizes: Vec<Vec<usize>> = vec![Vec::new(); STREAMS];
        feed_until(|index| {
            inject(index + 1);
            for which in 0..STREAMS {
                if taps[which].is_none() {
                    taps[which] = downstream.tap(&names[which]).ok();
                }
                let units = taps[which].iter().flat_map(|tap| tap.drain());
                sizes[which].extend(units.filter(|unit| !unit.key_frame).map(|unit| unit.data.len()));
            }
            sizes.iter().all(|sizes| sizes.len() >= 30)
        });
        for (which, sizes) in sizes.iter().enumerate() {
            let expected = frame(false, 0, 500 + 100 * which).len();
            assert!(sizes.iter().all(|size| *size == expected), "stream {which} is its own");
        }
    }
}
