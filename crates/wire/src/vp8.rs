//! VP8 payload descriptors (RFC 7741): where frames start, which are key frames, and the counters that receivers follow.

/// What a payload descriptor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a frame (start of partition 0).
    pub frame_start: bool,
    /// The frame can be decoded without any before it.
    pub key_frame: bool,
    /// Length of the descriptor; the bitstream follows.
    pub bytes: usize,
}

/// The counters of a descriptor; those that it lacks are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// PictureID, of 7 or 15 bits: one a frame.
    pub picture: Option<u16>,
    /// TL0PICIDX, 8 bits: one a frame of the base temporal layer.
    pub base: Option<u8>,
    /// KEYIDX, 5 bits: one a key frame.
    pub key: Option<u8>,
}

/// Added to the counters of every packet of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    picture: u16,
    base: u8,
    key: u8,
}

/// Where the fields lie in a payload.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    /// Position of the picture id, and whether it has 15 bits.
    picture: Option<(usize, bool)>,
    base: Option<usize>,
    /// Position of the byte that has TID, Y and KEYIDX, and whether the latter counts.
    temporal: Option<(usize, bool)>,
    bytes: usize,
}

fn fields(payload: &[u8]) -> Option<Fields> {
    let mut fields = Fields { bytes: 1, ..Fields::default() };
    if payload.first()? & 0x80 == 0 {
        return Some(fields);
    }
    let flags = *payload.get(1)?;
    fields.bytes = 2;
    if flags & 0x80 != 0 {
        let long = *payload.get(fields.bytes)? & 0x80 != 0;
        fields.picture = Some((fields.bytes, long));
        fields.bytes += if long { 2 } else { 1 };
    }
    if flags & 0x40 != 0 {
        fields.base = Some(fields.bytes);
        fields.bytes += 1;
    }
    if flags & 0x30 != 0 {
        fields.temporal = Some((fields.bytes, flags & 0x10 != 0));
        fields.bytes += 1;
    }
    (payload.len() >= fields.bytes).then_some(fields)
}

/// Reads a payload's descriptor; `None` when it is cut short.
pub fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let bytes = fields(payload)?.bytes;
    let head = *payload.get(bytes)?;
    let frame_start = payload[0] & 0x10 != 0 && payload[0] & 0x07 == 0;
    Some(Descriptor { frame_start, key_frame: frame_start && head & 1 == 0, bytes })
}

/// Reads a payload's counters; none of what is cut short.
pub fn counters(payload: &[u8]) -> Counters {
    let Some(fields) = fields(payload) else { return Counters::default() };
    let picture = fields.picture.map(|(at, long)| {
        if long { u16::from_be_bytes([payload[at], payload[at + 1]]) & 0x7fff } else { u16::from(payload[at] & 0x7f) }
    });
    Counters {
        picture,
        base: fields.base.map(|at| payload[at]),
        key: fields.temporal.filter(|(_, counts)| *counts).map(|(at, _)| payload[at] & 0x1f),
    }
}

impl Shift {
    /// What makes `first`, of a key frame, follow on `last`.
    pub fn onto(last: Counters, first: Counters) -> Shift {
        let next = |last: Option<u16>, first: Option<u16>| match (last, first) {
            (Some(last), Some(first)) => last.wrapping_add(1).wrapping_sub(first),
            _ => 0,
        };
        let wide = |counter: Option<u8>| counter.map(u16::from);
        Shift {
            picture: next(last.picture, first.picture) & 0x7fff,
            base: next(wide(last.base), wide(first.base)) as u8,
            key: next(wide(last.key), wide(first.key)) as u8 & 0x1f,
        }
    }

    /// Counters as they are after this shift.
    pub fn of(self, own: Counters) -> Counters {
        Counters {
            picture: own.picture.map(|picture| picture.wrapping_add(self.picture) & 0x7fff),
            base: own.base.map(|base| base.wrapping_add(self.base)),
            key: own.key.map(|key| key.wrapping_add(self.key) & 0x1f),
        }
    }

    /// Changes a payload's counters in place; their widths stay.
    pub fn apply(self, payload: &mut [u8]) {
        if self == Shift::default() {
            return;
        }
        let Some(fields) = fields(payload) else { return };
        match fields.picture {
            Some((at, true)) => {
                let picture = u16::from_be_bytes([payload[at], payload[at + 1]]).wrapping_add(self.picture) | 0x8000;
                payload[at..at + 2].copy_from_slice(&picture.to_be_bytes());
            }
            Some((at, false)) => payload[at] = payload[at].wrapping_add(self.picture as u8) & 0x7f,
            None => {}
        }
        if let Some(at) = fields.base {
            payload[at] = payload[at].wrapping_add(self.base);
        }
        if let Some((at, true)) = fields.temporal {
            payload[at] = payload[at] & 0xe0 | payload[at].wrapping_add(self.key) & 0x1f;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_by_the_frame_tag() {
        let with_picture_id = |tag| [0x90, 0x80, 0x81, 0x23, tag, 0, 0];
        assert_eq!(
            descriptor(&with_picture_id(0x10)),
            Some(Descriptor { frame_start: true, key_frame: true, bytes: 4 })
        );
        assert_eq!(
            descriptor(&with_picture_id(0x11)),
            Some(Descriptor { frame_start: true, key_frame: false, bytes: 4 })
        );
        assert_eq!(descriptor(&[0x80, 0x80, 0x81]), None);
    }

    /// X, I L T K; a picture id of 15 bits, TL0PICIDX, TID 1 with Y, KEYIDX; a key frame's tag.
    fn payload(picture: u16, base: u8, key: u8) -> Vec<u8> {
        let [high, low] = (picture | 0x8000).to_be_bytes();
        vec![0x90, 0xf0, high, low, base, 0x60 | key, 0x10, 0xaa]
    }

    #[test]
    fn counters_follow_one_another_over_their_wraps() {
        let last = counters(&payload(0x7fff, 255, 31));
        assert_eq!(last, Counters { picture: Some(0x7fff), base: Some(255), key: Some(31) });
        let mut next = payload(1234, 7, 3);
        Shift::onto(last, counters(&next)).apply(&mut next);
        assert_eq!(next, payload(0, 0, 0), "flags, TID, Y and what follows are as they were");
    }

    #[test]
    fn widths_stay_and_what_is_missing_stays_away() {
        let mut short = vec![0x90, 0x80, 0x05, 0x10];
        let shift = Shift::onto(counters(&payload(300, 1, 1)), counters(&short));
        shift.apply(&mut short);
        assert_eq!(short, [0x90, 0x80, (301 & 0x7f) as u8, 0x10]);
        let mut bare = vec![0x10, 0x10, 0x20];
        shift.apply(&mut bare);
        assert_eq!((bare.as_slice(), counters(&bare)), (&[0x10, 0x10, 0x20][..], Counters::default()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_shifted_or_left_alone(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..12), last in proptest::num::u16::ANY
        ) {
            let last = Counters { picture: Some(last & 0x7fff), base: Some(last as u8), key: Some(last as u8 & 0x1f) };
            let mut shifted = bytes.clone();
            Shift::onto(last, counters(&bytes)).apply(&mut shifted);
            proptest::prop_assert_eq!(descriptor(&shifted), descriptor(&bytes));
            let now = counters(&shifted);
            proptest::prop_assert!(now.base.is_none_or(|base| base == last.base.unwrap().wrapping_add(1)));
            proptest::prop_assert!(now.key.is_none_or(|key| key == (last.key.unwrap() + 1) & 0x1f));
        }
    }
}
