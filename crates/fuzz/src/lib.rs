//! Where hostile bytes come in: an entry point for each parser of `wire` and for the state machines of `sfu`. Each may be given
//! anything and must neither panic nor break what it asserts.
//!
//! `make fuzz` searches with libFuzzer, led by coverage; what it found worth keeping lies in `corpus/` and is replayed by
//! `cargo test`.
#[cfg(feature = "sessions")]
mod association;
#[cfg(feature = "sessions")]
mod channels;
mod corpus;
#[cfg(feature = "sessions")]
mod memory;
#[cfg(feature = "sessions")]
mod offers;
mod parsers;
#[cfg(feature = "sessions")]
mod sessions;

pub use corpus::inputs;

/// An entry point.
pub type Target = fn(&[u8]);

/// Those of the parsers, by name: the file of the corpus, and what `FUZZ_TARGET` names.
pub const PARSERS: [(&str, Target); 11] = [
    ("rtp", parsers::rtp),
    ("rtcp", parsers::rtcp),
    ("srtp", parsers::srtp),
    ("stun", parsers::stun),
    ("sdp", parsers::sdp),
    ("h264", parsers::h264),
    ("h264_stream", parsers::h264_stream),
    ("vp8", parsers::vp8),
    ("vp9", parsers::vp9),
    ("av1", parsers::av1),
    ("red", parsers::red),
];

/// Those of the state machines.
#[cfg(feature = "sessions")]
pub const SESSIONS: [(&str, Target); 6] = [
    ("whep_offer", offers::whep_offer),
    ("whip_offer", offers::whip_offer),
    ("subscriber", sessions::subscriber),
    ("ingest", sessions::ingest),
    ("subscriber_data", channels::subscriber_data),
    ("ingest_data", channels::ingest_data),
];
#[cfg(not(feature = "sessions"))]
pub const SESSIONS: [(&str, Target); 0] = [];

/// The entry point of that name.
pub fn target(name: &str) -> Option<Target> {
    PARSERS.iter().chain(&SESSIONS).find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Everything that the session of the last input was told, as one input: what led to a panic that its last input alone does not.
pub fn history() -> Vec<u8> {
    #[cfg(feature = "sessions")]
    return sessions::history();
    #[cfg(not(feature = "sessions"))]
    return Vec::new();
}
