//! Bytes from strangers and forgers: nothing panics, nothing is answered, nothing changes for those who watch.
mod harness;

use std::net::SocketAddr;
use std::time::Instant;

use harness::{Setup, Source, Viewer, World, client, clock, ms, server, subscriber_setup};
use netem::{Conditions, Link, Random};
use sfu::{
    Credentials, Entropy, Identity, Ingest, IngestSetup, Outbox, Peer, StreamCache, StreamDescription, StreamPosition,
    Subscriber, SubscriberConfig, SubscriberEvent,
};

fn stranger() -> Peer {
    Peer::udp("203.0.113.66:6666".parse::<SocketAddr>().unwrap())
}

/// Random bytes that begin as each kind of datagram does.
fn garbage(random: &mut Random) -> Vec<u8> {
    let firsts = [0, 1, 3, 20, 22, 23, 63, 64, 128, 129, 144, 191, 200, 255];
    let mut bytes: Vec<u8> = (0..random.draw() % 300).map(|_| random.draw() as u8).collect();
    if let Some(first) = bytes.first_mut() {
        *first = firsts[(random.draw() % firsts.len() as u64) as usize];
    }
    if bytes.len() > 8 && bytes[0] < 4 {
        bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]); // STUN's cookie
    }
    bytes
}

#[test]
fn strangers_get_no_answer() {
    let mut random = Random::new(1);
    let mut world = World::new(Setup::default());
    let now = world.now;
    let mut outbox = Outbox::default();
    for _ in 0..5000 {
        let mut bytes = garbage(&mut random);
        world.subscriber.handle_datagram(now, stranger(), &mut bytes, &world.cache, &mut outbox);
        assert!(outbox.is_empty(), "answered to {bytes:02x?}");
    }
    assert!(world.subscriber.poll_event().is_none());
    // and the viewer joins as if nothing had been
    world.run(ms(500));
    assert!(world.viewer.pictures().len() > 30);
    assert!(world.subscriber.stats(world.now).rejected >= 5000);
}

#[test]
fn garbage_from_the_viewers_own_address_changes_nothing() {
    let mut random = Random::new(2);
    let mut world = World::new(Setup::default());
    world.run(ms(500));
    for round in 0..50 {
        for _ in 0..100 {
            let mut bytes = garbage(&mut random);
            let now = world.now;
            world.subscriber.handle_datagram(now, Peer::udp(client()), &mut bytes, &world.cache, &mut world.outbox);
        }
        world.run(ms(20));
        assert_eq!(world.event(|event| matches!(event, SubscriberEvent::Closed(_))), None, "round {round}");
    }
    let pictures = world.viewer.pictures();
    assert!(pictures.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(pictures.len() > 60);
}

/// All that a viewer sends, each datagram also damaged, cut short and sent twice.
#[test]
fn damaged_cut_and_replayed_datagrams_change_nothing() {
    let mut random = Random::new(3);
    let now = Instant::now();
    let mut source = Source::new(now, clock(now), StreamDescription::h264_opus(true, true));
    let mut cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    let (mut viewer, offer) = Viewer::new(now, client(), true, true);
    let (mut subscriber, answer) =
        Subscriber::answer(now, subscriber_setup(1, now, SubscriberConfig::default()), &offer, &cache).unwrap();
    viewer.accept(&answer.sdp);
    let (mut outbox, mut now, mut requested) = (Outbox::default(), now, 0);
    let end = now + ms(4000);
    while now < end {
        now += ms(1);
        if now >= source.next {
            let burst = source.produce(now);
            let late = cache.push(&burst);
            subscriber.forward(now, &late, &cache, &mut outbox);
        }
        if viewer.connected && source.tick.is_multiple_of(40) && requested < source.tick {
            requested = source.tick;
            viewer.request_key_frame();
        }
        for datagram in viewer.drain(now) {
            let handshake = (20..64).contains(&datagram[0]) && !viewer.connected;
            for _ in 0..4 {
                let mut forged = datagram.clone();
                match random.draw() % 2 {
                    0 => forged.truncate((random.draw() % datagram.len() as u64) as usize),
                    _ => forged[(random.draw() % datagram.len() as u64) as usize] ^= 1 << (random.draw() % 8),
                }
                // who can write into the handshake under the viewer's address can stop it, but nobody else can
                let from = if handshake { stranger() } else { Peer::udp(client()) };
                subscriber.handle_datagram(now, from, &mut forged, &cache, &mut outbox);
            }
            subscriber.handle_datagram(now, Peer::udp(client()), &mut datagram.clone(), &cache, &mut outbox);
            let plis = subscriber.stats(now).video.plis;
            subscriber.handle_datagram(now, Peer::udp(client()), &mut datagram.clone(), &cache, &mut outbox);
            assert_eq!(subscriber.stats(now).video.plis, plis, "a replayed packet was obeyed");
        }
        subscriber.handle_timeout(now, &cache, &mut outbox);
        let datagrams: Vec<Vec<u8>> =
            outbox.iter().filter(|(to, _)| to.address == client()).map(|(_, datagram)| datagram.to_vec()).collect();
        outbox.clear();
        for datagram in datagrams {
            viewer.receive(now, &datagram);
        }
        while let Some(event) = subscriber.poll_event() {
            assert!(!matches!(event, SubscriberEvent::Closed(_)), "{event:?}");
        }
    }
    let stats = subscriber.stats(now);
    assert!(stats.connected && stats.video.plis > 0 && stats.rejected > 50, "{stats:?}");
    assert!(viewer.pictures().len() > 80, "{}", viewer.pictures().len());
}

fn ingest_setup(now: Instant) -> IngestSetup {
    let mut entropy = Entropy::new([4; 32]);
    IngestSetup {
        identity: Identity::generate().unwrap(),
        credentials: Credentials::new(0, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        resume: StreamPosition::default(),
    }
}

#[test]
fn garbage_for_an_ingest_is_dropped() {
    let now = Instant::now();
    let offer = include_str!("../../wire/tests/data/chromium_whip.sdp");
    let (mut ingest, _) = Ingest::publish(now, ingest_setup(now), offer).unwrap();
    let (mut random, mut outbox) = (Random::new(5), Outbox::default());
    for _ in 0..5000 {
        ingest.handle_datagram(now, stranger(), &garbage(&mut random));
        ingest.poll(now, &mut outbox);
        assert!(outbox.is_empty() && ingest.poll_event().is_none() && ingest.poll_burst().is_none());
    }
    assert_eq!(ingest.stats().rejected, 5000);
}

/// An offer with some lines dropped, doubled, swapped or with a character changed.
fn mutated(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    for _ in 0..1 + random.draw() % 6 {
        let at = (random.draw() % lines.len() as u64) as usize;
        let other = (random.draw() % lines.len() as u64) as usize;
        match random.draw() % 4 {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            _ => {
                let mut bytes = lines[at].clone().into_bytes();
                let index = (random.draw() % bytes.len().max(1) as u64) as usize;
                if let Some(byte) = bytes.get_mut(index) {
                    *byte = b"0123456789 :/;=az-"[(random.draw() % 18) as usize];
                }
                lines[at] = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }
    lines.join("\r\n") + "\r\n"
}

#[test]
fn mutated_offers_are_answered_or_refused() {
    let now = Instant::now();
    let mut random = Random::new(6);
    let cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    let identity = Identity::generate().unwrap();
    let whep = [
        include_str!("../../wire/tests/data/chromium_whep.sdp"),
        include_str!("../../wire/tests/data/aiortc_whep.sdp"),
    ];
    let whip = [
        include_str!("../../wire/tests/data/chromium_whip.sdp"),
        include_str!("../../wire/tests/data/chromium_whip_simulcast.sdp"),
    ];
    let (mut answered, mut refused) = (0, 0);
    for round in 0..300 {
        let offer = mutated(whep[round % 2], &mut random);
        let mut setup = subscriber_setup(1, now, SubscriberConfig::default());
        setup.identity = identity.clone();
        match Subscriber::answer(now, setup, &offer, &cache) {
            Ok((mut subscriber, answer)) => {
                answered += 1;
                assert!(wire::sdp::Description::parse(&answer.sdp).is_ok());
                let _ = subscriber.trickle(now, &mutated(whep[round % 2], &mut random));
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error.status(), 400 | 422), "{error}");
            }
        }
        let mut setup = ingest_setup(now);
        setup.identity = identity.clone();
        if let Err(error) = Ingest::publish(now, setup, &mutated(whip[round % 2], &mut random)) {
            assert!(matches!(error.status(), 400 | 422), "{error}");
        }
    }
    assert!(answered > 50 && refused > 3, "{answered} answered, {refused} refused");
}

#[test]
fn a_wrong_certificate_is_refused() {
    let now = Instant::now();
    let cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    let (mut viewer, offer) = Viewer::new(now, client(), true, true);
    let (_, end) = offer.split_once("a=fingerprint:sha-256 ").unwrap();
    let other = if end.starts_with("00") { "11" } else { "00" };
    let forged = offer.replace(&format!("sha-256 {}", &end[..2]), &format!("sha-256 {other}"));
    let (mut subscriber, answer) =
        Subscriber::answer(now, subscriber_setup(1, now, SubscriberConfig::default()), &forged, &cache).unwrap();
    viewer.accept(&answer.sdp);
    let (mut outbox, mut now, mut closed) = (Outbox::default(), now, None);
    for _ in 0..2000 {
        now += ms(1);
        for mut datagram in viewer.drain(now) {
            subscriber.handle_datagram(now, Peer::udp(client()), &mut datagram, &cache, &mut outbox);
        }
        subscriber.handle_timeout(now, &cache, &mut outbox);
        outbox.iter().for_each(|(_, datagram)| viewer.receive(now, datagram));
        outbox.clear();
        while let Some(event) = subscriber.poll_event() {
            assert_ne!(event, SubscriberEvent::Connected);
            if let SubscriberEvent::Closed(reason) = event {
                closed = Some(reason);
            }
        }
    }
    assert_eq!(closed, Some(sfu::CloseReason::Handshake));
}

#[test]
fn many_joins_are_one_key_frame_request() {
    let start = Instant::now();
    let mut source = Source::new(start, clock(start), StreamDescription::h264_opus(true, true));
    source.tick = 2; // no key frame of its own accord
    source.gop = 100_000;
    let mut cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    let mut outbox = Outbox::default();
    let identity = Identity::generate().unwrap();
    let mut joined: Vec<(Subscriber, Viewer, Link<Vec<u8>>)> = (0..40u8)
        .map(|number| {
            let address: SocketAddr = format!("198.51.100.{}:4000", number + 1).parse().unwrap();
            let (mut viewer, offer) = Viewer::new(start, address, true, true);
            let mut setup = subscriber_setup(number, start, SubscriberConfig::default());
            setup.identity = identity.clone();
            let (subscriber, answer) = Subscriber::answer(start, setup, &offer, &cache).unwrap();
            viewer.accept(&answer.sdp);
            (subscriber, viewer, Link::new(number.into(), Conditions::default()))
        })
        .collect();
    let (mut now, mut asked, mut wished) = (start, 0, 0);
    while now < start + ms(450) {
        now += ms(1);
        let burst = if now >= source.next { source.produce(now) } else { Vec::new() };
        let late = cache.push(&burst);
        for (subscriber, viewer, down) in &mut joined {
            subscriber.forward(now, &late, &cache, &mut outbox);
            for mut datagram in viewer.drain(now) {
                subscriber.handle_datagram(now, Peer::udp(viewer.address), &mut datagram, &cache, &mut outbox);
            }
            subscriber.handle_timeout(now, &cache, &mut outbox);
            outbox.iter().for_each(|(_, datagram)| down.send(now, datagram.to_vec(), datagram.len()));
            outbox.clear();
            while let Some(datagram) = down.poll(now) {
                viewer.receive(now, &datagram);
                for mut datagram in viewer.drain(now) {
                    subscriber.handle_datagram(now, Peer::udp(viewer.address), &mut datagram, &cache, &mut outbox);
                }
            }
            outbox.iter().for_each(|(_, datagram)| down.send(now, datagram.to_vec(), datagram.len()));
            outbox.clear();
            while let Some(event) = subscriber.poll_event() {
                if let SubscriberEvent::KeyFrameWanted { layer } = event {
                    wished += 1;
                    if cache.want_key_frame(now, layer) && source.injector.request_key_frame(now) {
                        asked += 1;
                        source.key_wanted = true;
                    }
                }
            }
        }
    }
    assert!(wished >= 40, "{wished} wishes");
    assert_eq!(asked, 1);
    assert!(joined.iter().all(|(_, viewer, _)| viewer.pictures().first().is_some_and(|picture| picture.key)));
}
