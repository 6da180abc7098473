//! Randomness from outside, and the ICE credentials made of it.
use aws_lc_rs::digest;

/// A stream of random bytes grown from one seed that the caller provides.
#[derive(Clone)]
pub struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// `seed` comes from the operating system; equal seeds give equal bytes, so never use one twice outside tests.
    pub fn new(seed: [u8; 32]) -> Entropy {
        Entropy { seed, drawn: 0 }
    }

    /// The next 32 bytes.
    pub fn draw(&mut self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.seed);
        context.update(&self.drawn.to_be_bytes());
        self.drawn += 1;
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        bytes
    }

    /// The next 32 bits.
    pub(crate) fn draw_u32(&mut self) -> u32 {
        let bytes = self.draw();
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Letters and digits, 6 bits of randomness each.
    pub(crate) fn draw_text(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let bytes = self.draw();
            text.extend(
                bytes.iter().take(length - text.len()).map(|byte| char::from(ALPHABET[usize::from(byte & 63)])),
            );
        }
        text
    }
}

/// The characters of ICE credentials (RFC 8839 `ice-char`): 64 of them.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// ICE credentials; the ufrag's first two characters carry the worker's index, for steering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Our name in the checks of a session; begins with the worker's number.
    pub ufrag: String,
    /// Key for the checks (message integrity); a secret.
    pub password: String,
}

impl Credentials {
    /// Fresh credentials for a session that lives on `worker` (0..4096; higher bits are lost).
    pub fn new(worker: u16, entropy: &mut Entropy) -> Credentials {
        let digit = |value: u16| char::from(ALPHABET[usize::from(value & 63)]);
        let ufrag: String =
            [digit(worker >> 6), digit(worker)].into_iter().chain(entropy.draw_text(8).chars()).collect();
        Credentials { ufrag, password: entropy.draw_text(24) }
    }

    /// The worker that a ufrag of ours names; `None` for texts that cannot be ours.
    pub fn worker_of(ufrag: &str) -> Option<u16> {
        let value = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).map(|at| at as u16);
        match ufrag.as_bytes() {
            [high, low, rest @ ..] if rest.len() == 8 => Some(value(*high)? << 6 | value(*low)?),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ufrags_name_their_worker() {
        let mut entropy = Entropy::new([7; 32]);
        for worker in [0, 1, 63, 64, 4095] {
            let credentials = Credentials::new(worker, &mut entropy);
            assert_eq!(Credentials::worker_of(&credentials.ufrag), Some(worker));
            assert!(credentials.password.len() >= 22, "RFC 8839: at least 128 bits");
        }
        assert_eq!(Credentials::worker_of("tDme"), None);
    }

    #[test]
    fn draws_differ() {
        let mut entropy = Entropy::new([7; 32]);
        assert_ne!(entropy.draw(), entropy.draw());
    }
}
