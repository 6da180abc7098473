//! The messages by which a peer opens a channel on an SCTP stream (RFC 8832 section 5).
use super::MOST_LABEL_BYTES;

const OPEN: u8 = 0x03;
const ACK: u8 = 0x02;
/// Bytes of an OPEN before its label.
const HEADER: usize = 12;

/// What must be said for an OPEN.
pub(super) const ACKNOWLEDGE: [u8; 1] = [ACK];

/// How hard a channel tries to deliver a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reliability {
    Reliable,
    /// At most so many repeats.
    Repeats(u32),
    /// At most for so long, milliseconds.
    Lifetime(u32),
}

/// A wish to open a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) label: String,
    pub(super) ordered: bool,
    pub(super) reliability: Reliability,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dcep {
    Open(Open),
    Ack,
}

impl Dcep {
    /// Reads a message; `None`: it is broken, of an unknown type, or its label is longer than anyone needs.
    pub(super) fn parse(message: &[u8]) -> Option<Dcep> {
        match *message.first()? {
            ACK => Some(Dcep::Ack),
            OPEN => {
                let header: &[u8; HEADER] = message.first_chunk()?;
                let number =
                    |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
                let length = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
                let (label, protocol) = (length(8), length(10));
                // RFC 8832 5.1: the lengths must be those of the message; a protocol means nothing to us
                if label > MOST_LABEL_BYTES || message.len() != HEADER + label + protocol {
                    return None;
                }
                let label = std::str::from_utf8(&message[HEADER..HEADER + label]).ok()?;
                let reliability = match header[1] & 0x7f {
                    0 => Reliability::Reliable,
                    1 => Reliability::Repeats(number(4)),
                    2 => Reliability::Lifetime(number(4)),
                    _ => return None,
                };
                Some(Dcep::Open(Open { label: label.to_owned(), ordered: header[1] & 0x80 == 0, reliability }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(kind: u8, parameter: u32, label: &str, protocol: &str) -> Vec<u8> {
        let mut message = vec![OPEN, kind, 1, 0];
        message.extend_from_slice(&parameter.to_be_bytes());
        message.extend_from_slice(&(label.len() as u16).to_be_bytes());
        message.extend_from_slice(&(protocol.len() as u16).to_be_bytes());
        message.extend_from_slice(label.as_bytes());
        message.extend_from_slice(protocol.as_bytes());
        message
    }

    #[test]
    fn all_kinds_of_channels_are_understood() {
        let of = |kind, parameter| match Dcep::parse(&open(kind, parameter, "chat", "json")) {
            Some(Dcep::Open(open)) => (open.label, open.ordered, open.reliability),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(0x00, 0), ("chat".into(), true, Reliability::Reliable));
        assert_eq!(of(0x80, 0), ("chat".into(), false, Reliability::Reliable));
        assert_eq!(of(0x01, 3), ("chat".into(), true, Reliability::Repeats(3)));
        assert_eq!(of(0x81, 0), ("chat".into(), false, Reliability::Repeats(0)));
        assert_eq!(of(0x82, 500), ("chat".into(), false, Reliability::Lifetime(500)));
        assert_eq!(Dcep::parse(&[ACK]), Some(Dcep::Ack));
    }

    #[test]
    fn broken_wishes_are_refused() {
        let whole = open(0, 0, "captions", "");
        for cut in 0..whole.len() {
            assert_eq!(Dcep::parse(&whole[..cut]), None, "{cut} bytes");
        }
        assert_eq!(Dcep::parse(&[whole.as_slice(), b"x"].concat()), None, "more than it says");
        assert_eq!(Dcep::parse(&open(0x05, 0, "x", "")), None, "unknown kind");
        assert_eq!(Dcep::parse(&open(0, 0, &"x".repeat(MOST_LABEL_BYTES + 1), "")), None);
        let mut not_text = whole;
        not_text[HEADER] = 0xff;
        assert_eq!(Dcep::parse(&not_text), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0u8.., 0..200)) {
            if let Some(Dcep::Open(open)) = Dcep::parse(&bytes) {
                assert!(open.label.len() <= MOST_LABEL_BYTES);
            }
        }
    }
}
