//! What a call of the node can answer instead of a result.

use thiserror::Error;

/// A refused call. [`NodeError::code`] is stable, [`NodeError::status`] the HTTP status that fits.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error("no stream {0:?} is live on this node")]
    StreamUnknown(String),
    #[error("no session {0:?} is open on this node")]
    SessionUnknown(String),
    #[error("this node carries its {0} subscribers already; try again later or elsewhere")]
    Full(usize),
    #[error("{0} sessions of this node wait for their first check; try again later")]
    Crowded(usize),
    #[error("stream {0:?} is fed by a publisher, not by inject()")]
    NotInjected(String),
    #[error(transparent)]
    Core(#[from] sfu::SfuError),
    #[error("{0}")]
    Config(String),
    #[error("{action}: {source}")]
    System { action: &'static str, source: std::io::Error },
    #[error("the media core is shut down")]
    Down,
    #[error("the media worker is too busy to take a call; try again later")]
    Busy,
    #[error("the media worker did not answer within {0} s")]
    Late(u64),
}

impl NodeError {
    /// Stable name of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            NodeError::StreamUnknown(_) => "stream_unknown",
            NodeError::SessionUnknown(_) => "session_unknown",
            NodeError::Full(_) => "full",
            NodeError::NotInjected(_) => "not_injected",
            NodeError::Core(error) => error.code(),
            NodeError::Config(_) => "bad_config",
            NodeError::System { .. } => "system",
            NodeError::Down => "down",
            NodeError::Busy | NodeError::Crowded(_) => "busy",
            NodeError::Late(_) => "late",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            NodeError::StreamUnknown(_) | NodeError::SessionUnknown(_) => 404,
            NodeError::Full(_) | NodeError::Crowded(_) | NodeError::Down | NodeError::Busy | NodeError::Late(_) => 503,
            NodeError::NotInjected(_) => 409,
            NodeError::Core(error) => error.status(),
            NodeError::Config(_) => 400,
            NodeError::System { .. } => 500,
        }
    }
}
