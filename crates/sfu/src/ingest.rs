//! A stream that comes in by WebRTC: a WHIP publisher, or our pull from an upstream's WHEP.
use std::net::SocketAddr;
use std::time::Instant;

use crate::cache::StreamPosition;
use crate::clock::WallClock;
use crate::entropy::{Credentials, Entropy};
use crate::error::SfuError;
use crate::identity::Identity;
use crate::outbox::{Outbox, Peer};
use crate::packet::{Burst, Layer, StreamDescription};
use crate::subscriber::{Answer, CloseReason, Trickle};

/// What an ingest is made of.
pub struct IngestSetup {
    pub identity: Identity,
    pub credentials: Credentials,
    pub entropy: Entropy,
    pub clock: WallClock,
    /// Addresses under which this socket is reached; become host candidates. At least one.
    pub addresses: Vec<SocketAddr>,
    /// Position of a stream that another source fed until now (fail-over, publisher that comes back); else a default.
    pub resume: StreamPosition,
}

/// What happened to an ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestEvent {
    /// ICE and DTLS are up.
    Connected,
    /// The peer may send from here: route its datagrams to this session.
    Remote(Peer),
    /// First media, or what the stream holds has changed.
    Started(StreamDescription),
    /// No packet for 1 s while one was due: an upstream may have died. Once per silence.
    Silent,
    /// It is over; drop the value.
    Closed(CloseReason),
}

/// Figures of an ingest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IngestStats {
    pub packets: u64,
    pub bytes: u64,
    pub packets_lost: u64,
    pub nacks_sent: u64,
    pub plis_sent: u64,
    pub rtt_ms: Option<f64>,
}

/// One incoming WebRTC session (`str0m` inside: negotiation, NACK, RTX, TWCC, simulcast).
pub struct Ingest {
    _private: (),
}

impl Ingest {
    /// WHIP: answers a publisher's offer.
    pub fn publish(now: Instant, setup: IngestSetup, offer: &str) -> Result<(Ingest, Answer), SfuError> {
        let _ = (now, setup, offer);
        todo!()
    }

    /// WHEP client: an offer for an upstream, one recvonly m-line per possible video layer (3) and one for audio.
    /// The answer goes to [`Ingest::accept`].
    pub fn pull(now: Instant, setup: IngestSetup) -> Result<(Ingest, String), SfuError> {
        let _ = (now, setup);
        todo!()
    }

    /// The upstream's answer to [`Ingest::pull`].
    pub fn accept(&mut self, now: Instant, answer: &str) -> Result<(), SfuError> {
        let _ = (now, answer);
        todo!()
    }

    /// A PATCH body (RFC 8840 fragment) of a publisher.
    pub fn trickle(&mut self, now: Instant, fragment: &str) -> Result<Trickle, SfuError> {
        let _ = (now, fragment);
        todo!()
    }

    /// A datagram from the network; what is not for us or not genuine is dropped and counted.
    pub fn handle_datagram(&mut self, now: Instant, from: Peer, datagram: &[u8]) {
        let _ = (now, from, datagram);
        todo!()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Moves what must be sent into `out`; call it after anything that changed this value.
    pub fn poll(&mut self, now: Instant, out: &mut Outbox) {
        let _ = (now, out);
        todo!()
    }

    /// When [`Ingest::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    pub fn poll_event(&mut self) -> Option<IngestEvent> {
        todo!()
    }

    /// Packets ready for the workers.
    pub fn poll_burst(&mut self) -> Option<Burst> {
        todo!()
    }

    /// A subscriber needs a key frame; sends a PLI unless one went out less than 500 ms ago.
    pub fn request_key_frame(&mut self, now: Instant, layer: Layer) {
        let _ = (now, layer);
        todo!()
    }

    /// Our ufrag, under which STUN checks find this session.
    pub fn ufrag(&self) -> &str {
        todo!()
    }

    /// Where the peer is, once ICE knows.
    pub fn remote(&self) -> Option<Peer> {
        todo!()
    }

    /// What came so far; empty tracks until then.
    pub fn description(&self) -> &StreamDescription {
        todo!()
    }

    /// Ends the session (RTCP BYE where possible, DTLS close); drop it after one last [`Ingest::poll`].
    pub fn close(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    pub fn stats(&self) -> IngestStats {
        todo!()
    }
}
