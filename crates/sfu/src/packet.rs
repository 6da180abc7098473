//! What travels through the core: immutable RTP packets in plain text, shared by all who forward them.
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::NtpTime;

/// Audio or video: there is at most one track of each in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// Payload format of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 (RFC 6184).
    H264,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// AV1 (its own RTP specification).
    Av1,
    /// Opus (RFC 7587).
    Opus,
}

/// One encoding of a track, numbered as its source offered them, from 0. Audio has only layer 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer(pub u8);

impl Layer {
    /// The layer of tracks that have one encoding only.
    pub const SINGLE: Layer = Layer(0);
    /// Most layers a track may have.
    pub const MAX: usize = 3;
}

/// A point on a media time line: ticks since some start, unwrapped to 64 bits, never without its clock rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediaTime {
    /// Units of `1 / clock_rate` seconds, unwrapped.
    pub ticks: u64,
    /// Ticks per second.
    pub clock_rate: u32,
}

impl MediaTime {
    /// This time plus a wall-clock span.
    pub fn plus(self, span: Duration) -> MediaTime {
        let ticks = span.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000;
        MediaTime { ticks: self.ticks + ticks as u64, ..self }
    }

    /// How long its ticks last.
    pub fn span(self) -> Duration {
        Duration::from_nanos((u128::from(self.ticks) * 1_000_000_000 / u128::from(self.clock_rate.max(1))) as u64)
    }
}

/// One RTP packet in plain text, as the subscribers' forwarders read it.
///
/// Sequence and time run on without a break for the life of a stream, whatever happens to its source.
#[derive(Debug)]
pub struct Packet {
    /// Picture or sound.
    pub kind: Kind,
    /// The layer that it belongs to; sound has one.
    pub layer: Layer,
    /// How its payload is coded.
    pub codec: Codec,
    /// Sequence number of this track and layer, unwrapped; neighbours differ by one.
    pub sequence: u64,
    /// Capture time; all layers of a track share one line.
    pub time: MediaTime,
    /// Last packet of its frame (video).
    pub marker: bool,
    /// First packet of a key frame (parameter sets included): forwarding can start here.
    pub key_frame_start: bool,
    /// The RTP payload, without header and extensions.
    pub payload: Box<[u8]>,
    /// When it came in (or was injected).
    pub arrival: Instant,
    /// Wall clock of capture, of the line that video and audio of this stream share.
    pub ntp: NtpTime,
}

/// Packets that came in together, in order; made once and sent to every worker.
pub type Burst = Arc<[Arc<Packet>]>;

/// What a stream holds: enough to answer an offer before any media came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamDescription {
    /// Its picture, if it has one.
    pub video: Option<TrackDescription>,
    /// Its sound, if it has any.
    pub audio: Option<TrackDescription>,
}

/// Codec, parameters and layers of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackDescription {
    /// How it is coded.
    pub codec: Codec,
    /// Ticks of media time a second.
    pub clock_rate: u32,
    /// Parameters for `a=fmtp`, e.g. `profile-level-id=42e01f;packetization-mode=1`. May be empty.
    pub parameters: String,
    /// Names of the layers (`rid`), at least one; the name of a track without rids is empty.
    pub layers: Vec<String>,
}

impl StreamDescription {
    /// What the origin's encoder sends: H.264 constrained baseline (3.1 or below), Opus stereo with FEC.
    pub fn h264_opus(video: bool, audio: bool) -> StreamDescription {
        StreamDescription {
            video: video.then(|| TrackDescription {
                codec: Codec::H264,
                clock_rate: 90_000,
                parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
                layers: vec![String::new()],
            }),
            audio: audio.then(|| TrackDescription {
                codec: Codec::Opus,
                clock_rate: 48_000,
                parameters: "minptime=10;useinbandfec=1".into(),
                layers: vec![String::new()],
            }),
        }
    }

    /// The track of one kind.
    pub fn track(&self, kind: Kind) -> Option<&TrackDescription> {
        match kind {
            Kind::Video => self.video.as_ref(),
            Kind::Audio => self.audio.as_ref(),
        }
    }
}
