//! One subscriber x one track: where it reads in the shared cache, and how numbers and times are rewritten.
//!
//! A forwarder is a cursor over a layer of the [`StreamCache`](crate::StreamCache): starting, catching up, pacing a key frame and
//! following live are the same loop, `next` up to the cache's end. Nothing is queued per subscriber.
//!
//! Sequence numbers: within one [`Run`] of the cursor `out = in + constant`, so gaps stay visible (they may yet be repaired upstream)
//! and a late packet finds its place. A start, a replay, a skip to a newer key frame or another layer begins a new run without a gap.
//!
//! Times: the true one plus a constant, but while catching up each frame is stamped with the time at which it is sent, on the
//! live line: `max(true, live(now), previous + 1)`. The receiver's clock filter then sees one straight line (see docs/sfu.md).
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::rtp::{self, Header};
use wire::srtp::Sealer;
use wire::vp8;

use super::answer::Section;
use super::extensions::Elements;
use super::pictures::Pictures;
use super::transport::Transport;
use super::{SubscriberConfig, TrackStats};
use crate::cache::{LayerCache, StreamCache};
use crate::clock::{NtpTime, WallClock};
use crate::outbox::{Outbox, Peer};
use crate::packet::{Codec, Kind, Layer, MediaTime, Packet};

/// Runs and stamps are kept for so many packets: what may still be asked for.
const REPAIR_PACKETS: u64 = 2048;
/// Repairs that may wait; a viewer that asks for more is beyond repair by single packets.
const MOST_REPAIRS: usize = 512;
/// A packet is repeated so often at most, and with growing pauses: some receivers ask for it on and on although it has come, and
/// each repeat of it takes the place of another's first. Chromium asks ten times.
const MOST_REPEATS: u32 = 10;
/// Longest pause between two repeats.
const LONGEST_QUIET: Duration = Duration::from_millis(500);
/// Catching up may take so long; beyond, a fresh key frame is sooner there (judgement, reference trial).
const MOST_CATCH_UP: Duration = Duration::from_millis(250);
/// Frames that go out when catching up would take too long: a lone key frame is not always shown.
const STILL_FRAMES: u8 = 3;
/// Repairs take at most half as much as the layer itself, and this much at once. On a path that is too narrow every repair is
/// another loss; what half of the stream cannot mend, a key frame must.
const REPAIR_BURST_BYTES: u64 = 96 * 1024;
/// The interval between replays doubles so often for a viewer that keeps asking.
const MOST_UNHELPED: u32 = 3;
/// Packets of sound that are still worth sending after the way out was full.
const MOST_LATE_SOUND: u64 = 10;
/// How long a wished key frame may take before the backlog is sent after all.
const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(700);

/// Packets sent one behind the other out of the cache.
#[derive(Debug, Clone, Copy)]
struct Run {
    layer: Layer,
    out_start: u64,
    in_start: u64,
}

/// A frame that left under another time than its own.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    out_start: u64,
    ticks: u64,
    time: u64,
}

/// What the cursor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing to start from: waits for a key frame that begins at `from` or later (video), or for any packet (audio).
    Waiting { from: u64 },
    /// Sends what the cache has, as the pace allows; frames are stamped with the time of sending.
    CatchingUp,
    /// As catching up, but stops after some frames: a new key frame is on its way.
    Still { frames_left: u8, since: Instant },
    /// Has sent all there was; follows.
    Live,
    /// Sends nothing new: the path has no room for video.
    Paused,
}

/// Another layer is to be taken with its next key frame.
#[derive(Debug, Clone, Copy)]
struct Switch {
    layer: Layer,
    /// The key frame begins at this number or later.
    from: u64,
    since: Instant,
    asked: Instant,
    /// Nothing more of the present layer meanwhile.
    at_once: bool,
}

/// A key frame that does not come is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// One padding packet: the most that the format holds. Its last byte says how much of it is padding (RFC 3550 5.1).
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};

/// What a forwarder wants of its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    KeyFrame(Layer),
    FirstFrameSent,
    /// Video comes from this layer now.
    Switched(Layer),
}

pub(super) struct Forwarder {
    section: Section,
    config: SubscriberConfig,
    layer: Layer,
    state: State,
    switch: Option<Switch>,
    /// Next sequence number to read.
    next: u64,
    /// Next sequence number to give out, extended.
    out_next: u64,
    rtx_next: u64,
    /// Added to true times.
    time_base: u64,
    /// Stamp of the frame that is being sent: its true ticks and the time given.
    frame: Option<(u64, u64)>,
    /// Stamp of the frame before, if it was not its true time.
    floor: Option<u64>,
    /// Time given to the newest frame.
    last_time: Option<u64>,
    /// The last packet sent ended a frame.
    at_boundary: bool,
    runs: VecDeque<Run>,
    stamps: VecDeque<Stamp>,
    /// VP8 only.
    pictures: Pictures,
    /// Sequence numbers (ours) to be sent again.
    repairs: VecDeque<u64>,
    /// Bytes that repairs may still take, and since when that is so.
    credit: (u64, Option<Instant>),
    /// Lately repaired: when, and how often.
    repaired: VecDeque<Repaired>,
    last_replay: Option<Instant>,
    pli_answered: bool,
    /// Replays on end that were followed by another PLI.
    unhelped: u32,
    first_frame: FirstFrame,
    pub(super) wishes: Vec<Wish>,
    pub(super) stats: TrackStats,
    pub(super) replays: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstFrame {
    Awaited,
    KeyFrameOpen,
    Sent,
}

/// A packet that was sent again.
#[derive(Debug)]
struct Repaired {
    out: u64,
    at: Instant,
    times: u32,
}

impl Repaired {
    /// Whether it is not to be sent once more yet, or ever.
    fn rests(&self, now: Instant, quiet: Duration) -> bool {
        let pause = quiet.saturating_mul(1 << (self.times - 1).min(16)).min(LONGEST_QUIET);
        self.times >= MOST_REPEATS || now.saturating_duration_since(self.at) < pause
    }
}

impl Forwarder {
    pub(super) fn new(section: Section, config: SubscriberConfig, random: [u8; 32]) -> Forwarder {
        let number =
            |at: usize| u64::from(u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]]));
        Forwarder {
            layer: section.layer.unwrap_or(Layer::SINGLE),
            section,
            config,
            state: State::Waiting { from: 0 },
            switch: None,
            next: 0,
            // RFC 3711 3.3.1: small enough that a lost first packet cannot confuse the rollover counter
            out_next: number(0) & 0x3fff | 1,
            rtx_next: number(4) & 0x3fff | 1,
            time_base: number(8),
            frame: None,
            floor: None,
            last_time: None,
            at_boundary: true,
            runs: VecDeque::new(),
            stamps: VecDeque::new(),
            pictures: Pictures::default(),
            repairs: VecDeque::new(),
            credit: (REPAIR_BURST_BYTES, None),
            repaired: VecDeque::new(),
            last_replay: None,
            pli_answered: false,
            unhelped: 0,
            first_frame: FirstFrame::Awaited,
            wishes: Vec::new(),
            stats: TrackStats::default(),
            replays: 0,
        }
    }

    pub(super) fn section(&self) -> &Section {
        &self.section
    }

    pub(super) fn kind(&self) -> Kind {
        self.section.kind
    }

    pub(super) fn layer(&self) -> Layer {
        self.layer
    }

    pub(super) fn is_catching_up(&self) -> bool {
        matches!(self.state, State::CatchingUp | State::Still { .. })
    }

    fn source<'a>(&self, cache: &'a StreamCache) -> &'a LayerCache {
        cache.layer(self.section.kind, self.layer)
    }

    /// The transport is up: begins with the cached GOP, or with what comes next.
    pub(super) fn start(&mut self, now: Instant, cache: &StreamCache) {
        if self.section.kind == Kind::Audio {
            self.begin_run(cache.layer(Kind::Audio, self.layer).end());
            self.state = State::Live;
            return;
        }
        if self.section.layer.is_none() {
            self.layer = cache.best_layer(now);
        }
        if self.config.instant_start {
            self.replay(now, cache);
        } else {
            self.state = State::Waiting { from: self.source(cache).end() };
        }
        if self.is_waiting() {
            self.wishes.push(Wish::KeyFrame(self.layer));
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Starts (again) at the newest key frame in the cache.
    fn replay(&mut self, now: Instant, cache: &StreamCache) {
        let source = self.source(cache);
        let Some(gop) = source.gop() else {
            self.state = State::Waiting { from: 0 };
            return;
        };
        let backlog = source.backlog(gop);
        self.begin_run(gop);
        self.replays += 1;
        self.last_replay = Some(now);
        let rate_bps = source.bitrate_bps(now);
        self.state = if catch_up_time(backlog.bytes, backlog.frames, rate_bps, self.burst_bps()) <= MOST_CATCH_UP {
            State::CatchingUp
        } else {
            self.wishes.push(Wish::KeyFrame(self.layer));
            State::Still { frames_left: STILL_FRAMES, since: now }
        };
        if backlog.missing > 0 {
            self.wishes.push(Wish::KeyFrame(self.layer)); // the copy is damaged; a whole one mends it
        }
    }

    /// What a burst may take of the link.
    fn burst_bps(&self) -> u64 {
        let slots_per_s = 1.0 / self.config.slot.as_secs_f64().max(1e-6);
        (slots_per_s * self.config.segments_per_slot as f64 * 8.0 * wire::h264::PAYLOAD_BYTES as f64) as u64
    }

    fn begin_run(&mut self, in_start: u64) {
        self.next = in_start;
        self.at_boundary = true;
        self.frame = None;
        if self.runs.back().is_some_and(|run| run.out_start == self.out_next) {
            self.runs.pop_back(); // nothing was sent in it
        }
        self.runs.push_back(Run { layer: self.layer, out_start: self.out_next, in_start });
        let oldest = self.out_next.saturating_sub(REPAIR_PACKETS);
        while self.runs.get(1).is_some_and(|second| second.out_start <= oldest) {
            self.runs.pop_front();
        }
    }

    /// The viewer cannot decode: replays the cache, at most every `replay_interval`.
    pub(super) fn handle_pli(&mut self, now: Instant, cache: &StreamCache) {
        self.stats.plis += 1;
        if self.state == State::Paused {
            return;
        }
        if self.section.layer.is_some() {
            // A node asks for viewers whom its own cache did not help. A replay would show all its viewers the past again.
            return self.wishes.push(Wish::KeyFrame(self.layer));
        }
        let interval = self.config.replay_interval;
        let since = self.last_replay.map(|last| now.saturating_duration_since(last));
        let recent = |span: Duration| since.is_some_and(|since| since < span);
        // The start is no answer to a PLI: when its first packet was lost, browsers ask after 200 ms. Later, a viewer that asks
        // again soon after a replay was not helped by it: it gets a new key frame, and fewer replays.
        let least = if self.pli_answered { interval * (1 << self.unhelped) } else { interval / 3 };
        if recent(least) {
            return;
        }
        let helped = !self.pli_answered || !recent(4 * interval * (1 << self.unhelped));
        self.unhelped = if helped { 0 } else { (self.unhelped + 1).min(MOST_UNHELPED) };
        self.pli_answered = true;
        self.replay(now, cache);
        if self.is_waiting() || !helped {
            self.wishes.push(Wish::KeyFrame(self.layer));
        }
    }

    /// The way out is free again: catches up from where it stopped, or waits at a frame's end for a key frame that is sooner there.
    pub(super) fn resume(&mut self, now: Instant, cache: &StreamCache) {
        let source = self.source(cache);
        if self.section.kind == Kind::Audio {
            // sound of long ago would only delay that of now
            if source.end().saturating_sub(self.next) > MOST_LATE_SOUND {
                self.begin_run(source.end());
            }
            return;
        }
        if self.is_waiting() || self.holds() || self.next >= source.end() {
            return;
        }
        let from = source.gop().unwrap_or(0).max(self.next);
        let backlog = source.backlog(from);
        let rate_bps = source.bitrate_bps(now);
        if catch_up_time(backlog.bytes, backlog.frames, rate_bps, self.burst_bps()) <= MOST_CATCH_UP {
            self.state = State::CatchingUp;
        } else {
            self.wishes.push(Wish::KeyFrame(self.layer));
            self.state = State::Still { frames_left: 0, since: now };
        }
    }

    /// Takes the video from another layer with its next key frame; the present one goes on until then, unless `at_once`.
    pub(super) fn switch(&mut self, now: Instant, layer: Layer, at_once: bool, cache: &StreamCache) {
        if layer == self.layer && self.state != State::Paused {
            self.switch = None;
            return;
        }
        let from = cache.layer(Kind::Video, layer).end();
        self.switch = Some(Switch { layer, from, since: now, asked: now, at_once });
        self.wishes.push(Wish::KeyFrame(layer));
    }

    /// Sends no more video until a layer is switched to.
    pub(super) fn pause(&mut self) {
        self.switch = None;
        self.repairs.clear();
        self.state = State::Paused;
    }

    /// Whether new packets of the present layer are held back.
    fn holds(&self) -> bool {
        self.state == State::Paused || self.at_boundary && self.switch.is_some_and(|switch| switch.at_once)
    }

    /// Takes the other layer if its key frame has come, and asks for one again if it has not.
    fn follow_switch(&mut self, now: Instant, cache: &StreamCache) {
        let Some(switch) = self.switch else { return };
        let source = cache.layer(Kind::Video, switch.layer);
        let waited = now.saturating_duration_since(switch.since);
        // a source that does not obey: its last key frame and all that followed it, better late than never
        let from = if switch.at_once && waited >= KEY_FRAME_PATIENCE { 0 } else { switch.from };
        if let Some(gop) = source.gop().filter(|gop| *gop >= from) {
            (self.switch, self.layer) = (None, switch.layer);
            self.begin_run(gop);
            self.state = State::CatchingUp;
            self.wishes.push(Wish::Switched(switch.layer));
        } else if now.saturating_duration_since(switch.asked) >= ASK_AGAIN {
            self.switch = Some(Switch { asked: now, ..switch });
            self.wishes.push(Wish::KeyFrame(switch.layer));
        }
    }

    /// Sends a packet that is nothing but padding, as the repair stream may. Whether it could.
    pub(super) fn pad(&mut self, link: &mut Link<'_>) -> bool {
        let Some(payload_type) = self.section.codec.rtx else { return false };
        let sequence = self.rtx_next;
        self.rtx_next += 1;
        let timestamp = self.last_time.unwrap_or(self.time_base) as u32;
        let ssrc = self.section.rtx_ssrc;
        let header = Header { marker: false, payload_type, sequence: sequence as u16, timestamp, ssrc };
        let extension = self.section.extensions.padding(link.abs_send_time);
        link.seal(&header, sequence, &extension, &[], Body::Padding(&PADDING))
    }

    /// A NACK: remembers what is to be sent again. `rtt`: no second repair within it, no third within twice that, and so on.
    pub(super) fn handle_nack(&mut self, now: Instant, missing: impl Iterator<Item = u16>, rtt: Duration) {
        self.stats.nacks += 1;
        let quiet = rtt.clamp(Duration::from_millis(10), LONGEST_QUIET);
        while self.repaired.front().is_some_and(|one| one.out + REPAIR_PACKETS < self.out_next) {
            self.repaired.pop_front();
        }
        for sequence in missing {
            let Some(out) = extend(self.out_next, sequence) else {
                self.stats.nacks_missed += 1;
                continue;
            };
            let lately = self.repaired.iter().find(|one| one.out == out);
            let known = self.repairs.contains(&out) || lately.is_some_and(|one| one.rests(now, quiet));
            if !known && self.repairs.len() < MOST_REPAIRS {
                self.repairs.push_back(out);
            }
        }
    }

    /// Packets that came after their successors had been sent.
    pub(super) fn forward_late(&mut self, packet: &Packet, link: &mut Link<'_>) {
        let Some(run) = self.runs.back().copied() else { return };
        let behind = packet.codec == self.section.format
            && packet.layer == self.layer
            && packet.sequence < self.next
            && packet.sequence >= run.in_start;
        if behind && !self.is_waiting() && !self.holds() {
            let out = run.out_start + (packet.sequence - run.in_start);
            let time = self.time_of(out, packet.time.ticks);
            self.send(packet, out, time, link);
        }
    }

    /// Sends what is due; `allowance` is the number of packets that may still leave in this slot.
    pub(super) fn pump(&mut self, now: Instant, cache: &StreamCache, allowance: &mut usize, link: &mut Link<'_>) {
        self.pump_repairs(now, cache, allowance, link);
        if self.at_boundary || self.is_waiting() || self.state == State::Paused {
            self.follow_switch(now, cache);
        }
        if self.holds() {
            return;
        }
        let source = self.source(cache);
        let end = source.end();
        if let State::Waiting { from } = self.state {
            let Some(gop) = source.gop().filter(|gop| *gop >= from) else { return };
            self.begin_run(gop);
            self.state = State::CatchingUp;
        }
        if self.next > end || self.next < source.start() {
            // the source began anew, or we fell behind everything that is kept
            match (self.section.kind, source.gop()) {
                (Kind::Audio, _) => self.begin_run(end),
                (Kind::Video, Some(gop)) => {
                    self.begin_run(gop);
                    self.state = State::CatchingUp;
                }
                (Kind::Video, None) => {
                    self.wishes.push(Wish::KeyFrame(self.layer));
                    self.state = State::Waiting { from: 0 };
                    return;
                }
            }
        }
        while self.next < end && *allowance > 0 {
            if self.at_boundary {
                if self.switch.is_some_and(|switch| {
                    switch.at_once || cache.layer(Kind::Video, switch.layer).gop().is_some_and(|gop| gop >= switch.from)
                }) {
                    return self.pump(now, cache, allowance, link);
                }
                // a newer key frame empties what is left of the backlog
                if let Some(gop) = source.gop().filter(|gop| *gop > self.next && self.section.kind == Kind::Video) {
                    self.begin_run(gop);
                    self.state = State::CatchingUp;
                }
                if let State::Still { frames_left: 0, since } = self.state {
                    if now.saturating_duration_since(since) < KEY_FRAME_PATIENCE {
                        return;
                    }
                    self.state = State::CatchingUp; // the source does not obey: better late than never
                }
            }
            // lost upstream, perhaps to come late; or of a codec that was not negotiated, after the source has changed
            let Some(packet) = source.packet(self.next).filter(|packet| packet.codec == self.section.format) else {
                self.next += 1;
                continue;
            };
            // a run begins and ends with the packets at hand; its numbers count the gaps too
            let run =
                *self.runs.back().unwrap_or(&Run { layer: self.layer, out_start: self.out_next, in_start: self.next });
            let out = run.out_start + (self.next - run.in_start);
            let time = self.stamp(now, packet, out, source);
            if packet.codec == Codec::Vp8 {
                let oldest = out.saturating_sub(REPAIR_PACKETS);
                self.pictures.note(&packet.payload, packet.key_frame_start, out, oldest);
            }
            self.send(packet, out, time, link);
            self.out_next = out + 1;
            self.next += 1;
            *allowance -= 1;
            self.note_frame(packet);
        }
        if self.next >= end && self.state == State::CatchingUp {
            self.state = State::Live;
        }
    }

    fn pump_repairs(&mut self, now: Instant, cache: &StreamCache, allowance: &mut usize, link: &mut Link<'_>) {
        // repairs leave room for new packets, or a lossy link would only ever look back
        let waits = !self.is_waiting() && self.source(cache).end() > self.next;
        let reserved = if waits { *allowance / 2 } else { 0 };
        if self.repairs.is_empty() {
            return;
        }
        let since = self.credit.1.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        // where no picture fits, old ones do not either: what is left of the path belongs to the sound
        let rate_bps = if self.state == State::Paused { 0 } else { self.source(cache).bitrate_bps(now) };
        let earned = u128::from(rate_bps.max(64_000)) * since.as_micros() / 16_000_000;
        self.credit = ((self.credit.0 + earned as u64).min(REPAIR_BURST_BYTES), Some(now));
        while *allowance > reserved && self.credit.0 >= wire::h264::PAYLOAD_BYTES as u64 {
            let Some(out) = self.repairs.pop_front() else { return };
            let run = self.runs.iter().rev().find(|run| run.out_start <= out).copied();
            let packet = run.and_then(|run| {
                let source = cache.layer(self.section.kind, run.layer);
                source.packet(run.in_start + (out - run.out_start))
            });
            match packet {
                Some(packet) => {
                    let time = self.time_of(out, packet.time.ticks);
                    self.repair(packet, out, time, link);
                    match self.repaired.iter_mut().find(|one| one.out == out) {
                        Some(one) => (one.at, one.times) = (now, one.times + 1),
                        None => {
                            if self.repaired.len() == MOST_REPAIRS {
                                self.repaired.pop_front();
                            }
                            self.repaired.push_back(Repaired { out, at: now, times: 1 });
                        }
                    }
                    self.credit.0 = self.credit.0.saturating_sub(packet.payload.len() as u64);
                    *allowance -= 1;
                }
                None => self.stats.nacks_missed += 1,
            }
        }
    }

    /// Time under which the next packet leaves, on our line.
    fn stamp(&mut self, now: Instant, packet: &Packet, out: u64, source: &LayerCache) -> u64 {
        let true_time = packet.time.ticks.wrapping_add(self.time_base);
        if self.section.kind == Kind::Audio {
            return true_time;
        }
        if let Some((_, time)) = self.frame.filter(|(ticks, _)| *ticks == packet.time.ticks) {
            return time;
        }
        // frames that follow a stamped one keep after it; then times are the true ones, in whatever order (B frames)
        let mut time = self.floor.map_or(true_time, |floor| true_time.max(floor + 1));
        if self.is_catching_up() {
            let live = source.live(now).map_or(0, |(live, _)| live.ticks.wrapping_add(self.time_base));
            time = time.max(live).max(self.last_time.map_or(0, |last| last + 1));
        }
        self.floor = (time != true_time).then_some(time);
        if time != true_time {
            self.stamps.push_back(Stamp { out_start: out, ticks: packet.time.ticks, time });
            let oldest = out.saturating_sub(REPAIR_PACKETS);
            while self.stamps.front().is_some_and(|stamp| stamp.out_start < oldest) {
                self.stamps.pop_front();
            }
        } else if self.stamps.back().is_some_and(|last| out - last.out_start > REPAIR_PACKETS) {
            self.stamps = VecDeque::new();
        }
        self.frame = Some((packet.time.ticks, time));
        self.last_time = self.last_time.max(Some(time));
        time
    }

    /// Time that a packet sent before had.
    fn time_of(&self, out: u64, ticks: u64) -> u64 {
        let after = self.stamps.partition_point(|stamp| stamp.out_start <= out);
        let stamp = after.checked_sub(1).and_then(|at| self.stamps.get(at)).filter(|stamp| stamp.ticks == ticks);
        stamp.map_or(ticks.wrapping_add(self.time_base), |stamp| stamp.time)
    }

    fn note_frame(&mut self, packet: &Packet) {
        self.at_boundary = packet.marker;
        if self.section.kind != Kind::Video {
            return;
        }
        if packet.key_frame_start && self.first_frame == FirstFrame::Awaited {
            self.first_frame = FirstFrame::KeyFrameOpen;
        }
        if packet.marker {
            if self.first_frame == FirstFrame::KeyFrameOpen {
                self.first_frame = FirstFrame::Sent;
                self.wishes.push(Wish::FirstFrameSent);
            }
            if let State::Still { frames_left, .. } = &mut self.state {
                *frames_left = frames_left.saturating_sub(1);
            }
        }
    }

    fn send(&mut self, packet: &Packet, out: u64, time: u64, link: &mut Link<'_>) {
        let header = Header {
            marker: packet.marker,
            payload_type: self.section.codec.payload_type,
            sequence: out as u16,
            timestamp: time as u32,
            ssrc: self.section.ssrc,
        };
        let extension = self.section.extensions.media(link.abs_send_time, self.captured(packet, time));
        if link.seal(&header, out, &extension, &[], self.body(packet, out)) {
            self.stats.packets += 1;
            self.stats.bytes += packet.payload.len() as u64;
        }
    }

    /// Sends a packet again: as RTX (RFC 4588), or bit by bit as it was.
    fn repair(&mut self, packet: &Packet, out: u64, time: u64, link: &mut Link<'_>) {
        self.stats.retransmitted += 1;
        let Some(payload_type) = self.section.codec.rtx else {
            return self.send(packet, out, time, link);
        };
        let sequence = self.rtx_next;
        self.rtx_next += 1;
        let header = Header {
            marker: packet.marker,
            payload_type,
            sequence: sequence as u16,
            timestamp: time as u32,
            ssrc: self.section.rtx_ssrc,
        };
        let original = (out as u16).to_be_bytes();
        let extension = self.section.extensions.media(link.abs_send_time, self.captured(packet, time));
        link.seal(&header, sequence, &extension, &original, self.body(packet, out));
    }

    fn body<'a>(&self, packet: &'a Packet, out: u64) -> Body<'a> {
        match packet.codec {
            Codec::Vp8 => Body::Vp8(&packet.payload, self.pictures.shift(out)),
            _ => Body::Media(&packet.payload),
        }
    }

    /// Wall clock of capture of a time on our line: the packet's own, moved as far as its time was when we were catching up. Capture
    /// times, RTP times and sender reports then say the same.
    fn captured(&self, packet: &Packet, time: u64) -> NtpTime {
        match time.saturating_sub(packet.time.ticks.wrapping_add(self.time_base)) {
            0 => packet.ntp,
            later => packet.ntp.plus(MediaTime { ticks: later, ..packet.time }.span()),
        }
    }

    /// Packets that wait in the cache or for repair, for which another slot is needed.
    pub(super) fn backlog(&self, cache: &StreamCache) -> u64 {
        let waits = match self.state {
            State::Waiting { .. } => 0,
            _ if self.holds() => 0,
            _ => self.source(cache).end().saturating_sub(self.next),
        };
        waits + self.repairs.len() as u64
    }

    /// When the next slot matters; `None`: only when something comes.
    pub(super) fn due(&self, now: Instant, cache: &StreamCache) -> Option<Instant> {
        let switch = self.switch.map(|switch| {
            let given_up = switch.since + KEY_FRAME_PATIENCE;
            let again = switch.asked + ASK_AGAIN;
            if switch.at_once && given_up > now { again.min(given_up) } else { again }
        });
        let media = match self.state {
            State::Still { frames_left: 0, since } if self.repairs.is_empty() => Some(since + KEY_FRAME_PATIENCE),
            _ if self.backlog(cache) > 0 => Some(now + self.config.slot),
            _ => None,
        };
        switch.into_iter().chain(media).min()
    }

    /// Our time for a point of the stream's line.
    pub(super) fn line_time(&self, ticks: u64) -> u32 {
        ticks.wrapping_add(self.time_base) as u32
    }
}

/// The extended number that a NACK means, if it has been sent and is not forgotten.
fn extend(next: u64, sequence: u16) -> Option<u64> {
    let back = (next as u16).wrapping_sub(sequence);
    let back = if back == 0 { 1 << 16 } else { u64::from(back) };
    next.checked_sub(back).filter(|_| back <= REPAIR_PACKETS)
}

/// How long a backlog keeps a viewer from being live: on the wire at `burst_bps` while the stream goes on, or in the decoder.
fn catch_up_time(bytes: u64, frames: u64, stream_bps: u64, burst_bps: u64) -> Duration {
    // decode times of the reference trial, by the bitrate that such pictures have: 480p, 1080p, 1440p
    let decode = Duration::from_millis(match stream_bps {
        0..2_500_000 => 2,
        2_500_000..8_000_000 => 5,
        _ => 11,
    });
    let spare_bps = burst_bps.saturating_sub(stream_bps).max(1);
    let wire = Duration::from_micros((u128::from(bytes) * 8_000_000 / u128::from(spare_bps)) as u64);
    wire.max(decode * u32::try_from(frames).unwrap_or(u32::MAX))
}

/// What follows a packet's header.
enum Body<'a> {
    Media(&'a [u8]),
    /// With its counters moved.
    Vp8(&'a [u8], vp8::Shift),
    /// All of it padding.
    Padding(&'a [u8]),
}

/// Where a forwarder's packets go.
pub(super) struct Link<'a> {
    sealer: &'a Sealer,
    path: Peer,
    out: &'a mut Outbox,
    abs_send_time: [u8; 3],
    /// Sealed bytes that left.
    pub(super) bytes: u64,
}

impl<'a> Link<'a> {
    /// The way to the viewer, if there is one; packets say that they leave `now`.
    pub(super) fn open(
        now: Instant,
        transport: &'a mut Transport,
        clock: &WallClock,
        out: &'a mut Outbox,
    ) -> Option<Link<'a>> {
        let (sealer, path) = transport.outgoing()?;
        Some(Link { sealer, path, out, abs_send_time: rtp::abs_send_time(clock.ntp(now).0), bytes: 0 })
    }

    /// Writes and seals one packet; `prefix` goes before the payload.
    fn seal(&mut self, header: &Header, sequence: u64, extension: &Elements, prefix: &[u8], body: Body<'_>) -> bool {
        let (payload, padded) = match body {
            Body::Media(payload) | Body::Vp8(payload, _) => (payload, false),
            Body::Padding(padding) => (padding, true),
        };
        let sealer = self.sealer;
        let mut bytes = 0;
        let sealed = self.out.write(self.path, |buffer| {
            let start = buffer.len();
            header.write(extension.as_bytes(), buffer);
            let head = buffer.len() - start;
            debug_assert!(head >= rtp::HEADER_BYTES);
            if padded {
                buffer[start] |= 0x20;
            }
            buffer.extend_from_slice(prefix);
            buffer.extend_from_slice(payload);
            if let Body::Vp8(_, shift) = body {
                shift.apply(&mut buffer[start + head + prefix.len()..]);
            }
            let sealed = sealer.seal_rtp(buffer, start, head, sequence);
            bytes = buffer.len() - start;
            sealed
        });
        self.bytes += bytes as u64;
        sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_repeated_ever_more_seldom_and_ten_times_at_most() {
        let began = Instant::now();
        let mut one = Repaired { out: 1, at: began, times: 1 };
        let mut repeats = Vec::new();
        for ms in 0..60_000 {
            let now = began + Duration::from_millis(ms);
            if !one.rests(now, Duration::from_millis(50)) {
                (one.at, one.times) = (now, one.times + 1);
                repeats.push(ms);
            }
        }
        assert_eq!(repeats, [50, 150, 350, 750, 1250, 1750, 2250, 2750, 3250]);
    }
}
