//! Small pieces of messages. The receive buffer counts their bytes only, but each that waits for others costs some 80 bytes
//! besides: a peer that sends a byte at a time, of messages that never end, would be given a hundred times its buffer.

/// A DATA chunk with less is small, bytes. What a peer cuts itself fills a packet, but for a message's last piece.
const SMALL_BYTES: usize = 256;
/// Ports, tag, checksum.
const HEADER_BYTES: usize = 12;
/// Of a DATA chunk (RFC 9260 3.3.1), and of an I-DATA chunk (RFC 8260 2.1), before the user's bytes.
const DATA: (u8, usize) = (0, 16);
const I_DATA: (u8, usize) = (64, 20);

/// How many small pieces an SCTP packet holds.
pub(crate) fn count(packet: &[u8]) -> u32 {
    let mut count = 0;
    let mut rest = packet.get(HEADER_BYTES..).unwrap_or_default();
    while let [kind, _, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length < 4 {
            break; // the library takes nothing of such a packet
        }
        let small = |(data, before): (u8, usize)| kind == data && length < before + SMALL_BYTES;
        count += u32::from(small(DATA) || small(I_DATA));
        let Some(next) = rest.get(length.next_multiple_of(4)..) else { break };
        rest = next;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunks: &[(u8, usize)]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        for (kind, length) in chunks {
            packet.extend([*kind, 3]);
            packet.extend((*length as u16).to_be_bytes());
            packet.resize(packet.len() - 4 + length.next_multiple_of(4), 7);
        }
        packet
    }

    #[test]
    fn small_pieces_are_counted_and_nothing_else() {
        assert_eq!(count(&packet(&[(0, 17), (0, 18), (64, 21)])), 3);
        assert_eq!(count(&packet(&[(0, 16 + 256), (3, 16), (0, 17)])), 1);
        assert_eq!(count(&packet(&[(10, 300), (0, 16 + 255)])), 1);
        assert_eq!(count(&[]) + count(&[0; 12]) + count(&[0; 15]), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_packet_holds_more_than_fit_into_it(bytes in proptest::collection::vec(0u8.., 0..1500)) {
            assert!(count(&bytes) as usize <= bytes.len() / 4);
        }
    }
}
