//! The parsers of `wire`, and what must hold of what they return.
use wire::rtcp::{self, Rtcp};
use wire::rtp::{self, Rtp};
use wire::sdp::Description;
use wire::srtp::{Opener, Profile, Sealer};
use wire::{av1, h264, red, stun, vp8, vp9};

pub(crate) fn rtp(data: &[u8]) {
    let Ok(packet) = Rtp::parse(data) else { return };
    assert!(packet.payload.len() <= data.len() - rtp::HEADER_BYTES);
    let extension: usize = packet.elements().map(|(_, element)| element.len()).sum();
    assert!(extension <= data.len());
}

pub(crate) fn rtcp(data: &[u8]) {
    let mut told = 0;
    for packet in rtcp::packets(data) {
        told += match packet {
            Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks.count(),
            Rtcp::Nack { missing, .. } => missing.count() / 17,
            _ => 0,
        };
    }
    // A datagram cannot make us do more than its length is worth.
    assert!(told <= data.len() / 4 + 1);
}

/// What strangers send never opens; what a holder of the keys sends opens once.
pub(crate) fn srtp(data: &[u8]) {
    for profile in [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmHmacSha1_80] {
        let (key, salt) = ([7; 32], [9; 14]);
        let (key, salt) = (&key[..profile.key_bytes()], &salt[..profile.salt_bytes()]);
        let (Ok(mut opener), Ok(mut sealer)) = (Opener::new(profile, key, salt), Sealer::new(profile, key, salt))
        else {
            panic!("keys of the right length are refused")
        };
        assert!(opener.open_rtp(&mut data.to_vec()).is_err(), "a forgery opened");
        assert!(opener.open_rtcp(&mut data.to_vec()).is_err(), "a forgery opened");
        if let Ok(header) = rtp::header_bytes(data) {
            let sequence = u64::from(u16::from_be_bytes([data[2], data[3]]));
            let mut packet = data.to_vec();
            assert!(sealer.seal_rtp(&mut packet, 0, header, sequence));
            let mut again = packet.clone();
            let opened = opener.open_rtp(&mut packet).expect("our own packet opens");
            assert_eq!(&packet[..opened.len], data);
            assert!(opener.open_rtp(&mut again).is_err(), "a replay opened");
        }
        if data.len() >= 8 && data[0] >> 6 == 2 {
            let mut packet = data.to_vec();
            assert!(sealer.seal_rtcp(&mut packet, 0));
            let mut again = packet.clone();
            if let Ok(length) = opener.open_rtcp(&mut packet) {
                assert_eq!(&packet[..length], data);
                assert!(opener.open_rtcp(&mut again).is_err(), "a replay opened");
            }
        }
    }
}

pub(crate) fn stun(data: &[u8]) {
    if let Some(name) = stun::username(data) {
        assert!(name.len() + 24 <= data.len());
    }
}

pub(crate) fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for parsed in [Description::parse(text), Description::parse_fragment(text)] {
        let Ok(description) = parsed else { continue };
        let _ =
            (description.ice_credentials(), description.fingerprints(), description.candidates(), description.bundle());
        for media in &description.media {
            let _ = (media.mid(), media.direction(), media.extension("urn:ietf:params:rtp-hdrext:sdes:mid"));
            for codec in media.codecs() {
                let _ = (codec.parameter("profile-level-id"), codec.has_feedback("nack pli"));
            }
        }
    }
}

/// Pieces of `data`, each after a byte with its length.
pub(crate) fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = data.split_first()?;
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        Some(piece)
    })
}

/// Payloads of RTP packets.
pub(crate) fn h264(data: &[u8]) {
    let mut depacketizer = h264::Depacketizer::default();
    for payload in pieces(data) {
        let _ = h264::starts_key_frame(payload);
        depacketizer.push(payload);
    }
    if let Some(frame) = depacketizer.finish() {
        assert!(frame.stream.len() <= 5 * data.len(), "grew from {} to {} bytes", data.len(), frame.stream.len());
    }
}

/// A byte stream, as our own encoder hands it over: packets of it give the same units back.
pub(crate) fn h264_stream(data: &[u8]) {
    let _ = (h264::parameter_sets(data), h264::profile_level_id(data));
    // Delimiters (9) are left out on purpose.
    let known = |unit: &&[u8]| matches!(unit[0] & 0x1f, 1..=8 | 10..=23);
    let units: Vec<&[u8]> = h264::nal_units(data).filter(|unit| !unit.is_empty()).filter(known).collect();
    let mut depacketizer = h264::Depacketizer::default();
    h264::packetize(units.iter().copied(), h264::PAYLOAD_BYTES, |payload, _| {
        assert!(payload.len() <= h264::PAYLOAD_BYTES);
        depacketizer.push(&payload);
    });
    if let Some(frame) = depacketizer.finish() {
        assert!(h264::nal_units(&frame.stream).eq(units.iter().copied()), "other units came out than went in");
    }
}

pub(crate) fn vp8(data: &[u8]) {
    let _ = vp8::descriptor(data);
}

pub(crate) fn vp9(data: &[u8]) {
    let _ = vp9::starts_key_frame(data);
}

pub(crate) fn av1(data: &[u8]) {
    let _ = av1::starts_key_frame(data);
}

pub(crate) fn red(data: &[u8]) {
    let Ok(red) = red::Red::parse(data) else { return };
    let (mut count, mut bytes) = (0, 1 + red.primary.len());
    for block in red.redundant() {
        assert!(block.offset < 1 << 14 && block.payload.len() < 1 << 10);
        count += 1;
        bytes += 4 + block.payload.len();
    }
    assert!(count <= red::MOST_BLOCKS);
    assert_eq!(bytes, data.len(), "something is read twice or not at all");
}
