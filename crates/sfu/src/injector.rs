//! Our own encoder's access units become packets: equal fragments, true times.
use std::time::Instant;

use crate::clock::WallClock;
use crate::keyframe::KeyFrameGate;
use crate::packet::{Burst, StreamDescription};
use crate::cache::StreamPosition;

/// Source of a stream that this process encodes itself.
#[derive(Debug)]
pub struct Injector {
    description: StreamDescription,
    clock: WallClock,
    gate: KeyFrameGate,
}

impl Injector {
    /// `resume`: the position of a stream that another source fed until now; a default for a new one.
    pub fn new(description: StreamDescription, clock: WallClock, resume: StreamPosition) -> Injector {
        let _ = resume;
        Injector { description, clock, gate: KeyFrameGate::default() }
    }

    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// One H.264 access unit in Annex-B form (start codes; parameter sets before each key frame).
    ///
    /// `time`: capture time in 90 kHz ticks, wrapping at 32 bits, on one line with the audio (90 kHz and 48 kHz count from one zero).
    /// Empty when the stream has no video or the bytes hold no NAL unit.
    pub fn push_video(&mut self, now: Instant, access_unit: &[u8], time: u32, key_frame: bool) -> Burst {
        let _ = (now, access_unit, time, key_frame, &self.clock);
        todo!()
    }

    /// One Opus packet; `time` in 48 kHz ticks. Empty when the stream has no audio.
    pub fn push_audio(&mut self, now: Instant, packet: &[u8], time: u32) -> Burst {
        let _ = (now, packet, time);
        todo!()
    }

    /// A viewer needs a key frame: `true` if the encoder shall be asked now (at most every 500 ms).
    pub fn request_key_frame(&mut self, now: Instant) -> bool {
        self.gate.pass(now)
    }
}
