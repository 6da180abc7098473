//! What the node tells its owner: a bounded queue, and a descriptor that is readable while something is in it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};

use crate::train::RungRefused;
use crate::wake::Wake;

/// Events kept while nobody reads. The oldest go first, and how many is told.
const QUEUE: usize = 16_384;

/// Something that happened to a stream or session, or to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    SessionConnected {
        session: String,
        stream: String,
    },
    SessionClosed {
        session: String,
        stream: String,
        reason: &'static str,
    },
    /// A subscriber's video comes from this layer now; `None`: its path has room for sound only.
    LayerChanged {
        session: String,
        stream: String,
        layer: Option<sfu::Layer>,
    },
    /// First media of a stream, or of its new source.
    StreamStarted {
        stream: String,
        session: Option<String>,
    },
    StreamEnded {
        stream: String,
        reason: &'static str,
    },
    /// The source of a stream has sent nothing for a second.
    StreamSilent {
        stream: String,
        session: String,
    },
    /// The encoder that feeds an injected stream shall make a key frame.
    KeyFrameWanted {
        stream: String,
    },
    SendRung(RungRefused),
}

/// The queue of events of a node.
#[derive(Debug)]
pub struct Events {
    queue: Mutex<VecDeque<Event>>,
    wake: Wake,
}

impl Events {
    pub(crate) fn new() -> io::Result<Events> {
        Ok(Events { queue: Mutex::new(VecDeque::new()), wake: Wake::new()? })
    }

    pub(crate) fn push(&self, event: Event) {
        // A poisoned lock means that a reader panicked between two whole operations on the queue: it is intact.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == QUEUE {
            queue.pop_front();
        }
        queue.push_back(event);
        if queue.len() == 1 {
            self.wake.raise();
        }
    }

    /// All events so far, oldest first.
    pub fn drain(&self) -> Vec<Event> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.lower();
        queue.drain(..).collect()
    }

    /// Readable while [`Events::drain`] has something.
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }
}
