//! WHEP viewers by the hundred in one thread, for measurements: each has its own socket, ICE, DTLS and SRTP, opens
//! every packet, and keeps books ([`Meter`]) instead of decoding.
//!
//! HTTP is the caller's: [`Swarm::offer`] gives an SDP to POST, [`Swarm::accept`] takes the answer. Times are those of
//! `CLOCK_MONOTONIC` in nanoseconds, so that another process on the machine can compare them with its own.
//!
//! [`Peer`] is the same connection with a browser's own offer, for tests that send what no browser would.
//!
//! UDP_GRO is left off on purpose: a real viewer receives single datagrams, and on the loopback interface the kernel
//! does the cutting of a train in the sender's time. With it on, the sender would look cheaper than it is.
mod description;
mod limit;
mod meter;
mod peer;
mod swarm;
mod transport;
mod viewer;

pub use description::Remote;
pub use limit::{Rung, Tempo, kernel_limit};
pub use meter::{Meter, STAMP};
pub use peer::Peer;
pub use swarm::{Swarm, SwarmError, ViewerId, ViewerReport, monotonic_ns};
pub use transport::{Identity, Transport};
pub use viewer::Viewer;
