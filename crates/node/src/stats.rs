//! Figures of a node: each worker makes its own snapshot on its own thread, readers take a reference to the newest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sfu::{CacheStats, IngestStats, SubscriberStats};

use crate::connections::ConnectionStats;
use crate::receive::ReceiveStats;
use crate::train::{Rung, SendStats};

/// Steps per doubling: a quantile is exact to 19 %.
const STEPS: u32 = 4;
const BUCKETS: usize = 128;

/// Durations from 1 µs up to an hour, in buckets that grow by a fourth root of two.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
    /// The longest.
    pub most: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [0; BUCKETS], count: 0, sum: Duration::ZERO, most: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts `value` as seen `times` times.
    pub fn record(&mut self, value: Duration, times: u64) {
        let us = value.as_micros().max(1) as f64;
        let bucket = (us.log2() * f64::from(STEPS)) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += times;
        self.count += times;
        self.sum += value * u32::try_from(times).unwrap_or(u32::MAX);
        self.most = self.most.max(value);
    }

    /// The value that a share (0..1) of all is not above; None without values.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                let upper = ((bucket + 1) as f64 / f64::from(STEPS)).exp2();
                return Some(Duration::from_secs_f64(upper / 1e6).min(self.most));
            }
        }
        None
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }
}

/// TCP connections of the whole node, before a worker gets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateFigures {
    /// Connections that were accepted.
    pub accepted: u64,
    /// No place for one more, of that address or at all.
    pub refused: u64,
    /// Sent away: silent, no STUN check, or for nobody here.
    pub dismissed: u64,
    /// Standing at the gate now.
    pub waiting: u64,
    /// Open now, at the gate and at the workers.
    pub open: usize,
}

/// Figures of one worker since its start.
#[derive(Debug, Clone, Default)]
pub struct WorkerStats {
    /// Its number, from 0.
    pub index: u16,
    /// How it sends; `None` before it has begun.
    pub rung: Option<Rung>,
    /// CPU time of its thread.
    pub cpu: Duration,
    /// What came in by UDP.
    pub receive: ReceiveStats,
    /// What went out by UDP.
    pub send: SendStats,
    /// Datagrams that belong to no session.
    pub unknown: u64,
    /// Datagrams that came to this worker's socket and were handed to their owner.
    pub handed_over: u64,
    /// DTLS datagrams for which the queue of handshakes had no room.
    pub handshakes_dropped: u64,
    /// Sessions whose peer has sent no genuine check yet.
    pub unused: usize,
    /// TCP connections.
    pub connections: ConnectionStats,
    /// Posts that found this worker's inbox full.
    pub overflows: u64,
    /// Sessions ended because their code panicked. Anything but 0 is a fault of ours.
    pub faults: u64,
    /// Subscribers that were answered.
    pub joins: u64,
    /// From a burst's arrival to the end of the system call that sent the last of it, per subscriber.
    pub forward: Histogram,
    /// The same for the sound of bursts whose pictures took longer.
    pub sound: Histogram,
    /// From the answer to the first whole key frame sent, per subscriber.
    pub first_frame: Histogram,
    /// From the answer to ICE and DTLS up, per subscriber.
    pub connect: Histogram,
    /// From waking to the end of the work, per turn of the loop.
    pub turn: Histogram,
    /// Subscribers now.
    pub subscribers: usize,
    /// Streams now.
    pub streams: Vec<StreamStats>,
    /// Sessions that bring media in, now.
    pub sources: Vec<SourceStats>,
    /// Sessions that take media out; of many as they were up to 200 ms before the rest.
    pub sessions: Arc<[SessionStats]>,
}

/// A stream as one worker sees it.
#[derive(Debug, Clone)]
pub struct StreamStats {
    /// Its name.
    pub name: Arc<str>,
    /// The worker that holds its source; only that one's figures of the media count.
    pub owner: bool,
    /// It was opened here for access units, and has no publisher.
    pub injected: bool,
    /// A source feeds it now.
    pub fed: bool,
    /// Subscribers of this worker.
    pub subscribers: usize,
    /// Taps of this worker.
    pub taps: usize,
    /// What its cache holds and has seen.
    pub cache: CacheStats,
    /// Of its video layers, as its publisher called them.
    pub layer_names: Vec<String>,
    /// Key frames that this worker asked of its source.
    pub key_frame_requests: u64,
}

/// A session that brings media in.
#[derive(Debug, Clone)]
pub struct SourceStats {
    /// Its name.
    pub session: Arc<str>,
    /// The stream that it brings.
    pub stream: Arc<str>,
    /// We pull it from an upstream; else a publisher came to us.
    pub pull: bool,
    /// ICE and DTLS are up.
    pub connected: bool,
    /// Of the media.
    pub ingest: IngestStats,
}

/// A session that takes media out.
#[derive(Debug, Clone)]
pub struct SessionStats {
    /// Its name.
    pub session: Arc<str>,
    /// The stream that it takes.
    pub stream: Arc<str>,
    /// Time since its answer.
    pub age: Duration,
    /// Of the media.
    pub subscriber: SubscriberStats,
}

/// Where a worker leaves its newest snapshot. The lock is held for one exchange of a pointer.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Arc<WorkerStats>>);

impl Board {
    pub(crate) fn post(&self, stats: WorkerStats) {
        let stats = Arc::new(stats);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    pub(crate) fn read(&self) -> Arc<WorkerStats> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let mut histogram = Histogram::default();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms), 1);
        }
        let p50 = histogram.quantile(0.5).unwrap().as_secs_f64() * 1e3;
        let p95 = histogram.quantile(0.95).unwrap().as_secs_f64() * 1e3;
        assert!((50.0..=60.0).contains(&p50), "{p50}");
        assert!((95.0..=100.0).contains(&p95), "{p95}");
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
