//! What can go wrong when a session is set up; every variant is the peer's fault unless it says otherwise.
use std::fmt;

/// A refused offer, answer or fragment. Nothing of the kind comes from datagrams: those are counted and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SfuError {
    /// The SDP cannot be read or lacks something we need; says what.
    BadSdp(String),
    /// Offer and stream have no codec in common; says which we have.
    NoCommonCodec(String),
    /// The call does not fit the session's state (e.g. an answer to a session that made no offer).
    WrongState(&'static str),
    /// A fault of ours (key generation, crypto library).
    Internal(String),
}

impl SfuError {
    /// Stable name for API users.
    pub fn code(&self) -> &'static str {
        match self {
            SfuError::BadSdp(_) => "bad_sdp",
            SfuError::NoCommonCodec(_) => "no_common_codec",
            SfuError::WrongState(_) => "wrong_state",
            SfuError::Internal(_) => "internal",
        }
    }

    /// The HTTP status that fits.
    pub fn status(&self) -> u16 {
        match self {
            SfuError::BadSdp(_) => 400,
            SfuError::NoCommonCodec(_) => 422,
            SfuError::WrongState(_) => 409,
            SfuError::Internal(_) => 500,
        }
    }
}

impl fmt::Display for SfuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SfuError::BadSdp(what) => write!(f, "the SDP cannot be used: {what}"),
            SfuError::NoCommonCodec(what) => write!(f, "no codec in common: {what}"),
            SfuError::WrongState(what) => write!(f, "not possible now: {what}"),
            SfuError::Internal(what) => write!(f, "internal fault: {what}"),
        }
    }
}

impl std::error::Error for SfuError {}
