//! Randomness from outside, and the ICE credentials made of it.

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
        todo!()
    }
}

/// ICE credentials; the ufrag's first two characters carry the worker's index, for steering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    /// Fresh credentials for a session that lives on `worker` (0..4096).
    pub fn new(worker: u16, entropy: &mut Entropy) -> Credentials {
        let _ = (worker, entropy);
        todo!()
    }

    /// The worker that a ufrag of ours names; `None` for others.
    pub fn worker_of(ufrag: &str) -> Option<u16> {
        let _ = ufrag;
        todo!()
    }
}
