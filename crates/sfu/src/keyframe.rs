//! Key-frame requests, gathered.
use std::time::{Duration, Instant};

/// Lets one request through per interval.
#[derive(Debug, Clone)]
pub struct KeyFrameGate {
    interval: Duration,
    last: Option<Instant>,
}

impl KeyFrameGate {
    /// Least time between two requests that pass.
    pub const INTERVAL: Duration = Duration::from_millis(500);

    /// Open; `interval` is the least time between two requests that pass.
    pub fn new(interval: Duration) -> KeyFrameGate {
        KeyFrameGate { interval, last: None }
    }

    /// Whether a request made now may go upstream; if so, the next one must wait.
    pub fn pass(&mut self, now: Instant) -> bool {
        let open = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if open {
            self.last = Some(now);
        }
        open
    }
}

impl Default for KeyFrameGate {
    fn default() -> Self {
        KeyFrameGate::new(KeyFrameGate::INTERVAL)
    }
}
