//! Bitrate over a sliding window: steady enough to compare layers whose key frames come seconds apart.
use std::time::{Duration, Instant};

const BUCKET: Duration = Duration::from_millis(250);
/// Four seconds: two GOPs of the usual length.
const BUCKETS: u64 = 16;

/// Bytes in buckets of 250 ms, the newest four seconds of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlidingRate {
    /// First byte ever, from which buckets are counted.
    origin: Option<Instant>,
    /// Number of the newest bucket.
    newest: u64,
    /// After this bucket nothing came for longer than the window: what was before does not count.
    oldest: u64,
    bytes: [u32; BUCKETS as usize],
}

impl Default for SlidingRate {
    fn default() -> Self {
        SlidingRate { origin: None, newest: 0, oldest: 0, bytes: [0; BUCKETS as usize] }
    }
}

impl SlidingRate {
    fn bucket(&self, now: Instant) -> u64 {
        let since = self.origin.map_or(Duration::ZERO, |origin| now.saturating_duration_since(origin));
        (since.as_millis() / BUCKET.as_millis()) as u64
    }

    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        self.origin.get_or_insert(now);
        let bucket = self.bucket(now);
        if bucket > self.newest + BUCKETS {
            (self.bytes, self.oldest, self.newest) = ([0; BUCKETS as usize], bucket, bucket);
        }
        while self.newest < bucket {
            self.newest += 1;
            self.bytes[(self.newest % BUCKETS) as usize] = 0;
        }
        let newest = &mut self.bytes[(self.newest % BUCKETS) as usize];
        *newest = newest.saturating_add(bytes as u32);
    }

    /// Bits per second over the window, or over what has passed of it (at least 250 ms); 0 when two seconds brought nothing.
    pub(crate) fn bitrate_bps(&self, now: Instant) -> u64 {
        let Some(origin) = self.origin else { return 0 };
        let bucket = self.bucket(now);
        if bucket > self.newest + 8 {
            return 0;
        }
        let first = (bucket + 1).saturating_sub(BUCKETS).max(self.oldest);
        let bytes: u64 = (first..=self.newest).map(|number| u64::from(self.bytes[(number % BUCKETS) as usize])).sum();
        let begin = origin + BUCKET * u32::try_from(first).unwrap_or(u32::MAX);
        let span = now.saturating_duration_since(begin).max(BUCKET);
        (u128::from(bytes) * 8_000_000 / span.as_micros()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_seconds_apart_do_not_sway_it() {
        let (mut rate, start) = (SlidingRate::default(), Instant::now());
        for tick in 0..500u64 {
            // 40 ms frames of 2,500 bytes, each fiftieth 25,000: 590 kbit/s
            let now = start + Duration::from_millis(40 * tick);
            rate.add(now, if tick % 50 == 0 { 25_000 } else { 2_500 });
            if tick > 100 {
                let bps = rate.bitrate_bps(now);
                assert!((500_000..700_000).contains(&bps), "{bps} at {tick}");
            }
        }
    }

    #[test]
    fn silence_is_no_rate_and_a_new_beginning_is_not_thinned_by_it() {
        let (mut rate, start) = (SlidingRate::default(), Instant::now());
        assert_eq!(rate.bitrate_bps(start), 0);
        rate.add(start, 1000);
        assert_eq!(rate.bitrate_bps(start), 32_000);
        assert_eq!(rate.bitrate_bps(start + Duration::from_secs(3)), 0);
        let later = start + Duration::from_secs(60);
        (0..10).for_each(|tick| rate.add(later + Duration::from_millis(100 * tick), 12_500));
        let bps = rate.bitrate_bps(later + Duration::from_millis(1000));
        assert!((900_000..1_100_000).contains(&bps), "{bps}");
    }
}
