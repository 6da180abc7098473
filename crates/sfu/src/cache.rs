//! A stream on one worker: recent packets of each track and layer, and the GOP from which a viewer starts.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::resolution::{self, Resolution};

use crate::keyframe::KeyFrameGate;
use crate::packet::{Codec, Kind, Layer, MediaTime, Packet, StreamDescription};
use crate::rate::SlidingRate;
use crate::rungs::Rungs;

/// Packets kept for NACKs beyond the GOP: some seconds of a usual stream.
const VIDEO_HISTORY: usize = 1024;
const AUDIO_HISTORY: usize = 256;
/// Longest GOP that is kept; a longer one serves no joiner (replay would take too long) and would only cost memory.
const MOST_PACKETS: usize = 4096;
/// A jump in sequence numbers that is no loss but another stream.
const MOST_GAP: u64 = 2048;

/// Recent packets of one stream, for NACKs, instant starts and taps. One per stream and worker; holds `Arc`s only.
#[derive(Debug)]
pub struct StreamCache {
    description: StreamDescription,
    video: [LayerCache; Layer::MAX],
    audio: LayerCache,
    gates: [KeyFrameGate; Layer::MAX],
    key_frames_wanted: u64,
    key_frames_asked: u64,
}

/// Where a stream stands; what a new source needs to go on without a break (`IngestSetup::resume`, `Injector::new`).
#[derive(Debug, Clone, Default)]
pub struct StreamPosition {
    /// The newest packet of each video layer and of audio.
    pub(crate) newest: Vec<Arc<Packet>>,
}

impl StreamPosition {
    /// The newest packet of a track's layer.
    pub(crate) fn of(&self, kind: Kind, layer: Layer) -> Option<&Arc<Packet>> {
        self.newest.iter().find(|packet| packet.kind == kind && packet.layer == layer)
    }
}

/// Figures of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerStats {
    /// Picture or sound.
    pub kind: Kind,
    /// Which layer of it.
    pub layer: Layer,
    /// Packets since the stream began.
    pub packets: u64,
    /// Bytes of payload since the stream began.
    pub bytes: u64,
    /// Over the last four seconds; 0 when nothing came for two.
    pub bitrate_bps: u64,
    /// Key frames since the stream began.
    pub key_frames: u64,
    /// Packets from the newest key frame on; 0 when there is none to start from.
    pub gop_packets: usize,
    /// Something came within the last 1.5 s.
    pub alive: bool,
    /// Of the newest key frame; `None` for codecs whose headers are not read (VP9, AV1).
    pub resolution: Option<Resolution>,
}

/// Figures of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheStats {
    /// One for each layer that ever came.
    pub layers: Vec<LayerStats>,
    /// Wishes for a key frame, of subscribers.
    pub key_frames_wanted: u64,
    /// Those of `key_frames_wanted` that were let through.
    pub key_frames_asked: u64,
    /// When the newest packet came.
    pub newest_arrival: Option<Instant>,
}

impl StreamCache {
    /// An empty one, for a stream that has this to give.
    pub fn new(description: StreamDescription) -> StreamCache {
        StreamCache {
            description,
            video: std::array::from_fn(|_| LayerCache::new(VIDEO_HISTORY)),
            audio: LayerCache::new(AUDIO_HISTORY),
            gates: Default::default(),
            key_frames_wanted: 0,
            key_frames_asked: 0,
        }
    }

    /// The stream changed (another codec, other layers): forgets the packets of tracks whose codec differs.
    pub fn describe(&mut self, description: StreamDescription) {
        let codec = |description: &StreamDescription, kind| description.track(kind).map(|track| track.codec);
        if codec(&self.description, Kind::Video) != codec(&description, Kind::Video) {
            self.video = std::array::from_fn(|_| LayerCache::new(VIDEO_HISTORY));
        }
        if codec(&self.description, Kind::Audio) != codec(&description, Kind::Audio) {
            self.audio = LayerCache::new(AUDIO_HISTORY);
        }
        self.description = description;
    }

    /// What the stream has to give now.
    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// Takes a burst. Packets may be late or double; the cache sorts them. Returns those that came after their successors: what
    /// [`Subscriber::forward`](crate::Subscriber::forward) must be told of.
    pub fn push(&mut self, burst: &[Arc<Packet>]) -> Vec<Arc<Packet>> {
        let mut late = Vec::new();
        for packet in burst {
            let layer = match packet.kind {
                Kind::Audio => Some(&mut self.audio),
                Kind::Video => self.video.get_mut(usize::from(packet.layer.0)),
            };
            if layer.is_some_and(|layer| layer.push(packet) == Pushed::Late) {
                late.push(Arc::clone(packet));
            }
        }
        late
    }

    /// A subscriber wants a key frame of a layer: whether to ask the source for it now.
    pub fn want_key_frame(&mut self, now: Instant, layer: Layer) -> bool {
        self.key_frames_wanted += 1;
        let pass = self.gates[usize::from(layer.0).min(Layer::MAX - 1)].pass(now);
        self.key_frames_asked += u64::from(pass);
        pass
    }

    /// Where the stream stands, for the next source of it.
    pub fn position(&self) -> StreamPosition {
        let layers = self.video.iter().chain([&self.audio]);
        StreamPosition { newest: layers.filter_map(|layer| layer.newest.clone()).collect() }
    }

    /// Figures of each layer.
    pub fn stats(&self, now: Instant) -> CacheStats {
        let mut layers = Vec::new();
        for (index, layer) in self.video.iter().enumerate() {
            layers.extend(layer.stats(Kind::Video, Layer(index as u8), now));
        }
        layers.extend(self.audio.stats(Kind::Audio, Layer::SINGLE, now));
        CacheStats {
            layers,
            key_frames_wanted: self.key_frames_wanted,
            key_frames_asked: self.key_frames_asked,
            newest_arrival: self
                .video
                .iter()
                .chain([&self.audio])
                .filter_map(|l| Some(l.newest.as_ref()?.arrival))
                .max(),
        }
    }

    pub(crate) fn layer(&self, kind: Kind, layer: Layer) -> &LayerCache {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => self.video.get(usize::from(layer.0)).unwrap_or(&self.video[0]),
        }
    }

    /// The video layer with the most bits that is alive at `now`; the first one when none is.
    pub(crate) fn best_layer(&self, now: Instant) -> Layer {
        let alive = self.video.iter().enumerate().filter(|(_, layer)| layer.is_alive(now));
        alive.max_by_key(|(_, layer)| layer.bitrate_bps(now)).map_or(Layer::SINGLE, |(index, _)| Layer(index as u8))
    }

    /// The video layers that are alive, with the size of their pictures: what a viewer may choose from.
    pub fn choices(&self, now: Instant) -> Vec<(Layer, Option<Resolution>)> {
        let alive = self.video.iter().enumerate().filter(|(_, layer)| layer.is_alive(now));
        alive.map(|(index, layer)| (Layer(index as u8), layer.resolution)).collect()
    }

    /// The video layers that are alive, and what each takes, the cheapest first.
    pub(crate) fn rungs(&self, now: Instant) -> Rungs {
        let mut rungs = Rungs::default();
        for (index, layer) in self.video.iter().enumerate().filter(|(_, layer)| layer.is_alive(now)) {
            rungs.push(Layer(index as u8), layer.bitrate_bps(now));
        }
        rungs
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// It is the newest now.
    Next,
    /// It fills a gap.
    Late,
    /// It was there already, or is older than what is kept.
    Refused,
}

/// Packets of one layer, by sequence number.
#[derive(Debug)]
pub(crate) struct LayerCache {
    history: usize,
    /// Sequence number of `packets[0]`.
    base: u64,
    packets: VecDeque<Option<Arc<Packet>>>,
    /// Sequence number of the newest key frame's first packet.
    gop: Option<u64>,
    newest: Option<Arc<Packet>>,
    count: u64,
    bytes: u64,
    key_frames: u64,
    resolution: Option<Resolution>,
    rate: SlidingRate,
}

impl LayerCache {
    fn new(history: usize) -> LayerCache {
        LayerCache {
            history,
            base: 0,
            packets: VecDeque::new(),
            gop: None,
            newest: None,
            count: 0,
            bytes: 0,
            key_frames: 0,
            resolution: None,
            rate: SlidingRate::default(),
        }
    }

    fn push(&mut self, packet: &Arc<Packet>) -> Pushed {
        let sequence = packet.sequence;
        if sequence + MOST_GAP < self.base || (!self.packets.is_empty() && sequence > self.end() + MOST_GAP) {
            self.packets.clear();
            self.gop = None;
            self.newest = None;
        }
        if self.packets.is_empty() {
            self.base = sequence;
        }
        let Some(index) = sequence.checked_sub(self.base) else { return Pushed::Refused };
        let index = index as usize;
        let pushed = if index >= self.packets.len() { Pushed::Next } else { Pushed::Late };
        if pushed == Pushed::Next {
            self.packets.resize(index + 1, None);
        }
        if self.packets[index].is_some() {
            return Pushed::Refused;
        }
        self.packets[index] = Some(packet.clone());
        self.count += 1;
        self.bytes += packet.payload.len() as u64;
        self.rate.add(packet.arrival, packet.payload.len());
        if packet.key_frame_start {
            self.key_frames += 1;
            let read = match packet.codec {
                Codec::H264 => resolution::of_h264_payload(&packet.payload),
                Codec::Vp8 => resolution::of_vp8_payload(&packet.payload),
                _ => None,
            };
            self.resolution = read.or(self.resolution);
            self.gop = Some(self.gop.map_or(sequence, |gop| gop.max(sequence)));
        }
        if self.newest.as_ref().is_none_or(|newest| newest.sequence < sequence) {
            self.newest = Some(packet.clone());
        }
        self.trim();
        pushed
    }

    fn trim(&mut self) {
        while self.packets.len() > self.history {
            let needed = self.gop.is_some_and(|gop| self.base >= gop);
            if needed && self.packets.len() <= MOST_PACKETS {
                break;
            }
            self.packets.pop_front();
            self.base += 1;
        }
        self.gop = self.gop.filter(|gop| *gop >= self.base);
    }

    /// Sequence number after the newest packet.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// Oldest sequence number that may be there.
    pub(crate) fn start(&self) -> u64 {
        self.base
    }

    pub(crate) fn packet(&self, sequence: u64) -> Option<&Arc<Packet>> {
        let index = sequence.checked_sub(self.base)?;
        self.packets.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// Where a viewer can start: the newest key frame's first packet.
    pub(crate) fn gop(&self) -> Option<u64> {
        self.gop
    }

    /// Time and wall clock of the line that the newest packets lie on, at `now`.
    pub(crate) fn live(&self, now: Instant) -> Option<(MediaTime, crate::clock::NtpTime)> {
        let newest = self.newest.as_ref()?;
        let since = now.saturating_duration_since(newest.arrival);
        Some((newest.time.plus(since), newest.ntp.plus(since)))
    }

    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        self.newest
            .as_ref()
            .is_some_and(|newest| now.saturating_duration_since(newest.arrival) < Duration::from_millis(1500))
    }

    pub(crate) fn bitrate_bps(&self, now: Instant) -> u64 {
        self.rate.bitrate_bps(now)
    }

    /// Payload bytes, frames and missing packets from `from` to the end.
    pub(crate) fn backlog(&self, from: u64) -> Backlog {
        let mut backlog = Backlog::default();
        let skip = from.saturating_sub(self.base) as usize;
        for packet in self.packets.iter().skip(skip) {
            match packet {
                Some(packet) => {
                    backlog.bytes += packet.payload.len() as u64;
                    backlog.frames += u64::from(packet.marker);
                }
                None => backlog.missing += 1,
            }
        }
        backlog
    }

    fn stats(&self, kind: Kind, layer: Layer, now: Instant) -> Option<LayerStats> {
        self.newest.as_ref()?;
        Some(LayerStats {
            kind,
            layer,
            packets: self.count,
            bytes: self.bytes,
            bitrate_bps: self.bitrate_bps(now),
            key_frames: self.key_frames,
            alive: self.is_alive(now),
            resolution: self.resolution,
            gop_packets: self.gop.map_or(0, |gop| (self.end() - gop) as usize),
        })
    }
}

/// What waits between a point of the cache and its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) missing: u64,
}

/// Bitrate over windows of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateWindow {
    since: Option<Instant>,
    bytes: u64,
    last_bps: u64,
}

impl RateWindow {
    const SPAN: Duration = Duration::from_secs(1);

    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        let span = now.saturating_duration_since(since);
        if span >= Self::SPAN {
            self.last_bps = (u128::from(self.bytes) * 8_000_000 / span.as_micros()) as u64;
            self.since = Some(now);
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
    }

    pub(crate) fn bitrate_bps(&self, now: Instant) -> u64 {
        let Some(since) = self.since else { return 0 };
        let span = now.saturating_duration_since(since);
        if span >= 2 * Self::SPAN {
            0
        } else if self.last_bps == 0 {
            // within the first second: what came so far, over at least 100 ms
            (u128::from(self.bytes) * 8_000_000 / span.as_micros().max(100_000)) as u64
        } else {
            self.last_bps
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NtpTime;

    fn packet(now: Instant, sequence: u64, key_frame_start: bool) -> Arc<Packet> {
        Arc::new(Packet {
            kind: Kind::Video,
            layer: Layer::SINGLE,
            codec: Codec::H264,
            sequence,
            time: MediaTime { ticks: sequence * 3600, clock_rate: 90_000 },
            marker: true,
            key_frame_start,
            payload: vec![0x41; 1000].into(),
            arrival: now,
            ntp: NtpTime(0),
        })
    }

    fn cache() -> (StreamCache, Instant) {
        (StreamCache::new(StreamDescription::h264_opus(true, true)), Instant::now())
    }

    #[test]
    fn late_packets_find_their_place_and_doubles_count_once() {
        let (mut cache, now) = cache();
        let late = [10, 12, 11, 11, 13].map(|number| cache.push(&[packet(now, number, number == 10)]).len());
        assert_eq!(late, [0, 0, 1, 0, 0], "one that fills a gap is late, one that is there already is nothing");
        let layer = cache.layer(Kind::Video, Layer::SINGLE);
        assert_eq!((layer.start(), layer.end(), layer.gop(), layer.count), (10, 14, Some(10), 4));
        assert_eq!(layer.backlog(10), Backlog { bytes: 4000, frames: 4, missing: 0 });
    }

    #[test]
    fn history_is_bounded_but_never_cuts_the_gop() {
        let (mut cache, now) = cache();
        cache.push(&[packet(now, 0, true)]);
        for sequence in 1..2000 {
            cache.push(&[packet(now, sequence, false)]);
        }
        assert_eq!(cache.layer(Kind::Video, Layer::SINGLE).gop(), Some(0));
        cache.push(&[packet(now, 2000, true)]);
        let layer = cache.layer(Kind::Video, Layer::SINGLE);
        assert_eq!((layer.end() - layer.start(), layer.gop()), (VIDEO_HISTORY as u64, Some(2000)));
        for sequence in 2001..10_000 {
            cache.push(&[packet(now, sequence, false)]);
        }
        let layer = cache.layer(Kind::Video, Layer::SINGLE);
        assert!(layer.end() - layer.start() <= MOST_PACKETS as u64);
        assert_eq!(layer.gop(), None, "a GOP that is longer than what is kept serves nobody");
    }

    #[test]
    fn a_jump_is_another_stream() {
        let (mut cache, now) = cache();
        cache.push(&[packet(now, 5, true), packet(now, 1_000_000_000, false)]);
        let layer = cache.layer(Kind::Video, Layer::SINGLE);
        assert_eq!((layer.start(), layer.end(), layer.gop()), (1_000_000_000, 1_000_000_001, None));
    }

    #[test]
    fn wishes_are_gathered() {
        let (mut cache, now) = cache();
        let asked =
            (0..1000).filter(|at| cache.want_key_frame(now + Duration::from_millis(*at), Layer::SINGLE)).count();
        assert_eq!(asked, 2);
        assert_eq!((cache.stats(now).key_frames_wanted, cache.stats(now).key_frames_asked), (1000, 2));
    }

    #[test]
    fn another_codec_forgets_the_packets() {
        let (mut cache, now) = cache();
        cache.push(&[packet(now, 5, true)]);
        let mut description = cache.description().clone();
        cache.describe(description.clone());
        assert_eq!(cache.layer(Kind::Video, Layer::SINGLE).gop(), Some(5));
        description.video.as_mut().unwrap().codec = Codec::Vp8;
        cache.describe(description);
        assert_eq!(cache.layer(Kind::Video, Layer::SINGLE).gop(), None);
    }
}
