//! What an offer and a stranger can have us send: nothing to anybody whose STUN check has not been genuine.
mod harness;

use std::time::Instant;

use harness::{Setup, Source, Viewer, World, client, clock, ms, server, subscriber_setup};
use netem::Random;
use sfu::{
    Credentials, Entropy, Identity, Ingest, IngestSetup, Outbox, Peer, StreamCache, StreamDescription, StreamPosition,
    Subscriber, SubscriberConfig, SubscriberEvent, SubscriberSetup,
};

const VICTIMS: usize = 20;

/// An offer that names others as the addresses of its sender.
fn with_victims(offer: &str) -> String {
    let victims: String = (0..VICTIMS)
        .map(|host| format!("a=candidate:{host} 1 udp 2130706431 198.51.100.{} 53 typ host\r\n", host + 1))
        .collect();
    offer
        .split_inclusive("\r\n")
        .map(|line| if line.starts_with("a=mid:") { format!("{line}{victims}") } else { line.to_owned() })
        .collect()
}

#[test]
fn a_viewers_offer_has_us_send_nothing_to_the_addresses_that_it_names() {
    for layers_all in [false, true] {
        sends_nothing_to_those_named(layers_all);
    }
}

fn sends_nothing_to_those_named(layers_all: bool) {
    let now = Instant::now();
    let mut source = Source::new(now, clock(now), StreamDescription::h264_opus(true, true));
    let mut cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    let (_, offer) = Viewer::new(now, client(), true, true);
    let offer = with_victims(&offer);
    assert!(offer.matches("198.51.100.7 ").count() > 0);
    let setup = SubscriberSetup { layers_all, ..subscriber_setup(1, now, SubscriberConfig::default()) };
    let (mut subscriber, _) = Subscriber::answer(now, setup, &offer, &cache).unwrap();
    let mut outbox = Outbox::default();
    let mut closed = false;
    for step in 0..3_100 {
        let now = now + ms(10) * step;
        if now >= source.next {
            let burst = source.produce(now);
            let late = cache.push(&burst);
            subscriber.forward(now, &late, &cache, &mut outbox);
        }
        subscriber.handle_timeout(now, &cache, &mut outbox);
        assert!(outbox.is_empty(), "after {step} x 10 ms");
        while let Some(event) = subscriber.poll_event() {
            closed |= matches!(event, SubscriberEvent::Closed(_));
        }
    }
    assert!(closed, "an answer that nobody uses is forgotten after 30 s");
}

#[test]
fn a_publishers_offer_has_us_send_nothing_to_the_addresses_that_it_names() {
    let now = Instant::now();
    let mut entropy = Entropy::new([3; 32]);
    let setup = IngestSetup {
        identity: Identity::generate().unwrap(),
        credentials: Credentials::new(0, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        resume: StreamPosition::default(),
    };
    let offer = include_str!("../../wire/tests/data/chromium_whip.sdp");
    let (mut ingest, _) = Ingest::publish(now, setup, &with_victims(offer)).unwrap();
    let mut outbox = Outbox::default();
    for step in 0..3_100 {
        ingest.handle_timeout(now + ms(10) * step);
        ingest.poll(now + ms(10) * step, &mut outbox);
        assert!(outbox.is_empty(), "after {step} x 10 ms");
    }
}

/// A flood of checks under the session's own name, which whoever has seen one knows, from ever other addresses.
#[test]
fn forged_checks_from_everywhere_are_not_answered_and_take_no_place_from_the_viewer() {
    let mut random = Random::new(5);
    let mut world = World::new(Setup::default());
    let name = format!("{}:peer", world.subscriber.ufrag());
    let mut outbox = Outbox::default();
    for round in 0..20_000_u32 {
        let mut check = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        check.extend((0..12).map(|_| random.draw() as u8));
        for (kind, value) in [
            (0x0006_u16, name.as_bytes().to_vec()),
            (0x0024, vec![0x7e, 0, 0, 1]),
            (0x0008, vec![random.draw() as u8; 20]),
        ] {
            check.extend(kind.to_be_bytes());
            check.extend((value.len() as u16).to_be_bytes());
            check.extend(&value);
            check.resize(check.len().next_multiple_of(4), 0);
        }
        let length = (check.len() - 20) as u16;
        check[2..4].copy_from_slice(&length.to_be_bytes());
        let from = Peer::udp((round.to_be_bytes(), 4000).into());
        let now = world.now;
        world.subscriber.handle_datagram(now, from, &mut check, &world.cache, &mut outbox);
        // A ClientHello behind it, as a flood of those would have it.
        let mut hello = [&[22, 254, 253][..], &[0; 60]].concat();
        world.subscriber.handle_datagram(now, from, &mut hello, &world.cache, &mut outbox);
        assert!(outbox.is_empty());
    }
    assert!(world.subscriber.poll_event().is_none(), "no address was taken for the viewer's");
    world.run(ms(500));
    assert!(world.viewer.pictures().len() > 30);
}
