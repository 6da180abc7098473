//! A viewer's life: joining, seeing the first picture at once, loss and its repair, silence and the end.
mod harness;

use std::time::Duration;

use harness::{Setup, World, ms};
use netem::Conditions;
use sfu::{CloseReason, SubscriberConfig, SubscriberEvent};

/// Picture numbers rise by one from the first to the last.
fn assert_unbroken(world: &World) {
    let numbers: Vec<u32> = world.viewer.pictures().iter().map(|seen| seen.number).collect();
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "a picture is missing: {numbers:?}");
    }
}

#[test]
fn first_picture_comes_before_the_next_key_frame() {
    let mut world = World::new(Setup::default());
    assert!(world.run_until(ms(400), |world| !world.viewer.pictures().is_empty()), "{:?}", world.events);
    let connected = world.event(|event| *event == SubscriberEvent::Connected).unwrap();
    let first = world.viewer.pictures()[0].clone();
    assert!(first.key && first.number == 0);
    assert!(first.at - connected < ms(30), "{:?} after the keys", first.at - connected);
    // live: the newest picture is shown within 100 ms of the keys (33 pictures in the cache)
    assert!(world.run_until(ms(100), |world| {
        world.viewer.pictures().last().is_some_and(|seen| u64::from(seen.number) + 2 >= world.source.tick / 2)
    }));
    world.run(ms(3000));
    assert_unbroken(&world);
    assert!(world.viewer.pictures().len() > 75);
    assert_eq!(world.event(|event| matches!(event, SubscriberEvent::KeyFrameWanted { .. })), None);
}

#[test]
fn burst_times_lie_on_the_live_line() {
    let mut world = World::new(Setup::default());
    world.run(ms(2000));
    let pictures = world.viewer.pictures();
    let reference = pictures.last().unwrap();
    for seen in &pictures {
        // arrival against timestamp: one straight line, within a slot or two
        let by_clock = (reference.at - seen.at).as_secs_f64() * 90_000.0;
        let by_time = (reference.ticks - seen.ticks) as f64;
        assert!((by_clock - by_time).abs() < 0.012 * 90_000.0, "picture {}: {by_clock} against {by_time}", seen.number);
    }
    assert!(pictures.windows(2).all(|pair| pair[0].ticks < pair[1].ticks), "times must rise");
    assert!(pictures[0].reported, "sender reports come before the first picture");
}

#[test]
fn a_backlog_is_paced() {
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    for (at, _) in &world.sent {
        let together = world.sent.iter().filter(|(other, _)| other == at).count();
        assert!(together <= 16 + 3, "{together} datagrams at once");
    }
}

#[test]
fn lossy_and_distant_viewers_connect() {
    for seed in 0..20 {
        let conditions = Conditions { loss: 0.15, delay: ms(150), ..Conditions::default() };
        let mut world = World::new(Setup { seed, conditions, ..Setup::default() });
        assert!(
            world.run_until(ms(60_000), |world| !world.viewer.pictures().is_empty()),
            "seed {seed}: {:?}",
            world.events
        );
    }
}

#[test]
fn loss_is_repaired() {
    for (percent, seed) in [(1, 11), (5, 12), (10, 13), (20, 14)] {
        let conditions = Conditions::lossy(f64::from(percent) / 100.0, ms(20));
        let mut world = World::new(Setup { seed, conditions, ..Setup::default() });
        // a picture that is given up by the client is asked for anew, as a browser does
        for _ in 0..60 {
            let before = world.viewer.pictures().len();
            world.run(ms(200));
            if world.viewer.connected && world.viewer.pictures().len() == before {
                world.viewer.request_key_frame();
            }
        }
        let stats = world.subscriber.stats(world.now);
        let pictures = world.viewer.pictures().len();
        assert!(stats.video.retransmitted > 0 && stats.video.nacks > 0, "{percent} %: {stats:?}");
        assert!(pictures > 270, "{percent} %: {pictures} pictures in 12 s, {stats:?}");
        let longest = world.viewer.pictures().windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
        let most = if percent <= 5 { ms(400) } else { ms(1500) };
        assert!(longest < most, "{percent} %: {longest:?} without a picture");
    }
}

#[test]
fn reordering_jitter_and_doubles_do_no_harm() {
    let conditions = Conditions {
        delay: ms(20),
        jitter: ms(15),
        reorder: 0.05,
        reorder_by: ms(8),
        duplicate: 0.05,
        ..Conditions::default()
    };
    let mut world = World::new(Setup { seed: 5, conditions, ..Setup::default() });
    world.run(ms(5000));
    assert_unbroken(&world);
    assert!(world.viewer.pictures().len() > 120);
}

#[test]
fn audio_only_and_video_only() {
    for (video, audio) in [(false, true), (true, false)] {
        let mut world = World::new(Setup { video, audio, ..Setup::default() });
        world.run(ms(2000));
        let pictures = world.viewer.pictures().len();
        let sounds = world.viewer.seen.len() - pictures;
        assert_eq!((pictures > 45, sounds > 85), (video, audio), "{pictures} pictures, {sounds} sounds");
    }
}

#[test]
fn audio_is_live_while_the_burst_leaves() {
    let mut world = World::new(Setup::default());
    world.run(ms(1000));
    let sounds: Vec<_> = world.viewer.seen.iter().filter(|seen| !seen.video).collect();
    assert!(sounds.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(sounds.windows(2).all(|pair| pair[1].at - pair[0].at < ms(25)), "audio must not wait for the burst");
}

#[test]
fn sound_may_leave_before_its_pictures() {
    for loss in [0.0, 0.05] {
        let conditions = Conditions::lossy(loss, ms(5));
        let mut world = World::new(Setup { pictures_after: Some(ms(12)), conditions, ..Setup::default() });
        world.run(ms(6000));
        let pictures = world.viewer.pictures();
        let sounds: Vec<_> = world.viewer.seen.iter().filter(|seen| !seen.video).collect();
        assert!(pictures.len() > 130 && sounds.len() > 270, "{} pictures, {} sounds", pictures.len(), sounds.len());
        if loss == 0.0 {
            assert_unbroken(&world);
            assert!(sounds.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
            assert!(sounds.windows(2).all(|pair| pair[1].at - pair[0].at < ms(22)), "sound must not wait");
            let after = |picture: &harness::Seen| sounds.iter().any(|sound| picture.at == sound.at + ms(12));
            let (late, all) = (pictures[50..].iter().filter(|picture| after(picture)).count(), pictures.len() - 50);
            assert!(late * 10 > all * 9, "{late} of {all} pictures came after their sound");
        }
    }
}

#[test]
fn a_pli_is_answered_from_the_cache() {
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    let (tick, replays) = (world.source.tick, world.subscriber.stats(world.now).replays);
    world.viewer.request_key_frame();
    world.run(ms(100));
    assert!(world.source.tick - tick < 10 && !world.source.key_wanted);
    assert_eq!(world.subscriber.stats(world.now).replays, replays + 1);
    // at most every 300 ms
    for _ in 0..10 {
        world.viewer.request_key_frame();
        world.run(ms(10));
    }
    assert_eq!(world.subscriber.stats(world.now).replays, replays + 1);
    world.run(ms(1000));
    let pictures = world.viewer.pictures();
    assert!(u64::from(pictures.last().unwrap().number) + 3 >= world.source.tick / 2, "it is live again");
    assert!(pictures.windows(2).all(|pair| pair[0].ticks < pair[1].ticks), "times must rise over a replay");
}

#[test]
fn a_lost_first_packet_costs_little_more_than_the_viewers_patience() {
    let mut world = World::new(Setup::default());
    let connected = |world: &World| world.event(|event| *event == SubscriberEvent::Connected).is_some();
    assert!(world.run_until(ms(100), connected));
    // nothing of the burst arrives; 200 ms later the viewer asks
    world.down.change(Conditions::lossy(1.0, ms(1)));
    world.run(ms(60));
    world.down.change(Conditions::lossy(0.0, ms(1)));
    world.run(ms(140));
    world.viewer.request_key_frame();
    world.run(ms(60));
    assert_eq!(world.subscriber.stats(world.now).replays, 2, "the start does not count as an answer");
    world.viewer.request_key_frame();
    world.run(ms(60));
    assert_eq!(world.subscriber.stats(world.now).replays, 2);
}

#[test]
fn an_empty_cache_asks_for_a_key_frame() {
    let mut world = World::new(Setup { warm_up: Duration::ZERO, ..Setup::default() });
    world.source.tick = 11; // no key frame in sight for 1.5 s
    world.source.gop = 1000;
    assert!(world.run_until(ms(500), |world| !world.viewer.pictures().is_empty()), "{:?}", world.events);
    assert!(world.event(|event| matches!(event, SubscriberEvent::KeyFrameWanted { .. })).is_some());
}

#[test]
fn a_long_backlog_shows_a_still_until_the_key_frame_comes() {
    // 8 s of GOP: 200 frames of decoding would take 400 ms
    let mut world = World::new(Setup { gop: 500, warm_up: ms(8000), ..Setup::default() });
    world.run(ms(600));
    let pictures = world.viewer.pictures();
    assert_eq!(pictures[0].number, 0);
    let second_key = pictures.iter().find(|seen| seen.key && seen.number > 0).expect("a fresh key frame");
    assert!(second_key.at - pictures[0].at < ms(150));
    assert!(pictures.len() < 30, "{} pictures: the backlog was sent", pictures.len());
}

#[test]
fn silence_closes_the_session() {
    let config = SubscriberConfig { consent_timeout: ms(5000), ..SubscriberConfig::default() };
    let mut world = World::new(Setup { config, ..Setup::default() });
    world.run(ms(1000));
    world.viewer_alive = false;
    world.run(ms(4000));
    assert_eq!(world.event(|event| matches!(event, SubscriberEvent::Closed(_))), None);
    world.run(ms(2000));
    assert!(world.event(|event| *event == SubscriberEvent::Closed(CloseReason::ConsentExpired)).is_some());
    let sent = world.sent.len();
    world.run(ms(1000));
    assert_eq!(world.sent.len(), sent, "nothing leaves a closed session");
}

#[test]
fn a_living_viewer_stays() {
    let config = SubscriberConfig { consent_timeout: ms(10_000), ..SubscriberConfig::default() };
    let mut world = World::new(Setup { config, audio: true, video: false, ..Setup::default() });
    world.run(ms(60_000));
    assert_eq!(world.event(|event| matches!(event, SubscriberEvent::Closed(_))), None);
    assert!(world.subscriber.stats(world.now).rtt_ms.is_some());
    // keeping the path alive costs little: checks and reports, not more than two datagrams a second
    let small = world.sent.iter().filter(|(_, bytes)| !(140..180).contains(bytes)).count();
    assert!(small < 150, "{small} datagrams that are no audio in 60 s");
}

#[test]
fn an_answer_that_nobody_uses_is_forgotten() {
    let mut world = World::new(Setup::default());
    world.viewer_alive = false;
    world.run(ms(31_000));
    assert!(world.event(|event| *event == SubscriberEvent::Closed(CloseReason::NeverConnected)).is_some());
}

#[test]
fn closing_says_goodbye() {
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    let now = world.now;
    world.subscriber.close(now, &mut world.outbox);
    world.run(ms(100));
    assert!(world.event(|event| *event == SubscriberEvent::Closed(CloseReason::Local)).is_some());
    assert!(world.viewer.closed, "the client heard close_notify");
}

#[test]
fn a_client_that_leaves_ends_the_session() {
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    world.viewer.rtc.close().unwrap();
    world.run(ms(500));
    assert!(world.event(|event| *event == SubscriberEvent::Closed(CloseReason::PeerClosed)).is_some());
}

#[test]
fn a_two_second_outage_is_survived() {
    let mut world = World::new(Setup { conditions: Conditions::lossy(0.0, ms(20)), ..Setup::default() });
    world.run(ms(1500));
    let dead = Conditions::lossy(1.0, ms(20));
    world.down.change(dead.clone());
    world.up.change(dead);
    world.run(ms(2000));
    let before = world.viewer.pictures().len();
    world.down.change(Conditions::lossy(0.0, ms(20)));
    world.up.change(Conditions::lossy(0.0, ms(20)));
    world.run(ms(300));
    if world.viewer.pictures().len() == before {
        world.viewer.request_key_frame();
    }
    world.run(ms(3000));
    assert!(world.viewer.pictures().len() > before + 50, "the picture comes back");
    assert_eq!(world.event(|event| matches!(event, SubscriberEvent::Closed(_))), None);
}
