//! Sender reports out, receiver reports in: what keeps lips and voice together, and tells loss and round trip.
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::rtcp::{self, ReportBlock};

use super::forwarder::Forwarder;
use crate::cache::StreamCache;
use crate::clock::NtpTime;

/// Between two sender reports of a track.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Reports that an echo may still name.
const MOST_SENT: usize = 16;
const CNAME: &str = "avacast";

/// The sender reports of one subscriber, for matching the echoes in receiver reports.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Middle bits of the NTP time that a report carried, and when it left. The NTP times are the stream's, not this machine's.
    sent: VecDeque<(u32, Instant)>,
    rtt: Option<Duration>,
}

impl Reports {
    /// Appends sender report and CNAME of a track, on the live line at `now`. `false` when there is nothing to report yet.
    pub(super) fn write(
        &mut self,
        now: Instant,
        forwarder: &Forwarder,
        cache: &StreamCache,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((time, ntp)) = cache.layer(forwarder.kind(), forwarder.layer()).live(now) else { return false };
        let (ssrc, stats) = (forwarder.section().ssrc, &forwarder.stats);
        let timestamp = forwarder.line_time(time.ticks);
        rtcp::write_sender_report(ssrc, ntp.0, timestamp, stats.packets as u32, stats.bytes as u32, out);
        rtcp::write_cname(ssrc, CNAME, out);
        self.note(ntp, now);
        true
    }

    fn note(&mut self, ntp: NtpTime, now: Instant) {
        self.sent.push_back((ntp.compact(), now));
        if self.sent.len() > MOST_SENT {
            self.sent.pop_front();
        }
    }

    /// Reads a receiver's block about one of our tracks.
    pub(super) fn read(&mut self, now: Instant, block: &ReportBlock, forwarder: &mut Forwarder) {
        let clock_rate = forwarder.section().codec.clock_rate.max(1);
        let stats = &mut forwarder.stats;
        stats.loss = f64::from(block.fraction_lost) / 256.0;
        stats.packets_lost = i64::from(block.packets_lost);
        stats.jitter_ms = f64::from(block.jitter) * 1000.0 / f64::from(clock_rate);
        let echo = self.sent.iter().rev().find(|(ntp, _)| block.last_report != 0 && *ntp == block.last_report);
        if let Some((_, sent)) = echo {
            let held = Duration::from_micros(u64::from(block.delay_since_last_report) * 1_000_000 / 65_536);
            self.rtt = Some(now.saturating_duration_since(*sent).saturating_sub(held));
        }
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
}
