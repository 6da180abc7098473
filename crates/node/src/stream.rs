//! A stream on one worker: its cache, who takes it here, and, on the worker that owns it, who feeds it.

use std::collections::VecDeque;
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

/// Pictures that not all subscribers have been sent yet: of each burst when it came, and how many, from `Stream::turn` on, wait for it.
#[derive(Default)]
pub(crate) struct Lap(VecDeque<(Instant, usize)>);

impl Lap {
    /// A burst came, for so many.
    pub(crate) fn add(&mut self, arrival: Instant, subscribers: usize) {
        self.0.push_back((arrival, subscribers));
    }

    /// How many are still to be served.
    pub(crate) fn owed(&self) -> usize {
        self.0.back().map_or(0, |(_, waiting)| *waiting)
    }

    /// When the oldest burst came that somebody waits for.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.0.front().map(|(arrival, _)| *arrival)
    }

    /// So many were sent all that there is.
    pub(crate) fn served(&mut self, subscribers: usize) {
        self.0.iter_mut().for_each(|(_, waiting)| *waiting = waiting.saturating_sub(subscribers));
        self.0.retain(|(_, waiting)| *waiting > 0);
    }

    /// Places have moved: nobody of these many may be passed over.
    pub(crate) fn again(&mut self, subscribers: usize) {
        if let Some((_, waiting)) = self.0.back_mut() {
            *waiting = subscribers;
        }
        self.0.retain(|(_, waiting)| *waiting > 0);
    }
}

/// See the module.
pub(crate) struct Stream {
    pub(crate) cache: StreamCache,
    pub(crate) feed: Feed,
    /// Slots of its subscribers on this worker.
    pub(crate) subscribers: Vec<usize>,
    pub(crate) taps: Vec<Tapped>,
    /// Who is served next: everyone in turn.
    pub(crate) turn: usize,
    pub(crate) lap: Lap,
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
            lap: Lap::default(),
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
