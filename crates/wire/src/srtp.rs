//! SRTP and SRTCP (RFC 3711, RFC 7714): sealing in place into a send buffer, opening in place with replay windows.
//!
//! A [`Sealer`] does not guess rollover counters: the caller passes the extended sequence number, so one packet may be sealed
//! again under another number and nothing is kept per source. Never seal two packets under one SSRC and number: with
//! AES-GCM that gives the key away.
use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, hmac, iv};

use crate::rtp;

/// Protection profiles (RFC 5764, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// AES-128 in Galois counter mode, tags of 16 bytes (RFC 7714).
    AeadAes128Gcm,
    /// AES-256 in Galois counter mode, tags of 16 bytes (RFC 7714).
    AeadAes256Gcm,
    /// AES-128 in counter mode, HMAC-SHA1 tags of 10 bytes (RFC 3711).
    Aes128CmHmacSha1_80,
}

impl Profile {
    /// By its name in IANA's registry of DTLS-SRTP protection profiles, which is how a DTLS library calls what was agreed.
    /// `None`: one that we do not have.
    pub fn named(name: &str) -> Option<Profile> {
        match name {
            "SRTP_AEAD_AES_128_GCM" => Some(Profile::AeadAes128Gcm),
            "SRTP_AEAD_AES_256_GCM" => Some(Profile::AeadAes256Gcm),
            "SRTP_AES128_CM_SHA1_80" | "SRTP_AES128_CM_HMAC_SHA1_80" => Some(Profile::Aes128CmHmacSha1_80),
            _ => None,
        }
    }

    /// Bytes of one master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Profile::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of one master salt.
    pub const fn salt_bytes(self) -> usize {
        match self {
            Profile::Aes128CmHmacSha1_80 => 14,
            _ => 12,
        }
    }

    /// Bytes that sealing adds to an RTP packet.
    pub const fn overhead(self) -> usize {
        match self {
            Profile::Aes128CmHmacSha1_80 => SHA1_TAG,
            _ => GCM_TAG,
        }
    }
}

/// Why a datagram was not opened or a key not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpError {
    /// Keying material of the wrong length.
    Keys,
    /// No RTP or RTCP packet.
    Malformed,
    /// Seen before, or too old to tell.
    Replayed,
    /// The tag does not fit: forged or damaged.
    Forged,
    /// More sources than a session may have.
    TooManySources,
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SrtpError::Keys => "keying material has the wrong length",
            SrtpError::Malformed => "not an SRTP packet",
            SrtpError::Replayed => "SRTP packet seen before or too old",
            SrtpError::Forged => "SRTP tag does not fit",
            SrtpError::TooManySources => "more SRTP sources than allowed",
        })
    }
}

impl std::error::Error for SrtpError {}

const GCM_TAG: usize = 16;
const SHA1_TAG: usize = 10;
const INDEX_WORD: usize = 4;
/// Set in the SRTCP index word: the packet is encrypted.
const ENCRYPTED: u32 = 0x8000_0000;
/// Most sources an [`Opener`] keeps state for.
const MOST_SOURCES: usize = 64;

/// Sealer (what we send) and opener (what the peer sends) from DTLS keying material (RFC 5764 4.2):
/// client key, server key, client salt, server salt.
pub fn sessions(profile: Profile, material: &[u8], we_are_server: bool) -> Result<(Sealer, Opener), SrtpError> {
    let (key, salt) = (profile.key_bytes(), profile.salt_bytes());
    if material.len() < 2 * (key + salt) {
        return Err(SrtpError::Keys);
    }
    let (keys, salts) = material.split_at(2 * key);
    let client = (&keys[..key], &salts[..salt]);
    let server = (&keys[key..], &salts[salt..2 * salt]);
    let (ours, theirs) = if we_are_server { (server, client) } else { (client, server) };
    Ok((Sealer::new(profile, ours.0, ours.1)?, Opener::new(profile, theirs.0, theirs.1)?))
}

/// Key derivation of RFC 3711 4.3 (AES-CM PRF, derivation rate 0); 96-bit salts are padded on the right (RFC 7714 11).
fn derive(master_key: &[u8], master_salt: &[u8], label: u8, out: &mut [u8]) -> Result<(), SrtpError> {
    let mut counter = [0; 16];
    counter[..master_salt.len()].copy_from_slice(master_salt);
    counter[7] ^= label;
    out.fill(0);
    let key = counter_mode(master_key)?;
    apply_counter_mode(&key, counter, out)
}

fn counter_mode(key: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| SrtpError::Keys)?;
    EncryptingKey::ctr(key).map_err(|_| SrtpError::Keys)
}

fn apply_counter_mode(key: &EncryptingKey, counter: [u8; 16], bytes: &mut [u8]) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128(iv::FixedLength::from(counter));
    key.less_safe_encrypt(bytes, context).map(|_| ()).map_err(|_| SrtpError::Malformed)
}

/// Keys of one direction of RTP or of RTCP.
enum Cipher {
    Gcm { key: Box<LessSafeKey>, salt: [u8; 12] },
    CounterMode { key: Box<EncryptingKey>, salt: [u8; 14], authentication: Box<hmac::Key> },
}

impl Cipher {
    /// `label`: 0 for RTP, 3 for RTCP; the authentication key and the salt have the next two.
    fn new(profile: Profile, master_key: &[u8], master_salt: &[u8], label: u8) -> Result<Cipher, SrtpError> {
        if master_key.len() != profile.key_bytes() || master_salt.len() != profile.salt_bytes() {
            return Err(SrtpError::Keys);
        }
        let mut key = [0; 32];
        let key = &mut key[..profile.key_bytes()];
        derive(master_key, master_salt, label, key)?;
        match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
                let mut salt = [0; 12];
                derive(master_key, master_salt, label + 2, &mut salt)?;
                let key = UnboundKey::new(algorithm, key).map_err(|_| SrtpError::Keys)?;
                Ok(Cipher::Gcm { key: Box::new(LessSafeKey::new(key)), salt })
            }
            Profile::Aes128CmHmacSha1_80 => {
                let (mut salt, mut authentication) = ([0; 14], [0; 20]);
                derive(master_key, master_salt, label + 1, &mut authentication)?;
                derive(master_key, master_salt, label + 2, &mut salt)?;
                Ok(Cipher::CounterMode {
                    key: Box::new(counter_mode(key)?),
                    salt,
                    authentication: Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication)),
                })
            }
        }
    }
}

/// 12-byte nonce of RFC 7714 8.1 and 9.1: SSRC at 2, a 48-bit index at 6.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    for (byte, ssrc) in nonce[2..6].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= ssrc;
    }
    for (byte, index) in nonce[6..].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= index;
    }
    Nonce::assume_unique_for_key(nonce)
}

/// Counter block of RFC 3711 4.1.1: salt, SSRC at 4, a 48-bit index at 8.
fn counter_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    for (byte, ssrc) in block[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
        *byte ^= ssrc;
    }
    for (byte, index) in block[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
        *byte ^= index;
    }
    block
}

fn source(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

/// Seals what we send.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_index: u32,
    profile: Profile,
}

impl Sealer {
    /// From the sending side's master key and salt. `Err` when their lengths are not the profile's.
    pub fn new(profile: Profile, master_key: &[u8], master_salt: &[u8]) -> Result<Sealer, SrtpError> {
        Ok(Sealer {
            rtp: Cipher::new(profile, master_key, master_salt, 0)?,
            rtcp: Cipher::new(profile, master_key, master_salt, 3)?,
            rtcp_index: 0,
            profile,
        })
    }

    /// The cipher that DTLS agreed on.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Seals the RTP packet at `buffer[start..]`, whose first `header` bytes stay clear, and appends the tag.
    ///
    /// `sequence`: extended; its low 16 bits are those in the header, the rest is the rollover counter.
    /// `false` (and nothing usable in the buffer) if the crypto library refused.
    #[must_use]
    pub fn seal_rtp(&self, buffer: &mut Vec<u8>, start: usize, header: usize, sequence: u64) -> bool {
        let packet = &mut buffer[start..];
        let ssrc = source(packet, 8);
        let (head, body) = packet.split_at_mut(header);
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, sequence);
                match key.seal_in_place_separate_tag(nonce, Aad::from(&*head), body) {
                    Ok(tag) => buffer.extend_from_slice(tag.as_ref()),
                    Err(_) => return false,
                }
            }
            Cipher::CounterMode { key, salt, authentication } => {
                if apply_counter_mode(key, counter_block(salt, ssrc, sequence), body).is_err() {
                    return false;
                }
                let tag = rtp_tag(authentication, packet, sequence);
                buffer.extend_from_slice(&tag.as_ref()[..SHA1_TAG]);
            }
        }
        true
    }

    /// Seals the RTCP compound at `buffer[start..]` (8 bytes or more) and appends tag and index.
    #[must_use]
    pub fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> bool {
        let packet = &mut buffer[start..];
        if packet.len() < 8 {
            return false;
        }
        let ssrc = source(packet, 4);
        self.rtcp_index = (self.rtcp_index + 1) & !ENCRYPTED;
        let word = (self.rtcp_index | ENCRYPTED).to_be_bytes();
        let (head, body) = packet.split_at_mut(8);
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let nonce = gcm_nonce(salt, ssrc, u64::from(self.rtcp_index));
                let mut clear = [0; 12];
                clear[..8].copy_from_slice(head);
                clear[8..].copy_from_slice(&word);
                match key.seal_in_place_separate_tag(nonce, Aad::from(clear), body) {
                    Ok(tag) => buffer.extend_from_slice(tag.as_ref()),
                    Err(_) => return false,
                }
                buffer.extend_from_slice(&word);
            }
            Cipher::CounterMode { key, salt, authentication } => {
                if apply_counter_mode(key, counter_block(salt, ssrc, u64::from(self.rtcp_index)), body).is_err() {
                    return false;
                }
                buffer.extend_from_slice(&word);
                let tag = hmac::sign(authentication, &buffer[start..]);
                buffer.extend_from_slice(&tag.as_ref()[..SHA1_TAG]);
            }
        }
        true
    }
}

fn rtp_tag(key: &hmac::Key, packet: &[u8], sequence: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(&((sequence >> 16) as u32).to_be_bytes());
    context.sign()
}

/// Which of the last 128 indices came already.
#[derive(Debug, Clone, Copy, Default)]
struct Replay {
    newest: Option<u64>,
    seen: u128,
}

impl Replay {
    fn is_fresh(&self, index: u64) -> bool {
        match self.newest {
            None => true,
            Some(newest) if index > newest => true,
            Some(newest) => newest - index < 128 && self.seen >> (newest - index) & 1 == 0,
        }
    }

    fn mark(&mut self, index: u64) {
        match self.newest {
            Some(newest) if index <= newest => self.seen |= 1 << (newest - index),
            newest => {
                let step = newest.map_or(128, |newest| index - newest);
                self.seen = if step < 128 { self.seen << step } else { 0 } | 1;
                self.newest = Some(index);
            }
        }
    }
}

/// Opens what the peer sends; keeps a replay window per source. A datagram that is refused changes nothing.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: HashMap<u32, Replay>,
    rtcp_sources: HashMap<u32, Replay>,
}

/// An opened RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedRtp {
    /// The plain packet is the datagram's first `len` bytes.
    pub len: usize,
    /// Extended by the rollover counter.
    pub sequence: u64,
}

impl Opener {
    /// From the peer's master key and salt. `Err` when their lengths are not the profile's.
    pub fn new(profile: Profile, master_key: &[u8], master_salt: &[u8]) -> Result<Opener, SrtpError> {
        Ok(Opener {
            rtp: Cipher::new(profile, master_key, master_salt, 0)?,
            rtcp: Cipher::new(profile, master_key, master_salt, 3)?,
            rtp_sources: HashMap::new(),
            rtcp_sources: HashMap::new(),
        })
    }

    /// Decrypts an SRTP packet in place.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<OpenedRtp, SrtpError> {
        let header = rtp::header_bytes(packet).map_err(|_| SrtpError::Malformed)?;
        let ssrc = source(packet, 8);
        let replay = self.rtp_sources.get(&ssrc).copied().unwrap_or_default();
        if replay.newest.is_none() && self.rtp_sources.len() >= MOST_SOURCES {
            return Err(SrtpError::TooManySources);
        }
        let sequence = guess_index(replay.newest, u16::from_be_bytes([packet[2], packet[3]]));
        if !replay.is_fresh(sequence) {
            return Err(SrtpError::Replayed);
        }
        let len = match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let len = packet.len().checked_sub(GCM_TAG).filter(|len| *len >= header).ok_or(SrtpError::Malformed)?;
                let (head, body) = packet.split_at_mut(header);
                key.open_in_place(gcm_nonce(salt, ssrc, sequence), Aad::from(&*head), body)
                    .map_err(|_| SrtpError::Forged)?;
                len
            }
            Cipher::CounterMode { key, salt, authentication } => {
                let len =
                    packet.len().checked_sub(SHA1_TAG).filter(|len| *len >= header).ok_or(SrtpError::Malformed)?;
                let (clear, tag) = packet.split_at_mut(len);
                let expected = rtp_tag(authentication, clear, sequence);
                constant_time::verify_slices_are_equal(&expected.as_ref()[..SHA1_TAG], tag)
                    .map_err(|_| SrtpError::Forged)?;
                apply_counter_mode(key, counter_block(salt, ssrc, sequence), &mut clear[header..])?;
                len
            }
        };
        self.rtp_sources.entry(ssrc).or_default().mark(sequence);
        Ok(OpenedRtp { len, sequence })
    }

    /// Decrypts an SRTCP packet in place; the compound is its first bytes, as many as returned.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let trailer = match &self.rtcp {
            Cipher::Gcm { .. } => INDEX_WORD + GCM_TAG,
            Cipher::CounterMode { .. } => INDEX_WORD + SHA1_TAG,
        };
        let len = packet.len().checked_sub(trailer).filter(|len| *len >= 8).ok_or(SrtpError::Malformed)?;
        if packet[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let word_at = match &self.rtcp {
            Cipher::Gcm { .. } => packet.len() - INDEX_WORD,
            Cipher::CounterMode { .. } => len,
        };
        let (ssrc, word) = (source(packet, 4), source(packet, word_at));
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Forged); // all profiles that we speak encrypt
        }
        let index = u64::from(word & !ENCRYPTED);
        let replay = self.rtcp_sources.get(&ssrc).copied().unwrap_or_default();
        if replay.newest.is_none() && self.rtcp_sources.len() >= MOST_SOURCES {
            return Err(SrtpError::TooManySources);
        }
        if !replay.is_fresh(index) {
            return Err(SrtpError::Replayed);
        }
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let mut clear = [0; 12];
                clear[..8].copy_from_slice(&packet[..8]);
                clear[8..].copy_from_slice(&word.to_be_bytes());
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(clear), &mut packet[8..word_at])
                    .map_err(|_| SrtpError::Forged)?;
            }
            Cipher::CounterMode { key, salt, authentication } => {
                let (clear, tag) = packet.split_at_mut(word_at + INDEX_WORD);
                let expected = hmac::sign(authentication, clear);
                constant_time::verify_slices_are_equal(&expected.as_ref()[..SHA1_TAG], tag)
                    .map_err(|_| SrtpError::Forged)?;
                apply_counter_mode(key, counter_block(salt, ssrc, index), &mut clear[8..len])?;
            }
        }
        self.rtcp_sources.entry(ssrc).or_default().mark(index);
        Ok(len)
    }
}

/// RFC 3711 3.3.1: the index nearest to the newest; a first packet has rollover counter 0.
fn guess_index(newest: Option<u64>, sequence: u16) -> u64 {
    let sequence = u64::from(sequence);
    let Some(newest) = newest else { return sequence };
    let near = newest & !0xffff | sequence;
    if near + 0x8000 < newest {
        near + 0x1_0000
    } else if near > newest + 0x8000 && near >= 0x1_0000 {
        near - 0x1_0000
    } else {
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmHmacSha1_80];

    fn pair(profile: Profile) -> (Sealer, Opener) {
        let material: Vec<u8> = (0..2 * (profile.key_bytes() + profile.salt_bytes()) as u8).collect();
        let (server, _) = sessions(profile, &material, true).unwrap();
        let (_, client) = sessions(profile, &material, false).unwrap();
        (server, client)
    }

    fn packet(sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        rtp::Header { marker: false, payload_type: 96, sequence: sequence as u16, timestamp: 1, ssrc: 0xcafe }
            .write(&[], &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn key_derivation_matches_rfc_3711() {
        let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
        let (mut cipher, mut session_salt, mut authentication) = ([0; 16], [0; 14], [0; 20]);
        derive(&key, &salt, 0, &mut cipher).unwrap();
        derive(&key, &salt, 1, &mut authentication).unwrap();
        derive(&key, &salt, 2, &mut session_salt).unwrap();
        assert_eq!(cipher.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(session_salt.to_vec(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(authentication.to_vec(), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    /// RFC 3711 appendix B.2: the key stream of AES-CM.
    #[test]
    fn counter_mode_matches_rfc_3711() {
        let key = counter_mode(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = [0; 48];
        apply_counter_mode(&key, counter_block(&salt, 0, 0), &mut stream).unwrap();
        let expected =
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream.to_vec(), hex(expected));
    }

    /// RFC 7714 section 16.1.1: one SRTP packet, with session keys given.
    #[test]
    fn gcm_matches_rfc_7714() {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &hex("000102030405060708090a0b0c0d0e0f")).unwrap());
        let salt: [u8; 12] = hex("517569642070726f2071756f").try_into().unwrap();
        let header = hex("8040f17b8041f8d35501a0b2");
        let mut body = hex("47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573");
        let tag = key
            .seal_in_place_separate_tag(gcm_nonce(&salt, 0x5501_a0b2, 0xf17b), Aad::from(&header), &mut body)
            .unwrap();
        body.extend_from_slice(tag.as_ref());
        let expected = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce";
        assert_eq!(body, hex(expected));
    }

    #[test]
    fn rtp_round_trips_over_a_rollover() {
        for profile in PROFILES {
            let (sealer, mut opener) = pair(profile);
            for sequence in 65_530u64..65_545 {
                let mut buffer = packet(sequence, b"media");
                assert!(sealer.seal_rtp(&mut buffer, 0, 12, sequence));
                assert_eq!(buffer.len(), 12 + 5 + profile.overhead());
                let opened = opener.open_rtp(&mut buffer).unwrap();
                assert_eq!((opened.sequence, &buffer[..opened.len]), (sequence, &packet(sequence, b"media")[..]));
            }
        }
    }

    #[test]
    fn rtcp_round_trips() {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            for _ in 0..3 {
                let mut plain = Vec::new();
                crate::rtcp::write_sender_report(7, 1, 2, 3, 4, &mut plain);
                let mut buffer = plain.clone();
                assert!(sealer.seal_rtcp(&mut buffer, 0));
                let len = opener.open_rtcp(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], &plain[..]);
            }
        }
    }

    #[test]
    fn replayed_packets_are_refused_and_late_ones_are_not() {
        for profile in PROFILES {
            let (sealer, mut opener) = pair(profile);
            let sealed = |sequence| {
                let mut buffer = packet(sequence, b"x");
                assert!(sealer.seal_rtp(&mut buffer, 0, 12, sequence));
                buffer
            };
            opener.open_rtp(&mut sealed(1000)).unwrap();
            opener.open_rtp(&mut sealed(1010)).unwrap();
            opener.open_rtp(&mut sealed(1005)).unwrap();
            assert_eq!(opener.open_rtp(&mut sealed(1005)), Err(SrtpError::Replayed));
            assert_eq!(opener.open_rtp(&mut sealed(1000)), Err(SrtpError::Replayed));
            assert_eq!(opener.open_rtp(&mut sealed(800)), Err(SrtpError::Replayed));
        }
    }

    #[test]
    fn damage_anywhere_is_refused_and_changes_nothing() {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let mut whole = packet(5, b"some payload");
            assert!(sealer.seal_rtp(&mut whole, 0, 12, 5));
            let mut report = Vec::new();
            crate::rtcp::write_sender_report(7, 1, 2, 3, 4, &mut report);
            assert!(sealer.seal_rtcp(&mut report, 0));
            for bit in 0..8 * whole.len() {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(opener.open_rtp(&mut damaged).is_err());
            }
            for bit in 0..8 * report.len() {
                let mut damaged = report.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(opener.open_rtcp(&mut damaged).is_err());
            }
            for end in 0..whole.len() {
                assert!(opener.open_rtp(&mut whole[..end].to_vec()).is_err());
            }
            for end in 0..report.len() {
                assert!(opener.open_rtcp(&mut report[..end].to_vec()).is_err());
            }
            assert!(opener.rtp_sources.is_empty() && opener.rtcp_sources.is_empty());
            assert!(opener.open_rtp(&mut whole).is_ok());
            assert!(opener.open_rtcp(&mut report).is_ok());
        }
    }
}
