//! Our own offer to a viewer (WHEP's counter-offer): what it holds, who may answer it how, and that media flows then.
mod harness;

use std::time::Instant;

use harness::{Source, client, clock, drain, ms, server, subscriber_setup};
use sfu::{
    Answer, CloseReason, Outbox, Peer, SfuError, StreamCache, StreamDescription, Subscriber, SubscriberConfig,
    SubscriberEvent,
};
use str0m::change::SdpOffer;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Rtc};
use wire::sdp::{Description, Direction};

struct World {
    now: Instant,
    source: Source,
    cache: StreamCache,
    subscriber: Subscriber,
    offer: Answer,
    outbox: Outbox,
}

fn offered() -> World {
    let now = Instant::now();
    let description = StreamDescription::h264_opus(true, true);
    let source = Source::new(now, clock(now), description.clone());
    let cache = StreamCache::new(description);
    let setup = subscriber_setup(1, now, SubscriberConfig::default());
    let (subscriber, offer) = Subscriber::offer(now, setup, &cache).unwrap();
    World { now, source, cache, subscriber, offer, outbox: Outbox::default() }
}

/// A client that answers.
fn viewer(now: Instant, offer: &str) -> (Rtc, String) {
    let mut rtc = Rtc::builder().clear_codecs().enable_h264(true).enable_opus(true, false).build(now);
    rtc.add_local_candidate(Candidate::host(client(), "udp").unwrap());
    let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer).unwrap()).unwrap();
    (rtc, answer.to_sdp_string())
}

#[test]
fn an_offer_has_all_that_the_stream_has() {
    let world = offered();
    let offer = Description::parse(&world.offer.sdp).unwrap();
    let kinds: Vec<_> = offer.media.iter().map(|media| media.kind.as_str()).collect();
    assert_eq!((kinds, offer.bundle()), (vec!["video", "audio", "application"], vec!["0", "1", "2"]));
    assert!(offer.media.iter().all(|media| media.attribute("setup") == Some("actpass")));
    for media in &offer.media[..2] {
        assert_eq!((media.direction(), media.codecs().len()), (Direction::SendOnly, 1));
        assert!(media.attribute("msid").is_some() && media.attribute("rtcp-mux").is_some());
    }
    let video = offer.media[0].codecs().remove(0);
    assert!(video.rtx.is_some() && video.has_feedback("nack pli"));
    assert_eq!(video.parameter("packetization-mode"), Some("1"));
    assert_eq!(offer.candidates().len(), 2, "UDP and TCP");
}

#[test]
fn who_answers_gets_pictures_and_sound() {
    watch(true);
    watch(false);
}

/// `begins`: the viewer begins the handshake, else it leaves that to us.
fn watch(begins: bool) {
    let mut world = offered();
    let offer = if begins { world.offer.sdp.replace("actpass", "passive") } else { world.offer.sdp.clone() };
    let (mut rtc, answer) = viewer(world.now, &offer);
    assert!(answer.contains(if begins { "a=setup:active" } else { "a=setup:passive" }), "{answer}");
    world.subscriber.accept(world.now, &answer, &world.cache).unwrap();
    let (mut next, mut connected, mut media) = (world.now, false, [0, 0]);
    let end = world.now + ms(4_000);
    while world.now < end {
        world.now += ms(5);
        let now = world.now;
        let (datagrams, events) = drain(&mut rtc, now, &mut next);
        for event in events {
            match event {
                Event::Connected => connected = true,
                Event::MediaData(data) => media[usize::from(data.data.len() < 500)] += 1,
                _ => {}
            }
        }
        for mut datagram in datagrams {
            let from = Peer::udp(client());
            world.subscriber.handle_datagram(now, from, &mut datagram, &world.cache, &mut world.outbox);
        }
        while world.source.next <= now {
            let packets = world.source.produce(now);
            let late = world.cache.push(&packets);
            world.subscriber.forward(now, &late, &world.cache, &mut world.outbox);
        }
        if world.subscriber.poll_timeout().is_some_and(|due| due <= now) {
            world.subscriber.handle_timeout(now, &world.cache, &mut world.outbox);
        }
        for (_, datagram) in world.outbox.iter() {
            let receive = Receive::new(Protocol::Udp, server(), client(), datagram).unwrap();
            rtc.handle_input(Input::Receive(now, receive)).unwrap();
        }
        world.outbox.clear();
    }
    assert!(connected && media[0] > 60 && media[1] > 120, "{connected} {media:?}");
    let again = world.subscriber.accept(world.now, &answer, &world.cache);
    assert!(matches!(again, Err(SfuError::WrongState(_))), "{again:?}");
}

#[test]
fn an_answer_that_is_none_leaves_the_offer_open() {
    let mut world = offered();
    let (_, answer) = viewer(world.now, &world.offer.sdp);
    let bad = [
        "no sdp at all".to_string(),
        answer.replace("a=setup:", "a=setup:act"),
        answer.replace("a=fingerprint:", "a=finger:"),
        answer.replace("a=ice-pwd:", "a=ice-pw:"),
    ];
    for text in bad {
        let refused = world.subscriber.accept(world.now, &text, &world.cache);
        assert!(matches!(refused, Err(SfuError::BadSdp(_))), "{refused:?}");
    }
    let nothing = answer.replace("H264/90000", "H261/90000").replace("opus/48000", "none/48000");
    let refused = world.subscriber.accept(world.now, &nothing, &world.cache);
    assert!(matches!(refused, Err(SfuError::NoCommonCodec(_))), "{refused:?}");
    let early = world.subscriber.trickle(world.now, "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n");
    assert!(matches!(early, Err(SfuError::WrongState(_))), "{early:?}");
    world.subscriber.accept(world.now, &answer, &world.cache).unwrap();
}

#[test]
fn an_offer_that_nobody_answers_is_forgotten_and_sends_nothing() {
    let mut world = offered();
    let end = world.now + ms(31_000);
    let mut closed = None;
    while world.now < end {
        world.now += ms(500);
        world.subscriber.handle_timeout(world.now, &world.cache, &mut world.outbox);
        while let Some(event) = world.subscriber.poll_event() {
            if let SubscriberEvent::Closed(reason) = event {
                closed = Some(reason);
            }
        }
    }
    assert_eq!((closed, world.outbox.iter().count()), (Some(CloseReason::NeverConnected), 0));
}
