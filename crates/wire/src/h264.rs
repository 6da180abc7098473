//! H.264 over RTP (RFC 6184): access units cut into equal packets, and put together again.

const SLICE_IDR: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Most payload bytes of a packet that we cut: with RTP header (12), extensions (12), RTX number (2) and tag (16) it stays
/// below 1,200 bytes, which every path takes.
pub const PAYLOAD_BYTES: usize = 1152;

/// NAL units of an Annex-B byte stream, without start codes; empty ones are left out.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map_or(&[][..], |(_, after)| &stream[after..]);
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (mut unit, next) = match start_code(rest) {
                Some((at, after)) => (&rest[..at], &rest[after..]),
                None => (rest, &[][..]),
            };
            rest = next;
            // trailing_zero_8bits belong to the byte stream, not to the unit
            while let Some((0, shorter)) = unit.split_last() {
                unit = shorter;
            }
            if !unit.is_empty() {
                return Some(unit);
            }
        }
        None
    })
}

/// Where the next start code begins, and where it ends.
fn start_code(stream: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at + 3 <= stream.len() {
        match stream[at + 2] {
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some((at, at + 3)),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// Type of a NAL unit.
fn nal_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |first| first & 0x1f)
}

/// Whether these NAL units hold an IDR picture.
pub fn is_key_frame<'a>(mut units: impl Iterator<Item = &'a [u8]>) -> bool {
    units.any(|unit| nal_type(unit) == SLICE_IDR)
}

/// Cuts the NAL units of one access unit into payloads of at most `most` bytes (more than 2) and hands out each with its marker bit.
///
/// Small units in front of the picture (parameter sets, SEI) share a STAP-A. A unit that does not fit is cut into FU-A fragments of
/// `most` bytes each and one shorter tail, so that a frame rides one train. Delimiters are left out: RTP needs none.
pub fn packetize<'a>(units: impl Iterator<Item = &'a [u8]>, most: usize, mut emit: impl FnMut(Box<[u8]>, bool)) {
    let mut units = units.filter(|unit| !unit.is_empty() && nal_type(unit) != DELIMITER).peekable();
    let mut small: Vec<&[u8]> = Vec::new();
    let mut small_bytes = 1;
    while let Some(unit) = units.next() {
        let last = units.peek().is_none();
        let aggregates = !matches!(nal_type(unit), 1..=5) && !last && 1 + 2 + unit.len() <= most;
        if aggregates {
            if small_bytes + 2 + unit.len() > most {
                emit_small(&mut small, &mut small_bytes, &mut emit);
            }
            small_bytes += 2 + unit.len();
            small.push(unit);
            continue;
        }
        emit_small(&mut small, &mut small_bytes, &mut emit);
        if unit.len() <= most {
            emit(unit.into(), last);
        } else {
            emit_fragments(unit, most, last, &mut emit);
        }
    }
    // nothing is left in `small`: the last unit never aggregates
}

fn emit_small(small: &mut Vec<&[u8]>, bytes: &mut usize, emit: &mut impl FnMut(Box<[u8]>, bool)) {
    match small.as_slice() {
        [] => {}
        [only] => emit((*only).into(), false),
        units => {
            let reference = units.iter().map(|unit| unit[0] & 0x60).max().unwrap_or(0);
            let mut payload = Vec::with_capacity(*bytes);
            payload.push(reference | STAP_A);
            for unit in units {
                payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
                payload.extend_from_slice(unit);
            }
            emit(payload.into(), false);
        }
    }
    small.clear();
    *bytes = 1;
}

fn emit_fragments(unit: &[u8], most: usize, last: bool, emit: &mut impl FnMut(Box<[u8]>, bool)) {
    let (indicator, kind) = (unit[0] & 0xe0 | FU_A, unit[0] & 0x1f);
    let mut fragments = unit[1..].chunks(most - 2).peekable();
    let mut start = 0x80;
    while let Some(fragment) = fragments.next() {
        let end = if fragments.peek().is_none() { 0x40 } else { 0 };
        let mut payload = Vec::with_capacity(2 + fragment.len());
        payload.extend_from_slice(&[indicator, start | end | kind]);
        payload.extend_from_slice(fragment);
        emit(payload.into(), last && end != 0);
        start = 0;
    }
}

/// Whether a key frame may start with this payload: it holds a sequence parameter set, or the beginning of an IDR slice.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    match nal_type(payload) {
        SLICE_IDR | SEQUENCE_PARAMETERS => true,
        STAP_A => aggregated(payload).any(|unit| matches!(nal_type(unit), SLICE_IDR | SEQUENCE_PARAMETERS)),
        FU_A => payload
            .get(1)
            .is_some_and(|head| head & 0x80 != 0 && matches!(head & 0x1f, SLICE_IDR | SEQUENCE_PARAMETERS)),
        _ => false,
    }
}

/// Units of a STAP-A; ends at the first one that is cut short.
pub(crate) fn aggregated(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.get(1..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let unit = rest.get(2..2 + length)?;
        rest = &rest[2 + length..];
        Some(unit)
    })
}

/// Puts the payloads of one access unit together, to Annex-B with 4-byte start codes.
#[derive(Debug, Default)]
pub struct Depacketizer {
    stream: Vec<u8>,
    /// A fragmented unit is open: its last fragment has not come.
    fragment_open: bool,
    damaged: bool,
    key_frame: bool,
}

/// A whole access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Annex-B, 4-byte start codes.
    pub stream: Vec<u8>,
    /// Decoding can start here.
    pub key_frame: bool,
}

impl Depacketizer {
    /// Takes the next payload of the access unit, in order, none left out.
    pub fn push(&mut self, payload: &[u8]) {
        match nal_type(payload) {
            1..=23 => {
                self.damaged |= self.fragment_open;
                self.fragment_open = false;
                self.append(payload);
            }
            STAP_A => {
                self.damaged |= self.fragment_open;
                self.fragment_open = false;
                for unit in aggregated(payload).filter(|unit| !unit.is_empty()) {
                    self.append(unit);
                }
            }
            FU_A => self.push_fragment(payload),
            _ => self.damaged = true, // STAP-B, MTAP, FU-B: packetization mode 2, which nobody negotiates
        }
    }

    fn append(&mut self, unit: &[u8]) {
        self.key_frame |= nal_type(unit) == SLICE_IDR;
        self.stream.extend_from_slice(&[0, 0, 0, 1]);
        self.stream.extend_from_slice(unit);
    }

    fn push_fragment(&mut self, payload: &[u8]) {
        let [indicator, head, fragment @ ..] = payload else {
            self.damaged = true;
            return;
        };
        if head & 0x80 != 0 {
            self.damaged |= self.fragment_open;
            self.append(&[indicator & 0xe0 | head & 0x1f]);
        } else if !self.fragment_open {
            self.damaged = true;
            return;
        }
        self.stream.extend_from_slice(fragment);
        self.fragment_open = head & 0x40 == 0;
    }

    /// Ends the access unit and is ready for the next. `None` if it was empty or damaged.
    pub fn finish(&mut self) -> Option<Frame> {
        let whole = !self.damaged && !self.fragment_open && !self.stream.is_empty();
        let frame = Frame { stream: std::mem::take(&mut self.stream), key_frame: self.key_frame };
        *self = Depacketizer::default();
        whole.then_some(frame)
    }
}

/// The parameter sets in an Annex-B stream, each with its start code, ready to be put before a key frame that lacks them.
pub fn parameter_sets(stream: &[u8]) -> Vec<u8> {
    let mut sets = Vec::new();
    for unit in nal_units(stream).filter(|unit| matches!(nal_type(unit), SEQUENCE_PARAMETERS | PICTURE_PARAMETERS)) {
        sets.extend_from_slice(&[0, 0, 0, 1]);
        sets.extend_from_slice(unit);
    }
    sets
}

/// `profile-level-id` (six hex digits) of the first sequence parameter set in an Annex-B stream.
pub fn profile_level_id(stream: &[u8]) -> Option<String> {
    let set = nal_units(stream).find(|unit| nal_type(unit) == SEQUENCE_PARAMETERS)?;
    let bytes = set.get(1..4)?;
    Some(format!("{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(units: &[Vec<u8>]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect()
    }

    fn cut(stream: &[u8], most: usize) -> Vec<(Box<[u8]>, bool)> {
        let mut packets = Vec::new();
        packetize(nal_units(stream), most, |payload, marker| packets.push((payload, marker)));
        packets
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_separate_units() {
        let bytes = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 0, 1, 0x65, 9];
        assert_eq!(nal_units(&bytes).collect::<Vec<_>>(), vec![&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 9]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    }

    #[test]
    fn a_frame_is_equal_fragments_and_one_tail() {
        let mut idr = vec![0x65];
        idr.resize(5000, 0xab);
        let packets = cut(&stream(&[vec![0x67, 1, 2, 3], vec![0x68, 4], idr]), 1152);
        let sizes: Vec<usize> = packets.iter().map(|(payload, _)| payload.len()).collect();
        assert_eq!(sizes, vec![1 + 2 + 4 + 2 + 2, 1152, 1152, 1152, 1152, 4999 - 4 * 1150 + 2]);
        assert!(starts_key_frame(&packets[0].0) && starts_key_frame(&packets[1].0) && !starts_key_frame(&packets[2].0));
        assert_eq!(
            packets.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(),
            vec![false, false, false, false, false, true]
        );
    }

    #[test]
    fn a_missing_fragment_damages_the_frame_only() {
        let mut slice = vec![0x41];
        slice.resize(4000, 7);
        let packets = cut(&stream(&[slice.clone()]), 1000);
        for missing in 0..packets.len() {
            let mut depacketizer = Depacketizer::default();
            for (_, (payload, _)) in packets.iter().enumerate().filter(|(index, _)| *index != missing) {
                depacketizer.push(payload);
            }
            // a gap in the middle is the caller's to see (sequence numbers); first and last show here
            if missing == 0 || missing == packets.len() - 1 {
                assert_eq!(depacketizer.finish(), None);
            }
            depacketizer = Depacketizer::default();
            packets.iter().for_each(|(payload, _)| depacketizer.push(payload));
            assert_eq!(depacketizer.finish().unwrap().stream, stream(&[slice.clone()]));
        }
    }

    fn unit() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let kinds = prop_oneof![Just(0x67u8), Just(0x68), Just(0x06), Just(0x65), Just(0x41), Just(0x01)];
        // no zero bytes: start-code emulation is the encoder's to prevent
        (kinds, proptest::collection::vec(1u8..=255, 1..4000)).prop_map(|(head, body)| [vec![head], body].concat())
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn access_units_round_trip(units in proptest::collection::vec(unit(), 1..8), most in 40usize..1400) {
            let whole = stream(&units);
            let packets = cut(&whole, most);
            let mut depacketizer = Depacketizer::default();
            for (index, (payload, marker)) in packets.iter().enumerate() {
                proptest::prop_assert!(payload.len() <= most);
                proptest::prop_assert_eq!(*marker, index == packets.len() - 1);
                depacketizer.push(payload);
            }
            let frame = depacketizer.finish().unwrap();
            proptest::prop_assert_eq!(frame.key_frame, units.iter().any(|unit| unit[0] & 0x1f == 5));
            proptest::prop_assert_eq!(frame.stream, whole);
        }

        #[test]
        fn any_payloads_are_taken_quietly(
            payloads in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..60), 0..20)
        ) {
            let mut depacketizer = Depacketizer::default();
            for payload in &payloads {
                let _ = starts_key_frame(payload);
                let _ = crate::vp8::descriptor(payload);
                depacketizer.push(payload);
            }
            let _ = depacketizer.finish();
        }
    }
}
