//! Data channels of a viewer: opened by it, told on, within limits, and never the media's trouble.
mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use harness::{Setup, World, ms};
use netem::Conditions;
use sfu::{DataClose, DataEvent, DataLimits, DataSent, SubscriberConfig};
use str0m::channel::{ChannelConfig, Reliability};

/// Counts what the subscriber allocates and frees while the harness watches.
struct Counting;

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // a thread that is going away counts nothing
    let _ = WATCHING.try_with(|watching| {
        if watching.get() {
            HELD.with(|held| held.set(held.get() + bytes));
        }
    });
}

// SAFETY: hands every call on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that a subscriber holds after five seconds, its value included.
fn held(channels: Vec<ChannelConfig>) -> i64 {
    HELD.with(|held| held.set(0));
    let wanted = channels.len();
    let mut world = World::new(Setup { channels, watch: |on| WATCHING.with(|w| w.set(on)), ..Setup::default() });
    world.run(ms(5000));
    assert_eq!(world.viewer.open.len(), wanted);
    HELD.with(Cell::get) + size_of_val(&world.subscriber) as i64
}

#[test]
fn a_viewer_without_channels_pays_for_a_pointer() {
    let (none, one, three) =
        (held(vec![]), held(vec![ordered("events")]), held(["events", "captions", "chat"].map(ordered).to_vec()));
    println!("a subscriber holds {none} bytes, with one channel {one}, with three {three}");
    assert!(one - none > 500, "the count is no count: {none}, {one}");
    assert!(one - none < 8_000, "a channel costs {} bytes", one - none);
    assert!(three - one < 4_000, "two more cost {} bytes", three - one);
}

fn ordered(label: &str) -> ChannelConfig {
    ChannelConfig { label: label.into(), ..ChannelConfig::default() }
}

fn unordered(label: &str, retransmits: u16) -> ChannelConfig {
    let reliability = Reliability::MaxRetransmits { retransmits };
    ChannelConfig { label: label.into(), ordered: false, reliability, ..ChannelConfig::default() }
}

fn limited(data: DataLimits, channels: Vec<ChannelConfig>) -> World {
    let config = SubscriberConfig { data: data.into(), ..SubscriberConfig::default() };
    opened(Setup { config, channels, ..Setup::default() })
}

/// A world in which all of the viewer's channels are open.
fn opened(setup: Setup) -> World {
    let wanted = setup.channels.len();
    let mut world = World::new(setup);
    // a client repeats a lost INIT after 3, 6, 12 ... s
    assert!(world.run_until(ms(120_000), |world| world.viewer.open.len() == wanted), "{:?}", world.data);
    world
}

fn closes(world: &World) -> Vec<DataClose> {
    let close = |(_, event): &(_, DataEvent)| match event {
        DataEvent::Closed { why, .. } => Some(*why),
        _ => None,
    };
    world.data.iter().filter_map(close).collect()
}

fn messages(world: &World) -> usize {
    world.data.iter().filter(|(_, event)| matches!(event, DataEvent::Message { .. })).count()
}

/// Pictures go on as they do without channels.
fn assert_media_flows(world: &mut World) {
    let before = world.viewer.pictures().len();
    world.run(ms(1000));
    let more = world.viewer.pictures().len() - before;
    assert!((23..=27).contains(&more), "{more} pictures in a second");
}

#[test]
fn messages_go_both_ways_while_media_flows() {
    let channels = vec![ordered("captions"), unordered("chat", 2)];
    let mut world = opened(Setup { channels, ..Setup::default() });
    assert_eq!(world.tell("captions", "hello"), DataSent::Queued);
    assert_eq!(world.tell("chat", ""), DataSent::Queued);
    assert_eq!(world.tell("events", "nobody asked"), DataSent::NoChannel);
    assert!(world.viewer.say(0, true, b"up") && world.viewer.say(1, false, &[7; 5000]));
    world.run(ms(200));
    assert_eq!(world.viewer.heard(0), ["hello"]);
    assert_eq!(world.viewer.heard(1), [""]);
    let mut came: Vec<_> = world
        .data
        .iter()
        .filter_map(|(_, event)| match event {
            DataEvent::Message { label, text, bytes } => Some((label.to_string(), *text, bytes.len())),
            _ => None,
        })
        .collect();
    came.sort_unstable(); // what is unordered may overtake
    assert_eq!(came, [("captions".into(), true, 2), ("chat".into(), false, 5000)]);
    let stats = world.subscriber.stats(world.now).data;
    assert_eq!((stats.channels, stats.opened, stats.received, stats.sent, stats.closed()), (2, 2, 2, 2, 0));
    assert!(world.sent.iter().all(|(_, bytes)| *bytes <= 1200), "no datagram may be cut by the path");
    assert_media_flows(&mut world);
}

#[test]
fn loss_delays_an_ordered_channel_and_thins_out_an_unordered_one() {
    for (percent, seed) in [(5, 3), (20, 4)] {
        let conditions = Conditions::lossy(f64::from(percent) / 100.0, ms(20));
        let channels = vec![ordered("captions"), unordered("events", 0)];
        let mut world = opened(Setup { seed, conditions, channels, ..Setup::default() });
        let said: Vec<String> = (0..200).map(|number| format!("message {number}")).collect();
        for text in &said {
            assert_eq!(world.tell("captions", text), DataSent::Queued);
            assert_eq!(world.tell("events", text), DataSent::Queued);
            world.run(ms(50));
        }
        let whole = world.run_until(ms(20_000), |world| world.viewer.heard(0).len() == said.len());
        assert!(whole, "{percent} %: {} of {}", world.viewer.heard(0).len(), said.len());
        assert_eq!(world.viewer.heard(0), said, "each once, in order");
        let thinned = world.viewer.heard(1);
        assert!(thinned.len() > 120 && thinned.len() < said.len(), "{percent} %: {}", thinned.len());
        let mut once = thinned.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), thinned.len(), "none twice");
    }
}

#[test]
fn a_viewer_that_offers_no_channels_gets_none() {
    let mut world = World::new(Setup::default());
    world.run(ms(1000));
    assert_eq!(world.tell("captions", "hello"), DataSent::NoChannel);
    assert!(world.data.is_empty());
}

#[test]
fn one_channel_too_many_is_closed_and_the_others_stay() {
    let limits = DataLimits { channels: 3, ..DataLimits::default() };
    let names = ["a", "b", "c", "d"];
    let config = SubscriberConfig { data: limits.into(), ..SubscriberConfig::default() };
    let channels = names.map(ordered).to_vec();
    let mut world = World::new(Setup { config, channels, ..Setup::default() });
    assert!(world.run_until(ms(5000), |world| !world.viewer.shut.is_empty()), "{:?}", world.data);
    world.run(ms(1000));
    assert_eq!(world.subscriber.stats(world.now).data.closed_many, 1);
    let open: Vec<_> = names.into_iter().filter(|label| world.tell(label, "hi") == DataSent::Queued).collect();
    assert_eq!(open.len(), 3);
    assert_media_flows(&mut world);
}

#[test]
fn who_talks_too_fast_loses_messages_or_the_channel() {
    let limits = DataLimits { messages_per_s: 10, messages_at_once: 20, ..DataLimits::default() };
    let mut world = limited(limits, vec![ordered("chat"), unordered("moves", 3)]);
    for _ in 0..50 {
        assert!(world.viewer.say(1, true, b"step"));
    }
    world.run(ms(500));
    let stats = world.subscriber.stats(world.now).data;
    assert!((20..=25).contains(&stats.received), "{stats:?}");
    assert_eq!(stats.received + stats.dropped_fast, 50);
    assert_eq!((messages(&world) as u64, closes(&world)), (stats.received, vec![]));
    world.run(ms(5000)); // the allowance is back
    for _ in 0..50 {
        assert!(world.viewer.say(0, true, b"word"));
    }
    assert!(world.run_until(ms(2000), |world| !world.viewer.shut.is_empty()));
    assert_eq!(closes(&world), [DataClose::TooFast]);
    assert_eq!(world.tell("chat", "too late"), DataSent::NoChannel);
    assert_eq!(world.tell("moves", "still here"), DataSent::Queued);
    assert_media_flows(&mut world);
}

#[test]
fn a_viewer_that_takes_nothing_in_costs_a_bounded_buffer() {
    let limits = DataLimits { buffered_bytes: 8_100, ..DataLimits::default() };
    let mut world = limited(limits, vec![ordered("captions"), unordered("events", 100)]);
    world.viewer_alive = false;
    let text = "x".repeat(1000);
    let sent: Vec<_> = (0..10).map(|_| world.tell("events", &text)).collect();
    assert_eq!(sent.iter().filter(|sent| **sent == DataSent::Queued).count(), 8);
    assert_eq!(sent.iter().filter(|sent| **sent == DataSent::Dropped).count(), 2);
    assert_eq!(world.tell("captions", &text), DataSent::Closed);
    assert_eq!(closes(&world), [DataClose::Full]);
    let stats = world.subscriber.stats(world.now).data;
    assert_eq!((stats.dropped_full, stats.closed_full), (2, 1));
}

#[test]
fn a_message_longer_than_the_answer_allows_is_not_taken() {
    let limits = DataLimits { message_bytes: 2_000, ..DataLimits::default() };
    let mut world = limited(limits, vec![ordered("chat"), ordered("captions")]);
    assert!(!world.viewer.say(0, true, &[b'x'; 2_001]), "the client keeps to what the answer says");
    assert!(world.viewer.say(0, true, &[b'x'; 2_000]));
    world.run(ms(500));
    assert_eq!(messages(&world), 1);
    assert_eq!(world.tell("captions", &"x".repeat(2_001)), DataSent::Closed);
    assert_media_flows(&mut world);
}

#[test]
fn after_too_many_strikes_there_are_no_channels_and_media_flows() {
    let limits = DataLimits { strikes: 2, messages_per_s: 1, messages_at_once: 1, ..DataLimits::default() };
    let mut world = limited(limits, vec![ordered("a"), ordered("b"), ordered("c")]);
    for channel in [0, 1] {
        assert!(world.viewer.say(channel, true, b"one") && world.viewer.say(channel, true, b"two"));
        world.run(ms(100));
    }
    world.run(ms(500));
    assert_eq!(closes(&world).len(), 3);
    assert_eq!(world.tell("c", "hello"), DataSent::NoChannel);
    assert_media_flows(&mut world);
}

#[test]
fn doubles_and_reordering_on_the_way_up_change_nothing() {
    let conditions = Conditions { duplicate: 0.2, reorder: 0.2, reorder_by: ms(30), ..Conditions::lossy(0.1, ms(20)) };
    let mut world = opened(Setup { seed: 21, conditions, channels: vec![ordered("chat")], ..Setup::default() });
    for number in 0..100 {
        assert!(world.viewer.say(0, true, format!("{number}").as_bytes()));
        world.run(ms(60));
    }
    assert!(world.run_until(ms(10_000), |world| messages(world) == 100), "{}", messages(&world));
    let texts: Vec<u32> = world
        .data
        .iter()
        .filter_map(|(_, event)| match event {
            DataEvent::Message { bytes, .. } => std::str::from_utf8(bytes).unwrap().parse().ok(),
            _ => None,
        })
        .collect();
    assert!(texts.iter().copied().eq(0..100), "{texts:?}");
}
