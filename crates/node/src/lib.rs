//! The shell of the media core: worker threads with a socket each on one UDP port, trains out, commands in, events out.
//!
//! Everything that knows a protocol is in `sfu`, which has no sockets, clock or threads. This crate gives it those and adds no
//! protocol of its own: [`Node`] is the whole face of it.
//!
//! - [`Node`] takes calls from any thread and hands each to the worker that it concerns.
//! - A worker owns its socket and sessions. A burst that comes in is put into the inbox of every other worker as shared
//!   packets, one wake a burst, and each worker serves its own subscribers from it.
//! - TCP connections (ICE-TCP) come in at a gate, which hands each to the worker that its first frame names.
//! - [`train`] sends: GSO, else sendmmsg, else sendto. [`receive`] reads 64 datagrams a system call.
#![warn(missing_docs)]
mod clock;
mod config;
mod connections;
mod dials;
mod error;
mod event;
mod framing;
mod gate;
mod handshakes;
mod node;
mod poller;
mod post;
pub mod receive;
mod seats;
mod shared;
pub mod socket;
pub mod stats;
mod steer;
mod stream;
mod tap;
mod timers;
pub mod train;
mod unused;
pub mod wake;
mod worker;

pub use config::{MAX_WORKERS, NodeConfig};
pub use connections::ConnectionStats;
pub use error::NodeError;
pub use event::{Event, Events};
pub use node::Node;
pub use tap::TapQueue;
