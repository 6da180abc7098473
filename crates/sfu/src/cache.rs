//! A stream on one worker: recent packets of each track and layer, and the GOP from which a viewer starts.
use std::time::Instant;

use crate::packet::{Kind, Layer, Packet, StreamDescription};
use std::sync::Arc;

/// Recent packets of one stream, for NACKs, instant starts and taps. One per stream and worker; holds `Arc`s only.
#[derive(Debug)]
pub struct StreamCache {
    description: StreamDescription,
}

/// Where a stream stands; what a new source needs to go on without a break (see `Ingest`/`Injector` `resume`).
#[derive(Debug, Clone, Default)]
pub struct StreamPosition {
    /// The newest packet of each video layer and of audio.
    pub(crate) newest: Vec<Arc<Packet>>,
}

/// Figures of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerStats {
    pub kind: Kind,
    pub layer: Layer,
    pub packets: u64,
    pub bytes: u64,
    /// Over the last second or so.
    pub bitrate_bps: u64,
    pub key_frames: u64,
    /// Packets from the newest key frame on; 0 when there is none to start from.
    pub gop_packets: usize,
}

/// Figures of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheStats {
    pub layers: Vec<LayerStats>,
    /// Key-frame wishes of subscribers / let through.
    pub key_frames_wanted: u64,
    pub key_frames_asked: u64,
    /// When the newest packet came.
    pub newest_arrival: Option<Instant>,
}

impl StreamCache {
    pub fn new(description: StreamDescription) -> StreamCache {
        StreamCache { description }
    }

    /// The stream changed (another codec, other layers): forgets the packets of tracks that differ.
    pub fn describe(&mut self, description: StreamDescription) {
        self.description = description;
    }

    pub fn description(&self) -> &StreamDescription {
        &self.description
    }

    /// Takes a burst. Packets may be late or double; the cache sorts them.
    pub fn push(&mut self, burst: &[Arc<Packet>]) {
        let _ = burst;
        todo!()
    }

    /// A subscriber wants a key frame: whether to ask the source for it now.
    pub fn want_key_frame(&mut self, now: Instant) -> bool {
        let _ = now;
        todo!()
    }

    /// Where the stream stands, for the next source of it.
    pub fn position(&self) -> StreamPosition {
        todo!()
    }

    pub fn stats(&self, now: Instant) -> CacheStats {
        let _ = now;
        todo!()
    }
}
