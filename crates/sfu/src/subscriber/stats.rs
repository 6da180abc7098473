//! Figures of a subscriber.
use crate::data::DataStats;
use crate::outbox::Peer;
use crate::packet::Layer;

/// Figures of one track of a subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrackStats {
    /// Packets sent, repairs not counted.
    pub packets: u64,
    /// Of payload.
    pub bytes: u64,
    /// Packets that were sent again.
    pub retransmitted: u64,
    /// Feedback messages that asked for missing packets (NACK).
    pub nacks: u64,
    /// Packets asked for that the cache no longer had.
    pub nacks_missed: u64,
    /// Key frames that it asked for (PLI, FIR).
    pub plis: u64,
    /// Of the newest receiver report, 0..1.
    pub loss: f64,
    /// Lost since the start, by its newest report; below zero when doubles came.
    pub packets_lost: i64,
    /// Of the newest receiver report, milliseconds.
    pub jitter_ms: f64,
}

impl TrackStats {
    pub(super) fn add(&mut self, other: &TrackStats) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.retransmitted += other.retransmitted;
        self.nacks += other.nacks;
        self.nacks_missed += other.nacks_missed;
        self.plis += other.plis;
        self.loss = self.loss.max(other.loss);
        self.packets_lost += other.packets_lost;
        self.jitter_ms = self.jitter_ms.max(other.jitter_ms);
    }
}

/// Figures of a subscriber.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubscriberStats {
    /// ICE and DTLS are up.
    pub connected: bool,
    /// Where it is, once a check has been genuine.
    pub remote: Option<Peer>,
    /// All of its pictures' sections together.
    pub video: TrackStats,
    /// Of its sound.
    pub audio: TrackStats,
    /// Round trip, milliseconds; `None` until a report has told.
    pub rtt_ms: Option<f64>,
    /// Media and repair as sent, over the last second or so.
    pub bitrate_bps: u64,
    /// Receiver's estimate, when it sends REMB.
    pub remb_bps: Option<u64>,
    /// Layer that video is taken from now.
    pub layer: Option<Layer>,
    /// From the answer to ICE and DTLS up, milliseconds.
    pub connect_ms: Option<f64>,
    /// From the answer to the first whole key frame sent, milliseconds.
    pub first_frame_ms: Option<f64>,
    /// Starts and PLI answers out of the cache.
    pub replays: u64,
    /// Datagrams that were no good: unparsable, forged, replayed, from unknown addresses.
    pub rejected: u64,
    /// Of its data channels.
    pub data: DataStats,
}
