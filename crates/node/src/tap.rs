//! Access units on their way from a worker to a reader on another thread.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sfu::{AccessUnit, Kind};

use crate::wake::Wake;

/// What a reader may leave unread. 64 MiB are minutes of video; a reader so late has stopped.
const QUEUE_BYTES: usize = 64 << 20;

/// A bounded queue of access units. A reader that is too slow loses whole groups of pictures, and is told by `lost_before`.
#[derive(Debug)]
pub struct TapQueue {
    state: Mutex<State>,
    wake: Wake,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    units: VecDeque<AccessUnit>,
    bytes: usize,
    /// Video is left out until its next key frame, because the queue overflowed.
    skipping: bool,
    dropped: u64,
}

impl TapQueue {
    pub(crate) fn new() -> io::Result<TapQueue> {
        Ok(TapQueue { state: Mutex::default(), wake: Wake::new()?, closed: AtomicBool::new(false) })
    }

    pub(crate) fn push(&self, mut unit: AccessUnit) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full = state.bytes + unit.data.len() > QUEUE_BYTES;
        if full {
            state.skipping = true;
        }
        if full || (state.skipping && unit.kind == Kind::Video && !unit.key_frame) {
            state.dropped += 1;
            return;
        }
        if state.skipping && unit.kind == Kind::Video {
            state.skipping = false;
            unit.lost_before = true;
        }
        state.bytes += unit.data.len();
        state.units.push_back(unit);
        if state.units.len() == 1 {
            self.wake.raise();
        }
    }

    /// All access units so far, oldest first.
    pub fn drain(&self) -> Vec<AccessUnit> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.lower();
        state.bytes = 0;
        state.units.drain(..).collect()
    }

    /// Access units dropped because the reader was too slow.
    pub fn dropped(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// Readable while [`TapQueue::drain`] has something, and once more when the stream has ended.
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }

    /// The stream has ended or the reader has closed it: nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No more access units, please.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.raise();
    }
}
