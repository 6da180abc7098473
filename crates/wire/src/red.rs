//! Redundant sound (RED, RFC 2198): a packet that repeats what packets before it carried.
use std::fmt;

/// Repeated blocks that we read of one packet, as libwebrtc does; senders in use repeat one to nine.
pub const MOST_BLOCKS: usize = 32;

const HEADER_BYTES: usize = 4;
const FOLLOWED: u8 = 0x80;

/// Why a payload is not RED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedError {
    /// Fewer bytes than the block headers say.
    Truncated,
    /// More than [`MOST_BLOCKS`].
    TooMany,
}

impl fmt::Display for RedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedError::Truncated => "RED payload is shorter than its block headers say",
            RedError::TooMany => "RED payload has more than 32 redundant blocks",
        })
    }
}

impl std::error::Error for RedError {}

/// What an earlier packet carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// RTP payload type of what the block holds.
    pub payload_type: u8,
    /// Ticks from the block's time to the packet's, of 14 bits.
    pub offset: u16,
    /// At most 1,023 bytes.
    pub payload: &'a [u8],
}

/// A parsed payload; borrows the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Red<'a> {
    /// Of the primary block.
    pub payload_type: u8,
    /// What the packet itself carries; may be empty.
    pub primary: &'a [u8],
    headers: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> Red<'a> {
    /// Parses the payload of an RTP packet. All lengths are checked here.
    pub fn parse(payload: &'a [u8]) -> Result<Red<'a>, RedError> {
        let (mut at, mut length) = (0, 0);
        loop {
            let first = *payload.get(at).ok_or(RedError::Truncated)?;
            if first & FOLLOWED == 0 {
                break;
            }
            if at == MOST_BLOCKS * HEADER_BYTES {
                return Err(RedError::TooMany);
            }
            let header = payload.get(at..at + HEADER_BYTES).ok_or(RedError::Truncated)?;
            length += block_bytes(header);
            at += HEADER_BYTES;
        }
        let blocks = &payload[at + 1..];
        let (blocks, primary) = blocks.split_at_checked(length).ok_or(RedError::Truncated)?;
        Ok(Red { payload_type: payload[at] & 0x7f, primary, headers: &payload[..at], blocks })
    }

    /// The repeated blocks, oldest first as RFC 2198 wants them; at most [`MOST_BLOCKS`].
    pub fn redundant(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut blocks = self.blocks;
        self.headers.chunks_exact(HEADER_BYTES).map(move |header| {
            let (payload, rest) = blocks.split_at(block_bytes(header));
            blocks = rest;
            let offset = u16::from_be_bytes([header[1], header[2]]) >> 2;
            Block { payload_type: header[0] & 0x7f, offset, payload }
        })
    }
}

fn block_bytes(header: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x3ff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(blocks: &[(u8, u16, Vec<u8>)], payload_type: u8, primary: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (payload_type, offset, block) in blocks {
            let field = (u32::from(*offset) << 10) | block.len() as u32;
            payload.push(FOLLOWED | payload_type);
            payload.extend(&field.to_be_bytes()[1..]);
        }
        payload.push(payload_type);
        blocks.iter().for_each(|(_, _, block)| payload.extend(block));
        payload.extend(primary);
        payload
    }

    #[test]
    fn chromiums_packet_is_read() {
        // two repeats of 20 ms each, as `setCodecPreferences` with red/48000/2 first gives them
        let payload = [0xef, 0x1e, 0x00, 0x02, 0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5, 6, 7];
        let red = Red::parse(&payload).unwrap();
        assert_eq!((red.payload_type, red.primary), (111, &[6, 7][..]));
        let blocks: Vec<_> = red.redundant().map(|block| (block.payload_type, block.offset, block.payload)).collect();
        assert_eq!(blocks, vec![(111, 1920, &[1, 2][..]), (111, 960, &[3, 4, 5][..])]);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let payload = written(&[(111, 960, vec![1, 2, 3])], 111, &[4]);
        assert_eq!(Red::parse(&payload[..8]).map(|red| red.primary), Ok(&[][..]), "an empty primary is one");
        for length in 0..8 {
            assert_eq!(Red::parse(&payload[..length]), Err(RedError::Truncated), "{length} bytes");
        }
    }

    #[test]
    fn no_more_blocks_than_that() {
        let blocks = |count| written(&vec![(111, 0, Vec::new()); count], 111, &[1]);
        assert_eq!(Red::parse(&blocks(MOST_BLOCKS)).unwrap().redundant().count(), MOST_BLOCKS);
        assert_eq!(Red::parse(&blocks(MOST_BLOCKS + 1)), Err(RedError::TooMany));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            blocks in proptest::collection::vec((0u8..128, 0u16..1 << 14, proptest::collection::vec(any::<u8>(), 0..1024)), 0..5),
            primary in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let payload = written(&blocks, 96, &primary);
            let red = Red::parse(&payload).unwrap();
            prop_assert_eq!((red.payload_type, red.primary), (96, &primary[..]));
            let read: Vec<_> = red.redundant().map(|block| (block.payload_type, block.offset, block.payload.to_vec())).collect();
            prop_assert_eq!(read, blocks);
        }

        #[test]
        fn garbage_does_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(red) = Red::parse(&payload) {
                let bytes: usize = red.redundant().map(|block| block.payload.len()).sum();
                prop_assert!(bytes + red.primary.len() < payload.len());
            }
        }
    }
}
