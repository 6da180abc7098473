//! VP8's counters (picture id, TL0PICIDX, KEYIDX) made one line for a viewer, over layers, replays and sources.
//!
//! Every encoder begins anywhere; receivers take a picture id that goes back for a frame that came too late. What follows a key frame is
//! shifted so that it goes on where the frame before ended. Shifts are kept by the outgoing sequence number, so that a repair is the same
//! packet again.
use std::collections::VecDeque;

use wire::vp8::{self, Counters, Shift};

/// The counters of one forwarder.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    /// Since which of our sequence numbers each shift holds.
    shifts: VecDeque<(u64, Shift)>,
    /// Of the newest packet, as it left.
    last: Counters,
    any: bool,
}

impl Pictures {
    /// The next packet in order, which leaves under `out`; what is older than `oldest` is forgotten.
    pub(super) fn note(&mut self, payload: &[u8], starts_key_frame: bool, out: u64, oldest: u64) {
        let own = vp8::counters(payload);
        let first = !std::mem::replace(&mut self.any, true);
        if starts_key_frame && !first {
            let shift = Shift::onto(self.last, own);
            if shift != self.newest() {
                self.shifts.push_back((out, shift));
                while self.shifts.get(1).is_some_and(|(second, _)| *second <= oldest) {
                    self.shifts.pop_front();
                }
            }
        }
        let shifted = self.newest().of(own);
        let Counters { picture, base, key } = self.last;
        self.last =
            Counters { picture: shifted.picture.or(picture), base: shifted.base.or(base), key: shifted.key.or(key) };
    }

    fn newest(&self) -> Shift {
        self.shifts.back().map_or(Shift::default(), |(_, shift)| *shift)
    }

    /// The shift of a packet that left under `out`, or leaves now.
    pub(super) fn shift(&self, out: u64) -> Shift {
        let after = self.shifts.partition_point(|(since, _)| *since <= out);
        after.checked_sub(1).and_then(|at| self.shifts.get(at)).map_or(Shift::default(), |(_, shift)| *shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(picture: u16, base: u8) -> Vec<u8> {
        let [high, low] = (picture | 0x8000).to_be_bytes();
        vec![0x90, 0xe0, high, low, base, 0x00, 0x10, 0xaa]
    }

    /// What leaves of packets (picture, base, key frame), numbered from 100.
    fn leave(pictures: &mut Pictures, packets: &[(u16, u8, bool)], first: u64) -> Vec<(u16, u8)> {
        let mut left = Vec::new();
        for (out, (picture, base, key)) in (first..).zip(packets) {
            let mut bytes = payload(*picture, *base);
            pictures.note(&bytes, *key, out, out.saturating_sub(2048));
            pictures.shift(out).apply(&mut bytes);
            let counters = vp8::counters(&bytes);
            left.push((counters.picture.unwrap(), counters.base.unwrap()));
        }
        left
    }

    #[test]
    fn a_switch_and_a_switch_back_are_one_line() {
        let mut pictures = Pictures::default();
        let high = leave(&mut pictures, &[(30_000, 10, true), (30_000, 10, false), (30_001, 11, false)], 100);
        assert_eq!(high, [(30_000, 10), (30_000, 10), (30_001, 11)], "the first layer as it is");
        let low = leave(&mut pictures, &[(17, 200, true), (18, 201, false)], 103);
        assert_eq!(low, [(30_002, 12), (30_003, 13)]);
        let again = leave(&mut pictures, &[(30_090, 50, true), (30_091, 51, false)], 105);
        assert_eq!(again, [(30_004, 14), (30_005, 15)]);
    }

    #[test]
    fn a_repair_is_the_same_packet_again() {
        let mut pictures = Pictures::default();
        leave(&mut pictures, &[(5, 5, true), (6, 6, false)], 100);
        let left = leave(&mut pictures, &[(900, 90, true), (901, 91, false)], 102);
        leave(&mut pictures, &[(44, 4, true)], 104);
        let again: Vec<_> = [(103, 901, 91), (101, 6, 6)]
            .into_iter()
            .map(|(out, picture, base)| {
                let mut bytes = payload(picture, base);
                pictures.shift(out).apply(&mut bytes);
                let counters = vp8::counters(&bytes);
                (counters.picture.unwrap(), counters.base.unwrap())
            })
            .collect();
        assert_eq!(again, [left[1], (6, 6)]);
    }

    #[test]
    fn a_steady_stream_keeps_its_numbers_over_key_frames_and_wraps() {
        let mut pictures = Pictures::default();
        let packets: Vec<(u16, u8, bool)> =
            (0..40_000u32).map(|n| ((32_000 + n) as u16 & 0x7fff, n as u8, n % 50 == 0)).collect();
        let left = leave(&mut pictures, &packets, 1);
        assert!(left.iter().zip(&packets).all(|(left, packet)| *left == (packet.0, packet.1)));
        assert!(pictures.shifts.is_empty());
    }

    #[test]
    fn what_cannot_be_asked_for_any_more_is_forgotten() {
        let mut pictures = Pictures::default();
        for run in 0..5000u64 {
            leave(&mut pictures, &[((run * 77) as u16 & 0x7fff, run as u8, true)], 10 * run);
        }
        assert!(pictures.shifts.len() < 300, "{}", pictures.shifts.len());
    }
}
