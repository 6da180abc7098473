//! A seeded network in virtual time, for tests: one direction of a path between two peers.
//!
//! Give it what is sent with [`Link::send`], ask [`Link::poll_timeout`] when something arrives, take it with [`Link::poll`].
//! Equal seeds, conditions and calls give equal arrivals.
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What a path does to datagrams. The default does nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Share that is lost, 0..1.
    pub loss: f64,
    /// Share that arrives twice, 0..1.
    pub duplicate: f64,
    /// Share that is held back by `reorder_by`, so that later ones overtake it, 0..1.
    pub reorder: f64,
    pub reorder_by: Duration,
    /// One way.
    pub delay: Duration,
    /// Added to the delay, uniform in 0..jitter; order is kept.
    pub jitter: Duration,
    /// Bottleneck; `None`: unlimited.
    pub rate_bps: Option<u64>,
    /// What may wait at the bottleneck; more is lost.
    pub queue_bytes: usize,
}

impl Conditions {
    /// Loss and delay only.
    pub fn lossy(loss: f64, delay: Duration) -> Conditions {
        Conditions { loss, delay, ..Conditions::default() }
    }
}

/// Counts of what happened on a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub lost: u64,
    pub overflowed: u64,
    pub duplicated: u64,
}

#[derive(Debug)]
struct InFlight<T> {
    arrival: Instant,
    order: u64,
    what: T,
}

impl<T> PartialEq for InFlight<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for InFlight<T> {}
impl<T> PartialOrd for InFlight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for InFlight<T> {
    /// The heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrival, other.order).cmp(&(self.arrival, self.order))
    }
}

/// One direction of a path.
#[derive(Debug)]
pub struct Link<T> {
    conditions: Conditions,
    random: Random,
    flying: BinaryHeap<InFlight<T>>,
    order: u64,
    /// When the bottleneck has sent all that waits.
    free_at: Option<Instant>,
    last_arrival: Option<Instant>,
    counts: Counts,
}

impl<T: Clone> Link<T> {
    pub fn new(seed: u64, conditions: Conditions) -> Link<T> {
        Link {
            conditions,
            random: Random::new(seed),
            flying: BinaryHeap::new(),
            order: 0,
            free_at: None,
            last_arrival: None,
            counts: Counts::default(),
        }
    }

    /// Changes what the path does from now on; what is on its way is not touched.
    pub fn change(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a datagram of so many bytes.
    pub fn send(&mut self, now: Instant, what: T, bytes: usize) {
        self.counts.sent += 1;
        if self.random.chance(self.conditions.loss) {
            self.counts.lost += 1;
            return;
        }
        let mut at = now;
        if let Some(rate_bps) = self.conditions.rate_bps {
            let begin = self.free_at.map_or(now, |free| free.max(now));
            let waiting = (begin - now).as_nanos() * u128::from(rate_bps) / 8_000_000_000;
            if waiting > self.conditions.queue_bytes as u128 {
                self.counts.overflowed += 1;
                return;
            }
            at = begin + Duration::from_nanos((bytes as u128 * 8_000_000_000 / u128::from(rate_bps)) as u64);
            self.free_at = Some(at);
        }
        at += self.conditions.delay + self.conditions.jitter.mul_f64(self.random.unit());
        if self.random.chance(self.conditions.reorder) {
            at += self.conditions.reorder_by;
        } else {
            at = self.last_arrival.map_or(at, |last| last.max(at));
            self.last_arrival = Some(at);
        }
        if self.random.chance(self.conditions.duplicate) {
            self.counts.duplicated += 1;
            self.fly(at, what.clone());
        }
        self.fly(at, what);
    }

    fn fly(&mut self, arrival: Instant, what: T) {
        self.order += 1;
        self.flying.push(InFlight { arrival, order: self.order, what });
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flying.peek().map(|next| next.arrival)
    }

    /// The next datagram that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        let due = self.flying.peek().is_some_and(|next| next.arrival <= now);
        due.then(|| self.flying.pop().map(|flying| flying.what)).flatten()
    }
}

/// SplitMix64: small, seeded, good enough for dice.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(conditions: Conditions, count: u32) -> (Vec<u32>, Counts) {
        let now = Instant::now();
        let mut link = Link::new(3, conditions);
        (0..count).for_each(|number| link.send(now + Duration::from_millis(number.into()), number, 1000));
        let mut arrived = Vec::new();
        while let Some(at) = link.poll_timeout() {
            arrived.extend(link.poll(at));
        }
        (arrived, link.counts())
    }

    #[test]
    fn a_perfect_path_keeps_everything_in_order() {
        assert_eq!(arrivals(Conditions::default(), 100).0, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn loss_is_near_its_share_and_repeatable() {
        let (arrived, counts) = arrivals(Conditions::lossy(0.1, Duration::ZERO), 10_000);
        assert!((800..1200).contains(&counts.lost), "{counts:?}");
        assert_eq!(arrived, arrivals(Conditions::lossy(0.1, Duration::ZERO), 10_000).0);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Conditions { jitter: Duration::from_millis(30), ..Conditions::default() };
        assert!(arrivals(jitter, 500).0.is_sorted());
        let reorder = Conditions { reorder: 0.1, reorder_by: Duration::from_millis(5), ..Conditions::default() };
        assert!(!arrivals(reorder, 500).0.is_sorted());
    }

    #[test]
    fn a_bottleneck_delays_and_then_drops() {
        let narrow = Conditions { rate_bps: Some(4_000_000), queue_bytes: 20_000, ..Conditions::default() };
        let (arrived, counts) = arrivals(narrow, 1000);
        assert!(counts.overflowed > 400, "{counts:?}");
        assert_eq!(arrived.len() as u64 + counts.overflowed, 1000);
    }
}
