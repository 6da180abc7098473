//! RTP headers and header extensions (RFC 3550, RFC 8285).
use std::fmt;

/// Length of a header without CSRCs and extensions.
pub const HEADER_BYTES: usize = 12;

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtpError {
    /// Fewer bytes than the header says.
    Truncated,
    /// Version is not 2.
    Version,
    /// The padding count is zero or longer than the payload.
    Padding,
}

impl fmt::Display for RtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RtpError::Truncated => "RTP packet is shorter than its header says",
            RtpError::Version => "RTP version is not 2",
            RtpError::Padding => "RTP padding is longer than the payload",
        })
    }
}

impl std::error::Error for RtpError {}

/// A parsed packet; borrows the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtp<'a> {
    /// Last packet of a frame (video), first after silence (audio).
    pub marker: bool,
    /// 0..127; the session says what it means.
    pub payload_type: u8,
    /// Sequence number as it is on the wire, 16 bits.
    pub sequence: u16,
    /// Media time in units of the clock rate, as it is on the wire.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
    /// Profile (`0xBEDE` or `0x100x`) and body of the header extension.
    pub extension: Option<(u16, &'a [u8])>,
    /// Without padding.
    pub payload: &'a [u8],
}

/// Length of header, CSRCs and extension; the encrypted part of SRTP starts there.
pub fn header_bytes(packet: &[u8]) -> Result<usize, RtpError> {
    if packet.len() < HEADER_BYTES {
        return Err(RtpError::Truncated);
    }
    if packet[0] >> 6 != 2 {
        return Err(RtpError::Version);
    }
    let mut length = HEADER_BYTES + 4 * usize::from(packet[0] & 0x0f);
    if packet[0] & 0x10 != 0 {
        let head = packet.get(length..length + 4).ok_or(RtpError::Truncated)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    }
    if packet.len() < length { Err(RtpError::Truncated) } else { Ok(length) }
}

impl<'a> Rtp<'a> {
    /// Parses a packet in plain text.
    pub fn parse(packet: &'a [u8]) -> Result<Rtp<'a>, RtpError> {
        let start = header_bytes(packet)?;
        let csrcs = HEADER_BYTES + 4 * usize::from(packet[0] & 0x0f);
        let extension = (packet[0] & 0x10 != 0)
            .then(|| (u16::from_be_bytes([packet[csrcs], packet[csrcs + 1]]), &packet[csrcs + 4..start]));
        let mut payload = &packet[start..];
        if packet[0] & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(RtpError::Padding)?);
            if padding == 0 || padding > payload.len() {
                return Err(RtpError::Padding);
            }
            payload = &payload[..payload.len() - padding];
        }
        Ok(Rtp {
            marker: packet[1] & 0x80 != 0,
            payload_type: packet[1] & 0x7f,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            timestamp: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
            extension,
            payload,
        })
    }

    /// Header extension elements: id and data.
    pub fn elements(&self) -> Elements<'a> {
        let (profile, body) = self.extension.unwrap_or((0, &[]));
        let form = match profile {
            0xBEDE => Form::OneByte,
            0x1000..=0x100f => Form::TwoByte,
            _ => Form::None,
        };
        Elements { form, body }
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    None,
    OneByte,
    TwoByte,
}

/// Iterator over header extension elements.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: Form,
    body: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.body.split_first()?;
            if first == 0 {
                self.body = rest; // padding between elements
                continue;
            }
            let (id, length, rest) = match self.form {
                Form::None => return None,
                // RFC 8285 4.2: "the local identifier value 15 is reserved ... stop processing"
                Form::OneByte if first >> 4 == 15 => return None,
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, rest),
                Form::TwoByte => (first, usize::from(*rest.first()?), &rest[1..]),
            };
            if rest.len() < length {
                self.body = &[];
                return None;
            }
            let (data, rest) = rest.split_at(length);
            self.body = rest;
            return Some((id, data));
        }
    }
}

/// The fixed part of a header to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Last packet of a frame (video), first after silence (audio).
    pub marker: bool,
    /// 0..127; the session says what it means.
    pub payload_type: u8,
    /// Sequence number, 16 bits.
    pub sequence: u16,
    /// Media time in units of the clock rate.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

impl Header {
    /// Appends the header; `extension` is a one-byte-form body (RFC 8285), a multiple of four bytes, empty for none.
    pub fn write(&self, extension: &[u8], out: &mut Vec<u8>) {
        debug_assert!(extension.len().is_multiple_of(4));
        let mut head = [0; HEADER_BYTES];
        head[0] = if extension.is_empty() { 0x80 } else { 0x90 };
        head[1] = self.payload_type & 0x7f | if self.marker { 0x80 } else { 0 };
        head[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        head[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&head);
        if !extension.is_empty() {
            out.extend_from_slice(&[0xBE, 0xDE, 0, (extension.len() / 4) as u8]);
            out.extend_from_slice(extension);
        }
    }
}

/// `abs-send-time`: seconds modulo 64 with 18 fractional bits, from a 64-bit NTP time.
pub fn abs_send_time(ntp: u64) -> [u8; 3] {
    let value = (ntp >> 14) as u32 & 0x00ff_ffff;
    [(value >> 16) as u8, (value >> 8) as u8, value as u8]
}

/// Extends counters of `BITS` bits that wrap to 64 bits. The first value starts in the second lap, so that values from
/// before it fit too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrapper<const BITS: u32> {
    newest: Option<u64>,
}

/// RTP sequence numbers.
pub type SequenceUnwrapper = Unwrapper<16>;
/// RTP timestamps.
pub type TimeUnwrapper = Unwrapper<32>;

impl<const BITS: u32> Unwrapper<BITS> {
    /// The extended value nearest to the newest one seen.
    pub fn extend(&mut self, value: u64) -> u64 {
        let extended = self.peek(value);
        self.newest = Some(self.newest.map_or(extended, |newest| newest.max(extended)));
        extended
    }

    /// As [`Self::extend`], without remembering.
    pub fn peek(&self, value: u64) -> u64 {
        let lap = 1u64 << BITS;
        let value = value & (lap - 1);
        let Some(newest) = self.newest else { return lap + value };
        let near = newest & !(lap - 1) | value;
        if near + lap / 2 < newest {
            near + lap
        } else if near > newest + lap / 2 && near >= lap {
            near - lap
        } else {
            near
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_with_extension() {
        let header = Header { marker: true, payload_type: 96, sequence: 65535, timestamp: 7, ssrc: 0xdead_beef };
        let mut bytes = Vec::new();
        header.write(&[0x22, 1, 2, 3], &mut bytes);
        bytes.extend_from_slice(b"payload");
        let rtp = Rtp::parse(&bytes).unwrap();
        assert_eq!((rtp.marker, rtp.payload_type, rtp.sequence), (true, 96, 65535));
        assert_eq!((rtp.timestamp, rtp.ssrc, rtp.payload), (7, 0xdead_beef, &b"payload"[..]));
        assert_eq!(rtp.elements().collect::<Vec<_>>(), vec![(2, &[1u8, 2, 3][..])]);
    }

    #[test]
    fn sequence_unwraps_forward_and_back() {
        let mut unwrapper = SequenceUnwrapper::default();
        let first = unwrapper.extend(65534);
        assert_eq!(unwrapper.extend(1), first + 3);
        assert_eq!(unwrapper.extend(65535), first + 1);
        assert_eq!(unwrapper.extend(2), first + 4);
    }

    #[test]
    fn padding_beyond_the_payload_is_refused() {
        let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 9];
        assert_eq!(Rtp::parse(&bytes), Err(RtpError::Padding));
        *bytes.last_mut().unwrap() = 2;
        assert_eq!(Rtp::parse(&bytes).unwrap().payload, &[1]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_fail_quietly(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(rtp) = Rtp::parse(&bytes) {
                let _ = rtp.elements().count();
            }
        }

        #[test]
        fn unwrapping_follows_small_steps(start in 0u64..65536, steps in proptest::collection::vec(-100i64..3000, 1..200)) {
            let mut unwrapper = SequenceUnwrapper::default();
            let mut truth = unwrapper.extend(start) as i64;
            for step in steps {
                truth += step;
                proptest::prop_assert_eq!(unwrapper.extend(truth as u64 & 0xffff) as i64, truth);
                if step < 0 { truth -= step; }
            }
        }
    }
}
