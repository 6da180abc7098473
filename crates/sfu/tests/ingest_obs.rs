//! OBS Studio in a publisher's place: the offer and the packets of its WHIP output (32 and later, over libdatachannel).
//!
//! What is particular to it, by its sources: SSRCs are declared for sound and for a single picture, but not for simulcast; MID and RID
//! are on every packet of video and on none of sound, RID also where no `a=rid` names it; layers are "0", "1" ... from the best down,
//! at most four; all of them count from the same first number and time; there is no RTX, and a NACK is answered by the packet
//! itself, looked up by its number alone; key frames come when they come, whatever is asked for; sender reports go out once a second,
//! of whichever layer is on its way.
mod harness;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::publishing::{Publish, World, ingest_setup, near, publisher_address};
use harness::{ms, server};
use netem::Conditions;
use sfu::{Ingest, IngestEvent, Kind, Layer, StreamPosition};
use str0m::config::Fingerprint;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues, RawPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc};

/// SSRC of sound; those of the layers follow.
const BASE_SSRC: u32 = 0x5eed_0001;
const AUDIO: u8 = 111;
const VIDEO: u8 = 96;
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// A header extension of video packets that stays on every packet; str0m's own stops once a receiver report has come.
#[derive(Debug)]
struct Constant(fn(&ExtensionValues) -> Option<&str>);

impl ExtensionSerializer for Constant {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let value = (self.0)(values).unwrap_or("").as_bytes();
        buf[..value.len()].copy_from_slice(value);
        value.len()
    }

    fn parse_value(&self, _buf: &[u8], _values: &mut ExtensionValues) -> bool {
        false
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}

struct SectionTag(String);
struct LayerName(String);

#[derive(Clone)]
struct Sent {
    ssrc: Ssrc,
    sequence: u64,
    time: u32,
    marker: bool,
    rid: String,
    payload: Vec<u8>,
}

struct Obs {
    rtc: Rtc,
    next: Instant,
    next_tick: Instant,
    tick: u64,
    connected: bool,
    /// Numbers of the next packets: sound, then the layers.
    sequences: Vec<u64>,
    /// Packets of all layers, by the 16 bits of their numbers, the newest of each.
    kept: HashMap<u16, Sent>,
    /// Whether what it reports arrives.
    reports: bool,
    resent: usize,
    /// The layers that the answer names; it sends all of its own.
    asked_for: Vec<String>,
}

impl Obs {
    fn new(now: Instant, layers: usize) -> (Obs, String) {
        let mut config = Rtc::builder()
            .clear_codecs()
            .clear_extension_map()
            .set_extension(
                1,
                Extension::with_serializer(
                    MID,
                    Constant(|values| values.user_values.get::<SectionTag>().map(|tag| tag.0.as_str())),
                ),
            )
            .set_extension(
                2,
                Extension::with_serializer(
                    RID,
                    Constant(|values| values.user_values.get::<LayerName>().map(|name| name.0.as_str())),
                ),
            )
            .set_rtp_mode(true)
            .enable_raw_packets(true);
        let codecs = config.codec_config();
        codecs.add_h264(Pt::from(VIDEO), None, true, 0x42e01f);
        let opus = FormatParams { use_inband_fec: Some(true), ..FormatParams::default() };
        codecs.add_config(Pt::from(AUDIO), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), opus);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(publisher_address(), "udp").unwrap());
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.declare_media("0".into(), MediaKind::Audio);
        api.declare_stream_tx(BASE_SSRC.into(), None, "0".into(), None);
        api.declare_media("1".into(), MediaKind::Video);
        for layer in 0..layers {
            // str0m's name for it, which no extension of its own carries
            let rid = (layers > 1).then(|| layer.to_string().as_str().into());
            api.declare_stream_tx((BASE_SSRC + 1 + layer as u32).into(), None, "1".into(), rid);
        }
        let IceCreds { ufrag, pass } = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().clone();
        let offer = offer(layers, &ufrag, &pass, &fingerprint);
        let obs = Obs {
            rtc,
            next: now,
            next_tick: now,
            tick: 0,
            connected: false,
            sequences: vec![0; 1 + layers],
            kept: HashMap::new(),
            reports: true,
            resent: 0,
            asked_for: Vec::new(),
        };
        (obs, offer)
    }

    /// It takes the transport's part of an answer; the rest changes nothing.
    fn accept(&mut self, answer: &str) {
        let answer = wire::sdp::Description::parse(answer).unwrap();
        let remote = answer.ice_credentials().unwrap();
        let (hash_func, bytes) = answer.fingerprints().remove(0);
        self.rtc.add_remote_candidate(Candidate::host(server(), "udp").unwrap());
        let mut api = self.rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds { ufrag: remote.ufrag, pass: remote.password });
        api.set_remote_fingerprint(Fingerprint { hash_func, bytes });
        api.start_dtls(true).unwrap();
        let simulcast = answer.media[1].attribute("simulcast").unwrap_or("recv ");
        let names = simulcast.strip_prefix("recv ").unwrap();
        self.asked_for = names.split(';').filter(|rid| !rid.is_empty()).map(String::from).collect();
    }

    fn layers(&self) -> usize {
        self.sequences.len() - 1
    }

    fn send(&mut self, now: Instant, packet: Sent) {
        let mut values = ExtensionValues::default();
        let video = packet.ssrc != BASE_SSRC.into();
        if video {
            values.user_values.set(SectionTag("1".into()));
            values.user_values.set(LayerName(packet.rid.clone()));
        }
        let pt = Pt::from(if video { VIDEO } else { AUDIO });
        let write = RtpWrite::new(pt, packet.sequence.into(), packet.time, now, packet.payload.clone());
        let mut api = self.rtc.direct_api();
        api.stream_tx(&packet.ssrc).unwrap().write_rtp(write.marker(packet.marker).ext_vals(values));
        if video {
            self.kept.insert(packet.sequence as u16, packet);
        }
    }

    fn resend(&mut self, now: Instant, raw: RawPacket) {
        let RawPacket::RtcpRx(Rtcp::Nack(nack)) = raw else { return };
        for entry in nack.reports.iter() {
            let following = (0..16).filter(|bit| entry.blp >> bit & 1 == 1).map(|bit| entry.pid.wrapping_add(bit + 1));
            for number in std::iter::once(entry.pid).chain(following) {
                if let Some(packet) = self.kept.get(&number).cloned() {
                    self.resent += 1;
                    self.send(now, packet);
                }
            }
        }
    }
}

fn offer(layers: usize, ufrag: &str, password: &str, fingerprint: &Fingerprint) -> String {
    let bytes: Vec<String> = fingerprint.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let transport = format!("a=setup:actpass\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    let declared = |ssrc: u32, track: &str| {
        format!(
            "a=ssrc:{ssrc} cname:cFxPqnt9pIb1kIXA\r\na=ssrc:{ssrc} msid:Cgx9zHTzOExxGDVd Cgx9zHTzOExxGDVd-{track}\r\n"
        )
    };
    let names: Vec<String> = (0..layers).map(|layer| layer.to_string()).collect();
    let simulcast: String = names.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    let video = match layers {
        1 => format!("{}a=msid:Cgx9zHTzOExxGDVd Cgx9zHTzOExxGDVd-video\r\n", declared(BASE_SSRC + 1, "video")),
        _ => format!(
            "a=msid:Cgx9zHTzOExxGDVd Cgx9zHTzOExxGDVd-video\r\n{simulcast}a=simulcast:send {}\r\n",
            names.join(";")
        ),
    };
    [
        "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\n",
        "a=msid-semantic:WMS *\r\na=ice-options:ice2,trickle\r\n",
        &format!("a=fingerprint:{} {}\r\n", fingerprint.hash_func, bytes.join(":")),
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n",
        &declared(BASE_SSRC, "audio"),
        "a=msid:Cgx9zHTzOExxGDVd Cgx9zHTzOExxGDVd-audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n",
        "a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1\r\n",
        &transport,
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n",
        &format!("a=extmap:1 {MID}\r\na=extmap:2 {RID}\r\na=sendonly\r\n"),
        &video,
        "a=rtcp-mux\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n",
        "a=rtcp-fb:96 goog-remb\r\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n",
        &transport,
    ]
    .concat()
}

impl Publish for Obs {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server(), publisher_address(), datagram).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
    }

    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        if now >= self.next {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(due) => {
                    self.next = due.max(now + Duration::from_micros(100));
                    return datagrams;
                }
                Output::Transmit(transmit) => {
                    let datagram = transmit.contents.to_vec();
                    let report = (200..=207).contains(&datagram[1]) && datagram[0] >> 6 == 2;
                    if self.reports || !report {
                        datagrams.push(datagram);
                    }
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RawPacket(raw)) => self.resend(now, *raw),
                Output::Event(_) => {}
            }
        }
    }

    fn poll_timeout(&self) -> Instant {
        self.next.min(self.next_tick)
    }

    /// 25 pictures of each layer and 50 packets of sound a second; a key frame each 2 s.
    fn produce(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + ms(20);
        if !self.connected {
            return;
        }
        let sound = Sent {
            ssrc: BASE_SSRC.into(),
            sequence: self.sequences[0],
            time: (self.tick * 960) as u32,
            marker: false,
            rid: String::new(),
            payload: vec![0x33; 100],
        };
        self.sequences[0] += 1;
        self.send(now, sound);
        let number = self.tick / 2;
        let layers = if self.tick.is_multiple_of(2) { self.layers() } else { 0 };
        for layer in 0..layers {
            let units = access_unit(layer, number);
            for (index, unit) in units.iter().enumerate() {
                // each unit by itself, without aggregation
                let mut cut = Vec::new();
                wire::h264::packetize(std::iter::once(&unit[..]), 1200, |payload, marker| cut.push((payload, marker)));
                for (payload, marker) in cut {
                    let sent = Sent {
                        ssrc: (BASE_SSRC + 1 + layer as u32).into(),
                        sequence: self.sequences[1 + layer],
                        time: (number * 3600) as u32,
                        marker: marker && index + 1 == units.len(),
                        rid: layer.to_string(),
                        payload: payload.into(),
                    };
                    self.sequences[1 + layer] += 1;
                    self.send(now, sent);
                }
            }
        }
        self.tick += 1;
    }
}

/// A picture of a layer, which says whose it is.
fn access_unit(layer: usize, number: u64) -> Vec<Vec<u8>> {
    let key = number.is_multiple_of(50);
    let bytes = if key { 20_000 } else { 5_000 } / (1 + layer);
    let mut slice = vec![if key { 0x65 } else { 0x41 }];
    slice.resize(bytes, 0x70 + layer as u8);
    let sets = [vec![0x67, 0x42, 0xe0, 0x1f, 0x95, 0xa8], vec![0x68, 0xce, 0x3c, 0x80]];
    sets.into_iter().filter(|_| key).chain([slice]).collect()
}

fn studio(layers: usize, conditions: Conditions) -> World<Obs> {
    let now = Instant::now();
    let (mut obs, offer) = Obs::new(now, layers);
    let (ingest, answer) = Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), &offer).unwrap();
    obs.accept(&answer.sdp);
    World::between(now, obs, ingest, conditions)
}

/// Each layer's frames: time, and whose pixels they hold.
fn frames(world: &World<Obs>, layer: Layer) -> Vec<(u64, Vec<u8>)> {
    let of_layer = |packet: &&std::sync::Arc<sfu::Packet>| packet.kind == Kind::Video && packet.layer == layer;
    let packets: Vec<_> = world.incoming.packets.iter().filter(of_layer).collect();
    packets
        .chunk_by(|a, b| a.time == b.time)
        .map(|frame| (frame[0].time.ticks, frame.iter().map(|packet| *packet.payload.last().unwrap()).collect()))
        .collect()
}

#[test]
fn layers_of_obs_are_found_and_ordered() {
    for (layers, taken, reports) in [
        (1, vec![0], true),
        (2, vec![0, 1], true),
        (3, vec![0, 1, 2], true),
        (3, vec![0, 1, 2], false),
        (4, vec![0, 2, 3], true),
    ] {
        let mut world = studio(layers, near());
        world.publisher.reports = reports;
        world.run(ms(3000));
        let mut started = world.incoming.events.iter().filter_map(|event| match event {
            IngestEvent::Started(description) => description.video.as_ref(),
            _ => None,
        });
        let names: Vec<String> =
            taken.iter().map(|layer| if layers == 1 { String::new() } else { layer.to_string() }).collect();
        assert_eq!(
            world.publisher.asked_for,
            if layers == 1 { vec![] } else { names.clone() },
            "the answer names them"
        );
        assert_eq!(started.next_back().expect("announced").layers, names, "of {layers}");
        let all: Vec<_> = (0..taken.len()).map(|index| frames(&world, Layer(index as u8))).collect();
        for (index, frames) in all.iter().enumerate() {
            assert!(frames.len() > 60, "{} frames of layer {index} of {layers}", frames.len());
            let own = 0x70 + taken[index];
            let foreign = |bytes: &Vec<u8>| bytes.iter().any(|byte| (0x70..0x74).contains(byte) && *byte != own);
            assert!(!frames.iter().any(|(_, bytes)| foreign(bytes)), "layer {index} of {layers} is mixed");
            // one picture has one time on all layers
            let shift = frames[0].0.abs_diff(all[0][0].0);
            assert!(shift < 90, "layer {index} of {layers} is {shift} ticks off");
        }
        assert!(world.incoming.packets.iter().filter(|packet| packet.kind == Kind::Audio).count() > 100);
    }
}

#[test]
fn a_viewer_of_obs_sees_its_best_layer() {
    let mut world = studio(3, near());
    world.run(ms(2500));
    world.join();
    world.run(ms(2000));
    let (subscriber, viewer) = world.viewer.as_ref().unwrap();
    assert_eq!(subscriber.stats(world.now).layer, Some(Layer(0)));
    let bytes: Vec<usize> = viewer.pictures().iter().map(|seen| seen.bytes).collect();
    assert!(bytes.len() > 40 && bytes.iter().all(|bytes| *bytes >= 5_000), "{bytes:?}");
}

#[test]
fn what_obs_loses_is_sent_again_without_rtx() {
    for layers in [1, 3] {
        let mut world = studio(layers, near());
        // the layers' numbers are the same at first, and what is asked for by number is another layer's packet
        world.run(ms(1000));
        let begin = world.publisher.tick / 2;
        world.to_ingest.change(Conditions::lossy(0.05, ms(20)));
        world.to_publisher.change(Conditions::lossy(0.05, ms(20)));
        world.run(ms(8000));
        assert!(world.publisher.resent > 20, "{} packets sent again", world.publisher.resent);
        for layer in 0..layers {
            let frames = frames(&world, Layer(layer as u8));
            let came = frames.iter().filter(|(ticks, _)| ticks / 3600 >= begin).count();
            let sent = (world.publisher.tick / 2 - begin) as usize;
            // unrepaired, 22 % of frames of 5 packets are not whole; a twentieth leaves room for those on their way
            assert!(came + sent / 20 >= sent, "{came} frames of {sent} on layer {layer} of {layers}");
        }
    }
}
