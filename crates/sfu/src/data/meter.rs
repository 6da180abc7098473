//! How often something may happen: so many a second in the long run, more at once after a pause (a token bucket).
use std::time::Instant;

const MICROS: u64 = 1_000_000;

/// Counts in millionths of an event, so that no time is lost by rounding.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    per_s: u32,
    at_once: u32,
    left_micro: u64,
    at: Instant,
}

impl Meter {
    pub(crate) fn new(now: Instant, per_s: u32, at_once: u32) -> Meter {
        Meter { per_s, at_once, left_micro: u64::from(at_once) * MICROS, at: now }
    }

    /// Whether one more may happen now; if so it is counted.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        self.pass_all(now, 1)
    }

    /// The same, of so many at once: all or none.
    pub(crate) fn pass_all(&mut self, now: Instant, count: u32) -> bool {
        let elapsed_us = now.saturating_duration_since(self.at).as_micros().min(u128::from(u32::MAX)) as u64;
        self.at = self.at.max(now);
        let full = u64::from(self.at_once) * MICROS;
        self.left_micro = full.min(self.left_micro + elapsed_us * u64::from(self.per_s));
        let wanted = u64::from(count) * MICROS;
        let passes = self.left_micro >= wanted;
        if passes {
            self.left_micro -= wanted;
        }
        passes
    }

    /// One that was counted is over and shall not count any more.
    pub(crate) fn forgive(&mut self) {
        self.left_micro = (self.left_micro + MICROS).min(u64::from(self.at_once) * MICROS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 10, 5);
        assert_eq!((0..20).filter(|_| meter.pass(start)).count(), 5);
        let second = (1..=1000).filter(|ms| meter.pass(start + Duration::from_millis(*ms))).count();
        assert_eq!(second, 10);
        // a long pause gives the burst back, and no more
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| meter.pass(later)).count(), 5);
    }

    #[test]
    fn what_is_forgiven_passes_again() {
        let now = Instant::now();
        let mut meter = Meter::new(now, 0, 3);
        assert!(!meter.pass_all(now, 4) && meter.pass_all(now, 3) && !meter.pass(now));
        meter.forgive();
        assert!(meter.pass(now) && !meter.pass(now));
        (0..9).for_each(|_| meter.forgive());
        assert!(!meter.pass_all(now, 4) && meter.pass_all(now, 3), "no more than at once");
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut meter = Meter::new(start, 1000, 1);
        assert!(meter.pass(start));
        assert!(!meter.pass(start - Duration::from_secs(5)) && !meter.pass(start));
    }
}
