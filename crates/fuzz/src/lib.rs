//! Where hostile bytes come in: an entry point for each parser of `wire` and for the state machines of `sfu`. Each may be given
//! anything and must neither panic nor break what it asserts.
//!
//! `make fuzz` searches with libFuzzer, led by coverage; what it found worth keeping lies in `corpus/` and is replayed by
//! `cargo test`.
mod corpus;
mod parsers;
mod peer;
mod sessions;

pub use corpus::inputs;
pub use sessions::history;

/// An entry point.
pub type Target = fn(&[u8]);

/// All, by name: the file of the corpus, and what `FUZZ_TARGET` names.
pub const TARGETS: [(&str, Target); 15] = [
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
    ("whep_offer", sessions::whep_offer),
    ("whip_offer", sessions::whip_offer),
    ("subscriber", sessions::subscriber),
    ("ingest", sessions::ingest),
];

/// The entry point of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
