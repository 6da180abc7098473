//! VP8 payload descriptors (RFC 7741): where frames start and which are key frames.

/// What a payload descriptor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of a frame (start of partition 0).
    pub frame_start: bool,
    pub key_frame: bool,
    /// Length of the descriptor; the bitstream follows.
    pub bytes: usize,
}

/// Reads a payload's descriptor; `None` when it is cut short.
pub fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        let flags = *payload.get(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            at += if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 }; // picture id of 15 or 7 bits
        }
        if flags & 0x40 != 0 {
            at += 1; // TL0PICIDX
        }
        if flags & 0x30 != 0 {
            at += 1; // TID, KEYIDX
        }
    }
    let head = *payload.get(at)?;
    let frame_start = first & 0x10 != 0 && first & 0x07 == 0;
    Some(Descriptor { frame_start, key_frame: frame_start && head & 1 == 0, bytes: at })
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
}
