//! Just enough of STUN (RFC 8489) to find out whom a binding request is for; the rest is the ICE agent's.

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const USERNAME: u16 = 0x0006;

/// USERNAME of a binding request (`receiver:sender` ufrags), unverified. `None` for any other datagram.
pub fn username(datagram: &[u8]) -> Option<&str> {
    let head = datagram.get(..20)?;
    if head[..2] != [0x00, 0x01] || head[4..8] != MAGIC_COOKIE {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let mut attributes = datagram.get(20..20 + length)?;
    while attributes.len() >= 4 {
        let kind = u16::from_be_bytes([attributes[0], attributes[1]]);
        let length = usize::from(u16::from_be_bytes([attributes[2], attributes[3]]));
        let value = attributes.get(4..4 + length)?;
        if kind == USERNAME {
            return std::str::from_utf8(value).ok();
        }
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let padded = username.len().next_multiple_of(4);
        let mut bytes = vec![0, 1, 0, (4 + padded) as u8];
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&[7; 12]);
        bytes.extend_from_slice(&[0, 6, 0, username.len() as u8]);
        bytes.extend_from_slice(username);
        bytes.resize(20 + 4 + padded, 0);
        bytes
    }

    #[test]
    fn username_of_a_request_is_found() {
        assert_eq!(username(&request(b"ours:their")), Some("ours:their"));
    }

    #[test]
    fn every_truncation_is_none() {
        let whole = request(b"ours:theirs");
        for end in 0..whole.len() {
            assert_eq!(username(&whole[..end]), None);
        }
    }
}
