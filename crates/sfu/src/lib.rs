//! The media core without sockets, clock, threads or randomness of its own.
//!
//! Everything here is driven: time is an argument (`now`), datagrams are arguments, entropy is an argument, and what
//! must be sent is written into an [`Outbox`] which the caller flushes. One value lives on one thread; what crosses
//! threads is immutable: [`Burst`] (`Arc<[Arc<Packet>]>`), [`StreamDescription`] and [`Identity`].
//!
//! # The parts
//!
//! ```text
//!   Ingest (WHIP publisher, WHEP pull)  ─┐                        ┌─► Subscriber (one WHEP viewer)
//!   Injector (our own encoder)          ─┴─► Burst ─► StreamCache ┼─► Subscriber
//!                                           (one per worker)      └─► Tap (access units)
//! ```
//!
//! # The order in which to call things
//!
//! Once a process: [`Identity::generate`].
//!
//! A stream's source (on the worker that owns it):
//! 1. [`Ingest::publish`] / [`Ingest::pull`] + [`Ingest::accept`] / [`Injector::new`].
//! 2. After **any** call that takes `&mut Ingest`, drain it: [`Ingest::poll`] (datagrams to the [`Outbox`]),
//!    [`Ingest::poll_event`] until `None`, [`Ingest::poll_burst`] until `None`, then re-arm the timer with
//!    [`Ingest::poll_timeout`]. An [`Injector`] has only bursts and no timer.
//! 3. [`IngestEvent::Started`] carries the [`StreamDescription`]: send it to every worker, which makes a
//!    [`StreamCache`] from it (or calls [`StreamCache::describe`] when it has one already). Bursts follow in order.
//!
//! A stream on each worker, for each burst that came through the ring:
//! 1. `let late = cache.push(&burst)`, once.
//! 2. for each subscriber of that stream: [`Subscriber::forward`]; flush the [`Outbox`] every 16 subscribers or so. Where there are
//!    so many that the last of them would wait: [`Subscriber::forward_sound`] for all at once, then `forward` in portions.
//! 3. for each tap: [`Tap::push`], then [`Tap::poll`] until `None`.
//!
//! A subscriber (on the worker that its ufrag names):
//! 1. [`Subscriber::answer`] with the WHEP offer: the answer's SDP is complete, nothing to gather.
//! 2. a datagram for it: [`Subscriber::handle_datagram`]; a burst: [`Subscriber::forward`]; its timer:
//!    [`Subscriber::handle_timeout`]. Each writes into the outbox. Afterwards: [`Subscriber::poll_event`] until `None`
//!    and [`Subscriber::poll_timeout`]. Timers come as close as 1 ms while a backlog is paced out.
//! 3. [`SubscriberEvent::KeyFrameWanted`]: ask [`StreamCache::want_key_frame`]; when it says yes, send the wish to the
//!    worker that owns the source: [`Ingest::request_key_frame`] or [`Injector::request_key_frame`]. Both levels
//!    keep 500 ms between two requests, so a thousand joins are one PLI.
//! 4. [`Subscriber::poll_data`] until `None`: data channels of the peer; [`Subscriber::send_data`] answers or tells.
//! 5. [`SubscriberEvent::Closed`]: drop it. [`Subscriber::close`] to end it ourselves (RTCP BYE, DTLS close).
//!
//! # Which worker a datagram belongs to
//!
//! STUN checks carry our ufrag: [`stun_ufrag`] reads it without copying and [`Credentials::worker_of`] tells the worker
//! in it. All other datagrams are found by the peer's address, learnt from the last STUN check that its session accepted
//! ([`Subscriber::remote`], [`Ingest::remote`]): a table `Peer -> session` in the shell. [`DatagramKind::of`] sorts by the
//! first byte (RFC 7983).
#![warn(missing_docs)]
mod assemble;
mod cache;
mod candidates;
mod clock;
mod data;
mod entropy;
mod error;
mod handshake;
mod identity;
mod ingest;
mod injector;
mod keyframe;
mod outbox;
mod packet;
mod rate;
mod rungs;
mod subscriber;
mod tap;

pub use assemble::AccessUnit;
pub use cache::{CacheStats, LayerStats, StreamCache, StreamPosition};
pub use clock::{NtpTime, WallClock};
pub use data::{DataClose, DataEvent, DataLimits, DataSent, DataStats};
pub use entropy::{Credentials, Entropy};
pub use error::SfuError;
pub use handshake::patient_crypto;
pub use identity::Identity;
pub use ingest::{Ingest, IngestEvent, IngestSetup, IngestStats};
pub use injector::Injector;
pub use keyframe::KeyFrameGate;
pub use outbox::{DatagramKind, Outbox, Peer, Protocol, Sealed, Train, stun_ufrag};
pub use packet::{Burst, Codec, Kind, Layer, MediaTime, Packet, StreamDescription, TrackDescription};
pub use subscriber::{
    Answer, CloseReason, LayerWish, PlayoutDelay, Subscriber, SubscriberConfig, SubscriberEvent, SubscriberSetup,
    SubscriberStats, TrackStats, Trickle,
};
pub use tap::Tap;
pub use wire::resolution::Resolution;
