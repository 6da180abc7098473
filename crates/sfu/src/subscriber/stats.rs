//! Figures of a subscriber.
use crate::data::DataStats;
use crate::outbox::Peer;
use crate::packet::Layer;

/// Figures of one track of a subscriber.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TrackStats {
    pub packets: u64,
    /// Of payload.
    pub bytes: u64,
    pub retransmitted: u64,
    pub nacks: u64,
    /// Packets asked for that the cache no longer had.
    pub nacks_missed: u64,
    pub plis: u64,
    /// Of the newest receiver report, 0..1.
    pub loss: f64,
    pub packets_lost: i64,
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
    pub connected: bool,
    pub remote: Option<Peer>,
    pub video: TrackStats,
    pub audio: TrackStats,
    pub rtt_ms: Option<f64>,
    /// Media and repair as sent, over the last second or so.
    pub bitrate_bps: u64,
    /// Receiver's estimate, when it sends REMB.
    pub remb_bps: Option<u64>,
    /// Layer that video is taken from now.
    pub layer: Option<Layer>,
    pub connect_ms: Option<f64>,
    pub first_frame_ms: Option<f64>,
    /// Starts and PLI answers out of the cache.
    pub replays: u64,
    /// Datagrams that were no good: unparsable, forged, replayed, from unknown addresses.
    pub rejected: u64,
    pub data: DataStats,
}
