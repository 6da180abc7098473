//! A publisher, an ingest and a viewer in virtual time, with a seeded network between them.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netem::{Conditions, Link};
use sfu::{
    Credentials, Entropy, Identity, Ingest, IngestEvent, IngestSetup, Outbox, Packet, Peer, StreamCache,
    StreamDescription, StreamPosition, Subscriber, SubscriberConfig, SubscriberEvent,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format;
use str0m::media::{Direction, MediaKind, MediaTime, Mid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{AbsCaptureTime, Extension};
use str0m::{Candidate, Event, Input, Rtc};

use super::{Viewer, client, clock, drain, ms, server, subscriber_setup};

pub fn publisher_address() -> SocketAddr {
    "203.0.113.9:5000".parse().unwrap()
}

pub fn ingest_setup(seed: u8, now: Instant, resume: StreamPosition) -> IngestSetup {
    let mut entropy = Entropy::new([seed; 32]);
    IngestSetup {
        identity: Identity::generate().unwrap(),
        credentials: Credentials::new(1, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        resume,
    }
}

/// An ingest with what came of it.
pub struct Incoming {
    pub ingest: Ingest,
    pub cache: StreamCache,
    pub events: Vec<IngestEvent>,
    pub packets: Vec<Arc<Packet>>,
}

impl Incoming {
    pub fn new(ingest: Ingest) -> Incoming {
        Incoming {
            ingest,
            cache: StreamCache::new(StreamDescription::default()),
            events: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Everything that came of the last call; datagrams go to `out`. If packets did: the late ones, for subscribers.
    pub fn drain(&mut self, now: Instant, out: &mut Outbox) -> Option<Vec<Arc<Packet>>> {
        self.ingest.poll(now, out);
        while let Some(event) = self.ingest.poll_event() {
            if let IngestEvent::Started(description) = &event {
                self.cache.describe(description.clone());
            }
            self.events.push(event);
        }
        let mut late = None;
        while let Some(burst) = self.ingest.poll_burst() {
            late.get_or_insert_with(Vec::new).extend(self.cache.push(&burst));
            self.packets.extend(burst.iter().cloned());
        }
        late
    }

    pub fn has(&self, event: &IngestEvent) -> bool {
        self.events.contains(event)
    }
}

/// A str0m client that sends.
pub struct Publisher {
    pub rtc: Rtc,
    pub video: Option<Mid>,
    pub audio: Option<Mid>,
    pub next: Instant,
    pub connected: bool,
    pub key_wanted: u32,
    pub tick: u64,
    pub next_tick: Instant,
    /// Its clock at tick 0; tells capture times when there is one.
    pub captures_from: Option<SystemTime>,
    /// Names of its layers; one without a name where there is no simulcast.
    pub rids: Vec<&'static str>,
    pub publishing: bool,
}

/// A client in a publisher's place.
pub trait Publish {
    fn receive(&mut self, now: Instant, datagram: &[u8]);

    /// All that it wants to send.
    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>>;

    fn poll_timeout(&self) -> Instant;

    /// Writes the media that is due.
    fn produce(&mut self, now: Instant);
}

impl Publisher {
    pub fn offer(
        now: Instant,
        video: bool,
        audio: bool,
        rids: &[&'static str],
    ) -> (Publisher, SdpPendingOffer, String) {
        let config = Rtc::builder().clear_codecs().enable_vp8(true).enable_h264(true).enable_opus(true, false);
        Publisher::offer_of(config, now, video, audio, rids)
    }

    pub fn offer_of(
        config: str0m::RtcConfig,
        now: Instant,
        video: bool,
        audio: bool,
        rids: &[&'static str],
    ) -> (Publisher, SdpPendingOffer, String) {
        let mut rtc = config.set_extension(12, Extension::AbsoluteCaptureTime).build(now);
        rtc.add_local_candidate(Candidate::host(publisher_address(), "udp").unwrap());
        let mut api = rtc.sdp_api();
        let layers = rids.iter().map(|rid| SimulcastLayer::new(rid)).collect();
        let simulcast = (rids.len() > 1).then_some(Simulcast { send: layers, recv: vec![] });
        let video = video.then(|| api.add_media(MediaKind::Video, Direction::SendOnly, None, None, simulcast));
        let audio = audio.then(|| api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None));
        let (offer, pending) = api.apply().unwrap();
        let publisher = Publisher {
            rtc,
            video,
            audio,
            next: now,
            connected: false,
            key_wanted: 0,
            tick: 0,
            next_tick: now,
            captures_from: None,
            rids: rids.to_vec(),
            publishing: true,
        };
        (publisher, pending, offer.to_sdp_string())
    }

    pub fn write(&mut self, now: Instant, mid: Mid, codec: format::Codec, time: u64, rid: Option<&str>, data: Vec<u8>) {
        let captured = self.captures_from.map(|start| start + ms(20) * self.tick as u32);
        let mut writer = self.rtc.writer(mid).unwrap();
        if let Some(capture_time) = captured {
            writer = writer.abs_capture_time(AbsCaptureTime { capture_time, clock_offset: None });
        }
        if let Some(rid) = rid {
            writer = writer.rid(rid.into());
        }
        let pt =
            writer.payload_params().find(|params| params.spec().codec == codec).expect("the codec is negotiated").pt();
        let rate = if codec == format::Codec::Opus { 48_000 } else { 90_000 };
        writer.write(pt, now, MediaTime::new(time, str0m::media::Frequency::new(rate).unwrap()), data).unwrap();
    }
}

impl Publish for Publisher {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server(), publisher_address(), datagram).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
    }

    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let (datagrams, events) = drain(&mut self.rtc, now, &mut self.next);
        for event in events {
            match event {
                Event::Connected => self.connected = true,
                Event::KeyframeRequest(_) => self.key_wanted += 1,
                _ => {}
            }
        }
        datagrams
    }

    fn poll_timeout(&self) -> Instant {
        self.next.min(self.next_tick)
    }

    /// 25 pictures and 50 audio packets a second; a key frame each 2 s or when asked for.
    fn produce(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + ms(20);
        if !self.connected || !self.publishing {
            return;
        }
        if self.tick.is_multiple_of(2)
            && let Some(video) = self.video
        {
            let number = self.tick / 2;
            let key = number.is_multiple_of(50) || std::mem::take(&mut self.key_wanted) > 0;
            for (index, rid) in self.rids.clone().into_iter().enumerate() {
                let mut unit = Vec::new();
                if key {
                    unit.extend_from_slice(&[
                        0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x95, 0xa8, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80,
                    ]);
                }
                unit.extend_from_slice(&[0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
                let digits = [number / 1_000_000 % 100, number / 10_000 % 100, number / 100 % 100, number % 100];
                unit.extend(digits.map(|digit| digit as u8 + 1));
                unit.resize(unit.len() + if key { 20_000 } else { 5_000 } / (1 + 3 * index), 0x44);
                let rid = Some(rid).filter(|rid| !rid.is_empty());
                self.write(now, video, format::Codec::H264, number * 3600, rid, unit);
            }
        }
        if let Some(audio) = self.audio {
            let mut data = vec![1, 1, (self.tick / 100 % 100) as u8 + 1, (self.tick % 100) as u8 + 1];
            data.resize(100, 0x33);
            self.write(now, audio, format::Codec::Opus, self.tick * 960, None, data);
        }
        self.tick += 1;
    }
}

/// Publisher -> ingest -> cache -> subscriber -> viewer, in virtual time.
pub struct World<P = Publisher> {
    pub now: Instant,
    pub start: Instant,
    pub publisher: P,
    pub incoming: Incoming,
    pub viewer: Option<(Subscriber, Viewer)>,
    pub to_ingest: Link<Vec<u8>>,
    pub to_publisher: Link<Vec<u8>>,
    pub to_viewer: Link<Vec<u8>>,
    pub from_viewer: Link<Vec<u8>>,
    pub outbox: Outbox,
    /// What of the publisher's arrived, and when.
    pub arrived: Vec<(Instant, Vec<u8>)>,
}

impl World {
    pub fn new(video: bool, audio: bool, rids: Vec<&'static str>, conditions: Conditions) -> World {
        let config = Rtc::builder().clear_codecs().enable_vp8(true).enable_h264(true).enable_opus(true, false);
        World::of(config, video, audio, rids, conditions)
    }

    pub fn of(
        config: str0m::RtcConfig,
        video: bool,
        audio: bool,
        rids: Vec<&'static str>,
        conditions: Conditions,
    ) -> World {
        let now = Instant::now();
        let (mut publisher, pending, offer) = Publisher::offer_of(config, now, video, audio, &rids);
        let (ingest, answer) = Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), &offer).unwrap();
        publisher.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp).unwrap()).unwrap();
        World::between(now, publisher, ingest, conditions)
    }
}

impl<P: Publish> World<P> {
    pub fn between(now: Instant, publisher: P, ingest: Ingest, conditions: Conditions) -> World<P> {
        World {
            now,
            start: now,
            publisher,
            incoming: Incoming::new(ingest),
            viewer: None,
            to_ingest: Link::new(1, conditions.clone()),
            to_publisher: Link::new(2, conditions.clone()),
            to_viewer: Link::new(3, conditions.clone()),
            from_viewer: Link::new(4, conditions),
            outbox: Outbox::default(),
            arrived: Vec::new(),
        }
    }

    pub fn join(&mut self) {
        let description = self.incoming.cache.description().clone();
        let (video, audio) = (description.video.is_some(), description.audio.is_some());
        let extensions = [(12, Extension::AbsoluteCaptureTime)];
        let (mut viewer, offer) = Viewer::with_extensions(self.now, client(), video, audio, &[], &extensions);
        let setup = subscriber_setup(9, self.start, SubscriberConfig::default());
        let (subscriber, answer) = Subscriber::answer(self.now, setup, &offer, &self.incoming.cache).unwrap();
        viewer.accept(&answer.sdp);
        self.viewer = Some((subscriber, viewer));
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
    }

    pub fn step(&mut self, end: Instant) -> bool {
        let mut timers = vec![
            self.incoming.ingest.poll_timeout(),
            Some(self.publisher.poll_timeout()),
            self.to_ingest.poll_timeout(),
            self.to_publisher.poll_timeout(),
            self.to_viewer.poll_timeout(),
            self.from_viewer.poll_timeout(),
        ];
        if let Some((subscriber, viewer)) = &self.viewer {
            timers.extend([subscriber.poll_timeout(), Some(viewer.next)]);
        }
        let Some(next) = timers.into_iter().flatten().min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = next.max(self.now);
        let now = self.now;
        self.publisher.produce(now);
        while let Some(datagram) = self.to_publisher.poll(now) {
            self.publisher.receive(now, &datagram);
            self.drain_publisher();
        }
        self.drain_publisher();
        while let Some(datagram) = self.to_ingest.poll(now) {
            self.incoming.ingest.handle_datagram(now, Peer::udp(publisher_address()), &datagram);
            self.arrived.push((now, datagram));
            self.drain_ingest();
        }
        if self.incoming.ingest.poll_timeout().is_some_and(|due| now >= due) {
            self.incoming.ingest.handle_timeout(now);
            self.drain_ingest();
        }
        if let Some((subscriber, viewer)) = &mut self.viewer {
            while let Some(mut datagram) = self.from_viewer.poll(now) {
                subscriber.handle_datagram(
                    now,
                    Peer::udp(client()),
                    &mut datagram,
                    &self.incoming.cache,
                    &mut self.outbox,
                );
            }
            if subscriber.poll_timeout().is_some_and(|due| now >= due) {
                subscriber.handle_timeout(now, &self.incoming.cache, &mut self.outbox);
            }
            while let Some(event) = subscriber.poll_event() {
                if let SubscriberEvent::KeyFrameWanted { layer } = event
                    && self.incoming.cache.want_key_frame(now, layer)
                {
                    self.incoming.ingest.request_key_frame(now, layer);
                }
            }
            while let Some(datagram) = self.to_viewer.poll(now) {
                viewer.receive(now, &datagram);
                for datagram in viewer.drain(now) {
                    let bytes = datagram.len();
                    self.from_viewer.send(now, datagram, bytes);
                }
            }
            for datagram in viewer.drain(now) {
                let bytes = datagram.len();
                self.from_viewer.send(now, datagram, bytes);
            }
        }
        self.drain_ingest();
        true
    }

    pub fn drain_publisher(&mut self) {
        for datagram in self.publisher.drain(self.now) {
            let bytes = datagram.len();
            self.to_ingest.send(self.now, datagram, bytes);
        }
    }

    pub fn drain_ingest(&mut self) {
        let late = self.incoming.drain(self.now, &mut self.outbox);
        if let (Some((subscriber, _)), Some(late)) = (&mut self.viewer, late) {
            subscriber.forward(self.now, &late, &self.incoming.cache, &mut self.outbox);
        }
        for (to, datagram) in self.outbox.iter() {
            let link = if to.address == client() { &mut self.to_viewer } else { &mut self.to_publisher };
            link.send(self.now, datagram.to_vec(), datagram.len());
        }
        self.outbox.clear();
    }
}

pub fn near() -> Conditions {
    Conditions { delay: ms(5), ..Conditions::default() }
}
