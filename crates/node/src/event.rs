//! What the node tells its owner: a bounded queue, and a descriptor that is readable while something is in it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError};

use sfu::DataClose;

use crate::train::RungRefused;
use crate::wake::Wake;

/// Events kept while nobody reads. The oldest go first, and how many is told.
const QUEUE: usize = 16_384;
/// Bytes of messages on data channels that wait in it: 1,024 of 4 KiB. One more is dropped and counted.
const MESSAGE_BYTES: usize = 4 << 20;
/// What a message costs besides its bytes.
const MESSAGE_OVERHEAD: usize = 256;

/// Something that happened to a stream or session, or to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS of a session are up.
    SessionConnected {
        /// Its name.
        session: String,
        /// The stream that it takes or brings.
        stream: String,
    },
    /// A session is over.
    SessionClosed {
        /// Its name.
        session: String,
        /// The stream that it took or brought.
        stream: String,
        /// Why, a stable name ([`sfu::CloseReason::code`]).
        reason: &'static str,
    },
    /// A subscriber's video comes from this layer now; `None`: its path has room for sound only.
    LayerChanged {
        /// The subscriber's name.
        session: String,
        /// The stream that it takes.
        stream: String,
        /// The layer that it gets now.
        layer: Option<sfu::Layer>,
    },
    /// Other layers of a stream are alive than before, or their pictures have other sizes.
    LayersChanged {
        /// Its name.
        stream: String,
    },
    /// First media of a stream, or of its new source.
    StreamStarted {
        /// Its name.
        stream: String,
        /// The session that brings it; `None`: it is injected.
        session: Option<String>,
    },
    /// A stream is over: nothing feeds it, and nobody is waited for.
    StreamEnded {
        /// Its name.
        stream: String,
        /// Why, a stable name.
        reason: &'static str,
    },
    /// The source of a stream has sent nothing for a second.
    StreamSilent {
        /// Its name.
        stream: String,
        /// The session that brings it.
        session: String,
    },
    /// It sends again.
    StreamResumed {
        /// Its name.
        stream: String,
        /// The session that brings it.
        session: String,
    },
    /// The encoder that feeds an injected stream shall make a key frame.
    KeyFrameWanted {
        /// Its name.
        stream: String,
    },
    /// The kernel refused a way of sending; a lower one is used.
    SendRung(RungRefused),
    /// A session has opened a data channel (a subscriber), or its data channel is open (a source).
    ChannelOpened {
        /// The session's name.
        session: Arc<str>,
        /// The stream that it takes or brings.
        stream: Arc<str>,
        /// What the channel is called.
        label: Arc<str>,
    },
    /// A data channel of a session is over.
    ChannelClosed {
        /// The session's name.
        session: Arc<str>,
        /// The stream that it takes or brings.
        stream: Arc<str>,
        /// What the channel was called.
        label: Arc<str>,
        /// Why.
        why: DataClose,
    },
    /// A message on a session's data channel. `text`: the peer says that it is UTF-8.
    Message {
        /// The session's name.
        session: Arc<str>,
        /// The stream that it takes or brings.
        stream: Arc<str>,
        /// What the channel is called.
        label: Arc<str>,
        /// The peer says that it is UTF-8; not checked.
        text: bool,
        /// The message.
        bytes: Vec<u8>,
    },
}

/// The queue of events of a node.
#[derive(Debug)]
pub struct Events {
    queue: Mutex<Queue>,
    wake: Wake,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    message_bytes: usize,
    messages_dropped: u64,
}

/// What an event counts against [`MESSAGE_BYTES`].
fn message_bytes(event: &Event) -> usize {
    if let Event::Message { bytes, .. } = event { bytes.len() + MESSAGE_OVERHEAD } else { 0 }
}

impl Events {
    pub(crate) fn new() -> io::Result<Events> {
        Ok(Events { queue: Mutex::default(), wake: Wake::new()? })
    }

    pub(crate) fn push(&self, event: Event) {
        // A poisoned lock means that a reader panicked between two whole operations on the queue: it is intact.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = message_bytes(&event);
        if queue.message_bytes + bytes > MESSAGE_BYTES && bytes > 0 {
            queue.messages_dropped += 1;
            return;
        }
        if queue.events.len() == QUEUE
            && let Some(oldest) = queue.events.pop_front()
        {
            queue.message_bytes -= message_bytes(&oldest);
        }
        queue.message_bytes += bytes;
        queue.events.push_back(event);
        if queue.events.len() == 1 {
            self.wake.raise();
        }
    }

    /// All events so far, oldest first.
    pub fn drain(&self) -> Vec<Event> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.lower();
        queue.message_bytes = 0;
        std::mem::take(&mut queue.events).into()
    }

    /// Messages that found no room because nobody read, ever.
    pub fn messages_dropped(&self) -> u64 {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).messages_dropped
    }

    /// Readable while [`Events::drain`] has something.
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_nobody_reads_are_bounded_and_push_nothing_out() {
        let events = Events::new().unwrap();
        let name: Arc<str> = "x".into();
        events.push(Event::StreamEnded { stream: "first".into(), reason: "ended" });
        for _ in 0..1000 {
            events.push(Event::Message {
                session: Arc::clone(&name),
                stream: Arc::clone(&name),
                label: Arc::clone(&name),
                text: true,
                bytes: vec![0; 16 << 10],
            });
        }
        let kept = events.drain();
        assert!(matches!(&kept[0], Event::StreamEnded { .. }));
        let bytes: usize = kept.iter().map(message_bytes).sum();
        assert!(bytes <= MESSAGE_BYTES && bytes > MESSAGE_BYTES - (20 << 10), "{bytes}");
        assert_eq!(kept.len() as u64 - 1 + events.messages_dropped(), 1000);
        events.push(Event::StreamEnded { stream: "last".into(), reason: "ended" });
        assert_eq!(events.drain().len(), 1);
    }
}
