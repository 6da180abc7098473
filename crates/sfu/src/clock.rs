//! Wall clock: how an `Instant` of the caller becomes an NTP time for sender reports.
use std::time::{Duration, Instant};

/// NTP time: seconds since 1900 in the upper, their fraction in the lower 32 bits (RFC 5905).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

/// Seconds between 1900 (NTP) and 1970 (Unix).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

impl NtpTime {
    /// From a span since 1970.
    pub fn from_unix(since_1970: Duration) -> NtpTime {
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime(((since_1970.as_secs() + NTP_TO_UNIX_S) << 32) | fraction)
    }

    /// Milliseconds since 1970; 0 for times before.
    pub fn unix_ms(self) -> u64 {
        let ms = (u128::from(self.0) * 1000) >> 32;
        (ms as u64).saturating_sub(NTP_TO_UNIX_S * 1000)
    }

    /// This time moved by a span, forward.
    pub fn plus(self, span: Duration) -> NtpTime {
        NtpTime(self.0.wrapping_add(fraction(span)))
    }

    /// This time moved by a span, backward.
    pub fn minus(self, span: Duration) -> NtpTime {
        NtpTime(self.0.wrapping_sub(fraction(span)))
    }

    /// Span since an earlier time; zero when it is later.
    pub fn since(self, earlier: NtpTime) -> Duration {
        let units = u128::from(self.0.saturating_sub(earlier.0));
        Duration::from_nanos(((units * 1_000_000_000) >> 32) as u64)
    }

    /// The middle 32 bits, as sender and receiver reports echo them.
    pub fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

fn fraction(span: Duration) -> u64 {
    ((span.as_nanos() << 32) / 1_000_000_000) as u64
}

/// Fixes the monotonic clock to the wall clock: one reading of both, made once a process.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    at: Instant,
    ntp: NtpTime,
}

impl WallClock {
    /// `at` and `since_1970` are readings of the two clocks at one moment.
    pub fn new(at: Instant, since_1970: Duration) -> WallClock {
        WallClock { at, ntp: NtpTime::from_unix(since_1970) }
    }

    /// The wall clock at a monotonic time, before or after the reading.
    pub fn ntp(&self, now: Instant) -> NtpTime {
        match now.checked_duration_since(self.at) {
            Some(later) => self.ntp.plus(later),
            None => self.ntp.minus(self.at.duration_since(now)),
        }
    }
}
