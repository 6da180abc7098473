//! Packets of one layer, put in order and together to access units: for taps, and for publishers whose packets are cut anew.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::{h264, vp8};

use crate::cache::LayerCache;
use crate::clock::NtpTime;
use crate::packet::{Codec, Kind, Layer, MediaTime, Packet};

/// How long a missing packet is waited for: upstream repairs take a round trip or two.
const PATIENCE: Duration = Duration::from_millis(300);
/// Packets that may wait behind a missing one.
const MOST_WAITING: usize = 1024;

/// One frame of video or one packet of audio, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessUnit {
    /// Picture or sound.
    pub kind: Kind,
    /// The layer that it was sent in.
    pub layer: Layer,
    /// How `data` is coded.
    pub codec: Codec,
    /// Media time of capture, on the stream's own line.
    pub time: MediaTime,
    /// Wall clock of capture, and the same in milliseconds since 1970.
    pub ntp: NtpTime,
    /// `ntp` in milliseconds since 1970.
    pub ntp_ms: u64,
    /// Decoding can start here; true for all sound.
    pub key_frame: bool,
    /// H.264: Annex-B with 4-byte start codes, parameter sets before a key frame as they came. VP8, Opus: the bare frame.
    pub data: Vec<u8>,
    /// Something between the unit before and this one is missing for good.
    pub lost_before: bool,
}

/// Puts one layer's packets in order, and its frames together. Video begins with a key frame.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The sequence number that comes next; `None` before the first packet.
    next: Option<u64>,
    waiting: BTreeMap<u64, Arc<Packet>>,
    /// Since when `next` has been missing.
    missing_since: Option<Instant>,
    /// A frame may begin with the next packet. Otherwise packets are dropped until one does.
    ready: bool,
    /// Video: a key frame has come.
    started: bool,
    lost: bool,
    frame: Frame,
}

#[derive(Debug, Default)]
struct Frame {
    first: Option<Arc<Packet>>,
    key_frame_start: bool,
    h264: h264::Depacketizer,
    bytes: Vec<u8>,
}

impl Assembler {
    /// For audio, where every packet is a unit.
    pub(crate) fn audio() -> Assembler {
        Assembler { ready: true, ..Assembler::default() }
    }

    /// What the cache holds from a sequence number on.
    pub(crate) fn read(&mut self, now: Instant, source: &LayerCache, from: u64, units: &mut VecDeque<AccessUnit>) {
        for sequence in from.max(source.start())..source.end() {
            if let Some(packet) = source.packet(sequence) {
                self.push(now, packet, units);
            }
        }
    }

    pub(crate) fn push(&mut self, now: Instant, packet: &Arc<Packet>, units: &mut VecDeque<AccessUnit>) {
        let next = *self.next.get_or_insert(packet.sequence);
        if packet.sequence < next {
            return; // double, or too late
        }
        self.waiting.insert(packet.sequence, packet.clone());
        self.drain(now, units);
    }

    fn drain(&mut self, now: Instant, units: &mut VecDeque<AccessUnit>) {
        while let (Some(next), Some(first)) = (self.next, self.waiting.first_entry()) {
            if *first.key() == next {
                let packet = first.remove();
                self.next = Some(next + 1);
                self.missing_since = None;
                self.take(packet, units);
                continue;
            }
            let resume = *first.key();
            let since = *self.missing_since.get_or_insert(now);
            if now.saturating_duration_since(since) < PATIENCE && self.waiting.len() < MOST_WAITING {
                return;
            }
            // given up: the frame that it belonged to, and all up to the next beginning of one
            self.next = Some(resume);
            self.missing_since = None;
            self.lost = true;
            self.ready = false;
            self.frame = Frame::default();
        }
    }

    fn take(&mut self, packet: Arc<Packet>, units: &mut VecDeque<AccessUnit>) {
        if packet.kind == Kind::Audio {
            let lost_before = std::mem::take(&mut self.lost);
            units.push_back(unit(&packet, false, packet.payload.to_vec(), lost_before));
            return;
        }
        let other_time = self.frame.first.as_ref().is_some_and(|first| first.time != packet.time);
        if other_time {
            self.finish(packet.codec, units); // its end was not marked, but nothing is missing between
        }
        if packet.key_frame_start || other_time {
            self.ready = true;
        }
        if !self.ready {
            self.ready = packet.marker;
            return;
        }
        let (marker, codec) = (packet.marker, packet.codec);
        self.frame.key_frame_start |= packet.key_frame_start;
        match codec {
            Codec::H264 => self.frame.h264.push(&packet.payload),
            Codec::Vp8 => {
                let bitstream =
                    vp8::descriptor(&packet.payload).and_then(|descriptor| packet.payload.get(descriptor.bytes..));
                self.frame.bytes.extend_from_slice(bitstream.unwrap_or(&[]));
            }
            _ => return,
        }
        self.frame.first.get_or_insert(packet);
        if marker {
            self.finish(codec, units);
        }
    }

    fn finish(&mut self, codec: Codec, units: &mut VecDeque<AccessUnit>) {
        let mut frame = std::mem::take(&mut self.frame);
        let Some(first) = frame.first else { return };
        let whole = match codec {
            Codec::H264 => frame.h264.finish().map(|frame| (frame.stream, frame.key_frame)),
            _ => Some((frame.bytes, frame.key_frame_start)).filter(|(bytes, _)| !bytes.is_empty()),
        };
        let Some((data, key_frame)) = whole else {
            self.lost = true;
            return;
        };
        if !self.started && !key_frame {
            return;
        }
        let lost_before = std::mem::take(&mut self.lost) && self.started;
        self.started = true;
        units.push_back(unit(&first, key_frame, data, lost_before));
    }
}

fn unit(first: &Packet, key_frame: bool, data: Vec<u8>, lost_before: bool) -> AccessUnit {
    AccessUnit {
        kind: first.kind,
        layer: first.layer,
        codec: first.codec,
        time: first.time,
        ntp: first.ntp,
        ntp_ms: first.ntp.unix_ms(),
        key_frame,
        data,
        lost_before,
    }
}
