//! A publisher's sound as RED (RFC 2198): its packets go on as plain Opus, and what was lost comes back from those that repeat it.
//!
//! A repeated block tells its time, not its number. Its number is found between its neighbours in time: the one that is missing
//! there or, where several are, the one that its time points at if all between those neighbours last equally long. What cannot be
//! told is left lost: a wrong place is worse than a gap that decoders conceal. A block is never waited for, so nothing is later
//! than it would be without RED, and a packet that comes after its repeat is one too many.
use std::collections::VecDeque;

use wire::red::{Red, RedError};

/// Packets that we remember: so far back may a number lie that is still filled.
const REMEMBERED: usize = 64;

/// What a packet carried, or another packet for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    pub(super) sequence: u64,
    pub(super) ticks: u64,
    pub(super) payload: &'a [u8],
    /// This is the repeat of one that has not come.
    pub(super) recovered: bool,
}

/// What has come of a publisher's packet.
#[derive(Debug, Default)]
pub(super) struct Redundancy {
    /// SSRC; another one counts anew.
    source: u32,
    /// Number and time of each packet, in the order in which they came.
    known: VecDeque<(u64, u64)>,
}

impl Redundancy {
    /// A packet of the packet. Where it is RED, `codec` is the payload type of what it wraps. What it is given out as is new, and in the
    /// order of its numbers.
    pub(super) fn push<'a>(
        &mut self,
        source: u32,
        codec: Option<u8>,
        packet: Carried<'a>,
        out: &mut Vec<Carried<'a>>,
    ) -> Result<(), RedError> {
        if self.source != source {
            *self = Redundancy { source, ..Redundancy::default() };
        }
        match codec {
            Some(codec) => self.unpack(codec, packet, out)?,
            None if self.plain(packet.sequence, packet.ticks) => out.push(packet),
            None => {}
        }
        Ok(())
    }

    /// A packet as the codec made it, in between; whether it is new.
    fn plain(&mut self, sequence: u64, ticks: u64) -> bool {
        let new = !self.has(sequence);
        if new {
            self.remember(sequence, ticks);
        }
        new
    }

    /// Takes a packet of RED apart; blocks of another codec are left out.
    fn unpack<'a>(&mut self, codec: u8, packet: Carried<'a>, out: &mut Vec<Carried<'a>>) -> Result<(), RedError> {
        let Carried { sequence, ticks, payload, .. } = packet;
        let red = Red::parse(payload)?;
        let new = self.plain(sequence, ticks);
        for block in red.redundant().filter(|block| block.payload_type == codec && !block.payload.is_empty()) {
            let ticks = ticks.wrapping_sub(block.offset.into());
            if let Some(number) = self.place(sequence, ticks) {
                self.remember(number, ticks);
                out.push(Carried { sequence: number, ticks, payload: block.payload, recovered: true });
            }
        }
        // hostile offsets need not be in order
        out.sort_by_key(|packet| packet.sequence);
        if new && red.payload_type == codec && !red.primary.is_empty() {
            out.push(Carried { payload: red.primary, ..packet });
        }
        Ok(())
    }

    /// The number of the missing packet that has this time, if that can be told.
    fn place(&self, sequence: u64, ticks: u64) -> Option<u64> {
        // times wrap and may lie below zero
        let after = |time: u64| time.wrapping_sub(ticks) as i64;
        let earlier = || self.known.iter().filter(|(number, time)| *number < sequence && after(*time) < 0);
        let (below, begin) = *earlier().max_by_key(|(number, _)| *number)?;
        let later = || self.known.iter().filter(|(number, time)| *number > below && after(*time) >= 0);
        let (above, end) = *later().min_by_key(|(number, _)| *number)?;
        let (span, time) = (above - below, end.wrapping_sub(begin));
        if end == ticks || above > sequence || span < 2 || span > REMEMBERED as u64 {
            return None; // it is here already, or would belong elsewhere
        }
        if span == 2 {
            return Some(below + 1);
        }
        let each = (time % span == 0).then_some(time / span).filter(|each| *each > 0)?;
        let since = ticks.wrapping_sub(begin);
        let number = (since % each == 0).then_some(below + since / each)?;
        (number > below && number < above).then_some(number)
    }

    fn has(&self, sequence: u64) -> bool {
        self.known.iter().any(|(number, _)| *number == sequence)
    }

    fn remember(&mut self, sequence: u64, ticks: u64) {
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((sequence, ticks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: u8 = 111;

    /// A packet of 20 ms that repeats those so many before it.
    fn packet(number: u8, repeats: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        for back in repeats {
            let field = ((u32::from(*back) * 960) << 10) | 2;
            payload.push(0x80 | OPUS);
            payload.extend(&field.to_be_bytes()[1..]);
        }
        payload.push(OPUS);
        repeats.iter().for_each(|back| payload.extend([number - back, 7]));
        payload.extend([number, 7]);
        payload
    }

    fn red<'a>(sequence: u64, ticks: u64, payload: &'a [u8], redundancy: &mut Redundancy) -> Vec<Carried<'a>> {
        let mut out = Vec::new();
        redundancy.push(7, Some(OPUS), Carried { sequence, ticks, payload, recovered: false }, &mut out).unwrap();
        out
    }

    fn plain(sequence: u64, ticks: u64, redundancy: &mut Redundancy) -> bool {
        let mut out = Vec::new();
        redundancy.push(7, None, Carried { sequence, ticks, payload: &[1], recovered: false }, &mut out).unwrap();
        !out.is_empty()
    }

    /// Numbers that come out of packets as they arrive; their bytes are theirs.
    fn unpacked(redundancy: &mut Redundancy, number: u8, repeats: &[u8]) -> Vec<u64> {
        let payload = packet(number, repeats);
        let out = red(number.into(), 1_000_000 + 960 * u64::from(number), &payload, redundancy);
        for packet in &out {
            assert_eq!((packet.payload[0].into(), packet.ticks), (packet.sequence, 1_000_000 + 960 * packet.sequence));
            assert_eq!(packet.recovered, packet.sequence != u64::from(number));
        }
        out.iter().map(|packet| packet.sequence).collect()
    }

    #[test]
    fn what_is_lost_comes_back_once() {
        let mut redundancy = Redundancy::default();
        assert_eq!(unpacked(&mut redundancy, 10, &[1]), vec![10], "what was before the first packet is not missed");
        assert_eq!(unpacked(&mut redundancy, 11, &[1]), vec![11]);
        assert_eq!(unpacked(&mut redundancy, 13, &[1]), vec![12, 13]);
        assert_eq!(unpacked(&mut redundancy, 12, &[1]), Vec::<u64>::new(), "it comes after its repeat");
        assert!(!plain(13, 1_000_000 + 960 * 13, &mut redundancy), "a packet twice");
        assert_eq!(unpacked(&mut redundancy, 17, &[2, 1]), vec![15, 16, 17], "one of three stays lost");
        assert_eq!(unpacked(&mut redundancy, 18, &[4, 1]), vec![14, 18], "until an older repeat comes");
    }

    #[test]
    fn a_pause_is_not_a_loss() {
        // 400 ms of silence between two packets that follow one another, then one of them lost
        let mut redundancy = Redundancy::default();
        for (number, ticks) in [(1, 0), (2, 19_200)] {
            assert!(plain(number, ticks, &mut redundancy));
        }
        let payload = packet(4, &[1]);
        let out = red(3, 19_200 + 960, &payload, &mut redundancy);
        assert_eq!(out.iter().map(|packet| packet.sequence).collect::<Vec<_>>(), vec![3], "its repeat has come before");
        let out = red(5, 19_200 + 2880, &payload, &mut redundancy);
        assert_eq!(
            out.iter().map(|packet| (packet.sequence, packet.ticks)).collect::<Vec<_>>(),
            vec![(4, 19_200 + 1920), (5, 19_200 + 2880)]
        );
    }

    #[test]
    fn what_has_no_certain_place_stays_lost() {
        let mut redundancy = Redundancy::default();
        assert!(plain(1, 960, &mut redundancy));
        // three packets are missing, and 7,700 ticks do not divide among four
        let payload = packet(4, &[1]);
        let out = red(5, 960 + 7_701, &payload, &mut redundancy);
        assert_eq!(out.iter().map(|packet| packet.sequence).collect::<Vec<_>>(), vec![5]);
    }

    proptest::proptest! {
        /// Whatever a publisher repeats: numbers are new, ordered, before the packet's own and not far before it.
        #[test]
        fn numbers_are_given_once(
            packets in proptest::collection::vec((0u64..60, 0u64..100_000, proptest::collection::vec(0u16..1 << 14, 0..6)), 1..80)
        ) {
            let mut redundancy = Redundancy::default();
            let mut given = std::collections::HashSet::new();
            for (sequence, ticks, offsets) in packets {
                let mut payload = Vec::new();
                for offset in &offsets {
                    payload.push(0x80 | OPUS);
                    payload.extend(&((u32::from(*offset) << 10) | 1).to_be_bytes()[1..]);
                }
                payload.push(OPUS);
                payload.resize(payload.len() + offsets.len() + 1, 5);
                let out = red(sequence, ticks, &payload, &mut redundancy);
                proptest::prop_assert!(out.is_sorted_by(|a, b| a.sequence < b.sequence));
                proptest::prop_assert!(out.iter().all(|packet| packet.sequence <= sequence));
                for packet in out {
                    proptest::prop_assert!(given.insert(packet.sequence), "{} twice", packet.sequence);
                }
            }
        }
    }
}
