//! What reaches a worker from other threads: media and control from the other workers, calls from the owner of the node.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use sfu::{Answer, Burst, Kind, Layer, LayerWish, Peer, StreamDescription, Trickle};

use crate::error::NodeError;
use crate::gate::Admitted;
use crate::tap::TapQueue;

/// A stream's name, shared by all who mention it.
pub(crate) type StreamName = Arc<str>;

/// Where the answer to a call goes; the caller waits on the other end.
pub(crate) type Reply<T> = SyncSender<Result<T, NodeError>>;

/// One item of a worker's inbox. Items from one thread are handled in the order in which it sent them.
pub(crate) enum Post {
    /// A datagram that came to another worker's socket.
    Datagram {
        from: Peer,
        bytes: Box<[u8]>,
    },
    /// A TCP connection whose first check names this worker.
    Connection(Box<Admitted>),
    /// What a stream holds, or holds now.
    Described {
        stream: StreamName,
        description: StreamDescription,
    },
    /// Packets of a stream whose source is another worker's.
    Burst {
        stream: StreamName,
        burst: Burst,
    },
    /// A stream is over: its subscribers are to be closed.
    Ended {
        stream: StreamName,
        reason: &'static str,
    },
    /// Somebody needs a key frame of a stream whose source is ours: of one layer, or (`None`) of all at once.
    KeyFrameWanted {
        stream: StreamName,
        layer: Option<Layer>,
    },
    /// An access unit of our own encoder.
    Inject {
        stream: StreamName,
        kind: Kind,
        access_unit: Vec<u8>,
        time: u32,
        key_frame: bool,
    },
    /// A message for data channels: of all who take the stream, or of one session.
    Tell {
        to: Audience,
        message: Arc<Message>,
    },
    Call(Call),
    Stop,
}

/// Whose data channels a message is for.
#[derive(Debug, Clone)]
pub(crate) enum Audience {
    /// All who take the stream here, less the session that it came from.
    Stream {
        stream: StreamName,
        except: Option<Arc<str>>,
    },
    Session(Arc<str>),
}

/// What is to be said on the channel of that label; encoded once, for everybody.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) label: Box<str>,
    pub(crate) text: bool,
    pub(crate) bytes: Box<[u8]>,
}

/// A call that somebody waits for.
pub(crate) enum Call {
    Publish {
        stream: StreamName,
        session: Arc<str>,
        offer: String,
        reply: Reply<Answer>,
    },
    /// Without an offer we make one, which [`Call::Accept`] answers.
    Subscribe {
        stream: StreamName,
        session: Arc<str>,
        offer: Option<String>,
        layers_all: bool,
        reply: Reply<Answer>,
    },
    Pull {
        stream: StreamName,
        session: Arc<str>,
        labels: Vec<String>,
        reply: Reply<Answer>,
    },
    Accept {
        session: Arc<str>,
        answer: String,
        reply: Reply<()>,
    },
    Trickle {
        session: Arc<str>,
        fragment: String,
        reply: Reply<Trickle>,
    },
    Choose {
        session: Arc<str>,
        wish: LayerWish,
        reply: Reply<()>,
    },
    Close {
        session: Arc<str>,
        reply: Reply<bool>,
    },
    Open {
        stream: StreamName,
        description: StreamDescription,
        reply: Reply<()>,
    },
    End {
        stream: StreamName,
        reply: Reply<()>,
    },
    Tap {
        stream: StreamName,
        queue: Arc<TapQueue>,
        reply: Reply<()>,
    },
}
