//! VP9 payload descriptors (RFC 9628): which packets begin a key frame.

/// Whether a key frame starts with this payload.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    let Some(&first) = payload.first() else { return false };
    let (picture_id, inter, layers, begins) =
        (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    if inter || !begins {
        return false;
    }
    let mut at = 1;
    if picture_id {
        at += if payload.get(at).is_some_and(|id| id & 0x80 != 0) { 2 } else { 1 };
    }
    // the lowest spatial layer comes first
    !layers || payload.get(at).is_some_and(|layer| layer >> 1 & 0x07 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_packet_of_an_intra_frame_counts() {
        assert!(starts_key_frame(&[0x88, 0x91, 0x22, 0]));
        assert!(!starts_key_frame(&[0xc8, 0x91, 0x22, 0]), "inter-predicted");
        assert!(!starts_key_frame(&[0x80, 0x91, 0x22, 0]), "not the beginning");
        assert!(starts_key_frame(&[0xa8, 0x11, 0x00]) && !starts_key_frame(&[0xa8, 0x11, 0x02]));
        assert!(!starts_key_frame(&[]) && !starts_key_frame(&[0xa8]));
    }
}
