//! Two peers in virtual time: a subscriber fed by an injector, and a whole str0m client in a browser's place, with a seeded
//! network between them.
#![allow(dead_code, unreachable_pub)] // each test file is a crate of its own and uses its own part

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netem::{Conditions, Link};
use sfu::{
    Answer, Credentials, DataEvent, DataSent, Entropy, Identity, Injector, Layer, Outbox, Packet, Peer, StreamCache,
    StreamDescription, StreamPosition, Subscriber, SubscriberConfig, SubscriberEvent, SubscriberSetup, WallClock,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::Extension;
use str0m::{Candidate, Event, Input, Output, Rtc};

pub mod publishing;

pub fn server() -> SocketAddr {
    "192.0.2.1:7900".parse().unwrap()
}

pub fn client() -> SocketAddr {
    "198.51.100.7:4000".parse().unwrap()
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A frame that a viewer has put together.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    /// RTP time as the viewer knows it.
    pub ticks: u64,
    /// Number that the source wrote into the frame.
    pub number: u32,
    pub key: bool,
    pub video: bool,
    pub contiguous: bool,
    /// Sender reports had come before it.
    pub reported: bool,
    pub bytes: usize,
    /// What the header extensions told: wall clock of capture, least and most playout delay.
    pub captured: Option<SystemTime>,
    pub playout_delay: Option<(Duration, Duration)>,
}

/// All that a client wants to send, and what it tells. `next`: when it wants to be asked again.
pub fn drain(rtc: &mut Rtc, now: Instant, next: &mut Instant) -> (Vec<Vec<u8>>, Vec<Event>) {
    let (mut datagrams, mut events) = (Vec::new(), Vec::new());
    if now >= *next && rtc.is_alive() {
        rtc.handle_input(Input::Timeout(now)).unwrap();
    }
    while rtc.is_alive() {
        match rtc.poll_output().unwrap() {
            Output::Timeout(due) => {
                *next = due.max(now + Duration::from_micros(100));
                break;
            }
            Output::Transmit(transmit) => datagrams.push(transmit.contents.to_vec()),
            Output::Event(event) => events.push(event),
        }
    }
    (datagrams, events)
}

/// A str0m client that receives.
pub struct Viewer {
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub video: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    pub next: Instant,
    pub connected: bool,
    pub closed: bool,
    pub seen: Vec<Seen>,
    reported: bool,
    /// Data channels in the order in which they were asked for, and what happened on them.
    pub channels: Vec<ChannelId>,
    pub open: Vec<ChannelId>,
    pub messages: Vec<(Instant, ChannelId, bool, Vec<u8>)>,
    pub shut: Vec<ChannelId>,
}

impl Viewer {
    /// A client and its offer.
    pub fn new(now: Instant, address: SocketAddr, video: bool, audio: bool) -> (Viewer, String) {
        Viewer::with_channels(now, address, video, audio, &[])
    }

    /// As `new`, with a section for data channels when there are any.
    pub fn with_channels(
        now: Instant,
        address: SocketAddr,
        video: bool,
        audio: bool,
        channels: &[ChannelConfig],
    ) -> (Viewer, String) {
        Viewer::with_extensions(now, address, video, audio, channels, &[])
    }

    /// As above; further header extensions, with their ids, are offered too.
    pub fn with_extensions(
        now: Instant,
        address: SocketAddr,
        video: bool,
        audio: bool,
        channels: &[ChannelConfig],
        extensions: &[(u8, Extension)],
    ) -> (Viewer, String) {
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::new(sfu::patient_crypto()))
            .clear_codecs()
            .enable_h264(true)
            .enable_opus(true, false);
        for (id, extension) in extensions {
            config = config.set_extension(*id, extension.clone());
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut api = rtc.sdp_api();
        let video = video.then(|| api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
        if audio {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let channels = channels.iter().map(|config| api.add_channel_with_config(config.clone())).collect();
        let (offer, pending) = api.apply().unwrap();
        let viewer = Viewer {
            rtc,
            address,
            video,
            pending: Some(pending),
            next: now,
            connected: false,
            closed: false,
            seen: Vec::new(),
            reported: false,
            channels,
            open: Vec::new(),
            messages: Vec::new(),
            shut: Vec::new(),
        };
        (viewer, offer.to_sdp_string())
    }

    pub fn accept(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
    }

    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server(), self.address, datagram).unwrap();
        self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
    }

    /// All that the client wants to send; events are noted.
    pub fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let (datagrams, events) = drain(&mut self.rtc, now, &mut self.next);
        events.into_iter().for_each(|event| self.note(now, event));
        datagrams
    }

    fn note(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::Closed => self.closed = true,
            Event::ChannelOpen(id, _) => self.open.push(id),
            Event::ChannelData(data) => self.messages.push((now, data.id, data.binary, data.data)),
            Event::ChannelClose(id) => self.shut.push(id),
            Event::SenderFeedback(_) => self.reported = true,
            Event::MediaData(media) => {
                let video = Some(media.mid) == self.video;
                self.seen.push(Seen {
                    at: now,
                    ticks: media.time.numer(),
                    number: frame_number(&media.data, video),
                    key: video && wire::h264::is_key_frame(wire::h264::nal_units(&media.data)),
                    video,
                    contiguous: media.contiguous,
                    reported: self.reported,
                    bytes: media.data.len(),
                    captured: media.ext_vals.abs_capture_time.map(|at| at.capture_time),
                    playout_delay: media.ext_vals.play_delay_min.zip(media.ext_vals.play_delay_max).map(
                        |(min, max)| {
                            (Duration::from_secs_f64(min.as_seconds()), Duration::from_secs_f64(max.as_seconds()))
                        },
                    ),
                });
            }
            _ => {}
        }
    }

    pub fn request_key_frame(&mut self) {
        let mid = self.video.unwrap();
        self.rtc.writer(mid).unwrap().request_keyframe(None, KeyframeRequestKind::Pli).unwrap();
    }

    /// Whether the client could take the message for its n-th channel.
    pub fn say(&mut self, channel: usize, text: bool, message: &[u8]) -> bool {
        let id = self.channels[channel];
        self.rtc.channel(id).is_some_and(|mut channel| channel.write(!text, message).unwrap_or(false))
    }

    /// What came on the n-th channel, as text.
    pub fn heard(&self, channel: usize) -> Vec<String> {
        let of = |(_, id, _, bytes): &(Instant, ChannelId, bool, Vec<u8>)| {
            (*id == self.channels[channel]).then(|| String::from_utf8(bytes.clone()).unwrap())
        };
        self.messages.iter().filter_map(of).collect()
    }

    pub fn pictures(&self) -> Vec<&Seen> {
        self.seen.iter().filter(|seen| seen.video).collect()
    }
}

/// The number that [`Source`] wrote into a frame.
fn frame_number(data: &[u8], video: bool) -> u32 {
    let from = |bytes: &[u8]| bytes[..4].iter().fold(0u32, |number, digit| number * 100 + u32::from(digit - 1));
    if !video {
        return from(data);
    }
    let slice = wire::h264::nal_units(data).find(|unit| matches!(unit[0] & 0x1f, 1 | 5));
    from(&slice.expect("a picture has a slice")[1..])
}

/// A synthetic encoder on a 20 ms clock: 25 pictures and 50 audio packets a second.
pub struct Source {
    pub injector: Injector,
    pub next: Instant,
    pub tick: u64,
    /// Pictures per GOP.
    pub gop: u64,
    pub key_frame_bytes: usize,
    pub frame_bytes: usize,
    pub key_wanted: bool,
    /// Further simulcast layers: each with its own line and the size of its frames.
    pub ladder: Vec<Rung>,
}

/// A further layer of [`Source`].
pub struct Rung {
    injector: Injector,
    pub frame_bytes: usize,
    pub key_wanted: bool,
}

impl Rung {
    pub fn new(clock: WallClock, frame_bytes: usize) -> Rung {
        let injector = Injector::new(StreamDescription::h264_opus(true, false), clock, StreamPosition::default());
        Rung { injector, frame_bytes, key_wanted: false }
    }
}

/// A packet under another layer's number.
fn on_layer(packet: &Packet, layer: Layer) -> Arc<Packet> {
    Arc::new(Packet {
        layer,
        payload: packet.payload.clone(),
        kind: packet.kind,
        codec: packet.codec,
        sequence: packet.sequence,
        time: packet.time,
        marker: packet.marker,
        key_frame_start: packet.key_frame_start,
        arrival: packet.arrival,
        ntp: packet.ntp,
    })
}

impl Source {
    pub fn new(now: Instant, clock: WallClock, description: StreamDescription) -> Source {
        let injector = Injector::new(description, clock, StreamPosition::default());
        Source {
            injector,
            next: now,
            tick: 0,
            gop: 50,
            key_frame_bytes: 22_000,
            frame_bytes: 6_500,
            key_wanted: false,
            ladder: Vec::new(),
        }
    }

    /// Digits 1..=100, so that there are no zero bytes.
    fn digits(number: u32) -> [u8; 4] {
        [number / 1_000_000 % 100, number / 10_000 % 100, number / 100 % 100, number % 100].map(|digit| digit as u8 + 1)
    }

    fn unit(number: u64, key: bool, bytes: usize) -> Vec<u8> {
        let mut unit = Vec::new();
        if key {
            unit.extend_from_slice(&[
                0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x95, 0xa8, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80,
            ]);
        }
        unit.extend_from_slice(&[0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
        unit.extend_from_slice(&Self::digits(number as u32));
        unit.resize(unit.len() + bytes, 0x5a);
        unit
    }

    /// The packets of one tick.
    pub fn produce(&mut self, now: Instant) -> Vec<Arc<Packet>> {
        let mut packets = Vec::new();
        if self.tick.is_multiple_of(2) {
            let number = self.tick / 2;
            let key = number.is_multiple_of(self.gop) || std::mem::take(&mut self.key_wanted);
            let unit = Self::unit(number, key, if key { self.key_frame_bytes } else { self.frame_bytes });
            for (index, rung) in self.ladder.iter_mut().enumerate() {
                let key = number.is_multiple_of(self.gop) || std::mem::take(&mut rung.key_wanted);
                let unit = Self::unit(number, key, if key { 4 * rung.frame_bytes } else { rung.frame_bytes });
                let burst = rung.injector.push_video(now, &unit, (number * 3600) as u32, key);
                packets.extend(burst.iter().map(|packet| on_layer(packet, Layer(index as u8 + 1))));
            }
            packets.extend(self.injector.push_video(now, &unit, (number * 3600) as u32, key).iter().cloned());
        }
        let mut audio = Self::digits(self.tick as u32).to_vec();
        audio.resize(120, 0x33);
        packets.extend(self.injector.push_audio(now, &audio, (self.tick * 960) as u32).iter().cloned());
        self.tick += 1;
        self.next = now + ms(20);
        packets
    }
}

/// Source, subscriber, network and viewer.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub clock: WallClock,
    pub cache: StreamCache,
    pub source: Source,
    pub subscriber: Subscriber,
    pub viewer: Viewer,
    pub down: Link<Vec<u8>>,
    pub up: Link<Vec<u8>>,
    pub outbox: Outbox,
    pub events: Vec<(Instant, SubscriberEvent)>,
    pub data: Vec<(Instant, DataEvent)>,
    /// Told before (true) and after every call into the subscriber.
    pub watch: fn(bool),
    /// Every datagram that the subscriber sent, with its time.
    pub sent: Vec<(Instant, usize)>,
    pub viewer_alive: bool,
    pub source_alive: bool,
    pictures_after: Option<Duration>,
    pictures_due: Option<Instant>,
}

pub struct Setup {
    pub seed: u64,
    pub conditions: Conditions,
    pub video: bool,
    pub audio: bool,
    pub config: SubscriberConfig,
    /// How long the stream has run when the viewer comes.
    pub warm_up: Duration,
    pub frame_bytes: usize,
    pub gop: u64,
    /// Frame sizes of further simulcast layers.
    pub ladder: Vec<usize>,
    pub channels: Vec<ChannelConfig>,
    /// Header extensions that the viewer offers beyond the usual ones.
    pub extensions: Vec<(u8, Extension)>,
    /// Pictures leave so long after the sound that came with them, as in a large audience.
    pub pictures_after: Option<Duration>,
    pub watch: fn(bool),
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            seed: 1,
            conditions: Conditions { delay: ms(1), ..Conditions::default() },
            video: true,
            audio: true,
            config: SubscriberConfig::default(),
            warm_up: ms(1300),
            frame_bytes: 6_500,
            gop: 50,
            ladder: Vec::new(),
            channels: Vec::new(),
            extensions: Vec::new(),
            pictures_after: None,
            watch: |_| (),
        }
    }
}

pub fn clock(now: Instant) -> WallClock {
    WallClock::new(now, Duration::from_secs(1_800_000_000))
}

pub fn subscriber_setup(seed: u8, now: Instant, config: SubscriberConfig) -> SubscriberSetup {
    let mut entropy = Entropy::new([seed; 32]);
    SubscriberSetup {
        identity: Identity::generate().unwrap(),
        credentials: Credentials::new(3, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        layers_all: false,
        config,
    }
}

impl World {
    pub fn new(setup: Setup) -> World {
        let start = Instant::now();
        let clock = clock(start);
        let description = StreamDescription::h264_opus(setup.video, setup.audio);
        let mut cache = StreamCache::new(description.clone());
        let mut source = Source::new(start, clock, description);
        (source.frame_bytes, source.gop) = (setup.frame_bytes, setup.gop);
        source.ladder = setup.ladder.iter().map(|bytes| Rung::new(clock, *bytes)).collect();
        let joined = start + setup.warm_up;
        while source.next < joined {
            let now = source.next;
            cache.push(&source.produce(now));
        }
        let (mut viewer, offer) =
            Viewer::with_extensions(joined, client(), setup.video, setup.audio, &setup.channels, &setup.extensions);
        let make = subscriber_setup(setup.seed as u8, start, setup.config);
        (setup.watch)(true);
        let made = Subscriber::answer(joined, make, &offer, &cache);
        (setup.watch)(false);
        let (subscriber, Answer { sdp, .. }) = made.unwrap();
        viewer.accept(&sdp);
        World {
            start: joined,
            now: joined,
            clock,
            cache,
            source,
            subscriber,
            viewer,
            down: Link::new(setup.seed, setup.conditions.clone()),
            up: Link::new(setup.seed ^ 0xffff, setup.conditions),
            outbox: Outbox::default(),
            events: Vec::new(),
            data: Vec::new(),
            watch: setup.watch,
            sent: Vec::new(),
            pictures_after: setup.pictures_after,
            pictures_due: None,
            viewer_alive: true,
            source_alive: true,
        }
    }

    fn flush(&mut self) {
        for (to, datagram) in self.outbox.iter() {
            // what fits through the narrowest IPv6 path: 1,280 bytes with its headers
            assert!(datagram.len() <= 1232 || datagram[0] < 64, "a media datagram of {} bytes", datagram.len());
            self.sent.push((self.now, datagram.len()));
            if to.address == self.viewer.address {
                self.down.send(self.now, datagram.to_vec(), datagram.len());
            }
        }
        self.outbox.clear();
        while let Some(event) = self.subscriber.poll_event() {
            if let SubscriberEvent::KeyFrameWanted { layer } = event
                && self.cache.want_key_frame(self.now, layer)
                && (layer != Layer::SINGLE || self.source.injector.request_key_frame(self.now))
            {
                match self.source.ladder.get_mut(usize::from(layer.0).wrapping_sub(1)) {
                    Some(rung) => rung.key_wanted = true,
                    None => self.source.key_wanted = true,
                }
            }
            self.events.push((self.now, event));
        }
        while let Some(event) = self.subscriber.poll_data() {
            self.data.push((self.now, event));
        }
    }

    /// Sends a text on the viewer's channel of that label.
    pub fn tell(&mut self, label: &str, text: &str) -> DataSent {
        (self.watch)(true);
        let sent = self.subscriber.send_data(self.now, label, true, text.as_bytes(), &mut self.outbox);
        (self.watch)(false);
        self.flush();
        sent
    }

    /// Lets `span` pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
    }

    /// Runs until a condition holds, at most `span`; whether it did.
    pub fn run_until(&mut self, span: Duration, mut condition: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if condition(self) {
                return true;
            }
            if !self.step(end) {
                return condition(self);
            }
        }
    }

    fn step(&mut self, end: Instant) -> bool {
        let timers = [
            self.subscriber.poll_timeout(),
            self.pictures_due,
            self.viewer_alive.then_some(self.viewer.next),
            self.down.poll_timeout(),
            self.up.poll_timeout(),
            self.source_alive.then_some(self.source.next),
        ];
        let Some(next) = timers.into_iter().flatten().min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = next.max(self.now);
        let now = self.now;
        if self.source_alive && now >= self.source.next {
            let burst = self.source.produce(now);
            let late = self.cache.push(&burst);
            (self.watch)(true);
            match self.pictures_after {
                Some(pause) => {
                    self.subscriber.forward_sound(now, &late, &self.cache, &mut self.outbox);
                    self.pictures_due.get_or_insert(now + pause);
                }
                None => self.subscriber.forward(now, &late, &self.cache, &mut self.outbox),
            }
            (self.watch)(false);
        }
        if self.pictures_due.is_some_and(|due| now >= due) {
            self.pictures_due = None;
            self.subscriber.forward(now, &[], &self.cache, &mut self.outbox);
        }
        (self.watch)(true);
        while let Some(mut datagram) = self.up.poll(now) {
            let from = Peer::udp(self.viewer.address);
            self.subscriber.handle_datagram(now, from, &mut datagram, &self.cache, &mut self.outbox);
        }
        if self.subscriber.poll_timeout().is_some_and(|due| now >= due) {
            self.subscriber.handle_timeout(now, &self.cache, &mut self.outbox);
        }
        (self.watch)(false);
        self.flush();
        while let Some(datagram) = self.down.poll(now) {
            if self.viewer_alive {
                self.viewer.receive(now, &datagram);
                self.drain_viewer();
            }
        }
        if self.viewer_alive {
            self.drain_viewer();
        }
        true
    }

    fn drain_viewer(&mut self) {
        for datagram in self.viewer.drain(self.now) {
            let bytes = datagram.len();
            self.up.send(self.now, datagram, bytes);
        }
    }

    pub fn event(&self, wanted: impl Fn(&SubscriberEvent) -> bool) -> Option<Instant> {
        self.events.iter().find(|(_, event)| wanted(event)).map(|(at, _)| *at)
    }
}
