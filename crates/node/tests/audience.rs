//! An audience that is too large for its pictures to leave in one go: sound overtakes them, and everybody gets everything.

mod harness;

use std::sync::Arc;

use harness::{feed_until, inject, start};
use node::Node;
use sfu::StreamDescription;
use swarm::{Swarm, ViewerId};

const STREAM: &str = "hall";
/// Eleven packets a picture and 42 a key frame: more than 1,000 for everybody together.
const PICTURE_BYTES: usize = 12_000;
const VIEWERS: usize = 100;
/// Turns of 10 ms between two pictures.
const PACE: u32 = 4;
const PICTURES: u32 = 50;

fn join(node: &Node, swarm: &Swarm) -> (ViewerId, Arc<str>) {
    let (viewer, offer) = swarm.offer().unwrap();
    let (session, answer) = node.subscribe(STREAM, offer, false).unwrap();
    swarm.accept(viewer, &answer.sdp).unwrap();
    (viewer, session)
}

#[test]
fn sound_goes_first_and_nobody_is_passed_over() {
    let node = start(1);
    node.open(STREAM, StreamDescription::h264_opus(true, true)).unwrap();
    let swarm = Swarm::new().unwrap();
    let mut joined: Vec<_> = Vec::new();
    let mut restarted = None;
    feed_until(|turn| {
        if turn.is_multiple_of(PACE) {
            inject(&node, STREAM, turn / PACE, PICTURE_BYTES);
        }
        if restarted.is_none() && joined.len() < VIEWERS {
            joined.extend((0..6).map(|_| join(&node, &swarm)));
        } else if restarted.is_none() && swarm.reports().iter().all(|report| report.first_key_frame_ns.is_some()) {
            // from here on: some leave in the middle of laps, the others miss nothing
            swarm.restart();
            restarted = Some(turn);
        } else if restarted.is_some() && turn.is_multiple_of(5) && joined.len() > VIEWERS / 2 {
            let (viewer, session) = joined.remove(turn as usize % joined.len());
            swarm.remove(viewer);
            assert!(node.close(&session).unwrap());
        }
        restarted.is_some_and(|at| turn > at + PACE * PICTURES)
    });
    let staying = |report: &swarm::ViewerReport| joined.iter().any(|(viewer, _)| *viewer == report.id);
    let mut reports = Vec::new();
    feed_until(|_| {
        // each picture, of eleven packets at least, and each sound
        reports = swarm.reports().into_iter().filter(staying).collect();
        reports.iter().all(|report: &swarm::ViewerReport| report.packets >= u64::from(PICTURES) * 12)
    });
    assert_eq!(reports.len(), joined.len());
    assert_eq!(reports.iter().map(|report| report.missing).sum::<u64>(), 0);
    feed_until(|_| {
        let figures = &node.stats()[0];
        figures.sound.count > 0 && figures.forward.count > figures.sound.count / 2 && figures.faults == 0
    });
    node.shutdown();
}

#[test]
fn of_many_sessions_each_is_in_the_figures_soon_after_the_last_has_come() {
    const MANY: usize = 150;
    let node = start(1);
    node.open(STREAM, StreamDescription::h264_opus(true, true)).unwrap();
    inject(&node, STREAM, 0, PICTURE_BYTES);
    let swarm = Swarm::new().unwrap();
    let joined: Vec<_> = (0..MANY).map(|_| join(&node, &swarm)).collect();
    let listed = || node.stats()[0].sessions.len();
    feed_until(|_| listed() == MANY);
    // after the last of these nothing else makes the worker look again
    for (viewer, session) in &joined[..MANY / 3] {
        swarm.remove(*viewer);
        assert!(node.close(session).unwrap());
    }
    feed_until(|_| listed() == MANY - MANY / 3);
    assert_eq!(node.stats()[0].subscribers, MANY - MANY / 3);
}
