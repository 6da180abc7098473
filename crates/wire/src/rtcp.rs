//! RTCP: reports, feedback, goodbye (RFC 3550, RFC 4585, RFC 5104, draft-alvestrand-rmcat-remb).

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// One report block: what a receiver says of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source that the block is about.
    pub ssrc: u32,
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the start (24 bits, signed).
    pub packets_lost: i32,
    /// Highest sequence number, extended to 32 bits.
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 if none came.
    pub last_report: u32,
    /// Since that report, in 1/65536 s.
    pub delay_since_last_report: u32,
}

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rtcp<'a> {
    /// What a sender says of its stream, and of those that it receives.
    SenderReport {
        /// The sender's own source.
        ssrc: u32,
        /// Wall clock of the report: NTP time, 32 bits of seconds since 1900 and 32 bits of their fraction.
        ntp: u64,
        /// The same moment in RTP timestamp units.
        timestamp: u32,
        /// RTP packets sent since the start.
        packets: u32,
        /// Bytes of payload sent since the start.
        octets: u32,
        /// One block for each source that it receives.
        blocks: Blocks<'a>,
    },
    /// What a receiver says of the streams that it receives.
    ReceiverReport {
        /// The receiver's own source.
        ssrc: u32,
        /// One block for each source that it receives.
        blocks: Blocks<'a>,
    },
    /// These sources send no more.
    Bye {
        /// Who they are.
        ssrcs: Ssrcs<'a>,
    },
    /// Sequence numbers of `media` that are missing.
    Nack {
        /// The source whose packets are missing.
        media: u32,
        /// Their sequence numbers.
        missing: Missing<'a>,
    },
    /// Picture lost: a key frame is wanted.
    Pli {
        /// The source whose picture is lost.
        media: u32,
    },
    /// Key frame wanted, per source.
    Fir {
        /// The sources of which one is wanted.
        ssrcs: Ssrcs<'a>,
    },
    /// Receiver's estimate of what the path carries.
    Remb {
        /// Bits a second, all streams together.
        bitrate_bps: u64,
    },
    /// Everything else, by packet type and the five bits before it.
    Other {
        /// RTCP packet type.
        packet_type: u8,
        /// Count or feedback format, 0..31.
        format: u8,
    },
}

/// Report blocks, read as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(24)?;
        self.0 = rest;
        Some(ReportBlock {
            ssrc: word(block, 0),
            fraction_lost: block[4],
            packets_lost: (word(block, 4) << 8) as i32 >> 8,
            highest_sequence: word(block, 8),
            jitter: word(block, 12),
            last_report: word(block, 16),
            delay_since_last_report: word(block, 20),
        })
    }
}

/// SSRCs at a fixed stride.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssrcs<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (entry, rest) = self.bytes.split_at_checked(self.stride)?;
        self.bytes = rest;
        Some(word(entry, 0))
    }
}

/// Sequence numbers of a generic NACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing<'a> {
    entries: &'a [u8],
    /// Sequence number and bits still to be told.
    open: Option<(u16, u16)>,
}

impl Iterator for Missing<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some((base, bits)) = self.open {
            if bits != 0 {
                let step = bits.trailing_zeros() as u16;
                self.open = Some((base, bits & (bits - 1)));
                return Some(base.wrapping_add(step + 1));
            }
            self.open = None;
        }
        let (entry, rest) = self.entries.split_at_checked(4)?;
        self.entries = rest;
        let base = u16::from_be_bytes([entry[0], entry[1]]);
        self.open = Some((base, u16::from_be_bytes([entry[2], entry[3]])));
        Some(base)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The packets of a compound. Ends at the first one that is malformed.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Rtcp<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let (packet, after) = split(rest)?;
        rest = after;
        Some(read(packet))
    })
}

/// One packet (without padding) and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = bytes.get(..4)?;
    if head[0] >> 6 != 2 {
        return None;
    }
    let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (mut packet, after) = bytes.split_at_checked(length)?;
    if head[0] & 0x20 != 0 {
        let padding = usize::from(*packet.last()?);
        packet = packet.get(..packet.len().checked_sub(padding)?)?;
        if packet.len() < 4 {
            return None;
        }
    }
    Some((packet, after))
}

fn read(packet: &[u8]) -> Rtcp<'_> {
    let (count, packet_type, body) = (packet[0] & 0x1f, packet[1], &packet[4..]);
    let blocks = |from: usize| {
        let available = body.len().saturating_sub(from);
        Blocks(&body[body.len() - available..][..available.min(24 * usize::from(count))])
    };
    match packet_type {
        SENDER_REPORT if body.len() >= 24 => Rtcp::SenderReport {
            ssrc: word(body, 0),
            ntp: u64::from(word(body, 4)) << 32 | u64::from(word(body, 8)),
            timestamp: word(body, 12),
            packets: word(body, 16),
            octets: word(body, 20),
            blocks: blocks(24),
        },
        RECEIVER_REPORT if body.len() >= 4 => Rtcp::ReceiverReport { ssrc: word(body, 0), blocks: blocks(4) },
        BYE => Rtcp::Bye { ssrcs: Ssrcs { bytes: &body[..body.len().min(4 * usize::from(count))], stride: 4 } },
        TRANSPORT_FEEDBACK if count == 1 && body.len() >= 8 => {
            Rtcp::Nack { media: word(body, 4), missing: Missing { entries: &body[8..], open: None } }
        }
        PAYLOAD_FEEDBACK if count == 1 && body.len() >= 8 => Rtcp::Pli { media: word(body, 4) },
        PAYLOAD_FEEDBACK if count == 4 && body.len() >= 8 => {
            Rtcp::Fir { ssrcs: Ssrcs { bytes: &body[8..], stride: 8 } }
        }
        PAYLOAD_FEEDBACK if count == 15 && body.len() >= 16 && &body[8..12] == b"REMB" => {
            let (exponent, mantissa) = (body[13] >> 2, word(body, 12) & 0x3_ffff);
            Rtcp::Remb { bitrate_bps: u64::from(mantissa).checked_shl(exponent.into()).unwrap_or(u64::MAX) }
        }
        _ => Rtcp::Other { packet_type, format: count },
    }
}

fn head(count: u8, packet_type: u8, body_bytes: usize, out: &mut Vec<u8>) {
    let words = (body_bytes / 4) as u16;
    out.extend_from_slice(&[0x80 | count, packet_type]);
    out.extend_from_slice(&words.to_be_bytes());
}

/// Appends a sender report without blocks.
pub fn write_sender_report(ssrc: u32, ntp: u64, timestamp: u32, packets: u32, octets: u32, out: &mut Vec<u8>) {
    head(0, SENDER_REPORT, 24, out);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for value in [timestamp, packets, octets] {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a receiver report with up to 31 blocks.
pub fn write_receiver_report(ssrc: u32, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    let blocks = &blocks[..blocks.len().min(31)];
    head(blocks.len() as u8, RECEIVER_REPORT, 4 + 24 * blocks.len(), out);
    out.extend_from_slice(&ssrc.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        out.extend_from_slice(
            &(block.packets_lost as u32 & 0x00ff_ffff | u32::from(block.fraction_lost) << 24).to_be_bytes(),
        );
        for value in [block.highest_sequence, block.jitter, block.last_report, block.delay_since_last_report] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends a source description with the CNAME only.
pub fn write_cname(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    // item, then at least one zero octet, up to a multiple of four
    let chunk = (4 + 2 + cname.len() + 1).next_multiple_of(4);
    head(1, SOURCE_DESCRIPTION, chunk, out);
    let end = out.len() + chunk;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.resize(end, 0);
}

/// Appends a goodbye for up to 31 sources.
pub fn write_bye(ssrcs: &[u32], out: &mut Vec<u8>) {
    let ssrcs = &ssrcs[..ssrcs.len().min(31)];
    head(ssrcs.len() as u8, BYE, 4 * ssrcs.len(), out);
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
    }
}

/// Appends a picture loss indication.
pub fn write_pli(sender: u32, media: u32, out: &mut Vec<u8>) {
    head(1, PAYLOAD_FEEDBACK, 8, out);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
}

/// Appends a generic NACK; `missing` in ascending order (modulo wrap) packs best.
pub fn write_nack(sender: u32, media: u32, missing: &[u16], out: &mut Vec<u8>) {
    let start = out.len();
    head(1, TRANSPORT_FEEDBACK, 8, out);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    let mut missing = missing.iter().copied().peekable();
    while let Some(base) = missing.next() {
        let mut bits = 0u16;
        while let Some(step) = missing.peek().map(|next| next.wrapping_sub(base)).filter(|step| (1..=16).contains(step))
        {
            bits |= 1 << (step - 1);
            missing.next();
        }
        out.extend_from_slice(&base.to_be_bytes());
        out.extend_from_slice(&bits.to_be_bytes());
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compound_of_all_kinds_round_trips() {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 25,
            packets_lost: -3,
            highest_sequence: 70_000,
            jitter: 5,
            last_report: 6,
            delay_since_last_report: 7,
        };
        let mut bytes = Vec::new();
        write_sender_report(1, 0x1234_5678_9abc_def0, 3, 4, 5, &mut bytes);
        write_cname(1, "avacast", &mut bytes);
        write_receiver_report(2, &[block], &mut bytes);
        write_nack(2, 1, &[65534, 65535, 3, 100], &mut bytes);
        write_pli(2, 1, &mut bytes);
        write_bye(&[1, 2], &mut bytes);
        let mut read = packets(&bytes);
        assert!(matches!(
            read.next(),
            Some(Rtcp::SenderReport { ssrc: 1, ntp: 0x1234_5678_9abc_def0, timestamp: 3, .. })
        ));
        assert!(matches!(read.next(), Some(Rtcp::Other { packet_type: 202, .. })));
        let Some(Rtcp::ReceiverReport { blocks, .. }) = read.next() else { panic!("no receiver report") };
        assert_eq!(blocks.collect::<Vec<_>>(), vec![block]);
        let Some(Rtcp::Nack { media: 1, missing }) = read.next() else { panic!("no NACK") };
        assert_eq!(missing.collect::<Vec<_>>(), vec![65534, 65535, 3, 100]);
        assert_eq!(read.next(), Some(Rtcp::Pli { media: 1 }));
        let Some(Rtcp::Bye { ssrcs }) = read.next() else { panic!("no BYE") };
        assert_eq!(ssrcs.collect::<Vec<_>>(), vec![1, 2]);
        assert_eq!(read.next(), None);
    }

    #[test]
    fn remb_is_mantissa_shifted_by_exponent() {
        let bytes = [0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 3 << 2 | 1, 0, 0, 0, 0, 0, 9];
        assert_eq!(packets(&bytes).next(), Some(Rtcp::Remb { bitrate_bps: 0x1_0000 << 3 }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_dropped_quietly(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            for packet in packets(&bytes) {
                match packet {
                    Rtcp::Nack { missing, .. } => { let _ = missing.count(); }
                    Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => { let _ = blocks.count(); }
                    Rtcp::Bye { ssrcs } | Rtcp::Fir { ssrcs } => { let _ = ssrcs.count(); }
                    _ => {}
                }
            }
        }

        #[test]
        fn every_nack_list_comes_back(start in proptest::num::u16::ANY, steps in proptest::collection::vec(1u16..40, 1..60)) {
            let missing: Vec<u16> = steps.iter().scan(start, |at, step| { *at = at.wrapping_add(*step); Some(*at) }).collect();
            let mut bytes = Vec::new();
            write_nack(1, 2, &missing, &mut bytes);
            let Some(Rtcp::Nack { missing: read, .. }) = packets(&bytes).next() else { panic!("no NACK") };
            proptest::prop_assert_eq!(read.collect::<Vec<_>>(), missing);
        }
    }
}
