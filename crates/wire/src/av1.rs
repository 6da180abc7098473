//! AV1 aggregation headers (AV1 RTP payload format 4.4): which packets begin a coded video sequence.

/// Whether a key frame starts with this payload: the N bit.
pub fn starts_key_frame(payload: &[u8]) -> bool {
    payload.first().is_some_and(|head| head & 0x08 != 0)
}
