//! Header extensions of what a viewer gets: when each picture was captured, how long it may be held.
mod harness;

use std::time::{Duration, SystemTime};

use harness::{Setup, World, ms};
use netem::Conditions;
use sfu::{PlayoutDelay, SubscriberConfig};
use str0m::rtp::Extension;

fn extended(conditions: Conditions) -> World {
    let delay = PlayoutDelay { min: ms(20), max: ms(400) };
    World::new(Setup {
        seed: 21,
        conditions,
        config: SubscriberConfig { playout_delay: Some(delay), ..SubscriberConfig::default() },
        extensions: vec![(12, Extension::AbsoluteCaptureTime), (5, Extension::PlayoutDelay)],
        ..Setup::default()
    })
}

fn near() -> Conditions {
    Conditions { delay: ms(5), ..Conditions::default() }
}

/// The wall clock of the source's first picture.
fn zero(world: &World) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(world.clock.ntp(world.start - ms(1300)).unix_ms())
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).or(other.duration_since(one)).unwrap()
}

#[test]
fn each_picture_says_when_it_was_captured() {
    let mut world = extended(near());
    world.run(ms(2000));
    let zero = zero(&world);
    let pictures = world.viewer.pictures();
    let last = pictures.last().unwrap();
    for seen in &pictures {
        let captured = seen.captured.expect("every frame has it");
        // capture times and RTP times lie on one line, those of the cached GOP too
        let by_time = Duration::from_secs_f64((last.ticks - seen.ticks) as f64 / 90_000.0);
        assert!(apart(captured + by_time, last.captured.unwrap()) < ms(1), "picture {}", seen.number);
    }
    let live: Vec<_> = pictures.iter().filter(|seen| seen.at > world.start + ms(500)).collect();
    assert!(live.len() > 30);
    for seen in live {
        assert!(apart(seen.captured.unwrap(), zero + ms(40) * seen.number) < ms(2), "picture {}", seen.number);
    }
    assert!(world.viewer.seen.iter().filter(|seen| !seen.video).all(|seen| seen.captured.is_some()), "sound too");
}

#[test]
fn the_playout_delay_is_sent_with_pictures_only() {
    let mut world = extended(near());
    world.run(ms(500));
    assert!(world.viewer.pictures().iter().all(|seen| seen.playout_delay == Some((ms(20), ms(400)))));
    assert!(world.viewer.seen.iter().filter(|seen| !seen.video).all(|seen| seen.playout_delay.is_none()));
}

#[test]
fn who_does_not_offer_them_gets_none() {
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    assert!(!world.viewer.seen.is_empty());
    assert!(world.viewer.seen.iter().all(|seen| seen.captured.is_none() && seen.playout_delay.is_none()));
    assert!(world.sent.iter().all(|(_, bytes)| *bytes <= 1200));
}

#[test]
fn repairs_carry_them_too() {
    let mut world = extended(Conditions::lossy(0.05, ms(20)));
    world.run(ms(4000));
    assert!(world.subscriber.stats(world.now).video.retransmitted > 20);
    let zero = zero(&world);
    let live: Vec<_> = world.viewer.pictures().into_iter().filter(|seen| seen.at > world.start + ms(1000)).collect();
    assert!(live.len() > 50);
    for seen in live {
        let captured = seen.captured.expect("the first packet of a frame has it, repaired or not");
        assert!(apart(captured, zero + ms(40) * seen.number) < ms(2), "picture {}", seen.number);
    }
}
