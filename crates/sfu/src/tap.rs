//! Packets become access units again, for HLS and recordings.
use std::sync::Arc;
use std::time::Instant;

use crate::cache::StreamCache;
use crate::packet::{Codec, Kind, Layer, MediaTime, Packet};

/// One frame of video or one packet of audio, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessUnit {
    pub kind: Kind,
    pub layer: Layer,
    pub codec: Codec,
    pub time: MediaTime,
    /// Wall clock of capture, milliseconds since 1970.
    pub ntp_ms: u64,
    pub key_frame: bool,
    /// H.264: Annex-B with 4-byte start codes, parameter sets before a key frame as they came. Others: the bare frame.
    pub data: Vec<u8>,
    /// Something between the unit before and this one is missing for good.
    pub lost_before: bool,
}

/// Reads a stream as access units, in order per track and layer; waits a little for late packets.
#[derive(Debug)]
pub struct Tap {
    _private: (),
}

impl Tap {
    /// Starts at the newest key frame that `cache` holds, else with what comes next.
    pub fn new(now: Instant, cache: &StreamCache) -> Tap {
        let _ = (now, cache);
        todo!()
    }

    /// Takes a burst (after `cache.push`).
    pub fn push(&mut self, now: Instant, burst: &[Arc<Packet>]) {
        let _ = (now, burst);
        todo!()
    }

    /// The next whole access unit.
    pub fn poll(&mut self) -> Option<AccessUnit> {
        todo!()
    }
}
