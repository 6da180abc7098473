//! A stream on one worker: its cache, who takes it here, and, on the worker that owns it, who feeds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sfu::{Injector, Layer, Resolution, StreamCache, StreamDescription, Tap};

use crate::tap::TapQueue;

/// A stream that has lost its source waits so long for another one (a publisher that comes back, the next upstream).
pub(crate) const ORPHAN_LINGER: Duration = Duration::from_secs(10);

/// Who feeds a stream.
pub(crate) enum Feed {
    /// Another worker owns the stream; its bursts come by the inbox.
    Elsewhere,
    /// A session in the slot given.
    Ingest(usize),
    /// Our own encoder, by `inject`.
    Injector(Box<Injector>),
    /// Nobody, since then.
    Orphan(Instant),
}

/// A reader of access units.
pub(crate) struct Tapped {
    pub(crate) tap: Tap,
    pub(crate) queue: Arc<TapQueue>,
}

/// See the module.
pub(crate) struct Stream {
    pub(crate) cache: StreamCache,
    pub(crate) feed: Feed,
    /// Slots of its subscribers on this worker.
    pub(crate) subscribers: Vec<usize>,
    pub(crate) taps: Vec<Tapped>,
    /// Who is served first by the next burst: everyone in turn.
    pub(crate) turn: usize,
    pub(crate) key_frame_requests: u64,
    /// What viewers could choose from when it was last told.
    pub(crate) choices: Vec<(Layer, Option<Resolution>)>,
}

impl Stream {
    pub(crate) fn new(description: StreamDescription, feed: Feed) -> Stream {
        Stream {
            cache: StreamCache::new(description),
            feed,
            subscribers: Vec::new(),
            taps: Vec::new(),
            turn: 0,
            key_frame_requests: 0,
            choices: Vec::new(),
        }
    }

    /// Media may come: there is a source, or there was one a moment ago.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        match self.feed {
            Feed::Orphan(since) => now.saturating_duration_since(since) < ORPHAN_LINGER,
            Feed::Elsewhere | Feed::Ingest(_) | Feed::Injector(_) => true,
        }
    }
}
