//! One viewer (or downstream node): answers its offer, connects, starts it from the cache, forwards, repairs.
//!
//! | file | what |
//! |---|---|
//! | `answer.rs` | which sections of the offer are taken, and the answer's text |
//! | `offer.rs` | an offer of our own |
//! | `transport.rs` | ICE, DTLS, SRTP |
//! | `extensions.rs` | RTP header extensions that we send |
//! | `forwarder.rs` | cursor, rewriting, start, pace, repair of one track |
//! | `pictures.rs` | VP8's counters as one line |
//! | `chooser.rs` | which layer the viewer gets |
//! | `reports.rs` | sender and receiver reports |
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::rtcp::{self, Rtcp};
use wire::sdp::{Description, IceCredentials};

use crate::cache::{RateWindow, StreamCache};
use crate::candidates::write_fragment;
use crate::clock::WallClock;
use crate::data::{Channels, DataEvent, DataLimits, DataSent};
use crate::entropy::{Credentials, Entropy};
use crate::error::SfuError;
use crate::identity::Identity;
use crate::outbox::{Outbox, Peer};
use crate::packet::{Kind, Layer, Packet};

mod answer;
mod chooser;
mod extensions;
mod forwarder;
mod offer;
mod pictures;
mod reports;
mod stats;
mod transport;

use answer::Plan;
pub use chooser::LayerWish;
use chooser::{Choice, Chooser, Move, View};
pub use extensions::PlayoutDelay;
use forwarder::{Forwarder, Link, Wish};
use offer::Ssrcs;
use reports::Reports;
pub use stats::{SubscriberStats, TrackStats};
use transport::{Transport, TransportEvent};

/// A full packet of media on the wire.
const PACKET_BITS: u64 = 1200 * 8;
/// A padding packet on the wire: 255 bytes, headers, tag.
const PADDING_BITS: u64 = (255 + 20 + 16) * 8;

/// What may be tuned; the defaults are the measured ones.
#[derive(Debug, Clone)]
pub struct SubscriberConfig {
    /// Without a STUN check or a genuine SRTCP packet for so long, the session closes (RFC 7675).
    pub consent_timeout: Duration,
    /// An answer that nobody uses is forgotten after this.
    pub connect_timeout: Duration,
    /// Packets of a backlog that leave together; the next ones follow after `slot`.
    pub segments_per_slot: usize,
    /// Time between two such groups.
    pub slot: Duration,
    /// Start from the cached GOP; otherwise wait for the next key frame.
    pub instant_start: bool,
    /// Least time between two answers to a viewer's PLI.
    pub replay_interval: Duration,
    /// Sent to viewers (not to nodes) that can read it; `None`: their players decide.
    pub playout_delay: Option<PlayoutDelay>,
    /// What its data channels may cost.
    pub data: Arc<DataLimits>,
}

impl Default for SubscriberConfig {
    fn default() -> Self {
        SubscriberConfig {
            consent_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            segments_per_slot: 8,
            slot: Duration::from_millis(1),
            instant_start: true,
            replay_interval: Duration::from_millis(300),
            playout_delay: None,
            data: Arc::default(),
        }
    }
}

/// What a subscriber is made of.
pub struct SubscriberSetup {
    /// The process's certificate and DTLS settings.
    pub identity: Identity,
    /// Ours for ICE; an ICE restart draws others.
    pub credentials: Credentials,
    /// Where it draws what must not be guessed.
    pub entropy: Entropy,
    /// For sender reports and capture times.
    pub clock: WallClock,
    /// Addresses under which this socket is reached; become the answer's candidates. At least one.
    pub addresses: Vec<SocketAddr>,
    /// `?layers=all`: the offer's video m-lines get one layer each (a node pulls), instead of one choice on the first.
    pub layers_all: bool,
    /// What may be tuned.
    pub config: SubscriberConfig,
}

/// The answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The whole answer, candidates included.
    pub sdp: String,
    /// For the ETag header, without quotes; changes at an ICE restart.
    pub etag: String,
}

/// What a PATCH did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trickle {
    /// Candidates taken: 204.
    Taken,
    /// ICE restarted: 200 with this body and ETag. The session's ufrag is another one now.
    Restarted {
        /// Our new credentials and candidates (RFC 8840).
        fragment: String,
        /// Of the new ICE session, without quotes.
        etag: String,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Nobody ever used the answer.
    NeverConnected,
    /// The peer fell silent.
    ConsentExpired,
    /// The peer closed DTLS.
    PeerClosed,
    /// The handshake failed or the certificate is not the one the offer named.
    Handshake,
    /// `close()` was called.
    Local,
}

impl CloseReason {
    /// Stable name for API users.
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::NeverConnected => "never_connected",
            CloseReason::ConsentExpired => "consent_expired",
            CloseReason::PeerClosed => "peer_closed",
            CloseReason::Handshake => "handshake_failed",
            CloseReason::Local => "closed",
        }
    }
}

/// What happened to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriberEvent {
    /// ICE and DTLS are up; media flows from here on.
    Connected,
    /// The peer may send from here: route its datagrams to this session.
    Remote(Peer),
    /// The first whole key frame is out, so long after the answer.
    FirstFrame {
        /// Since the answer.
        after: Duration,
    },
    /// Only a new key frame helps (nothing in the cache to start from): see [`StreamCache::want_key_frame`].
    KeyFrameWanted {
        /// In this layer.
        layer: Layer,
    },
    /// Video comes from this layer now (told at the start too); `None`: sound goes on alone, since the path has no room for more.
    LayerChanged {
        /// The layer that it gets now.
        layer: Option<Layer>,
    },
    /// It is over; drop the value.
    Closed(CloseReason),
}

/// One WHEP session: ICE (full, controlled), DTLS (passive), SRTP and a forwarder per track.
pub struct Subscriber {
    transport: Transport,
    credentials: Credentials,
    entropy: Entropy,
    addresses: Vec<SocketAddr>,
    clock: WallClock,
    config: SubscriberConfig,
    video: Vec<Forwarder>,
    audio: Option<Forwarder>,
    reports: Reports,
    /// RTCP is put together here, then sealed into the outbox.
    compound: Vec<u8>,
    answered: Instant,
    connect_after: Option<Duration>,
    first_frame_after: Option<Duration>,
    started: bool,
    /// The way out is full: nothing new is sent until it is free.
    held: bool,
    report_due: Option<Instant>,
    slot_due: Option<Instant>,
    /// Packets that may still leave in this slot, and when the slot began.
    allowance: usize,
    slot_began: Instant,
    remb_bps: Option<u64>,
    /// Which layer the viewer gets; `None` when its sections have one each, and before the start.
    chooser: Option<Chooser>,
    wish: LayerWish,
    /// Pace of a backlog, when the path was found narrow.
    pace_bps: Option<u64>,
    /// Until when padding has been sent.
    padded: Option<Instant>,
    sent: RateWindow,
    events: VecDeque<SubscriberEvent>,
    /// Longest message that the peer takes, when it offered data channels.
    data_offered: Option<u32>,
    /// Made by the first SCTP packet.
    data: Option<Box<Channels>>,
    /// What our own offer names, until it is answered.
    offered: Option<Ssrcs>,
}

impl Subscriber {
    /// Answers a WHEP offer for the stream in `cache`. The SDP is complete at once.
    ///
    /// Errors: the offer cannot be read, or has no codec in common with the stream.
    pub fn answer(
        now: Instant,
        mut setup: SubscriberSetup,
        offer: &str,
        cache: &StreamCache,
    ) -> Result<(Subscriber, Answer), SfuError> {
        let offer = Description::parse(offer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let remote = Remote::of(&offer)?;
        if offer.any_attribute("setup") == Some("passive") {
            return Err(bad("setup:passive leaves nobody to begin the DTLS handshake; offer actpass"));
        }
        let entropy = &mut setup.entropy;
        let plan =
            Plan::new(&offer, cache.description(), setup.layers_all, &setup.config, |_| entropy.draw_u32().max(1))?;
        let identity = (setup.identity.fingerprint(), "passive");
        let sdp = plan.write(&offer, entropy.draw_u32(), &setup.credentials, identity, &setup.addresses);
        let etag = draw_etag(entropy);
        let mut subscriber = Subscriber::new(now, setup, Some(remote));
        subscriber.take_plan(&plan, &offer);
        Ok((subscriber, Answer { sdp, etag }))
    }

    /// The other way about: a session that offers the stream in `cache`, for a viewer whose own offer cannot be taken (WHEP's
    /// counter-offer). It waits for [`Subscriber::accept`] as long as for a connection, and is deaf until then.
    ///
    /// Errors: the stream has no media yet.
    pub fn offer(
        now: Instant,
        mut setup: SubscriberSetup,
        cache: &StreamCache,
    ) -> Result<(Subscriber, Answer), SfuError> {
        let entropy = &mut setup.entropy;
        let mut draw = || entropy.draw_u32().max(1);
        let ssrcs = Ssrcs { video: [draw(), draw()], audio: [draw(), draw()] };
        let viewer = offer::ideal_viewer(cache.description());
        let plan = Plan::new(&viewer, cache.description(), false, &setup.config, ssrcs.draw())?;
        let identity = (setup.identity.fingerprint(), "actpass");
        let sdp = plan.write(&viewer, entropy.draw_u32(), &setup.credentials, identity, &setup.addresses);
        let etag = draw_etag(entropy);
        let mut subscriber = Subscriber::new(now, setup, None);
        subscriber.offered = Some(ssrcs);
        Ok((subscriber, Answer { sdp, etag }))
    }

    /// The viewer's answer to [`Subscriber::offer`]. What it rejects is not sent; after an error it may answer again.
    ///
    /// Errors: there is no open offer, the answer cannot be read, or takes nothing.
    pub fn accept(&mut self, now: Instant, answer: &str, cache: &StreamCache) -> Result<(), SfuError> {
        let ssrcs = self.offered.ok_or(SfuError::WrongState("there is no offer to answer"))?;
        let answer = Description::parse(answer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let remote = Remote::of(&answer)?;
        let begin = match answer.any_attribute("setup") {
            Some("active") => false,
            Some("passive") => true,
            _ => return Err(bad("it must say who begins the DTLS handshake: setup:active, or passive")),
        };
        let plan = Plan::new(&answer, cache.description(), false, &self.config, ssrcs.draw())?;
        self.offered = None;
        self.transport.accept(now, remote, begin, self.config.connect_timeout);
        self.take_plan(&plan, &answer);
        Ok(())
    }

    fn new(now: Instant, setup: SubscriberSetup, remote: Option<Remote>) -> Subscriber {
        let SubscriberSetup { identity, credentials, entropy, clock, addresses, config, .. } = setup;
        let timeouts = (config.connect_timeout, config.consent_timeout);
        Subscriber {
            transport: Transport::new(now, &identity, &credentials, remote, addresses.clone(), timeouts),
            credentials,
            entropy,
            addresses,
            clock,
            video: Vec::new(),
            audio: None,
            reports: Reports::default(),
            compound: Vec::new(),
            answered: now,
            connect_after: None,
            first_frame_after: None,
            started: false,
            held: false,
            report_due: None,
            slot_due: None,
            allowance: config.segments_per_slot,
            config,
            slot_began: now,
            remb_bps: None,
            chooser: None,
            wish: LayerWish::Auto,
            pace_bps: None,
            padded: None,
            sent: RateWindow::default(),
            events: VecDeque::new(),
            data_offered: None,
            data: None,
            offered: None,
        }
    }

    /// Makes what the negotiated sections need.
    fn take_plan(&mut self, plan: &Plan, peers: &Description) {
        self.data_offered = plan.data(peers);
        self.transport.takes_data = self.data_offered.is_some();
        for section in plan.sections() {
            let forwarder = Forwarder::new(section.clone(), self.config.clone(), self.entropy.draw());
            match section.kind {
                Kind::Video => self.video.push(forwarder),
                Kind::Audio => self.audio = Some(forwarder),
            }
        }
    }

    /// A PATCH body (RFC 8840 fragment): new credentials restart ICE; candidates are not needed, its checks come to us.
    pub fn trickle(&mut self, now: Instant, fragment: &str) -> Result<Trickle, SfuError> {
        if self.offered.is_some() {
            return Err(SfuError::WrongState("the offer is to be answered first"));
        }
        let fragment =
            Description::parse_fragment(fragment).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let remote = remote_credentials(&fragment)?;
        let restart = remote.filter(|remote| self.transport.remote_ufrag() != Some(remote.ufrag.as_str()));
        let restarted = restart.is_some();
        if let Some(remote) = restart {
            // ours never fails to name its worker
            let worker = Credentials::worker_of(&self.credentials.ufrag).unwrap_or(0);
            self.credentials = Credentials::new(worker, &mut self.entropy);
            self.transport.restart(now, &self.credentials, remote);
        }
        if !restarted {
            return Ok(Trickle::Taken);
        }
        let fragment = write_fragment(&fragment, &self.credentials, &self.addresses);
        Ok(Trickle::Restarted { fragment, etag: draw_etag(&mut self.entropy) })
    }

    /// A datagram from the network. `datagram` is used as scratch (decrypted in place).
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: Peer,
        datagram: &mut [u8],
        cache: &StreamCache,
        out: &mut Outbox,
    ) {
        if let Some(compound) = self.transport.handle_datagram(now, from, datagram, out) {
            self.handle_rtcp(now, compound, cache);
        }
        self.take_transport_events(now);
        self.exchange_data(now, out);
        self.pump(now, cache, out);
    }

    /// The cache has taken a burst: sends what is new in it, and the `late` ones that [`StreamCache::push`] returned.
    pub fn forward(&mut self, now: Instant, late: &[Arc<Packet>], cache: &StreamCache, out: &mut Outbox) {
        if self.started && !self.held {
            self.forward_late(now, late, out);
            self.pump(now, cache, out);
        }
    }

    /// As [`Subscriber::forward`] but without the pictures, which the next call of that sends: for an audience so large that its sound
    /// would wait for them.
    pub fn forward_sound(&mut self, now: Instant, late: &[Arc<Packet>], cache: &StreamCache, out: &mut Outbox) {
        if self.started && !self.held {
            self.forward_late(now, late, out);
            let Some(mut link) = Link::open(now, &mut self.transport, &self.clock, out) else { return };
            let Some(audio) = &mut self.audio else { return };
            let mut unpaced = usize::MAX;
            audio.pump(now, cache, &mut unpaced, &mut link);
            self.sent.add(now, link.bytes as usize);
        }
    }

    fn forward_late(&mut self, now: Instant, late: &[Arc<Packet>], out: &mut Outbox) {
        if late.is_empty() {
            return;
        }
        let Some(mut link) = Link::open(now, &mut self.transport, &self.clock, out) else { return };
        for packet in late {
            match packet.kind {
                Kind::Video => self.video.iter_mut().for_each(|video| video.forward_late(packet, &mut link)),
                Kind::Audio => self.audio.iter_mut().for_each(|audio| audio.forward_late(packet, &mut link)),
            }
        }
        self.sent.add(now, link.bytes as usize);
    }

    /// Backpressure of a way out that keeps order (TCP). While held nothing new leaves; the place in the cache stays. Released, it
    /// goes on from there or, where that is too far back, from the newest key frame, and asks for one if there is none.
    pub fn hold(&mut self, now: Instant, held: bool, cache: &StreamCache, out: &mut Outbox) {
        if std::mem::replace(&mut self.held, held) == held || !self.started {
            return;
        }
        if held {
            self.slot_due = None;
        } else {
            self.video.iter_mut().chain(&mut self.audio).for_each(|forwarder| forwarder.resume(now, cache));
            self.pump(now, cache, out);
        }
    }

    /// The connection to `peer` is gone (TCP). Media waits for the next genuine check, from wherever it comes.
    pub fn lose(&mut self, now: Instant, peer: Peer, out: &mut Outbox) {
        self.transport.lose(now, peer, out);
        self.held = false;
        self.take_transport_events(now);
    }

    /// The timer of [`Subscriber::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: Instant, cache: &StreamCache, out: &mut Outbox) {
        self.transport.handle_timeout(now, out);
        if let Some(data) = self.data.as_mut().filter(|data| data.poll_timeout().is_some_and(|due| now >= due)) {
            data.handle_timeout(now);
        }
        self.take_transport_events(now);
        self.exchange_data(now, out);
        self.pump(now, cache, out);
    }

    /// When [`Subscriber::handle_timeout`] is due; ask again after every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let transport = self.transport.poll_timeout()?;
        let data = self.data.as_ref().and_then(|data| data.poll_timeout());
        let timers = [self.report_due, self.slot_due, self.padded, data];
        Some(timers.into_iter().flatten().fold(transport, Instant::min))
    }

    /// What happened since the last call, oldest first.
    pub fn poll_event(&mut self) -> Option<SubscriberEvent> {
        self.events.pop_front()
    }

    /// What happened on the peer's data channels.
    pub fn poll_data(&mut self) -> Option<DataEvent> {
        self.data.as_mut()?.poll_event()
    }

    /// Sends a message on the peer's first data channel with that label, if it has opened one.
    pub fn send_data(&mut self, now: Instant, label: &str, text: bool, message: &[u8], out: &mut Outbox) -> DataSent {
        let Some(data) = &mut self.data else { return DataSent::NoChannel };
        let sent = data.send(now, label, text, message);
        self.exchange_data(now, out);
        sent
    }

    /// SCTP packets between DTLS and the channels.
    fn exchange_data(&mut self, now: Instant, out: &mut Outbox) {
        let Some(most_sent) = self.data_offered else { return };
        if self.data.is_none() && self.transport.arrived.is_empty() {
            return;
        }
        let limits = *self.config.data;
        let data = self.data.get_or_insert_with(|| Box::new(Channels::new(now, limits, most_sent)));
        loop {
            for packet in std::mem::take(&mut self.transport.arrived) {
                data.handle_packet(now, packet);
            }
            while let Some(packet) = data.poll_packet() {
                self.transport.send_data(now, &packet, out);
            }
            if self.transport.arrived.is_empty() {
                return;
            }
        }
    }

    /// Our ufrag, under which STUN checks find this session; another one after an ICE restart.
    pub fn ufrag(&self) -> &str {
        &self.credentials.ufrag
    }

    /// Where we send to, once a check of the peer has been genuine.
    pub fn remote(&self) -> Option<Peer> {
        self.transport.path()
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) and closes: [`SubscriberEvent::Closed`] follows.
    pub fn close(&mut self, now: Instant, out: &mut Outbox) {
        if self.started {
            self.compound.clear();
            // RFC 3550 6.1: a compound begins with a report; this one reports nothing
            let ssrcs: Vec<u32> = self.forwarders().map(|forwarder| forwarder.section().ssrc).collect();
            rtcp::write_receiver_report(ssrcs.first().copied().unwrap_or(0), &[], &mut self.compound);
            rtcp::write_bye(&ssrcs, &mut self.compound);
            self.send_compound(out);
        }
        self.transport.close(now, out);
        self.take_transport_events(now);
    }

    /// Figures since the session began.
    pub fn stats(&self, now: Instant) -> SubscriberStats {
        let millis = |span: Duration| span.as_secs_f64() * 1000.0;
        let mut video = TrackStats::default();
        self.video.iter().for_each(|forwarder| video.add(&forwarder.stats));
        SubscriberStats {
            connected: self.transport.is_connected(),
            remote: self.transport.path(),
            video,
            audio: self.audio.as_ref().map(|audio| audio.stats).unwrap_or_default(),
            rtt_ms: self.reports.rtt().map(millis),
            bitrate_bps: self.sent.bitrate_bps(now),
            remb_bps: self.remb_bps,
            layer: self.video.first().filter(|_| !self.is_audio_only()).map(Forwarder::layer),
            connect_ms: self.connect_after.map(millis),
            first_frame_ms: self.first_frame_after.map(millis),
            replays: self.video.iter().map(|forwarder| forwarder.replays).sum(),
            rejected: self.transport.rejected,
            data: self.data.as_ref().map(|data| data.stats()).unwrap_or_default(),
        }
    }

    /// Asks for a layer, or for whichever fits best. Without effect for a node that takes all of them.
    pub fn set_wish(&mut self, now: Instant, wish: LayerWish, cache: &StreamCache, out: &mut Outbox) {
        self.wish = wish;
        if let Some(chooser) = &mut self.chooser {
            chooser.set_wish(now, wish);
            self.choose(now, cache);
        }
        self.pump(now, cache, out);
    }

    /// What was asked for last.
    pub fn wish(&self) -> LayerWish {
        self.wish
    }

    fn is_audio_only(&self) -> bool {
        self.chooser.as_ref().is_some_and(|chooser| chooser.choice() == Choice::AudioOnly)
    }

    /// Whether the subscriber takes this kind of media.
    pub fn takes(&self, kind: Kind) -> bool {
        self.forwarders().any(|forwarder| forwarder.kind() == kind)
    }

    fn forwarders(&self) -> impl Iterator<Item = &Forwarder> {
        self.video.iter().chain(&self.audio)
    }

    /// The forwarder that a report about `ssrc` (its media or repair) is for.
    fn forwarder_of(&mut self, ssrc: u32) -> Option<&mut Forwarder> {
        let mut forwarders = self.video.iter_mut().chain(&mut self.audio);
        forwarders.find(|forwarder| forwarder.section().ssrc == ssrc || forwarder.section().rtx_ssrc == ssrc)
    }

    fn take_transport_events(&mut self, now: Instant) {
        let events = std::mem::take(&mut self.transport.events);
        for event in events {
            match event {
                TransportEvent::Connected => {
                    self.connect_after = Some(now.saturating_duration_since(self.answered));
                    self.report_due = Some(now);
                    self.events.push_back(SubscriberEvent::Connected);
                }
                TransportEvent::Remote(peer) => self.events.push_back(SubscriberEvent::Remote(peer)),
                TransportEvent::Closed(reason) => {
                    (self.started, self.report_due, self.slot_due, self.padded) = (false, None, None, None);
                    self.events.push_back(SubscriberEvent::Closed(reason));
                }
            }
        }
    }

    fn handle_rtcp(&mut self, now: Instant, compound: &[u8], cache: &StreamCache) {
        let rtt = self.reports.rtt().unwrap_or(Duration::from_millis(50));
        let (mut heard, mut reported) = (false, [None::<f64>; 3]);
        for packet in rtcp::packets(compound) {
            match packet {
                Rtcp::ReceiverReport { blocks, .. } | Rtcp::SenderReport { blocks, .. } => {
                    for block in blocks {
                        let mut forwarders = self.video.iter_mut().chain(&mut self.audio);
                        if let Some(forwarder) = forwarders.find(|forwarder| forwarder.section().ssrc == block.ssrc) {
                            self.reports.read(now, &block, forwarder);
                            let index = usize::from(forwarder.kind() == Kind::Audio);
                            reported[index] = Some(f64::from(block.fraction_lost) / 256.0);
                        } else if self.video.iter().any(|video| video.section().rtx_ssrc == block.ssrc) {
                            reported[2] = Some(f64::from(block.fraction_lost) / 256.0);
                        }
                    }
                }
                Rtcp::Nack { media, missing } => {
                    if let Some(forwarder) = self.forwarder_of(media).filter(|forwarder| forwarder.section().nack) {
                        forwarder.handle_nack(now, missing, rtt);
                    }
                }
                Rtcp::Pli { media } => self.handle_pli(now, media, cache),
                Rtcp::Fir { ssrcs } => ssrcs.for_each(|ssrc| self.handle_pli(now, ssrc, cache)),
                Rtcp::Remb { bitrate_bps } => {
                    self.remb_bps = Some(bitrate_bps);
                    if let Some(chooser) = &mut self.chooser {
                        chooser.take_remb(now, bitrate_bps);
                        heard = true;
                    }
                }
                Rtcp::Bye { .. } | Rtcp::Other { .. } => {}
            }
        }
        let rtt = self.reports.rtt();
        if let Some(chooser) = &mut self.chooser {
            let [video, audio, repair] = reported;
            // with video paused, padding on the repair stream tells of the path
            let loss = match chooser.choice() {
                Choice::Video(_) => video,
                Choice::AudioOnly => [audio, repair].into_iter().flatten().reduce(f64::max),
            };
            if let Some(loss) = loss {
                chooser.take_report(now, loss, rtt);
                heard = true;
            }
        }
        if heard {
            self.choose(now, cache);
        }
    }

    fn handle_pli(&mut self, now: Instant, ssrc: u32, cache: &StreamCache) {
        if let Some(forwarder) = self.forwarder_of(ssrc).filter(|forwarder| forwarder.kind() == Kind::Video) {
            forwarder.handle_pli(now, cache);
        }
    }

    /// Sends whatever is due now, and sets the timers of what is not.
    fn pump(&mut self, now: Instant, cache: &StreamCache, out: &mut Outbox) {
        if !self.transport.is_connected() {
            return;
        }
        if self.report_due.is_some_and(|due| now >= due) {
            self.send_reports(now, cache, out);
            self.choose(now, cache);
        }
        if !self.started {
            self.started = true;
            self.video.iter_mut().chain(&mut self.audio).for_each(|forwarder| forwarder.start(now, cache));
            if let [video] = &self.video[..]
                && video.section().layer.is_none()
            {
                let layer = Some(video.layer());
                self.events.push_back(SubscriberEvent::LayerChanged { layer });
                let mut chooser = Chooser::new(now, video.layer());
                if self.wish != LayerWish::Auto {
                    chooser.set_wish(now, self.wish);
                }
                self.chooser = Some(chooser);
            }
        }
        if !self.held {
            self.send_padding(now, out);
            self.send_media(now, cache, out);
        }
        self.take_wishes(now);
    }

    fn send_media(&mut self, now: Instant, cache: &StreamCache, out: &mut Outbox) {
        let (slot, segments) = match self.pace_bps {
            Some(bps) => (Duration::from_nanos(PACKET_BITS * 1_000_000_000 / bps), 1),
            None => (self.config.slot, self.config.segments_per_slot),
        };
        let elapsed = now.saturating_duration_since(self.slot_began);
        if elapsed >= slot {
            // a timer that came late may make up for one slot, not for more: bursts cost loss
            let slots = (elapsed.as_nanos() / slot.as_nanos().max(1)).min(2) as usize;
            self.allowance = slots * segments;
            self.slot_began = now;
        }
        let Some(mut link) = Link::open(now, &mut self.transport, &self.clock, out) else { return };
        // Audio never waits. Live it goes last, as the short tail of the video's train; while a backlog leaves, first.
        let audio_first = self.video.iter().any(|video| video.is_catching_up() || video.backlog(cache) > 8);
        let mut unpaced = usize::MAX;
        if let Some(audio) = self.audio.as_mut().filter(|_| audio_first) {
            audio.pump(now, cache, &mut unpaced, &mut link);
        }
        for video in &mut self.video {
            video.pump(now, cache, &mut self.allowance, &mut link);
        }
        if let Some(audio) = &mut self.audio {
            audio.pump(now, cache, &mut unpaced, &mut link);
        }
        self.sent.add(now, link.bytes as usize);
        let due = self.video.iter().filter_map(|video| video.due(now, cache)).min();
        self.slot_due = due.map(|due| due.max(self.slot_began + slot));
    }

    fn take_wishes(&mut self, now: Instant) {
        for forwarder in &mut self.video {
            for wish in forwarder.wishes.drain(..) {
                match wish {
                    Wish::Switched(layer) => {
                        self.events.push_back(SubscriberEvent::LayerChanged { layer: Some(layer) });
                    }
                    Wish::KeyFrame(layer) => self.events.push_back(SubscriberEvent::KeyFrameWanted { layer }),
                    Wish::FirstFrameSent => {
                        let after = now.saturating_duration_since(self.answered);
                        self.first_frame_after.get_or_insert(after);
                        self.events.push_back(SubscriberEvent::FirstFrame { after });
                    }
                }
            }
        }
    }

    fn send_reports(&mut self, now: Instant, cache: &StreamCache, out: &mut Outbox) {
        self.report_due = Some(now + reports::INTERVAL);
        self.compound.clear();
        let mut any = false;
        for forwarder in self.video.iter().chain(&self.audio) {
            any |= self.reports.write(now, forwarder, cache, &mut self.compound);
        }
        if any {
            self.send_compound(out);
        }
    }

    /// Lets the chooser decide, and does what it says.
    fn choose(&mut self, now: Instant, cache: &StreamCache) {
        let (Some(chooser), [video]) = (&mut self.chooser, &mut self.video[..]) else { return };
        let audio = self.audio.as_ref().map(|_| cache.layer(Kind::Audio, Layer::SINGLE));
        let view = View {
            rungs: cache.rungs(now),
            // an Opus packet of 100 bytes has as much again of headers
            audio_bps: audio.filter(|audio| audio.is_alive(now)).map(|audio| audio.bitrate_bps(now) * 3 / 2),
            sent_bps: self.sent.bitrate_bps(now),
            paddable: video.section().codec.rtx.is_some(),
        };
        let change = chooser.choose(now, &view);
        self.pace_bps = match chooser.choice() {
            Choice::Video(layer) => chooser.pace_bps(now, cache.layer(Kind::Video, layer).bitrate_bps(now)),
            Choice::AudioOnly => None,
        };
        match change {
            Some(Move { to: Choice::Video(layer), at_once }) => video.switch(now, layer, at_once, cache),
            Some(Move { to: Choice::AudioOnly, .. }) => {
                video.pause();
                self.events.push_back(SubscriberEvent::LayerChanged { layer: None });
            }
            None => {}
        }
    }

    /// While a step up is being tried: padding, so that the path carries what the layer will take.
    fn send_padding(&mut self, now: Instant, out: &mut Outbox) {
        let bps = self.chooser.as_ref().map_or(0, |chooser| chooser.padding_bps());
        let (Some(video), true) = (self.video.first_mut(), bps > 0) else {
            self.padded = None;
            return;
        };
        let Some(mut link) = Link::open(now, &mut self.transport, &self.clock, out) else { return };
        let each = Duration::from_nanos(PADDING_BITS * 1_000_000_000 / bps);
        // a timer that came late makes up for a few packets, not for more
        let mut padded = self.padded.unwrap_or(now).max(now.checked_sub(4 * each).unwrap_or(now));
        while padded <= now && video.pad(&mut link) {
            padded += each;
        }
        self.sent.add(now, link.bytes as usize);
        self.padded = Some(padded);
    }

    fn send_compound(&mut self, out: &mut Outbox) {
        let Some((sealer, path)) = self.transport.outgoing() else { return };
        let compound = &self.compound;
        out.write(path, |buffer| {
            let start = buffer.len();
            buffer.extend_from_slice(compound);
            sealer.seal_rtcp(buffer, start)
        });
    }
}

fn bad(what: &str) -> SfuError {
    SfuError::BadSdp(what.to_string())
}

fn draw_etag(entropy: &mut Entropy) -> String {
    entropy.draw_text(12).replace(['+', '/'], "-")
}

/// Whom a transport talks to.
struct Remote {
    credentials: IceCredentials,
    /// Hash name and bytes.
    fingerprints: Vec<(String, Vec<u8>)>,
}

impl Remote {
    fn of(description: &Description) -> Result<Remote, SfuError> {
        let credentials = remote_credentials(description)?.ok_or_else(|| bad("it has no ice-ufrag and ice-pwd"))?;
        let fingerprints = description.fingerprints();
        if !fingerprints.iter().any(|(hash, _)| matches!(hash.as_str(), "sha-256" | "sha-384" | "sha-512")) {
            return Err(bad("it has no certificate fingerprint that we know (sha-256, sha-384, sha-512)"));
        }
        Ok(Remote { credentials, fingerprints })
    }
}

/// Credentials of a description, if it has any; RFC 8839 5.4 bounds their lengths.
fn remote_credentials(description: &Description) -> Result<Option<IceCredentials>, SfuError> {
    let credentials = description.ice_credentials();
    match &credentials {
        Some(IceCredentials { ufrag, password })
            if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&password.len()) =>
        {
            Err(SfuError::BadSdp("ice-ufrag must have 4 to 256 characters, ice-pwd 22 to 256".into()))
        }
        _ => Ok(credentials),
    }
}
