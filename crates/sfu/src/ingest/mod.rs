//! A stream that comes in by WebRTC: a WHIP publisher, or our pull from an upstream's WHEP.
//!
//! `str0m` does what few streams need and every browser does differently: negotiation, simulcast, NACK, RTX, TWCC. This module
//! drives it, tells layers apart (`lines.rs`) and puts them on the stream's own lines (`track.rs`, `timeline.rs`).
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Rid};
use str0m::net::Receive;
use str0m::rtp::{Extension, RawPacket, RtpPacket, Ssrc};
use str0m::{Event, Input, Output, Rtc};
use wire::sdp::Description;

use crate::cache::StreamPosition;
use crate::candidates::{local_candidates, write_fragment};
use crate::clock::{NtpTime, WallClock};
use crate::data::{DataEvent, DataLimits, DataSent, DataStats};
use crate::entropy::{Credentials, Entropy};
use crate::error::SfuError;
use crate::handshake::{Inlet, patient_crypto};
use crate::identity::Identity;
use crate::keyframe::KeyFrameGate;
use crate::outbox::{DatagramKind, Outbox, Peer, Protocol};
use crate::packet::{Burst, Codec, Kind, Layer, MediaTime, Packet, StreamDescription};
use crate::subscriber::{Answer, CloseReason, Trickle};

mod data;
mod lines;
mod negotiation;
mod redundancy;
mod timeline;
mod track;
mod transport_numbers;

use data::Channels;
use negotiation::{
    explained, guarded, labels, offer_codecs, prefers_red, simulcast, sound_as_offered, with_credentials, with_layers,
    without_candidates,
};
use redundancy::{Carried, Redundancy};
use timeline::{Report, Timeline, Told};
use track::{Incoming, IncomingLayer};
use transport_numbers::TransportNumbers;

/// How long a session outlives its ICE connection: the agent has then had no answer to its checks for some 10 s (RFC 7675).
const DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(15);
/// An offer or answer that nobody uses is forgotten after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A stream whose sound comes first waits so long for its first video packet, when that could be of several codecs.
const UNDECIDED: Duration = Duration::from_secs(1);
/// No media for so long counts as silence.
const SILENCE: Duration = Duration::from_secs(1);
/// Addresses that a peer may send from.
const MOST_PEERS: usize = 8;
/// Index of audio among the lines; video layers have those below.
const AUDIO: usize = Layer::MAX;

/// What an ingest is made of.
pub struct IngestSetup {
    /// The process's certificate and DTLS settings.
    pub identity: Identity,
    /// Ours for ICE; an ICE restart draws others.
    pub credentials: Credentials,
    /// Where it draws what must not be guessed.
    pub entropy: Entropy,
    /// For the wall clock of capture.
    pub clock: WallClock,
    /// Addresses under which this socket is reached; become host candidates. At least one.
    pub addresses: Vec<SocketAddr>,
    /// Position of a stream that another source fed until now (fail-over, publisher that comes back); else a default.
    pub resume: StreamPosition,
}

/// What happened to an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestEvent {
    /// ICE and DTLS are up.
    Connected,
    /// The peer may send from here: route its datagrams to this session.
    Remote(Peer),
    /// First media, or what the stream holds has changed.
    Started(StreamDescription),
    /// No packet for 1 s after there had been some: an upstream may have died. Once per silence.
    Silent,
    /// Media comes again.
    Resumed,
    /// It is over; drop the value.
    Closed(CloseReason),
}

/// Figures of an ingest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IngestStats {
    /// Packets of media that came.
    pub packets: u64,
    /// Of payload.
    pub bytes: u64,
    /// Of all that came in lately, 0..1.
    pub loss: f64,
    /// Feedback messages that asked for missing packets (NACK).
    pub nacks_sent: u64,
    /// Feedback messages that asked for a key frame (PLI).
    pub plis_sent: u64,
    /// Packets of sound that came as a repeat (RED), not by themselves.
    pub recovered: u64,
    /// Round trip, milliseconds; `None` until it is known.
    pub rtt_ms: Option<f64>,
    /// Datagrams that were no good.
    pub rejected: u64,
    /// Of its data channels.
    pub data: DataStats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting {
        deadline: Instant,
    },
    Connected,
    /// ICE has lost the peer; it may come back.
    Disconnected {
        deadline: Instant,
    },
    Closed,
}

/// One incoming WebRTC session.
pub struct Ingest {
    rtc: Rtc,
    state: State,
    credentials: Credentials,
    entropy: Entropy,
    addresses: Vec<SocketAddr>,
    /// The publisher's offer, for ICE restarts; our own when we pull.
    offer: String,
    pending: Option<SdpPendingOffer>,
    pulls: bool,
    /// Names of simulcast layers, in the order of the offer; of a pull, in the order of the answer's sections.
    rids: Vec<String>,
    /// Video sections of a pull, in order: each may carry a layer.
    video_mids: Vec<Mid>,
    resume: StreamPosition,
    layers: [Option<IncomingLayer>; Layer::MAX + 1],
    /// Which layer an SSRC belongs to.
    sources: HashMap<Ssrc, (usize, Mid, Option<Rid>)>,
    timeline: Timeline,
    /// Of a publisher that sends its sound as RED.
    redundancy: Option<Redundancy>,
    /// Shift of each layer's times onto the first one's line, and whether reports fixed it.
    shifts: [Option<(u64, bool)>; Layer::MAX],
    reference: Option<usize>,
    gates: [KeyFrameGate; Layer::MAX],
    description: StreamDescription,
    /// It was told ([`IngestEvent::Started`]).
    announced: bool,
    /// Until then it is not, for want of a video packet that says which of several codecs it is.
    undecided: Option<Instant>,
    peers: Vec<Peer>,
    last_media: Option<Instant>,
    silent: bool,
    timeout: Instant,
    datagrams: Vec<(Peer, Vec<u8>)>,
    collected: Vec<Arc<Packet>>,
    events: VecDeque<IngestEvent>,
    stats: IngestStats,
    figures: HashMap<(Mid, Option<Rid>), (u64, u64)>,
    data: Channels,
    transport_numbers: TransportNumbers,
}

impl Ingest {
    /// WHIP: answers a publisher's offer.
    pub fn publish(now: Instant, setup: IngestSetup, offer: &str) -> Result<(Ingest, Answer), SfuError> {
        let description = Description::parse(offer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let rids = simulcast(&description);
        let offer = if rids.is_empty() { offer.to_string() } else { with_layers(offer, &rids) };
        let parsed = SdpOffer::from_sdp_string(&without_candidates(&offer))
            .map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let mut ingest = Ingest::new(now, setup, offer_codecs(&description)?, prefers_red(&description), false);
        (ingest.offer, ingest.rids) = (offer, rids);
        let answer = guarded(|| ingest.rtc.sdp_api().accept_offer(parsed))?;
        let answer = sound_as_offered(&answer.to_sdp_string(), &description);
        // sections of unknown kinds are left out altogether: an answer may have none
        let ours = Description::parse(&answer).unwrap_or_default();
        if !ours.media.iter().any(|media| media.port != 0) {
            return Err(SfuError::NoCommonCodec("we take H264, VP8, VP9, AV1 and opus".into()));
        }
        ingest.watch_transport_numbers(&ours);
        let etag = ingest.draw_etag();
        ingest.drain(now);
        Ok((ingest, Answer { sdp: answer, etag }))
    }

    /// WHEP client: an offer for an upstream, one recvonly m-line per possible video layer (3) and one for audio.
    /// The answer goes to [`Ingest::accept`]. With `labels` there is a section for data channels too, and those are opened.
    pub fn pull(now: Instant, setup: IngestSetup, labels: &[String]) -> Result<(Ingest, String), SfuError> {
        let mut ingest = Ingest::new(now, setup, &[Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1], false, true);
        let mut api = ingest.rtc.sdp_api();
        let mids =
            (0..Layer::MAX).map(|_| api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None)).collect();
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        for label in labels {
            api.add_channel(label.clone());
        }
        let (offer, pending) = api.apply().ok_or_else(|| SfuError::Internal("the offer is empty".into()))?;
        (ingest.video_mids, ingest.pending) = (mids, Some(pending));
        ingest.offer = offer.to_sdp_string();
        ingest.drain(now);
        let offer = ingest.offer.clone();
        Ok((ingest, offer))
    }

    /// The upstream's answer to [`Ingest::pull`].
    pub fn accept(&mut self, now: Instant, answer: &str) -> Result<(), SfuError> {
        let description = Description::parse(answer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        if description.media.iter().all(|media| media.port == 0) {
            return Err(SfuError::NoCommonCodec("the upstream rejected every section of our offer".into()));
        }
        let answer = explained(answer, &description, &self.offer);
        let parsed = SdpAnswer::from_sdp_string(&answer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let pending = self.pending.take().ok_or(SfuError::WrongState("there is no offer to answer"))?;
        guarded(|| self.rtc.sdp_api().accept_answer(pending, parsed))?;
        self.watch_transport_numbers(&description);
        self.rids = labels(&description);
        self.drain(now);
        Ok(())
    }

    fn new(now: Instant, setup: IngestSetup, video: &[Codec], red: bool, pulls: bool) -> Ingest {
        let IngestSetup { identity, credentials, entropy, clock, addresses, resume } = setup;
        let limits = DataLimits::default();
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::new(patient_crypto()))
            .set_sctp_max_message_size(limits.message_bytes as u32)
            .set_sctp_max_buffered_amount(limits.buffered_bytes)
            .set_local_ice_credentials(str0m::IceCreds {
                ufrag: credentials.ufrag.clone(),
                pass: credentials.password.clone(),
            })
            .set_dtls_cert(identity.certificate.clone())
            .set_rtp_mode(true)
            // what brings no media shows nowhere else, and its transport-wide numbers count
            .enable_raw_packets(true)
            .set_extension(12, Extension::AbsoluteCaptureTime)
            .set_stats_interval(Some(Duration::from_secs(1)))
            // a publisher's pulse, and its figures of loss and round trip: the library's 5 s for sound hold for pictures too
            .set_rtcp_report_interval_audio(Duration::from_secs(1))
            .clear_codecs()
            .enable_opus(true, red)
            .enable_vp8(video.contains(&Codec::Vp8))
            .enable_vp9(video.contains(&Codec::Vp9))
            .enable_av1(video.contains(&Codec::Av1));
        if video.contains(&Codec::H264) {
            // packetization mode 1 of each profile; mode 0 could not hold our fragments further on
            for (payload_type, rtx, profile_level_id) in
                [(108, 109, 0x42e01f), (127, 121, 0x42001f), (123, 119, 0x4d001f), (114, 115, 0x64001f)]
            {
                let codecs = config.codec_config();
                codecs.add_h264(u8::into(payload_type), Some(u8::into(rtx)), true, profile_level_id);
            }
        }
        let mut rtc = config.build(now);
        let inlet = Inlet::take(); // its own: building has just made it
        // a pull connects two nodes: neither would open a TCP connection
        for candidate in local_candidates(&addresses).filter(|candidate| !pulls || candidate.tcptype().is_none()) {
            rtc.add_local_candidate(candidate);
        }
        Ingest {
            rtc,
            state: State::Connecting { deadline: now + CONNECT_TIMEOUT },
            credentials,
            entropy,
            addresses,
            offer: String::new(),
            pending: None,
            pulls,
            rids: Vec::new(),
            video_mids: Vec::new(),
            resume,
            layers: Default::default(),
            sources: HashMap::new(),
            timeline: Timeline::new(clock),
            redundancy: red.then(Redundancy::default),
            shifts: [None; Layer::MAX],
            reference: None,
            gates: Default::default(),
            description: StreamDescription::default(),
            announced: false,
            undecided: None,
            peers: Vec::new(),
            last_media: None,
            silent: false,
            timeout: now,
            datagrams: Vec::new(),
            collected: Vec::new(),
            events: VecDeque::new(),
            stats: IngestStats::default(),
            figures: HashMap::new(),
            data: Channels::new(now, limits, inlet),
            transport_numbers: TransportNumbers::default(),
        }
    }

    fn watch_transport_numbers(&mut self, answer: &Description) {
        let mids = answer.media.iter().filter_map(|media| media.attribute("mid")).map(Mid::from);
        let sections = mids.filter_map(|mid| self.rtc.media(mid)).map(|media| media.remote_extmap());
        self.transport_numbers = TransportNumbers::negotiated(sections);
    }

    fn draw_etag(&mut self) -> String {
        self.entropy.draw_text(12).replace(['+', '/'], "-")
    }

    /// A PATCH body (RFC 8840 fragment) of a publisher: new credentials restart ICE; candidates are not needed, its checks come
    /// to us.
    pub fn trickle(&mut self, now: Instant, fragment: &str) -> Result<Trickle, SfuError> {
        let fragment =
            Description::parse_fragment(fragment).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
        let offered = Description::parse(&self.offer).ok().and_then(|offer| offer.ice_credentials());
        let restart = fragment.ice_credentials().filter(|new| offered.is_some_and(|old| old.ufrag != new.ufrag));
        let restarted = restart.is_some();
        if let Some(remote) = restart {
            let worker = Credentials::worker_of(&self.credentials.ufrag).unwrap_or(0);
            self.credentials = Credentials::new(worker, &mut self.entropy);
            let offer = with_credentials(&self.offer, &remote.ufrag, &remote.password);
            let parsed = SdpOffer::from_sdp_string(&offer).map_err(|problem| SfuError::BadSdp(problem.to_string()))?;
            guarded(|| self.rtc.sdp_api().accept_offer(parsed))?;
            let Credentials { ufrag, password } = self.credentials.clone();
            self.rtc.direct_api().set_local_ice_credentials(str0m::IceCreds { ufrag, pass: password });
            self.offer = offer;
        }
        self.drain(now);
        if !restarted {
            return Ok(Trickle::Taken);
        }
        let fragment = write_fragment(&fragment, &self.credentials, &self.addresses);
        Ok(Trickle::Restarted { fragment, etag: self.draw_etag() })
    }

    /// A datagram from the network; what is not for us or not genuine is dropped and counted.
    pub fn handle_datagram(&mut self, now: Instant, from: Peer, datagram: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        let family = |address: &&SocketAddr| address.is_ipv4() == from.address.is_ipv4();
        let destination = self.addresses.iter().find(family).copied();
        let proto = match from.protocol {
            Protocol::Udp => str0m::net::Protocol::Udp,
            Protocol::Tcp => str0m::net::Protocol::Tcp,
        };
        let receive = destination.and_then(|to| Receive::new(proto, from.address, to, datagram).ok());
        let input = receive.map(|receive| Input::Receive(now, receive));
        let stun = DatagramKind::of(datagram) == DatagramKind::Stun;
        // Whoever has passed a STUN check may go on with DTLS at once. The agent would wait for its own check to come back, drop
        // the first ClientHello, and the handshake would begin a second late.
        let known = |ingest: &Ingest| !stun && ingest.peers.contains(&from);
        let Some(input) = input.filter(|input| known(self) || self.rtc.accepts(input)) else {
            self.stats.rejected += 1;
            return;
        };
        if stun && !self.peers.contains(&from) && self.peers.len() < MOST_PEERS {
            self.peers.push(from);
            self.events.push_back(IngestEvent::Remote(from));
        }
        if DatagramKind::of(datagram) == DatagramKind::Srtp && !self.transport_numbers.admits(datagram) {
            self.stats.rejected += 1;
            return;
        }
        if DatagramKind::of(datagram) == DatagramKind::Dtls {
            self.data.set_now(now);
        }
        if self.rtc.handle_input(input).is_err() {
            self.stats.rejected += 1;
        }
        self.drain(now);
    }

    /// To be called when [`Ingest::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Closed => return,
            State::Connecting { deadline } if now >= deadline => return self.finish(CloseReason::NeverConnected),
            State::Disconnected { deadline } if now >= deadline => return self.finish(CloseReason::ConsentExpired),
            _ => {}
        }
        let silent = self.last_media.is_some_and(|last| now.saturating_duration_since(last) >= SILENCE);
        if silent && !std::mem::replace(&mut self.silent, true) {
            self.events.push_back(IngestEvent::Silent);
        }
        if self.undecided.is_some_and(|due| now >= due) {
            self.announce();
        }
        if now >= self.timeout {
            if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                self.stats.rejected += 1;
            }
            self.drain(now);
        }
    }

    /// Moves what must be sent into `out`; call it after anything that changed this value.
    pub fn poll(&mut self, _now: Instant, out: &mut Outbox) {
        for (to, datagram) in self.datagrams.drain(..) {
            out.push(to, &datagram);
        }
    }

    /// When [`Ingest::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let end = match self.state {
            State::Closed => return None,
            State::Connecting { deadline } | State::Disconnected { deadline } => Some(deadline),
            State::Connected => None,
        };
        let silence = self.last_media.filter(|_| !self.silent).map(|last| last + SILENCE);
        Some([end, silence, self.undecided].into_iter().flatten().fold(self.timeout, Instant::min))
    }

    /// What happened since the last call, oldest first.
    pub fn poll_event(&mut self) -> Option<IngestEvent> {
        self.events.pop_front()
    }

    /// What happened on the data channels of the session.
    pub fn poll_data(&mut self) -> Option<DataEvent> {
        self.data.poll_event()
    }

    /// Sends a message on the session's first data channel with that label, if there is one. Empty ones cannot be sent here.
    pub fn send_data(&mut self, now: Instant, label: &str, text: bool, message: &[u8]) -> DataSent {
        let sent = self.data.send(&mut self.rtc, label, text, message);
        if sent != DataSent::NoChannel {
            self.drain(now);
        }
        sent
    }

    /// Packets ready for the workers: all that came since the last call.
    pub fn poll_burst(&mut self) -> Option<Burst> {
        if self.collected.is_empty() { None } else { Some(std::mem::take(&mut self.collected).into()) }
    }

    /// A subscriber needs a key frame; sends a PLI unless one went out less than 500 ms ago.
    pub fn request_key_frame(&mut self, now: Instant, layer: Layer) {
        let index = usize::from(layer.0).min(Layer::MAX - 1);
        let source = self.sources.values().find(|(line, ..)| *line == index).copied();
        let Some((_, mid, rid)) = source else { return };
        if self.gates[index].pass(now)
            && let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.drain(now);
        }
    }

    /// A key frame is needed in every layer that comes in, at the same place (HLS cuts all of them there).
    pub fn request_key_frames(&mut self, now: Instant) {
        for index in 0..Layer::MAX {
            self.request_key_frame(now, Layer(index as u8));
        }
    }

    /// Our ufrag, under which STUN checks find this session; another one after an ICE restart.
    pub fn ufrag(&self) -> &str {
        &self.credentials.ufrag
    }

    /// Where the peer was first heard.
    pub fn remote(&self) -> Option<Peer> {
        self.peers.first().copied()
    }

    /// What came so far; empty tracks until then.
    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// Ends the session (RTCP BYE, DTLS close_notify); drop it after one last [`Ingest::poll`].
    pub fn close(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.finish(CloseReason::Local);
        // goodbyes are a courtesy: what cannot be said is not
        if self.rtc.close().is_ok() {
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain(now);
        }
    }

    /// Figures since the session began.
    pub fn stats(&self) -> IngestStats {
        IngestStats { data: self.data.stats(), ..self.stats }
    }

    fn finish(&mut self, reason: CloseReason) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.events.push_back(IngestEvent::Closed(reason));
        }
    }

    /// Takes everything out of str0m, which must be done between any two inputs.
    fn drain(&mut self, now: Instant) {
        while self.rtc.is_alive() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => {
                    self.timeout = due.max(now + Duration::from_millis(1));
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let tcp = transmit.proto != str0m::net::Protocol::Udp;
                    let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
                    self.datagrams.push((Peer { protocol, address: transmit.destination }, transmit.contents.to_vec()));
                }
                Ok(Output::Event(event)) => self.handle_event(now, event),
                Err(_) => return self.finish(CloseReason::Handshake),
            }
        }
        if !self.rtc.is_alive() {
            self.finish(CloseReason::PeerClosed);
        }
        self.ask_for_key_frames(now);
    }

    /// Layers that began in the middle of a GOP, or lost something for good.
    fn ask_for_key_frames(&mut self, now: Instant) {
        for index in 0..Layer::MAX {
            let wanted = self.layers[index].as_mut().is_some_and(|layer| std::mem::take(&mut layer.key_frame_wanted));
            if wanted {
                self.request_key_frame(now, Layer(index as u8));
            }
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => {
                self.state = State::Connected;
                self.events.push_back(IngestEvent::Connected);
            }
            Event::IceConnectionStateChange(ice) => match self.state {
                State::Connected if ice.is_disconnected() => {
                    self.state = State::Disconnected { deadline: now + DISCONNECTED_TIMEOUT };
                }
                State::Disconnected { .. } if ice.is_connected() => self.state = State::Connected,
                _ => {}
            },
            Event::Closed => self.finish(CloseReason::PeerClosed),
            Event::ChannelOpen(id, label) => self.data.opened(&mut self.rtc, id, label),
            Event::ChannelData(data) => self.data.received(now, &mut self.rtc, data),
            Event::ChannelClose(id) => self.data.closed(id),
            Event::RtpPacket(packet) => self.handle_rtp(now, packet),
            Event::RawPacket(raw) => {
                if let RawPacket::RtpRx(header, _) = &*raw
                    && let Some(number) = header.ext_vals.transport_cc
                {
                    self.transport_numbers.note(number);
                }
            }
            Event::MediaIngressStats(stats) => {
                self.figures.insert((stats.mid, stats.rid), (stats.nacks, stats.plis));
                self.stats.nacks_sent = self.figures.values().map(|(nacks, _)| nacks).sum();
                self.stats.plis_sent = self.figures.values().map(|(_, plis)| plis).sum();
            }
            Event::PeerStats(stats) => {
                self.stats.loss = stats.ingress_loss_fraction.map_or(self.stats.loss, f64::from);
                let pair = stats.selected_candidate_pair.and_then(|pair| pair.current_round_trip_time);
                self.stats.rtt_ms = pair.map(|rtt| rtt.as_secs_f64() * 1000.0).or(self.stats.rtt_ms);
            }
            _ => {}
        }
    }

    fn handle_rtp(&mut self, now: Instant, rtp: RtpPacket) {
        let Some((codec, clock_rate, wrapped)) = self.codec_of(&rtp) else { return };
        let Some(line) = self.line_of(&rtp, codec) else { return };
        if rtp.payload.is_empty() {
            return; // padding, sent to probe the path
        }
        if *rtp.seq_no > u64::MAX / 2 {
            return; // below zero: older than the first by more than a number of 16 bits can say, or than the line's beginning
        }
        self.last_media = Some(now);
        if std::mem::take(&mut self.silent) {
            self.events.push_back(IngestEvent::Resumed);
        }
        self.stats.packets += 1;
        self.stats.bytes += rtp.payload.len() as u64;
        let time = MediaTime { ticks: rtp.time.numer(), clock_rate };
        let report = rtp.last_sender_info.as_ref().and_then(|info| {
            Some(Report { ntp: ntp_of(info.ntp_time)?, ticks: nearest(info.rtp_time.numer(), time.ticks) })
        });
        let captured = rtp.header.ext_vals.abs_capture_time.as_ref();
        let captured = captured.and_then(|at| Some(Report { ntp: ntp_of(at.capture_time)?, ticks: time.ticks }));
        self.timeline.note(line, time, rtp.timestamp, Told { report, captured });
        let whole = Carried { sequence: *rtp.seq_no, ticks: time.ticks, payload: &rtp.payload, recovered: false };
        let Some(redundancy) = self.redundancy.as_mut().filter(|_| line == AUDIO) else {
            return self.take(line, codec, clock_rate, &rtp, whole);
        };
        let mut all = Vec::new();
        if redundancy.push(*rtp.header.ssrc, wrapped, whole, &mut all).is_err() {
            self.stats.rejected += 1;
        }
        for carried in all {
            self.stats.recovered += u64::from(carried.recovered);
            self.take(line, codec, clock_rate, &rtp, carried);
        }
    }

    /// Puts on its line what a packet carried.
    fn take(&mut self, line: usize, codec: Codec, clock_rate: u32, rtp: &RtpPacket, carried: Carried<'_>) {
        let ntp = self.timeline.capture(line, carried.ticks, rtp.timestamp);
        let shift = self.shift_of(line);
        let incoming = Incoming {
            codec,
            sequence: carried.sequence,
            time: MediaTime { ticks: carried.ticks.wrapping_add(shift), clock_rate },
            marker: rtp.header.marker && !carried.recovered,
            payload: carried.payload.into(),
            arrival: rtp.timestamp,
            ntp,
        };
        let (kind, layer) = if line == AUDIO { (Kind::Audio, Layer::SINGLE) } else { (Kind::Video, Layer(line as u8)) };
        // a publisher's packets are of all sizes; an upstream of ours has cut them already
        let cut_anew = kind == Kind::Video && codec == Codec::H264 && !self.pulls;
        let resume = &self.resume;
        let incoming_layer = self.layers[line].get_or_insert_with(|| IncomingLayer::new(kind, layer, cut_anew, resume));
        incoming_layer.push(incoming, &mut self.collected);
    }
}

fn ntp_of(time: SystemTime) -> Option<NtpTime> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(NtpTime::from_unix)
}

/// A report's time may be extended from another lap of 32 bits than the packets': the value nearest to theirs. A hostile
/// sender's times may lie anywhere, also below zero, which is the top of the 64 bits.
fn nearest(ticks: u64, reference: u64) -> u64 {
    let apart = (ticks as u32).wrapping_sub(reference as u32) as i32;
    reference.wrapping_add_signed(apart.into())
}
