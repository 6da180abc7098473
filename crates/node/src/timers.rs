//! Deadlines of the sessions of one worker, by slot.

use std::time::Instant;

/// One deadline a slot. Setting is a store; finding those that are due scans them, 1 µs for a thousand.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: Vec<Option<Instant>>,
    /// Not later than the earliest deadline; may be earlier, when a deadline was moved.
    earliest: Option<Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, slot: usize, deadline: Option<Instant>) {
        if slot >= self.deadlines.len() {
            self.deadlines.resize(slot + 1, None);
        }
        self.deadlines[slot] = deadline;
        if let Some(deadline) = deadline
            && self.earliest.is_none_or(|earliest| deadline < earliest)
        {
            self.earliest = Some(deadline);
        }
    }

    /// When to call [`Timers::take_due`].
    pub(crate) fn next(&self) -> Option<Instant> {
        self.earliest
    }

    /// Moves the slots whose deadline has passed to `due`; they have none until it is set again.
    pub(crate) fn take_due(&mut self, now: Instant, due: &mut Vec<usize>) {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        self.earliest = None;
        for (slot, entry) in self.deadlines.iter_mut().enumerate() {
            let Some(deadline) = *entry else { continue };
            if deadline <= now {
                due.push(slot);
                *entry = None;
            } else if self.earliest.is_none_or(|earliest| deadline < earliest) {
                self.earliest = Some(deadline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn due_slots_come_once_and_the_rest_keeps_its_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(4, Some(at(10)));
        timers.set(0, Some(at(30)));
        timers.set(2, Some(at(20)));
        timers.set(2, None);
        assert_eq!(timers.next(), Some(at(10)));
        let mut due = Vec::new();
        timers.take_due(at(9), &mut due);
        assert!(due.is_empty());
        timers.take_due(at(20), &mut due);
        assert_eq!((due.as_slice(), timers.next()), (&[4][..], Some(at(30))));
        timers.take_due(at(30), &mut due);
        assert_eq!((due.as_slice(), timers.next()), (&[4, 0][..], None));
    }
}
