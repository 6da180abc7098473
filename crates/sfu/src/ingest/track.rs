//! One incoming track's layer: numbers and times put on the stream's own lines, H.264 cut anew into equal packets.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wire::{av1, h264, vp8, vp9};

use crate::assemble::{AccessUnit, Assembler};
use crate::cache::StreamPosition;
use crate::clock::NtpTime;
use crate::packet::{Codec, Kind, Layer, MediaTime, Packet};

/// What came in, before it is put on the stream's lines.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) codec: Codec,
    /// Extended, of the peer's line.
    pub(super) sequence: u64,
    /// Shifted onto the track's common line.
    pub(super) time: MediaTime,
    pub(super) marker: bool,
    pub(super) payload: Box<[u8]>,
    pub(super) arrival: Instant,
    pub(super) ntp: NtpTime,
}

/// How packets leave.
#[derive(Debug)]
enum Cut {
    /// As they came, at once.
    Kept { shift: Option<u64> },
    /// Whole frames, in order, as equal fragments.
    Anew { assembler: Box<Assembler>, units: VecDeque<AccessUnit>, next: u64 },
}

/// A layer that comes in.
#[derive(Debug)]
pub(super) struct IncomingLayer {
    kind: Kind,
    layer: Layer,
    cut: Cut,
    /// Sequence number for the first packet.
    first: u64,
    /// Newest packet of the source before, until the first packet fixes `time_shift`.
    before: Option<(MediaTime, Instant)>,
    time_shift: u64,
    key_time: Option<u64>,
    pub(super) key_frame_wanted: bool,
    any: bool,
}

impl IncomingLayer {
    pub(super) fn new(kind: Kind, layer: Layer, cut_anew: bool, resume: &StreamPosition) -> IncomingLayer {
        let newest = resume.of(kind, layer);
        let first = newest.map_or(1 << 16, |packet| packet.sequence + 1);
        let cut = if cut_anew {
            Cut::Anew { assembler: Box::default(), units: VecDeque::new(), next: first }
        } else {
            Cut::Kept { shift: None }
        };
        IncomingLayer {
            kind,
            layer,
            cut,
            first,
            before: newest.map(|packet| (packet.time, packet.arrival)),
            time_shift: 0,
            key_time: None,
            key_frame_wanted: false,
            any: false,
        }
    }

    /// Takes a packet; appends those that can leave now.
    pub(super) fn push(&mut self, incoming: Incoming, out: &mut Vec<Arc<Packet>>) {
        let Incoming { codec, sequence, time, marker, payload, arrival, ntp } = incoming;
        if let Some((before, at)) = self.before.take() {
            let due = before.plus(arrival.saturating_duration_since(at)).ticks.max(before.ticks + 1);
            self.time_shift = due.wrapping_sub(time.ticks);
        }
        let time = MediaTime { ticks: time.ticks.wrapping_add(self.time_shift), ..time };
        let starts = self.kind == Kind::Video && starts_key_frame(codec, &payload) && self.key_time != Some(time.ticks);
        if starts {
            self.key_time = Some(time.ticks);
        }
        if !std::mem::replace(&mut self.any, true) && self.kind == Kind::Video && !starts {
            self.key_frame_wanted = true;
        }
        let mut packet = Packet {
            kind: self.kind,
            layer: self.layer,
            codec,
            sequence,
            time,
            marker,
            key_frame_start: starts,
            payload,
            arrival,
            ntp,
        };
        match &mut self.cut {
            Cut::Kept { shift } => {
                // packets from before the first one lie before the line's beginning: nobody could use them
                let shift = *shift.get_or_insert(self.first.wrapping_sub(sequence));
                packet.sequence = sequence.wrapping_add(shift);
                if packet.sequence >= self.first {
                    out.push(Arc::new(packet));
                }
            }
            Cut::Anew { assembler, units, next } => {
                assembler.push(arrival, &Arc::new(packet), units);
                for unit in units.drain(..) {
                    if unit.lost_before {
                        *next += 1; // receivers must see that something is missing
                        self.key_frame_wanted = true;
                    }
                    cut(&unit, (self.kind, self.layer), arrival, next, out);
                }
            }
        }
    }
}

/// Cuts an access unit into equal packets.
fn cut(unit: &AccessUnit, (kind, layer): (Kind, Layer), arrival: Instant, next: &mut u64, out: &mut Vec<Arc<Packet>>) {
    let begin = out.len();
    h264::packetize(h264::nal_units(&unit.data), h264::PAYLOAD_BYTES, |payload, marker| {
        out.push(Arc::new(Packet {
            kind,
            layer,
            codec: unit.codec,
            sequence: *next,
            time: unit.time,
            marker,
            key_frame_start: unit.key_frame && out.len() == begin,
            payload,
            arrival,
            ntp: unit.ntp,
        }));
        *next += 1;
    });
}

fn starts_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::starts_key_frame(payload),
        Codec::Vp8 => vp8::descriptor(payload).is_some_and(|descriptor| descriptor.key_frame),
        Codec::Vp9 => vp9::starts_key_frame(payload),
        Codec::Av1 => av1::starts_key_frame(payload),
        Codec::Opus => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn incoming(sequence: u64, ticks: u64, marker: bool, payload: &[u8]) -> Incoming {
        Incoming {
            codec: Codec::H264,
            sequence,
            time: MediaTime { ticks, clock_rate: 90_000 },
            marker,
            payload: payload.into(),
            arrival: Instant::now(),
            ntp: NtpTime(1 << 40),
        }
    }

    /// A frame in fragments of uneven sizes, as libwebrtc cuts.
    fn uneven(ticks: u64, first: u64, key: bool) -> Vec<Incoming> {
        let unit = [&[if key { 0x65 } else { 0x41 }][..], &[0x31; 3000]].concat();
        let mut packets = Vec::new();
        h264::packetize([&unit[..]].into_iter(), 777, |payload, marker| {
            packets.push(incoming(first + packets.len() as u64, ticks, marker, &payload));
        });
        packets
    }

    #[test]
    fn foreign_frames_become_equal_packets() {
        let mut layer = IncomingLayer::new(Kind::Video, Layer::SINGLE, true, &StreamPosition::default());
        let mut out = Vec::new();
        uneven(0, 500, true).into_iter().for_each(|packet| layer.push(packet, &mut out));
        let sizes: Vec<usize> = out.iter().map(|packet| packet.payload.len()).collect();
        assert_eq!(sizes, vec![1152, 1152, 3000 - 2 * 1150 + 2]);
        assert!(out[0].key_frame_start && out[2].marker && !layer.key_frame_wanted);
    }

    #[test]
    fn a_frame_lost_for_good_leaves_a_gap_and_a_wish() {
        let mut layer = IncomingLayer::new(Kind::Video, Layer::SINGLE, true, &StreamPosition::default());
        let mut out = Vec::new();
        uneven(0, 0, true).into_iter().for_each(|packet| layer.push(packet, &mut out));
        uneven(3600, 4, false).into_iter().skip(1).for_each(|packet| layer.push(packet, &mut out));
        for number in 2..12u64 {
            for mut packet in uneven(3600 * number, 4 * number, false) {
                packet.arrival += Duration::from_millis(40 * number);
                layer.push(packet, &mut out);
            }
        }
        assert!(layer.key_frame_wanted);
        let gaps = out.windows(2).filter(|pair| pair[1].sequence != pair[0].sequence + 1).count();
        assert_eq!(gaps, 1);
    }

    #[test]
    fn kept_packets_keep_their_gaps() {
        let mut layer = IncomingLayer::new(Kind::Video, Layer::SINGLE, false, &StreamPosition::default());
        let mut out = Vec::new();
        for sequence in [100, 101, 103, 102, 99] {
            layer.push(incoming(sequence, 1, false, &[0x41, 1]), &mut out);
        }
        assert_eq!(out.iter().map(|packet| packet.sequence - (1 << 16)).collect::<Vec<_>>(), vec![0, 1, 3, 2]);
        assert!(layer.key_frame_wanted, "it began in the middle of a GOP");
    }
}
