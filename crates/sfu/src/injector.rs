//! Our own encoder's access units become packets: equal fragments, true times.
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::h264;
use wire::rtp::TimeUnwrapper;

use crate::cache::StreamPosition;
use crate::clock::{NtpTime, WallClock};
use crate::keyframe::KeyFrameGate;
use crate::packet::{Burst, Codec, Kind, Layer, MediaTime, Packet, StreamDescription};

/// A source that has been held up is late at first and catches up; one that has paused stays as late.
const MOST_LATE: Duration = Duration::from_millis(500);
/// When all that has come for this long was that late, the source has paused: its time line is anchored anew.
const CATCHES_UP: Duration = Duration::from_secs(2);

/// Source of a stream that this process encodes itself.
#[derive(Debug)]
pub struct Injector {
    description: StreamDescription,
    clock: WallClock,
    gate: KeyFrameGate,
    /// Wall clock of media time zero.
    anchor: Option<NtpTime>,
    /// Since when all that came was more than `MOST_LATE` behind its capture.
    late_since: Option<Instant>,
    video: Track,
    audio: Track,
}

/// One track's line of sequence numbers and times.
#[derive(Debug)]
struct Track {
    next_sequence: u64,
    unwrapper: TimeUnwrapper,
    /// Newest packet of the source before this one, until the first unit fixes `shift`.
    before: Option<(MediaTime, Instant)>,
    /// Added to unwrapped times, so that the line goes on where the source before left it.
    shift: u64,
}

impl Track {
    fn new(kind: Kind, resume: &StreamPosition) -> Track {
        let newest = resume.of(kind, Layer::SINGLE);
        Track {
            next_sequence: newest.map_or(1 << 16, |packet| packet.sequence + 1),
            unwrapper: TimeUnwrapper::default(),
            before: newest.map(|packet| (packet.time, packet.arrival)),
            shift: 0,
        }
    }

    /// Time on the stream's line, and on the source's own (for the wall clock).
    fn time(&mut self, now: Instant, time: u32, clock_rate: u32) -> (MediaTime, MediaTime) {
        let own = self.unwrapper.extend(u64::from(time));
        if let Some((before, at)) = self.before.take() {
            let due = before.plus(now.saturating_duration_since(at)).ticks.max(before.ticks + 1);
            self.shift = due.wrapping_sub(own);
        }
        let line = MediaTime { ticks: own.wrapping_add(self.shift), clock_rate };
        (line, MediaTime { ticks: own, clock_rate })
    }
}

impl Injector {
    /// `resume`: the position of a stream that another source fed until now; a default for a new one.
    pub fn new(description: StreamDescription, clock: WallClock, resume: StreamPosition) -> Injector {
        Injector {
            description,
            clock,
            gate: KeyFrameGate::default(),
            anchor: None,
            late_since: None,
            video: Track::new(Kind::Video, &resume),
            audio: Track::new(Kind::Audio, &resume),
        }
    }

    /// What the stream has to give.
    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// One H.264 access unit in Annex-B form (start codes; parameter sets before each key frame).
    ///
    /// `time`: capture time in 90 kHz ticks, wrapping at 32 bits, on one line with the audio (90 kHz and 48 kHz count from one zero).
    /// Empty when the stream has no video or the bytes hold no NAL unit.
    pub fn push_video(&mut self, now: Instant, access_unit: &[u8], time: u32, key_frame: bool) -> Burst {
        let Some(track) = &self.description.video else { return Arc::new([]) };
        let (codec, clock_rate) = (track.codec, track.clock_rate);
        let (line, own) = self.video.time(now, time, clock_rate);
        let ntp = self.capture(now, own);
        let mut burst = Vec::with_capacity(access_unit.len() / h264::PAYLOAD_BYTES + 2);
        let next = &mut self.video.next_sequence;
        h264::packetize(h264::nal_units(access_unit), h264::PAYLOAD_BYTES, |payload, marker| {
            burst.push(Arc::new(Packet {
                kind: Kind::Video,
                layer: Layer::SINGLE,
                codec,
                sequence: *next,
                time: line,
                marker,
                key_frame_start: key_frame && burst.is_empty(),
                payload,
                arrival: now,
                ntp,
            }));
            *next += 1;
        });
        burst.into()
    }

    /// One Opus packet; `time` in 48 kHz ticks. Empty when the stream has no audio or the packet no bytes.
    pub fn push_audio(&mut self, now: Instant, packet: &[u8], time: u32) -> Burst {
        let Some(track) = &self.description.audio else { return Arc::new([]) };
        if packet.is_empty() {
            return Arc::new([]);
        }
        let (line, own) = self.audio.time(now, time, track.clock_rate);
        let ntp = self.capture(now, own);
        let sequence = self.audio.next_sequence;
        self.audio.next_sequence += 1;
        Arc::new([Arc::new(Packet {
            kind: Kind::Audio,
            layer: Layer::SINGLE,
            codec: Codec::Opus,
            sequence,
            time: line,
            marker: false,
            key_frame_start: false,
            payload: packet.into(),
            arrival: now,
            ntp,
        })])
    }

    /// Wall clock of capture: both tracks count from one zero. What came with the least delay says when that was, for nothing is
    /// captured after it came; a picture that took long to draw is late, and says nothing of the clock.
    fn capture(&mut self, now: Instant, own: MediaTime) -> NtpTime {
        let since_zero =
            Duration::from_nanos((u128::from(own.ticks) * 1_000_000_000 / u128::from(own.clock_rate)) as u64);
        // The unwrapper starts in its second lap, which is of another length for each clock rate: take the laps out.
        let lap = Duration::from_nanos(((1u128 << 32) * 1_000_000_000 / u128::from(own.clock_rate)) as u64);
        let since_zero = since_zero.saturating_sub(lap);
        let wall = self.clock.ntp(now);
        let known = self.anchor.map(|anchor| anchor.plus(since_zero)).filter(|capture| *capture <= wall);
        let late = known.is_some_and(|capture| wall.since(capture) >= MOST_LATE);
        self.late_since = self.late_since.or(Some(now)).filter(|_| late);
        let paused = self.late_since.is_some_and(|at| now.saturating_duration_since(at) >= CATCHES_UP);
        known.filter(|_| !paused).unwrap_or_else(|| {
            self.late_since = None;
            self.anchor = Some(wall.minus(since_zero));
            wall
        })
    }

    /// A viewer needs a key frame: `true` if the encoder shall be asked now (at most every 500 ms).
    pub fn request_key_frame(&mut self, now: Instant) -> bool {
        self.gate.pass(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injector() -> (Injector, Instant) {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        (Injector::new(StreamDescription::h264_opus(true, true), clock, StreamPosition::default()), now)
    }

    fn key_frame(bytes: usize) -> Vec<u8> {
        let mut stream = vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65];
        stream.resize(stream.len() + bytes, 0x55);
        stream
    }

    #[test]
    fn both_tracks_share_one_wall_clock() {
        let (mut injector, now) = injector();
        let audio = injector.push_audio(now, &[1, 2, 3], 48_000);
        let video = injector.push_video(now, &key_frame(10), 90_000, true);
        let difference = audio[0].ntp.unix_ms().abs_diff(video[0].ntp.unix_ms());
        assert!(difference <= 1, "{difference} ms apart");
        assert!(video[0].key_frame_start && !video[1].key_frame_start && video.last().unwrap().marker);
    }

    #[test]
    fn a_pause_anchors_the_line_anew() {
        let (mut injector, now) = injector();
        injector.push_audio(now, &[1], 0);
        let again = now + Duration::from_secs(10);
        let told: Vec<_> = (0..200)
            .map(|tick| {
                let at = again + Duration::from_millis(20) * tick;
                let packet = injector.push_audio(at, &[1], 960 * (tick + 1));
                (injector.clock.ntp(at).since(packet[0].ntp)).as_millis()
            })
            .collect();
        assert!(told[..100].iter().all(|late| *late > 9_000), "it may catch up yet");
        assert!(told[101..].iter().all(|late| *late == 0), "{told:?}");
    }

    #[test]
    fn a_source_that_was_held_up_catches_up_and_moves_no_clock() {
        let (mut injector, start) = injector();
        injector.push_audio(start, &[1], 0);
        let held_up = start + Duration::from_millis(900);
        for tick in 1..60 {
            let captured = start + Duration::from_millis(20) * tick;
            let packet = injector.push_audio(captured.max(held_up), &[1], 960 * tick);
            assert!(packet[0].ntp.unix_ms().abs_diff(injector.clock.ntp(captured).unix_ms()) <= 1);
        }
    }

    #[test]
    fn a_picture_that_took_long_to_draw_moves_no_clock() {
        let (mut injector, start) = injector();
        for tick in 0..100 {
            let now = start + Duration::from_millis(20) * tick;
            let sound = injector.push_audio(now, &[1], 960 * tick);
            assert_eq!(sound[0].ntp.unix_ms(), injector.clock.ntp(now).unix_ms());
            if tick == 40 {
                let picture = injector.push_video(now, &key_frame(10), 0, true);
                assert_eq!(picture[0].ntp.unix_ms(), injector.clock.ntp(start).unix_ms(), "800 ms late");
            }
        }
    }

    #[test]
    fn what_comes_soonest_says_when_the_line_began() {
        let (mut injector, start) = injector();
        let held_up = Duration::from_millis(400);
        injector.push_audio(start + held_up, &[1], 0);
        let later = start + held_up + Duration::from_millis(20);
        let sound = injector.push_audio(later, &[1], 21 * 960);
        assert_eq!(sound[0].ntp, injector.clock.ntp(later));
        let picture = injector.push_video(later, &key_frame(10), 0, true);
        assert!(picture[0].ntp.unix_ms().abs_diff(injector.clock.ntp(start).unix_ms()) <= 1);
    }

    #[test]
    fn the_next_source_continues_sequence_and_time() {
        let (mut first, now) = injector();
        let mut cache = crate::cache::StreamCache::new(first.description().clone());
        cache.push(&first.push_video(now, &key_frame(5000), 1_000_000, true));
        let newest = cache.position().newest[0].clone();
        let later = now + Duration::from_secs(2);
        let mut second = Injector::new(first.description().clone(), first.clock, cache.position());
        let burst = second.push_video(later, &key_frame(100), 7, true);
        assert_eq!(burst[0].sequence, newest.sequence + 1);
        assert_eq!(burst[0].time.ticks, newest.time.ticks + 180_000);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let (mut injector, now) = injector();
        assert!(injector.push_video(now, b"no start code", 0, true).is_empty());
        assert!(injector.push_audio(now, &[], 0).is_empty());
    }
}
