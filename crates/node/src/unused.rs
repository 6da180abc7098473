//! Sessions that nobody has used yet: an answer costs us memory until it is, and who asked for it may never come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One worker's share of them.
#[derive(Debug)]
pub(crate) struct Unused {
    most: usize,
    grace: Duration,
    count: usize,
    /// In the order of their answers; those that were used or are gone stay until they are at the front.
    order: VecDeque<(Instant, Arc<str>)>,
}

/// What is to be done before one more session is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    /// After this one was dropped.
    Instead(Arc<str>),
    Refused,
}

impl Unused {
    pub(crate) fn new(most: usize, grace: Duration) -> Unused {
        Unused { most, grace, count: 0, order: VecDeque::new() }
    }

    /// Whether there is room for one more. `waits` tells whether a session is there and unused still.
    pub(crate) fn admit(&mut self, now: Instant, waits: impl Fn(&str) -> bool) -> Admission {
        while self.order.front().is_some_and(|(_, session)| !waits(session)) {
            self.order.pop_front();
        }
        if self.count < self.most {
            return Admission::Granted;
        }
        match self.order.front() {
            Some((since, session)) if now.saturating_duration_since(*since) >= self.grace => {
                Admission::Instead(Arc::clone(session))
            }
            _ => Admission::Refused,
        }
    }

    /// A session was answered.
    pub(crate) fn add(&mut self, now: Instant, session: &Arc<str>) {
        self.count += 1;
        self.order.push_back((now, Arc::clone(session)));
    }

    /// A session was used for the first time, or went unused.
    pub(crate) fn remove(&mut self) {
        self.count -= 1;
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_oldest_makes_room_once_it_has_had_its_time() {
        let (start, grace) = (Instant::now(), Duration::from_secs(2));
        let mut unused = Unused::new(2, grace);
        let mut waiting: HashSet<Arc<str>> = HashSet::new();
        for name in ["first", "second"] {
            let name: Arc<str> = name.into();
            assert_eq!(unused.admit(start, |session| waiting.contains(session)), Admission::Granted);
            unused.add(start, &name);
            waiting.insert(name);
        }
        assert_eq!(unused.admit(start, |session| waiting.contains(session)), Admission::Refused);
        let then = start + grace;
        assert_eq!(unused.admit(then, |session| waiting.contains(session)), Admission::Instead("first".into()));
        // The first is used: the second is the oldest now, and there is room.
        waiting.remove("first");
        unused.remove();
        assert_eq!(unused.admit(start, |session| waiting.contains(session)), Admission::Granted);
        assert_eq!((unused.count(), unused.order.len()), (1, 1));
    }
}
