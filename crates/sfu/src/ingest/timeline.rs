//! One time line for a stream whose tracks and layers each count from their own start.
use std::time::{Duration, Instant};

use crate::clock::{NtpTime, WallClock};
use crate::packet::MediaTime;

/// A sender's wall clock further off than this is not believed; only what it says of its tracks relative to each other is.
const MOST_CLOCK_ERROR: Duration = Duration::from_secs(10);

/// A sender report: this RTP time was captured at this time of the sender's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) ntp: NtpTime,
    pub(super) ticks: u64,
}

/// What a packet brought of its sender's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// The line's newest sender report.
    pub(super) report: Option<Report>,
    /// The packet's own abs-capture-time: by the clock of the machine that captured it, which need not be the sender's.
    pub(super) captured: Option<Report>,
}

/// What is known of one track's (or layer's) clock.
#[derive(Debug, Clone, Copy)]
struct Line {
    clock_rate: u32,
    told: Told,
    /// First packet: its time and the wall clock of its arrival.
    first: (u64, NtpTime),
}

impl Line {
    /// By the clock that a report is of.
    fn reported(&self, report: Report, ticks: u64) -> NtpTime {
        self.moved(report.ntp, ticks.wrapping_sub(report.ticks))
    }

    /// By our clock, from the arrival of the first packet.
    fn arrived(&self, ticks: u64) -> NtpTime {
        let (first, ntp) = self.first;
        self.moved(ntp, ticks.wrapping_sub(first))
    }

    /// `ntp` and so many ticks (two's complement: a packet may be older than the first one, also by its 64 bits).
    fn moved(&self, ntp: NtpTime, ticks: u64) -> NtpTime {
        let ticks = ticks as i64;
        let span = u128::from(ticks.unsigned_abs()) * 1_000_000_000 / u128::from(self.clock_rate.max(1));
        let span = Duration::from_nanos(span as u64);
        if ticks < 0 { ntp.minus(span) } else { ntp.plus(span) }
    }
}

/// The clocks of all lines of a stream. A line is a track's layer, by an index of the caller's.
#[derive(Debug)]
pub(super) struct Timeline {
    clock: WallClock,
    lines: Vec<Option<Line>>,
    /// Added to the clock of capture and to the sender's (two's complement), once each is known to be wrong or right.
    corrections: [Option<u64>; 2],
}

impl Timeline {
    pub(super) fn new(clock: WallClock) -> Timeline {
        Timeline { clock, lines: Vec::new(), corrections: [None; 2] }
    }

    /// A packet of a line has come.
    pub(super) fn note(&mut self, line: usize, time: MediaTime, arrival: Instant, told: Told) {
        if self.lines.len() <= line {
            self.lines.resize(line + 1, None);
        }
        let first = (time.ticks, self.clock.ntp(arrival));
        let known = self.lines[line].get_or_insert(Line { clock_rate: time.clock_rate, told, first });
        known.told.report = told.report.or(known.told.report);
        known.told.captured = told.captured.or(known.told.captured);
    }

    /// Wall clock of capture of a time on a line. Capture times count once every line has one, and else sender reports if every line
    /// has one: tracks never mix clocks.
    pub(super) fn capture(&mut self, line: usize, ticks: u64, arrival: Instant) -> NtpTime {
        let wall = self.clock.ntp(arrival);
        let Some(known) = self.lines.get(line).copied().flatten() else { return wall };
        let kinds: [fn(&Told) -> Option<Report>; 2] = [|told| told.captured, |told| told.report];
        let all =
            |kind: fn(&Told) -> Option<Report>| self.lines.iter().flatten().all(|line| kind(&line.told).is_some());
        let kind = kinds.iter().position(|kind| all(*kind));
        match kind.and_then(|kind| Some((kind, kinds[kind](&known.told)?))) {
            Some((kind, report)) => {
                let sender = known.reported(report, ticks);
                let wrong = sender.since(wall).max(wall.since(sender)) > MOST_CLOCK_ERROR;
                let error = if wrong { wall.0.wrapping_sub(sender.0) } else { 0 };
                NtpTime(sender.0.wrapping_add(*self.corrections[kind].get_or_insert(error)))
            }
            None => known.arrived(ticks),
        }
    }

    /// What to add to the times of `line` so that they lie on the line of `reference` (same clock rate). Exact when both have reports.
    pub(super) fn shift(&self, line: usize, reference: usize) -> Option<(u64, bool)> {
        let (line, reference) = (self.lines.get(line)?.as_ref()?, self.lines.get(reference)?.as_ref()?);
        let (ntp, ticks, there, exact) = match (line.told.report, reference.told.report) {
            (Some(ours), Some(theirs)) => (ours.ntp, ours.ticks, (theirs.ntp, theirs.ticks), true),
            _ => (line.first.1, line.first.0, (reference.first.1, reference.first.0), false),
        };
        let rate = u128::from(reference.clock_rate);
        let ticks_of = |span: Duration| ((span.as_nanos() * rate + 500_000_000) / 1_000_000_000) as u64;
        let due = if ntp >= there.0 {
            there.1.wrapping_add(ticks_of(ntp.since(there.0)))
        } else {
            there.1.wrapping_sub(ticks_of(there.0.since(ntp)))
        };
        Some((due.wrapping_sub(ticks), exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 90_000;

    fn time(ticks: u64) -> MediaTime {
        MediaTime { ticks, clock_rate: RATE }
    }

    #[test]
    fn reports_count_when_all_lines_have_one() {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let mut timeline = Timeline::new(clock);
        let sender = clock.ntp(now).minus(Duration::from_millis(70));
        timeline.note(0, time(1000), now, by_report(sender, 1000));
        timeline.note(1, time(5000), now, Told::default());
        assert_eq!(timeline.capture(0, 1000, now), clock.ntp(now));
        timeline.note(1, time(5000), now, by_report(sender, 5000));
        assert_eq!(timeline.capture(0, 1000, now), sender);
        assert_eq!(timeline.capture(1, 5000 + 90, now), sender.plus(Duration::from_millis(1)));
    }

    fn by_report(ntp: NtpTime, ticks: u64) -> Told {
        Told { report: Some(Report { ntp, ticks }), captured: None }
    }

    #[test]
    fn capture_times_go_before_reports_when_all_lines_have_one() {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let mut timeline = Timeline::new(clock);
        // a relay with a clock of its own, which says when its source captured
        let (relay, source) =
            (clock.ntp(now).plus(Duration::from_secs(3)), clock.ntp(now).minus(Duration::from_millis(90)));
        let both =
            |ticks| Told { report: Some(Report { ntp: relay, ticks }), captured: Some(Report { ntp: source, ticks }) };
        timeline.note(0, time(1000), now, both(1000));
        timeline.note(1, time(5000), now, by_report(relay, 5000));
        assert_eq!(timeline.capture(0, 1000, now), relay, "one line of two");
        timeline.note(1, time(5000), now, both(5000));
        assert_eq!(timeline.capture(0, 1000, now), source);
        timeline.note(0, time(10_000), now, Told::default());
        assert_eq!(
            timeline.capture(0, 10_000, now),
            source.plus(Duration::from_millis(100)),
            "it is not sent each time"
        );
    }

    #[test]
    fn times_may_begin_just_before_they_wrap() {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let mut timeline = Timeline::new(clock);
        // the first packet's time was 90 of 32 bits; the one before it, which comes late, lies below zero
        timeline.note(0, time(90), now, Told::default());
        assert_eq!(timeline.capture(0, 0_u64.wrapping_sub(90), now), clock.ntp(now).minus(Duration::from_millis(2)));
    }

    #[test]
    fn a_wrong_clock_is_moved_to_ours() {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let mut timeline = Timeline::new(clock);
        let wrong = NtpTime::from_unix(Duration::from_secs(5));
        timeline.note(0, time(0), now, by_report(wrong, 0));
        assert_eq!(timeline.capture(0, 0, now), clock.ntp(now));
    }

    #[test]
    fn layers_are_shifted_onto_one_line() {
        let now = Instant::now();
        let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
        let mut timeline = Timeline::new(clock);
        timeline.note(0, time(100_000), now, Told::default());
        timeline.note(1, time(7_000), now + Duration::from_millis(10), Told::default());
        assert_eq!(timeline.shift(1, 0), Some((100_000 + 900 - 7_000, false)));
        let ntp = clock.ntp(now);
        timeline.note(0, time(100_000), now, by_report(ntp, 100_000));
        timeline.note(1, time(7_000), now, by_report(ntp, 7_000));
        assert_eq!(timeline.shift(1, 0), Some((93_000, true)));
    }
}
