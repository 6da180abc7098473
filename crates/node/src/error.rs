//! What a call of the node can answer instead of a result.

use thiserror::Error;

/// A refused call. [`NodeError::code`] is stable, [`NodeError::status`] the HTTP status that fits.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Nobody publishes, injects or pulls that stream here.
    #[error("no stream {0:?} is live on this node")]
    StreamUnknown(String),
    /// There is no session of that name here.
    #[error("no session {0:?} is open on this node")]
    SessionUnknown(String),
    /// All places for subscribers are taken: so many.
    #[error("this node carries its {0} subscribers already; try again later or elsewhere")]
    Full(usize),
    /// So many sessions have never been used and are too young to make room.
    #[error("{0} sessions of this node wait for their first check; try again later")]
    Crowded(usize),
    /// The stream of that name has a publisher; nothing can be injected.
    #[error("stream {0:?} is fed by a publisher, not by inject()")]
    NotInjected(String),
    /// What the core says of an offer, an answer or a fragment.
    #[error(transparent)]
    Core(#[from] sfu::SfuError),
    /// The node cannot be set up like this.
    #[error("{0}")]
    Config(String),
    /// A system call failed.
    #[error("{action}: {source}")]
    System {
        /// What was to be done.
        action: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The node was shut down.
    #[error("the media core is shut down")]
    Down,
    /// The worker's inbox is full.
    #[error("the media worker is too busy to take a call; try again later")]
    Busy,
    /// So many seconds have passed without an answer.
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
