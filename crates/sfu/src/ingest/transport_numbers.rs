//! Transport-wide numbers (transport-cc) that lie before the first one.
//!
//! `str0m` extends these 16 bits by the largest so far and takes what lies below zero for a number near 2^64. Its next feedback would
//! list all the numbers in between as missing, 2^51 entries, so one packet of a hostile publisher would fill the memory. Such packets
//! are left out before they get there; nobody misses them, for they are older than the stream's first.
//!
//! Which header extension the library reads as such a number cannot be told from the SDP alone: it keeps one map for all sections,
//! begins it with numbers of its own, and each mapping of an offer moves what was there before to somewhere else. So where the sections
//! do not say it plainly, every element counts that they do not plainly say to be something else. And one packet may hold the extension
//! twice: all must be sound.
use str0m::rtp::{Extension, ExtensionMap};
use wire::rtp::{self, Rtp};

/// How far back a number of 16 bits may be meant.
const HALF_LAP: u64 = 1 << 15;
/// Largest id of an extension that the library knows.
const MOST_ID: u8 = 16;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct TransportNumbers {
    /// Bit n: an element of id n may be read as a number.
    suspects: u32,
    /// The largest that surely came from the peer, extended as `str0m` does.
    newest: Option<u64>,
}

impl TransportNumbers {
    /// By what each section has agreed on.
    pub(super) fn negotiated<'a>(sections: impl Iterator<Item = &'a ExtensionMap>) -> TransportNumbers {
        let (mut numbers, mut others) = (0, 0);
        for map in sections {
            for id in 1..=MOST_ID {
                match map.lookup(id) {
                    Some(Extension::TransportSequenceNumber) => numbers |= 1 << id,
                    Some(_) => others |= 1 << id,
                    None => {}
                }
            }
        }
        let plain = u32::is_power_of_two(numbers) && numbers & others == 0;
        TransportNumbers { suspects: if plain { numbers } else { !(others & !numbers) }, newest: None }
    }

    /// Whether a datagram, which may be forged, may go on. Only what was opened moves [`TransportNumbers::note`]'s end, so a forgery
    /// can be refused but can refuse nothing.
    pub(super) fn admits(&self, datagram: &[u8]) -> bool {
        // so far on, nothing that 16 bits can say lies below zero: the rest of the session costs a comparison
        let Some(newest) = self.newest.filter(|newest| *newest <= HALF_LAP) else { return true };
        let Ok(length) = rtp::header_bytes(datagram) else { return true };
        // the payload is not readable yet, and neither is its padding
        let mut header = datagram[..length].to_vec();
        header[0] &= !0x20;
        let Ok(packet) = Rtp::parse(&header) else { return true };
        let suspect = |id: u8| id <= MOST_ID && self.suspects & 1 << id != 0;
        packet.elements().filter(|(id, data)| suspect(*id) && data.len() >= 2).all(|(_, data)| {
            let number = u16::from_be_bytes([data[0], data[1]]);
            newest.checked_add_signed(apart(number, newest)).is_some()
        })
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

    fn numbered(elements: &[(u8, u16)]) -> Vec<u8> {
        let mut packet = vec![0xb0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]; // with padding and an extension
        packet.extend([0xbe, 0xde, 0, elements.len() as u8]);
        for (id, number) in elements {
            packet.push(id << 4 | 1);
            packet.extend(number.to_be_bytes());
            packet.push(0);
        }
        packet.push(0xff);
        packet
    }

    fn map(elements: &[(u8, Extension)]) -> ExtensionMap {
        let mut map = ExtensionMap::empty();
        elements.iter().for_each(|(id, extension)| map.set(*id, extension.clone()));
        map
    }

    /// A session whose first number was 10.
    fn begun(sections: &[ExtensionMap]) -> TransportNumbers {
        let mut numbers = TransportNumbers::negotiated(sections.iter());
        assert!(numbers.admits(&numbered(&[(3, 40_000)])), "all begins there");
        numbers.note(10);
        numbers
    }

    #[test]
    fn only_numbers_before_the_first_lap_are_left_out() {
        let mut numbers = begun(&[map(&[(3, Extension::TransportSequenceNumber)])]);
        assert!([0, 5, 30_000].iter().all(|number| numbers.admits(&numbered(&[(3, *number)]))));
        assert!([65_535, 40_000].iter().all(|number| !numbers.admits(&numbered(&[(3, *number)]))));
        for number in [30_000, 60_000, 20_000] {
            assert!(numbers.admits(&numbered(&[(3, number)])));
            numbers.note(number);
        }
        assert!(numbers.admits(&numbered(&[(3, 60_000)])), "a lap later it is only late");
    }

    #[test]
    fn of_several_numbers_in_a_packet_each_must_be_sound() {
        let numbers = begun(&[map(&[(3, Extension::TransportSequenceNumber)])]);
        assert!(numbers.admits(&numbered(&[(3, 11), (3, 12)])));
        assert!(!numbers.admits(&numbered(&[(3, 11), (3, 40_000)])));
        assert!(!numbers.admits(&numbered(&[(3, 40_000), (3, 11)])));
    }

    #[test]
    fn other_elements_are_not_looked_at_where_the_sections_agree() {
        let video = [(3, Extension::TransportSequenceNumber), (13, Extension::VideoOrientation)];
        let numbers = begun(&[map(&[(3, Extension::TransportSequenceNumber), (4, Extension::RtpMid)]), map(&video)]);
        assert!(numbers.admits(&numbered(&[(4, 40_000), (13, 40_000), (9, 40_000), (3, 11)])));
    }

    #[test]
    fn what_is_not_plainly_something_else_counts_where_they_do_not() {
        let swapped = [map(&[(3, Extension::TransportSequenceNumber)]), map(&[(3, Extension::VideoOrientation)])];
        let without = [map(&[(4, Extension::RtpMid)])];
        let twice = [map(&[(3, Extension::TransportSequenceNumber)]), map(&[(5, Extension::TransportSequenceNumber)])];
        for sections in [&swapped[..], &without, &twice] {
            let numbers = begun(sections);
            for id in [3, 5, 13] {
                assert!(!numbers.admits(&numbered(&[(id, 40_000)])), "{sections:?} {id}");
            }
        }
        assert!(begun(&without).admits(&numbered(&[(4, 40_000)])));
    }
}
