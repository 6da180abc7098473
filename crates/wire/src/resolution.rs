//! How large pictures are: read from the first packet of a key frame.

/// Width and height in pixels, as shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// Pixels in a row.
    pub width: u16,
    /// Rows of pixels.
    pub height: u16,
}

/// Bits of an H.264 parameter set, emulation prevention bytes taken out on the way.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let (index, shift) = (self.at / 8, 7 - self.at % 8);
        // 7.4.1: 00 00 03 before a byte of the payload
        if self.at.is_multiple_of(8) && index >= 2 && self.bytes.get(index - 2..=index)? == [0, 0, 3] {
            self.at += 8;
            return self.bit();
        }
        self.at += 1;
        Some(u32::from(self.bytes.get(index)? >> shift & 1))
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// `ue(v)`, 9.1.
    fn golomb(&mut self) -> Option<u32> {
        let zeros = (0..=20).take_while(|_| matches!(self.bit(), Some(0))).count() as u32;
        if zeros > 20 { None } else { Some((1 << zeros) - 1 + self.take(zeros)?) }
    }

    /// `se(v)`, 9.1.1.
    fn signed(&mut self) -> Option<i32> {
        let code = self.golomb()? as i32;
        Some(if code % 2 == 0 { -code / 2 } else { (code + 1) / 2 })
    }
}

/// Of an H.264 sequence parameter set (with its NAL header); `None` when it cannot be read.
pub fn of_h264_parameters(unit: &[u8]) -> Option<Resolution> {
    if unit.first()? & 0x1f != 7 || unit.len() > 1024 {
        return None;
    }
    let mut bits = Bits { bytes: unit, at: 8 };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.golomb()?;
    let (mut chroma, mut planes) = (1, false);
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            planes = bits.bit()? == 1;
        }
        bits.golomb()?;
        bits.golomb()?;
        bits.bit()?;
        if bits.bit()? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? == 1 {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.bit()?;
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.signed()?;
            }
        }
        _ => {}
    }
    bits.golomb()?;
    bits.bit()?;
    let width = (bits.golomb()? + 1) * 16;
    let rows = bits.golomb()? + 1;
    let frames_only = bits.bit()?;
    let mut height = rows * 16 * (2 - frames_only);
    if frames_only == 0 {
        bits.bit()?;
    }
    bits.bit()?;
    let mut shown = width;
    if bits.bit()? == 1 {
        let (unit_x, unit_y) = match chroma {
            1 if !planes => (2, 2),
            2 if !planes => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = [bits.golomb()?, bits.golomb()?, bits.golomb()?, bits.golomb()?];
        shown = width.checked_sub((left + right) * unit_x)?;
        height = height.checked_sub((top + bottom) * unit_y * (2 - frames_only))?;
    }
    let (width, height) = (u16::try_from(shown).ok()?, u16::try_from(height).ok()?);
    (width > 0 && height > 0).then_some(Resolution { width, height })
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Of the first payload of an H.264 key frame: a parameter set by itself, or in a STAP-A.
pub fn of_h264_payload(payload: &[u8]) -> Option<Resolution> {
    match payload.first()? & 0x1f {
        7 => of_h264_parameters(payload),
        24 => crate::h264::aggregated(payload).find_map(of_h264_parameters),
        _ => None,
    }
}

/// Of the first payload of a VP8 key frame (RFC 6386 9.1).
pub fn of_vp8_payload(payload: &[u8]) -> Option<Resolution> {
    let descriptor = crate::vp8::descriptor(payload).filter(|descriptor| descriptor.key_frame)?;
    let head = payload.get(descriptor.bytes..descriptor.bytes + 10)?;
    if head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let size = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]) & 0x3fff;
    Some(Resolution { width: size(6), height: size(8) }).filter(|size| size.width > 0 && size.height > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_real_parameter_sets() {
        // made by x264: 1920x1080 high (cropped), 640x360 baseline
        let x264 = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
            0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc6, 0x58,
        ];
        assert_eq!(of_h264_parameters(&x264), Some(Resolution { width: 1920, height: 1080 }));
        let small = [
            0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
            0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48,
        ];
        assert_eq!(of_h264_parameters(&small), Some(Resolution { width: 640, height: 360 }));
        let aggregated = [&[0x78, 0, small.len() as u8][..], &small[..], &[0, 2, 0x68, 0xce]].concat();
        assert_eq!(of_h264_payload(&aggregated), Some(Resolution { width: 640, height: 360 }));
    }

    #[test]
    fn size_of_a_vp8_key_frame() {
        let payload = [0x90, 0x80, 0x81, 0x23, 0x10, 2, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        assert_eq!(of_vp8_payload(&payload), Some(Resolution { width: 640, height: 360 }));
        assert_eq!(of_vp8_payload(&payload[..10]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_size_or_none(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = of_h264_payload(&bytes);
            let _ = of_vp8_payload(&bytes);
            let _ = of_h264_parameters(&[&[0x67, 100, 0, 40][..], &bytes].concat());
        }
    }
}
