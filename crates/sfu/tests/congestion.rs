//! Narrow, lossy and restless paths: which layer a viewer gets, how long its picture stands still, and that sound goes on.
mod harness;

use std::time::{Duration, Instant};

use harness::{Setup, World, ms};
use netem::Conditions;
use sfu::{Layer, LayerWish, SubscriberEvent};

/// Layer 0 takes 1.4 Mbit/s, layer 1 480 kbit/s, layer 2 130 kbit/s.
const LADDER: [usize; 2] = [2_250, 560];

/// A bottleneck with 150 ms of queue.
fn narrow(rate_bps: u64) -> Conditions {
    Conditions {
        delay: ms(20),
        rate_bps: Some(rate_bps),
        queue_bytes: (rate_bps * 150 / 8000) as usize,
        ..Conditions::default()
    }
}

fn simulcast(conditions: Conditions) -> World {
    let mut world = World::new(Setup {
        conditions: Conditions { delay: ms(20), ..Conditions::default() },
        ladder: LADDER.to_vec(),
        ..Setup::default()
    });
    // the start's burst is another story (viewer.rs)
    world.run(ms(1_500));
    world.down.change(conditions);
    world
}

/// As a browser: a picture that does not come is asked for.
fn watch(world: &mut World, span: Duration) {
    let end = world.now + span;
    while world.now < end {
        let before = world.viewer.pictures().len();
        world.run(ms(250));
        if world.viewer.connected && world.viewer.pictures().len() == before {
            world.viewer.request_key_frame();
        }
    }
}

/// Layers in the order of time; `None` is sound alone.
fn changes(world: &World) -> Vec<(Duration, Option<Layer>)> {
    let change = |(at, event): &(Instant, SubscriberEvent)| match event {
        SubscriberEvent::LayerChanged { layer } => Some((*at - world.start, *layer)),
        _ => None,
    };
    // the first one is the start
    world.events.iter().filter_map(change).skip(1).collect()
}

/// The longest span without a picture between two moments.
fn freeze(world: &World, from: Instant, to: Instant) -> Duration {
    let mut times = vec![from];
    times.extend(world.viewer.pictures().iter().map(|seen| seen.at).filter(|at| (from..to).contains(at)));
    times.push(to);
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
}

/// Share of the audio packets of a span that arrived, and the longest gap between two.
fn sound(world: &World, from: Instant, to: Instant) -> (f64, Duration) {
    let times: Vec<Instant> = world
        .viewer
        .seen
        .iter()
        .filter(|seen| !seen.video && (from..to).contains(&seen.at))
        .map(|seen| seen.at)
        .collect();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(to - from);
    (times.len() as f64 / ((to - from).as_secs_f64() * 50.0), gap)
}

fn layer(world: &World) -> Option<Layer> {
    world.subscriber.stats(world.now).layer
}

#[test]
fn a_path_that_narrows_and_widens_is_followed() {
    let mut world = simulcast(narrow(2_000_000));
    watch(&mut world, ms(8_000));
    assert_eq!((layer(&world), changes(&world)), (Some(Layer(0)), vec![]), "2 Mbit/s carry the best layer");
    let narrowed = world.now;
    world.down.change(narrow(300_000));
    watch(&mut world, ms(20_000));
    assert_eq!(layer(&world), Some(Layer(2)), "{:?}", changes(&world));
    let still = freeze(&world, narrowed, world.now);
    assert!(still < ms(2_500), "{still:?} without a picture: {:?}", changes(&world));
    let (share, gap) = sound(&world, narrowed + ms(2_500), world.now);
    assert!(share > 0.94 && gap < ms(800), "sound: {share} came, longest gap {gap:?}, {:?}", changes(&world));
    let widened = world.now;
    world.down.change(narrow(2_000_000));
    watch(&mut world, ms(30_000));
    assert_eq!(layer(&world), Some(Layer(0)), "{:?}", changes(&world));
    let recovered = changes(&world).iter().rev().find(|(_, to)| *to == Some(Layer(0))).unwrap().0;
    assert!(recovered < widened - world.start + ms(27_000), "{:?}", changes(&world));
    let still = freeze(&world, widened, world.now);
    assert!(still < ms(600), "{still:?} without a picture on the way up: {:?}", changes(&world));
}

#[test]
fn sound_goes_on_alone_where_no_layer_fits_and_video_comes_back() {
    let mut world = simulcast(narrow(2_000_000));
    watch(&mut world, ms(5_000));
    let narrowed = world.now;
    world.down.change(narrow(110_000));
    watch(&mut world, ms(20_000));
    assert!(changes(&world).iter().any(|(_, to)| to.is_none()), "{:?}", changes(&world));
    let (share, gap) = sound(&world, narrowed + ms(8_000), world.now);
    assert!(share > 0.90 && gap < ms(1_000), "sound: {share} came, longest gap {gap:?}, {:?}", changes(&world));
    world.down.change(narrow(2_000_000));
    let widened = world.now;
    watch(&mut world, ms(40_000));
    assert_eq!(layer(&world), Some(Layer(0)), "{:?}", changes(&world));
    let first = changes(&world).iter().find(|(at, to)| *at > widened - world.start && to.is_some()).unwrap().0;
    assert!(first < widened - world.start + ms(20_000), "{:?}", changes(&world));
}

#[test]
fn a_single_layer_is_given_up_only_when_nothing_of_it_can_be_seen() {
    let single = |conditions: Conditions| {
        let mut world = World::new(Setup { conditions: narrow(5_000_000), ..Setup::default() });
        watch(&mut world, ms(3_000));
        world.down.change(conditions);
        watch(&mut world, ms(20_000));
        world
    };
    assert_eq!(changes(&single(Conditions::lossy(0.2, ms(20)))), vec![], "the picture suffers, but it is there");
    assert_eq!(changes(&single(narrow(1_700_000))), vec![], "it just fits");
    let mut world = single(narrow(300_000));
    assert_eq!(layer(&world), None, "{:?}", changes(&world));
    let (share, _) = sound(&world, world.now - ms(14_000), world.now - ms(4_000));
    assert!(share > 0.95, "sound alone: {share}");
    let (share, _) = sound(&world, world.now - ms(12_000), world.now);
    assert!(share > 0.8, "a probe costs some: {share}");
    world.down.change(narrow(5_000_000));
    watch(&mut world, ms(30_000));
    assert_eq!(layer(&world), Some(Layer(0)), "{:?}", changes(&world));
    assert!(freeze(&world, world.now - ms(2_000), world.now) < ms(200));
}

#[test]
fn loss_of_the_path_is_not_taken_for_congestion() {
    for (percent, seed) in [(1, 1), (5, 2), (10, 3), (20, 4)] {
        let mut world = World::new(Setup {
            seed,
            conditions: Conditions::lossy(0.0, ms(20)),
            ladder: LADDER.to_vec(),
            ..Setup::default()
        });
        // how a handshake fares is another story (viewer.rs)
        world.run(ms(1_000));
        world.down.change(Conditions::lossy(f64::from(percent) / 100.0, ms(20)));
        world.up.change(Conditions::lossy(f64::from(percent) / 100.0, ms(20)));
        watch(&mut world, ms(60_000));
        let changes = changes(&world);
        assert!(changes.iter().all(|(_, to)| to.is_some()), "{percent} %: {changes:?}");
        // time spent in the best layer
        let mut best = ms(0);
        let mut at = (ms(0), Some(Layer(0)));
        for change in changes.iter().copied().chain([(world.now - world.start, None)]) {
            best += if at.1 == Some(Layer(0)) { change.0 - at.0 } else { ms(0) };
            at = change;
        }
        let least = if percent <= 5 { ms(55_000) } else { ms(30_000) };
        assert!(best >= least, "{percent} %: {best:?} of 60 s in the best layer: {changes:?}");
        let still = freeze(&world, world.start + ms(2_000), world.now);
        assert!(still < if percent <= 5 { ms(500) } else { ms(6_000) }, "{percent} %: {still:?}, {changes:?}");
        let shown = world.viewer.pictures().len() as f64 / (60.0 * 25.0);
        assert!(shown > if percent <= 5 { 0.98 } else { 0.85 }, "{percent} %: {shown} of the pictures");
        let (share, _) = sound(&world, world.start + ms(2_000), world.now);
        assert!(share > 0.97 - f64::from(percent) / 100.0, "{percent} %: sound {share}");
    }
}

#[test]
fn jitter_reordering_and_doubles_change_no_layer() {
    let conditions = Conditions {
        delay: ms(40),
        jitter: ms(100),
        reorder: 0.05,
        reorder_by: ms(30),
        duplicate: 0.05,
        ..Conditions::default()
    };
    let mut world = World::new(Setup { seed: 9, conditions, ladder: LADDER.to_vec(), ..Setup::default() });
    watch(&mut world, ms(30_000));
    assert_eq!(changes(&world), vec![]);
    let still = freeze(&world, world.start + ms(2_000), world.now);
    assert!(still < ms(400), "{still:?}");
}

#[test]
fn an_outage_of_two_seconds_is_no_congestion() {
    let mut world = simulcast(narrow(2_000_000));
    watch(&mut world, ms(5_000));
    let dead = Conditions::lossy(1.0, ms(20));
    world.down.change(dead.clone());
    world.up.change(dead);
    watch(&mut world, ms(2_000));
    let back = world.now;
    world.down.change(narrow(2_000_000));
    world.up.change(Conditions::lossy(0.0, ms(20)));
    watch(&mut world, ms(6_000));
    let picture = world.viewer.pictures().iter().map(|seen| seen.at).find(|at| *at > back).unwrap();
    assert!(picture - back < ms(900), "{:?} until a picture", picture - back);
    assert!(freeze(&world, picture, world.now) < ms(800));
    assert!(changes(&world).iter().all(|(_, to)| to.is_some()), "{:?}", changes(&world));
    let (share, _) = sound(&world, back, world.now);
    assert!(share > 0.9, "sound: {share}");
}

#[test]
fn the_wish_of_the_viewer_caps_the_choice() {
    let mut world = simulcast(narrow(5_000_000));
    watch(&mut world, ms(3_000));
    world.subscriber.set_wish(world.now, LayerWish::Most(Layer(1)), &world.cache, &mut world.outbox);
    let asked = world.now;
    watch(&mut world, ms(10_000));
    assert_eq!(changes(&world).len(), 1);
    let (at, to) = changes(&world)[0];
    assert!(to == Some(Layer(1)) && world.start + at - asked < ms(200), "{:?}", changes(&world));
    assert!(freeze(&world, asked, world.now) < ms(200), "a switch is not seen");
    let last = world.viewer.pictures().last().map(|seen| seen.bytes).unwrap();
    assert!(last < 4 * LADDER[0] + 100 && last > LADDER[1], "{last} bytes");
    world.subscriber.set_wish(world.now, LayerWish::Auto, &world.cache, &mut world.outbox);
    let asked = world.now;
    watch(&mut world, ms(8_000));
    assert_eq!(layer(&world), Some(Layer(0)), "{:?}", changes(&world));
    assert!(world.start + changes(&world)[1].0 - asked < ms(7_000), "{:?}", changes(&world));
}

#[test]
fn switches_break_neither_numbers_nor_times() {
    let mut world = simulcast(narrow(5_000_000));
    watch(&mut world, ms(2_000));
    let (began, nacks) = (world.now, world.subscriber.stats(world.now).video.nacks);
    for round in 0..20 {
        let wish = LayerWish::Most(Layer(round % 3));
        world.subscriber.set_wish(world.now, wish, &world.cache, &mut world.outbox);
        world.run(ms(700));
    }
    let pictures: Vec<_> = world.viewer.pictures().into_iter().filter(|seen| seen.at > began).collect();
    assert!(pictures.windows(2).all(|pair| pair[0].ticks < pair[1].ticks), "times rise");
    assert!(pictures.iter().skip(1).all(|seen| seen.contiguous), "no gap in the numbers");
    assert!(changes(&world).len() >= 18, "{:?}", changes(&world));
    assert_eq!(world.subscriber.stats(world.now).video.nacks, nacks);
}
