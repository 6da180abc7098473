//! What comes in: a WHIP publisher, a pull from our own node, sources that follow one another.
mod harness;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use harness::publishing::{Incoming, Publisher, World, ingest_setup, near};
use harness::{Source, client, ms, server, subscriber_setup};
use netem::{Conditions, Link};
use sfu::{
    CloseReason, Codec, DataEvent, Ingest, IngestEvent, Kind, Layer, NtpTime, Outbox, Packet, Peer, StreamCache,
    StreamDescription, StreamPosition, Subscriber, SubscriberConfig, SubscriberEvent, WallClock,
};
use str0m::Rtc;
use str0m::change::SdpAnswer;

#[test]
fn a_published_stream_is_seen_by_a_viewer() {
    let mut world = World::new(true, true, vec![""], near());
    world.run(ms(2500));
    assert!(world.incoming.has(&IngestEvent::Connected));
    let first = world.incoming.packets.first().unwrap().arrival - world.start;
    assert!(first < ms(300), "{first:?} to the first packet");
    let description = world.incoming.cache.description().clone();
    assert_eq!(
        description.video.as_ref().map(|video| video.codec),
        Some(Codec::H264),
        "H.264 although VP8 was offered first"
    );
    assert_eq!(description.audio.as_ref().map(|audio| audio.codec), Some(Codec::Opus));
    world.join();
    world.run(ms(3000));
    let (_, viewer) = world.viewer.as_ref().unwrap();
    let pictures = viewer.pictures();
    assert!(pictures.len() > 70, "{} pictures", pictures.len());
    assert!(pictures[0].at - (world.start + ms(2500)) < ms(150), "the first one at once");
    assert!(pictures.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(viewer.seen.iter().filter(|seen| !seen.video).count() > 130);
}

#[test]
fn published_frames_leave_as_equal_packets() {
    let mut world = World::new(true, false, vec![""], near());
    world.run(ms(1500));
    let video: Vec<_> = world.incoming.packets.iter().filter(|packet| packet.kind == Kind::Video).collect();
    assert!(video.len() > 100);
    for frame in video.chunk_by(|a, b| a.time == b.time) {
        let fragments: Vec<usize> =
            frame.iter().skip_while(|packet| packet.payload[0] & 0x1f != 28).map(|p| p.payload.len()).collect();
        let (tail, equal) = fragments.split_last().unwrap();
        assert!(equal.iter().all(|size| *size == equal[0]) && *tail <= equal[0], "{fragments:?}");
        assert!(frame.last().unwrap().marker);
    }
    assert!(video.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
}

#[test]
fn the_publishers_loss_is_repaired() {
    let mut world = World::new(true, true, vec![""], Conditions::lossy(0.05, ms(20)));
    world.run(ms(6000));
    let video: Vec<_> =
        world.incoming.packets.iter().filter(|packet| packet.kind == Kind::Video && packet.marker).collect();
    assert!(video.len() > 120, "{} frames of about 140", video.len());
    let stats = world.incoming.ingest.stats();
    assert!(stats.nacks_sent > 0, "{stats:?}");
}

#[test]
fn audio_only_and_video_only_are_taken() {
    for (video, audio) in [(true, false), (false, true)] {
        let mut world = World::new(video, audio, vec![""], near());
        world.run(ms(1500));
        let description = world.incoming.cache.description();
        assert_eq!((description.video.is_some(), description.audio.is_some()), (video, audio));
        assert!(world.incoming.packets.len() > 40);
    }
}

#[test]
fn a_stream_whose_sound_comes_first_waits_a_moment_before_its_codec_is_guessed() {
    let started = |world: &World| world.incoming.events.iter().any(|event| matches!(event, IngestEvent::Started(_)));
    // Of an offer with H.264 nothing else is taken: there is nothing to guess.
    for (config, certain) in [
        (Rtc::builder().clear_codecs().enable_vp8(true).enable_h264(true), true),
        (Rtc::builder().clear_codecs().enable_vp8(true).enable_vp9(true), false),
    ] {
        let mut world = World::of(config.enable_opus(true, false), true, true, vec![""], near());
        world.publisher.video = None; // negotiated, but no camera yet
        world.run(ms(700));
        assert!(world.incoming.ingest.stats().packets > 10, "sound comes");
        assert_eq!(started(&world), certain);
        world.run(ms(1500));
        assert!(started(&world), "sound alone is a stream too");
    }
}

#[test]
fn simulcast_layers_are_told_apart_and_share_a_line() {
    let mut world = World::new(true, false, vec!["h", "l"], near());
    world.run(ms(3000));
    let description = world.incoming.cache.description().clone();
    assert_eq!(description.video.unwrap().layers, vec!["h", "l"]);
    let of = |layer: u8| -> Vec<_> {
        world.incoming.packets.iter().filter(|packet| packet.layer == Layer(layer) && packet.marker).collect()
    };
    let (high, low) = (of(0), of(1));
    assert!(high.len() > 50 && low.len() > 50, "{} and {}", high.len(), low.len());
    let (last_high, last_low) = (high.last().unwrap(), low.last().unwrap());
    assert!(last_high.time.ticks.abs_diff(last_low.time.ticks) < 2 * 3600);
    world.join();
    world.run(ms(1000));
    let (subscriber, viewer) = world.viewer.as_ref().unwrap();
    assert_eq!(subscriber.stats(world.now).layer, Some(Layer(0)), "the best layer");
    assert!(viewer.pictures().len() > 20);
}

#[test]
fn a_key_frame_is_asked_for_in_every_layer_at_once() {
    let mut world = World::new(true, false, vec!["h", "l"], near());
    world.run(ms(3000));
    let before = world.incoming.ingest.stats().plis_sent;
    world.incoming.packets.clear();
    world.incoming.ingest.request_key_frames(world.now);
    world.incoming.ingest.request_key_frames(world.now);
    world.run(ms(300));
    assert_eq!(world.incoming.ingest.stats().plis_sent, before + 2, "one a layer");
    let key_frame = |layer: u8| {
        let of = |packet: &&std::sync::Arc<Packet>| packet.layer == Layer(layer) && packet.key_frame_start;
        world.incoming.packets.iter().find(of).map(|packet| packet.time.ticks)
    };
    let (high, low) = (key_frame(0).expect("of the first"), key_frame(1).expect("of the second"));
    assert!(high.abs_diff(low) < 2 * 3600, "{high} and {low}");
}

#[test]
fn a_thousand_wishes_are_one_request() {
    let mut world = World::new(true, false, vec![""], near());
    world.run(ms(1000));
    let before = world.incoming.ingest.stats().plis_sent;
    let wanted = world.publisher.tick;
    for _ in 0..1000 {
        if world.incoming.cache.want_key_frame(world.now, Layer::SINGLE) {
            world.incoming.ingest.request_key_frame(world.now, Layer::SINGLE);
        }
    }
    world.run(ms(1200));
    assert_eq!(world.incoming.ingest.stats().plis_sent, before + 1, "since tick {wanted}");
}

#[test]
fn silence_is_told_once_and_then_the_end() {
    let mut world = World::new(true, true, vec![""], near());
    world.run(ms(1500));
    world.publisher.publishing = false;
    world.run(ms(1200));
    assert_eq!(world.incoming.events.iter().filter(|event| **event == IngestEvent::Silent).count(), 1);
    world.to_ingest.change(Conditions::lossy(1.0, ms(5)));
    world.run(ms(60_000));
    assert_eq!(world.incoming.events.last(), Some(&IngestEvent::Closed(CloseReason::ConsentExpired)));
}

#[test]
fn a_publisher_that_leaves_ends_the_stream() {
    let mut world = World::new(true, true, vec![""], near());
    world.run(ms(1000));
    world.publisher.connected = false;
    world.publisher.rtc.close().unwrap();
    world.run(ms(500));
    assert!(world.incoming.has(&IngestEvent::Closed(CloseReason::PeerClosed)), "{:?}", world.incoming.events);
}

#[test]
fn a_publisher_that_comes_back_goes_on_where_it_left() {
    let mut world = World::new(true, true, vec![""], near());
    world.run(ms(1500));
    world.join();
    world.run(ms(1500));
    let before = world.viewer.as_ref().unwrap().1.pictures().len();
    // another session of the same publisher, other SSRCs, times from zero
    let (mut publisher, pending, offer) = Publisher::offer(world.now, true, true, &[""]);
    let setup = ingest_setup(2, world.start, world.incoming.cache.position());
    let (ingest, answer) = Ingest::publish(world.now, setup, &offer).unwrap();
    publisher.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp).unwrap()).unwrap();
    (world.publisher, world.incoming.ingest) = (publisher, ingest);
    (world.to_ingest, world.to_publisher) = (Link::new(8, near()), Link::new(9, near()));
    world.run(ms(3000));
    let (_, viewer) = world.viewer.as_ref().unwrap();
    let pictures = viewer.pictures();
    assert!(pictures.len() > before + 60, "{} pictures after {before}", pictures.len());
    assert!(pictures.windows(2).all(|pair| pair[1].ticks > pair[0].ticks), "times go on");
    let gap = pictures.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    assert!(gap < ms(400), "{gap:?}");
}

/// A node's cache, its subscriber, and the ingest of the node that pulls from it, which asks for a key frame after a second. What came
/// in, the number of video sections that are sent, and how often the upstream was asked.
fn pull(layers_all: bool, seconds: u64) -> (Incoming, usize, usize) {
    let pulled = pull_with(layers_all, seconds, Channels::None);
    assert_eq!((pulled.heard_below, pulled.heard_above), (vec![], vec![]));
    (pulled.incoming, pulled.sections, pulled.asked)
}

/// What a pull does about data channels.
#[derive(PartialEq)]
enum Channels {
    None,
    /// It opens two; the upstream says "down" on the first, the node says "up" on the second.
    Taken,
    /// As above, but the upstream rejects their section.
    Rejected,
}

struct Pulled {
    /// When the upstream's frames were captured, by its clock.
    captured: Vec<NtpTime>,
    incoming: Incoming,
    sections: usize,
    asked: usize,
    heard_below: Vec<DataEvent>,
    heard_above: Vec<DataEvent>,
}

fn pull_with(layers_all: bool, seconds: u64, channels: Channels) -> Pulled {
    let start = Instant::now();
    // the encoder's clock, not the nodes'
    let slow = WallClock::new(start, Duration::from_millis(1_800_000_000_000 - 2500));
    let mut source = Source::new(start, slow, StreamDescription::h264_opus(true, true));
    let mut captured = Vec::new();
    let mut upstream = StreamCache::new(StreamDescription::h264_opus(true, true));
    while source.next < start + ms(1300) {
        let now = source.next;
        upstream.push(&source.produce(now));
    }
    let mut now = start + ms(1300);
    let puller: SocketAddr = client();
    let labels: Vec<String> = if channels == Channels::None { vec![] } else { vec!["captions".into(), "chat".into()] };
    let (mut heard_below, mut heard_above) = (Vec::new(), Vec::new());
    let mut setup = ingest_setup(7, start, StreamPosition::default());
    setup.addresses = vec![puller];
    let (ingest, offer) = Ingest::pull(now, setup, &labels).unwrap();
    let mut incoming = Incoming::new(ingest);
    let mut setup = subscriber_setup(8, start, SubscriberConfig::default());
    setup.layers_all = layers_all;
    let (mut offer, mut rejection) = (offer, String::new());
    if channels == Channels::Rejected {
        // the upstream has never heard of data channels
        let offered = wire::sdp::Description::parse(&offer).unwrap();
        let mid =
            offered.media.last().filter(|media| media.kind == "application").and_then(|media| media.mid()).unwrap();
        rejection = format!("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n");
        offer.truncate(offer.find("m=application").unwrap());
    }
    let (mut subscriber, answer) = Subscriber::answer(now, setup, &offer, &upstream).unwrap();
    let answered = wire::sdp::Description::parse(&answer.sdp).unwrap();
    let sends =
        |media: &&wire::sdp::Media| media.kind == "video" && media.direction() == wire::sdp::Direction::SendOnly;
    let sections = answered.media.iter().filter(sends).count();
    let mut sdp = answer.sdp.clone();
    assert_eq!(sdp.contains("m=application 9"), channels == Channels::Taken);
    if channels == Channels::Rejected {
        sdp.push_str(&rejection);
    }
    incoming.ingest.accept(now, &sdp).unwrap();
    let (mut down, mut up): (Link<Vec<u8>>, Link<Vec<u8>>) = (Link::new(1, near()), Link::new(2, near()));
    let mut outbox = Outbox::default();
    let (end, mut asks, mut asked) = (now + Duration::from_secs(seconds), Some(now + ms(1000)), 0);
    while now < end {
        let timers = [
            Some(source.next),
            subscriber.poll_timeout(),
            incoming.ingest.poll_timeout(),
            down.poll_timeout(),
            up.poll_timeout(),
        ];
        now = timers.into_iter().flatten().min().unwrap().max(now);
        if now >= source.next {
            let burst = source.produce(now);
            let late = upstream.push(&burst);
            captured.extend(burst.iter().map(|packet| packet.ntp));
            subscriber.forward(now, &late, &upstream, &mut outbox);
        }
        while let Some(mut datagram) = up.poll(now) {
            subscriber.handle_datagram(now, Peer::udp(puller), &mut datagram, &upstream, &mut outbox);
        }
        subscriber.handle_timeout(now, &upstream, &mut outbox);
        outbox.iter().for_each(|(_, datagram)| down.send(now, datagram.to_vec(), datagram.len()));
        outbox.clear();
        while let Some(datagram) = down.poll(now) {
            incoming.ingest.handle_datagram(now, Peer::udp(server()), &datagram);
        }
        incoming.ingest.handle_timeout(now);
        if asks.take_if(|at| now >= *at).is_some() {
            incoming.ingest.request_key_frame(now, Layer::SINGLE);
            subscriber.send_data(now, "captions", true, b"down", &mut outbox);
            incoming.ingest.send_data(now, "chat", true, b"up");
        }
        heard_below.extend(std::iter::from_fn(|| incoming.ingest.poll_data()));
        heard_above.extend(std::iter::from_fn(|| subscriber.poll_data()));
        while let Some(event) = subscriber.poll_event() {
            asked += usize::from(matches!(event, SubscriberEvent::KeyFrameWanted { .. }));
        }
        incoming.drain(now, &mut outbox);
        outbox.iter().for_each(|(_, datagram)| up.send(now, datagram.to_vec(), datagram.len()));
        outbox.clear();
    }
    Pulled { captured, incoming, sections, asked, heard_below, heard_above }
}

#[test]
fn words_travel_with_a_pull_both_ways() {
    let pulled = pull_with(true, 3, Channels::Taken);
    let opened = |label: &str| DataEvent::Opened { label: label.into() };
    let said = |label: &str, words: &[u8]| DataEvent::Message { label: label.into(), text: true, bytes: words.into() };
    for event in [opened("captions"), opened("chat"), said("captions", b"down")] {
        assert!(pulled.heard_below.contains(&event), "{event:?} in {:?}", pulled.heard_below);
    }
    for event in [opened("captions"), opened("chat"), said("chat", b"up")] {
        assert!(pulled.heard_above.contains(&event), "{event:?} in {:?}", pulled.heard_above);
    }
    assert_eq!(pulled.incoming.ingest.stats().data.received, 1);
}

#[test]
fn an_upstream_without_channels_gives_its_media_all_the_same() {
    let pulled = pull_with(true, 3, Channels::Rejected);
    assert_eq!((pulled.heard_below, pulled.heard_above), (vec![], vec![]));
    let frames = pulled.incoming.packets.iter().filter(|packet| packet.kind == Kind::Video && packet.marker).count();
    assert!(frames > 100, "{frames} frames");
}

#[test]
fn a_node_pulls_from_a_node() {
    for layers_all in [true, false] {
        let (incoming, sections, asked) = pull(layers_all, 3);
        assert_eq!(sections, 1, "the stream has one layer");
        assert!(incoming.has(&IngestEvent::Connected), "{:?}", incoming.events);
        let description = incoming.cache.description();
        assert_eq!(description.video.as_ref().map(|video| video.layers.len()), Some(1));
        assert_eq!(description.audio.as_ref().map(|audio| audio.codec), Some(Codec::Opus));
        let frames = incoming.packets.iter().filter(|packet| packet.kind == Kind::Video && packet.marker).count();
        assert!(frames > 100, "{frames} frames: the cached GOP and what followed");
        let first = incoming.packets.iter().find(|packet| packet.kind == Kind::Video).unwrap();
        assert!(first.key_frame_start);
        let keys = incoming.packets.iter().filter(|packet| packet.key_frame_start).count();
        // a node's wish goes on to the source; a viewer's is answered with the GOP once more
        assert_eq!((asked, keys), if layers_all { (1, 3) } else { (0, 4) });
        // what left in equal packets arrives in equal packets
        assert!(incoming.packets.iter().filter(|packet| packet.payload.len() == 1152).count() > 300);
    }
}

#[test]
fn a_pull_brings_the_times_of_capture_by_the_encoders_clock() {
    let Pulled { captured, incoming, .. } = pull_with(true, 2, Channels::None);
    // what came from the cache bears the times at which it was sent, on the same line
    let late: Vec<_> = incoming.packets.iter().rev().take(200).collect();
    for packet in &late {
        let near =
            captured.iter().any(|ntp| ntp.since(packet.ntp).max(packet.ntp.since(*ntp)) < Duration::from_micros(50));
        assert!(near, "{:?} of {:?}", packet.kind, packet.sequence);
    }
    assert!(
        late.iter().any(|packet| packet.kind == Kind::Audio) && late.iter().any(|packet| packet.kind == Kind::Video)
    );
    assert!(incoming.packets[0].ntp.since(captured[0].minus(ms(100))) < ms(200), "before any sender report could tell");
}

#[test]
fn a_publishers_times_of_capture_reach_the_viewer() {
    let mut world = World::new(true, true, vec![""], near());
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 - 700);
    world.publisher.captures_from = Some(start);
    world.run(ms(1500));
    world.join();
    world.run(ms(1000));
    let of = |packet: &Packet| {
        let digits = if packet.kind == Kind::Audio { &packet.payload[..4] } else { return None };
        Some(digits.iter().fold(0u64, |number, digit| number * 100 + u64::from(digit - 1)))
    };
    let told =
        |tick: u64| NtpTime::from_unix((start + ms(20) * tick as u32).duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let sound: Vec<_> = world.incoming.packets.iter().filter_map(|packet| Some((of(packet)?, packet.ntp))).collect();
    // Each line was asked for its own until both had told: the second packet of each at the latest.
    for (tick, ntp) in sound.iter().skip(2) {
        let due = told(*tick);
        assert!(due.since(*ntp).max(ntp.since(due)) < ms(1), "tick {tick}");
    }
    assert!(sound.len() > 100);
    let (_, viewer) = world.viewer.as_ref().unwrap();
    let pictures = viewer.pictures();
    for seen in pictures.iter().rev().take(10) {
        let captured = seen.captured.expect("the viewer has offered abs-capture-time");
        let due = start + ms(40) * seen.number;
        let apart = captured.duration_since(due).or(due.duration_since(captured)).unwrap();
        assert!(apart < ms(1), "picture {}: {apart:?}", seen.number);
    }
}

#[test]
fn who_ends_a_session_is_told_apart() {
    let mut world = World::new(true, true, vec![""], near());
    world.run(ms(1000));
    world.publisher.publishing = false;
    world.incoming.ingest.close(world.now);
    world.run(ms(100));
    assert_eq!(world.incoming.events.last(), Some(&IngestEvent::Closed(CloseReason::Local)));
    assert!(!world.publisher.rtc.is_alive(), "it was told");
}

#[test]
fn opus_is_taken_as_it_is_offered() {
    let now = Instant::now();
    let whip = include_str!("../../wire/tests/data/chromium_whip.sdp");
    let answered = |offer: &str| {
        let (_, answer) = Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), offer).unwrap();
        let answer = wire::sdp::Description::parse(&answer.sdp).unwrap();
        let audio = answer.media.iter().find(|media| media.kind == "audio").unwrap().clone();
        let [codec] = &audio.codecs()[..] else { panic!("Opus alone, without RED: {:?}", audio.codecs()) };
        let on = |name: &str| codec.parameter(name) == Some("1");
        (on("useinbandfec"), on("stereo"), on("usedtx"))
    };
    let with = |more: &str| whip.replace("useinbandfec=1", &format!("useinbandfec=1{more}"));
    assert!(whip.contains("red/48000/2"));
    assert_eq!(answered(whip), (true, false, false));
    assert_eq!(answered(&with(";stereo=1;usedtx=1")), (true, true, true));
    assert_eq!(answered(&with(";sprop-stereo=1")), (true, true, false), "as OBS says it");
    assert_eq!(answered(&with(";stereo=0;usedtx=0")), (true, false, false));
}

/// The share of a publisher's sound that goes on, and how much of it came back by RED, when so much is lost on the way.
fn sound_through(red: bool, loss: f64) -> (f64, f64) {
    let config = Rtc::builder().clear_codecs().enable_opus(true, red);
    let mut world = World::of(config, false, true, vec![""], Conditions::lossy(loss, ms(20)));
    (world.to_viewer, world.from_viewer) = (Link::new(3, near()), Link::new(4, near()));
    world.run(ms(3000)); // connected, whatever was lost of that
    world.join();
    world.run(ms(1000));
    let (begin, before, recovered) =
        (world.publisher.tick, world.incoming.packets.len(), world.incoming.ingest.stats().recovered);
    world.run(ms(30_000));
    let packets = &world.incoming.packets;
    for pair in packets.windows(2) {
        // what comes back has its own number and time, before the packet that brought it
        let numbers = pair[1].sequence - pair[0].sequence;
        assert_eq!(pair[1].time.ticks - pair[0].time.ticks, 960 * numbers);
        assert!(numbers > 0 && pair.iter().all(|packet| packet.payload.len() == 100 && packet.codec == Codec::Opus));
    }
    let heard: Vec<u32> = world.viewer.unwrap().1.seen.iter().map(|seen| seen.number).collect();
    assert!(heard.is_sorted_by(|a, b| a < b), "each once, in order");
    let sent = (world.publisher.tick - begin) as f64;
    assert!(heard.len() as f64 > 0.99 * (packets.len() - before) as f64, "the viewer hears what has come in");
    let recovered = world.incoming.ingest.stats().recovered - recovered;
    ((packets.len() - before) as f64 / sent, recovered as f64 / sent)
}

#[test]
fn sound_that_is_lost_comes_back_by_red() {
    for loss in [0.05, 0.2] {
        let (plain, none) = sound_through(false, loss);
        let (red, recovered) = sound_through(true, loss);
        println!("{loss}: {plain:.4} without, {red:.4} with RED, of which {recovered:.4} repeats");
        // one of a row is repeated by the next one; of 1,500 packets, chance moves these shares by a hundredth
        assert_eq!(none, 0.0);
        assert!((plain - (1.0 - loss)).abs() < 0.04, "{plain} of the sound without");
        assert!(red > 1.0 - loss * loss - 0.03 && red > plain + 0.02, "{red} of the sound with, {plain} without");
        assert!((red - recovered - plain).abs() < 0.04, "{recovered} of it came as repeats");
    }
}

#[test]
fn sound_is_taken_as_red_only_where_that_is_preferred() {
    let now = Instant::now();
    let whip = include_str!("../../wire/tests/data/chromium_whip.sdp");
    let answered = |offer: &str| {
        let (_, answer) = Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), offer).unwrap();
        let answer = wire::sdp::Description::parse(&answer.sdp).unwrap();
        let audio = answer.media.iter().find(|media| media.kind == "audio").unwrap();
        audio.codecs().iter().map(|codec| format!("{} {}", codec.payload_type, codec.name)).collect::<Vec<_>>()
    };
    assert!(whip.contains("SAVPF 111 63 "));
    assert_eq!(answered(whip), vec!["111 opus"]);
    assert_eq!(answered(&whip.replace("SAVPF 111 63 ", "SAVPF 63 111 ")), vec!["63 red", "111 opus"]);
}

#[test]
fn bad_offers_and_answers_are_refused_with_a_reason() {
    let now = Instant::now();
    let refused = |offer: &str| {
        Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), offer).err().expect("refused")
    };
    assert_eq!(refused("").code(), "bad_sdp");
    assert_eq!(refused("v=0\r\nnonsense").code(), "bad_sdp");
    let strange = include_str!("../../wire/tests/data/chromium_whip.sdp")
        .replace("m=audio", "m=udio")
        .replace("m=video", "m=ideo");
    assert_eq!(refused(&strange).code(), "no_common_codec");
    let whip = include_str!("../../wire/tests/data/chromium_whip.sdp");
    assert!(Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), whip).is_ok());
    assert_eq!(refused(&whip.replace("a=fingerprint", "a=other")).code(), "bad_sdp");
    let simulcast = include_str!("../../wire/tests/data/chromium_whip_simulcast.sdp");
    assert!(Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), simulcast).is_ok());
    let (mut ingest, _) = Ingest::pull(now, ingest_setup(1, now, StreamPosition::default()), &[]).unwrap();
    assert_eq!(ingest.accept(now, "v=0").err().map(|error| error.code()), Some("bad_sdp"));
}
