//! Transport-wide numbers (transport-cc) that lie before the first one.
//!
//! `str0m` extends these 16 bits by the largest so far and takes what lies below zero for a number near 2^64. Its next feedback would
//! list all the numbers in between as missing, 2^51 entries, so one packet of a hostile publisher would fill the memory. Such packets
//! are left out before they get there; nobody misses them, for they are older than the stream's first.
use wire::rtp::{self, Rtp};
use wire::sdp::Description;

const URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// How far back a number of 16 bits may be meant.
const HALF_LAP: u64 = 1 << 15;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct TransportNumbers {
    /// Id of the header extension; `None`: not negotiated.
    element: Option<u8>,
    /// The largest that surely came from the peer, extended as `str0m` does.
    newest: Option<u64>,
}

impl TransportNumbers {
    /// By the answer, ours or the upstream's.
    pub(super) fn negotiated(answer: &Description) -> TransportNumbers {
        let element = answer.media.iter().find_map(|media| media.extension(URI));
        TransportNumbers { element, newest: None }
    }

    /// Whether a datagram, which may be forged, may go on. Only what was opened moves [`TransportNumbers::note`]'s end, so a forgery
    /// can be refused but can refuse nothing.
    pub(super) fn admits(&self, datagram: &[u8]) -> bool {
        // so far on, nothing that 16 bits can say lies below zero: the rest of the session costs a comparison
        if self.newest.is_some_and(|newest| newest > HALF_LAP) {
            return true;
        }
        let (Some(element), Ok(length)) = (self.element, rtp::header_bytes(datagram)) else { return true };
        // the payload is not readable yet, and neither is its padding
        let mut header = datagram[..length].to_vec();
        header[0] &= !0x20;
        let Ok(packet) = Rtp::parse(&header) else { return true };
        let mut numbers = packet.elements().filter(|(id, data)| *id == element && data.len() >= 2);
        let Some((_, data)) = numbers.next() else { return true };
        let number = u16::from_be_bytes([data[0], data[1]]);
        self.newest.is_none_or(|newest| newest.checked_add_signed(apart(number, newest)).is_some())
    }

    /// The number of a packet that was opened: of every one, also of probes, padding and repairs that bring no media. One that is
    /// missed here lets this end fall behind that of `str0m`, and what is admitted by the one may lie below zero for the other.
    pub(super) fn note(&mut self, number: u16) {
        let extended = match self.newest {
            Some(newest) => newest.checked_add_signed(apart(number, newest)),
            None => Some(number.into()),
        };
        self.newest = self.newest.max(extended);
    }
}

fn apart(number: u16, newest: u64) -> i64 {
    i64::from(number.wrapping_sub(newest as u16) as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u16, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0xb0, 96, 0, 1, 0, 0, 0, 0]; // with padding and an extension
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 1, 0x31]); // element 3, two bytes
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0xff, 0xff]);
        packet
    }

    #[test]
    fn only_numbers_before_the_first_lap_are_left_out() {
        let sdp = format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=extmap:3 {URI}\r\n");
        let mut numbers = TransportNumbers::negotiated(&Description::parse(&sdp).unwrap());
        assert!(numbers.admits(&numbered(40_000, 0)) && numbers.admits(&numbered(40_000, 7)), "all begins there");
        numbers.note(10);
        assert!(
            numbers.admits(&numbered(0, 7)) && numbers.admits(&numbered(30_000, 7)) && numbers.admits(&numbered(5, 0))
        );
        assert!(!numbers.admits(&numbered(65_535, 7)) && !numbers.admits(&numbered(40_000, 7)));
        for number in [30_000, 60_000, 20_000] {
            assert!(numbers.admits(&numbered(number, 7)));
            numbers.note(number);
        }
        assert!(numbers.admits(&numbered(60_000, 7)), "a lap later it is only late");
    }
}
