//! Those who wait for the packager. Each thread has a list of its own of them, so that a put costs one wake-up a thread and not
//! one a waiter: waking a task from another thread is a lock and a write to an event descriptor, from its own thread a push.
//! Nor has a waiter a timer of its own: its thread looks four times a second for those whose time is up.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How often each thread looks for waiters whose time is up.
const TICK: Duration = Duration::from_millis(250);

/// What those who wait look at. `Closed` frees them.
#[derive(Debug)]
pub(crate) enum Shown<T> {
    Nothing,
    Now(Arc<T>),
    Closed,
}

impl<T> Clone for Shown<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Now(value) => Self::Now(Arc::clone(value)),
            Self::Closed => Self::Closed,
        }
    }
}

impl<T> Shown<T> {
    pub(crate) fn now(&self) -> Option<&Arc<T>> {
        if let Self::Now(value) = self { Some(value) } else { None }
    }
}

#[derive(Debug, Default)]
struct List {
    /// Counts how often all were called: a place in the list is valid within its round.
    round: u64,
    waiting: Slab<(Waker, Instant)>,
    /// The crier has this bell among those that it looks through for late ones.
    watched: bool,
}

/// Those on one thread who wait for one board.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<List>);

impl Bell {
    fn call_all(&self) {
        let mut list = self.0.lock();
        list.round += 1;
        for (_, (waker, _)) in std::mem::take(&mut list.waiting) {
            waker.wake();
        }
    }

    /// Calls those whose time is up; whether any are left.
    fn call_late(&self, now: Instant) -> bool {
        let mut list = self.0.lock();
        for (_, (waker, until)) in &list.waiting {
            if *until <= now {
                waker.wake_by_ref();
            }
        }
        list.watched = !list.waiting.is_empty();
        list.watched
    }

    fn is_empty(&self) -> bool {
        self.0.lock().waiting.is_empty()
    }
}

/// Wakes the waiters of one thread, on that thread.
#[derive(Debug, Default)]
pub(crate) struct Crier {
    rung: Mutex<Vec<Arc<Bell>>>,
    watched: Mutex<Vec<Arc<Bell>>>,
    called: Notify,
}

impl Crier {
    /// Runs as long as its thread does.
    pub(crate) async fn run(&self) {
        let mut tick = std::pin::pin!(sleep(TICK));
        loop {
            let late = tokio::select! {
                () = self.called.notified() => false,
                () = &mut tick => true,
            };
            for bell in std::mem::take(&mut *self.rung.lock()) {
                bell.call_all();
            }
            if late {
                let now = Instant::now();
                self.watched.lock().retain(|bell| bell.call_late(now));
                tick.as_mut().reset(now + TICK);
            }
        }
    }

    fn ring(&self, bell: &Arc<Bell>) {
        if !bell.is_empty() {
            self.rung.lock().push(Arc::clone(bell));
            self.called.notify_one();
        }
    }
}

/// One who waits has one place in the list; it goes with its client.
struct Place<'a> {
    bell: &'a Arc<Bell>,
    crier: &'a Crier,
    key: Option<(u64, usize)>,
}

impl Place<'_> {
    fn enter(&mut self, context: &Context<'_>, until: Instant) {
        let mut list = self.bell.0.lock();
        if let Some((round, key)) = self.key
            && round == list.round
        {
            list.waiting[key].0.clone_from(context.waker());
            return;
        }
        let key = list.waiting.insert((context.waker().clone(), until));
        self.key = Some((list.round, key));
        if !std::mem::replace(&mut list.watched, true) {
            // Not under the list's lock: the crier locks in the other order.
            drop(list);
            self.crier.watched.lock().push(Arc::clone(self.bell));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some((round, key)) = self.key {
            let mut list = self.bell.0.lock();
            if round == list.round {
                list.waiting.remove(key);
            }
        }
    }
}

/// One value that changes, and who waits for it on each thread.
#[derive(Debug)]
pub(crate) struct Board<T> {
    shown: RwLock<Shown<T>>,
    bells: Box<[(Arc<Crier>, Arc<Bell>)]>,
}

impl<T> Board<T> {
    pub(crate) fn new(criers: &[Arc<Crier>]) -> Self {
        let bells = criers.iter().map(|crier| (Arc::clone(crier), Arc::default())).collect();
        Self { shown: RwLock::new(Shown::Nothing), bells }
    }

    pub(crate) fn now(&self) -> Option<Arc<T>> {
        self.shown.read().now().cloned()
    }

    /// Changes what is shown, and calls all who wait.
    pub(crate) fn change(&self, edit: impl FnOnce(&mut Shown<T>)) {
        edit(&mut self.shown.write());
        for (crier, bell) in &self.bells {
            crier.ring(bell);
        }
    }

    /// Waits on thread `thread` until `ready` says so of what is shown, or it is closed. `None`: not until `until`.
    pub(crate) async fn wait(&self, thread: usize, until: Instant, ready: impl Fn(&T) -> bool) -> Option<Shown<T>> {
        let (crier, bell) = &self.bells[thread];
        let mut place = Place { bell, crier, key: None };
        let look = || {
            let shown = self.shown.read();
            match &*shown {
                Shown::Nothing => None,
                Shown::Now(value) => ready(value).then(|| shown.clone()),
                Shown::Closed => Some(Shown::Closed),
            }
        };
        poll_fn(|context| {
            if let Some(found) = look() {
                return Poll::Ready(Some(found));
            }
            if Instant::now() >= until {
                return Poll::Ready(None);
            }
            place.enter(context, until);
            // What was put between the look and the place in the list has called those before us only.
            look().map_or(Poll::Pending, |found| Poll::Ready(Some(found)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(criers: usize) -> (Arc<Board<u32>>, Vec<Arc<Crier>>) {
        let criers: Vec<Arc<Crier>> = (0..criers).map(|_| Arc::default()).collect();
        (Arc::new(Board::new(&criers)), criers)
    }

    fn waiting(board: &Board<u32>) -> usize {
        board.bells.iter().map(|(_, bell)| bell.0.lock().waiting.len()).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_are_called_and_those_who_want_more_wait_on() {
        let (board, criers) = board(2);
        for crier in &criers {
            let crier = Arc::clone(crier);
            tokio::spawn(async move { crier.run().await });
        }
        let until = Instant::now() + Duration::from_secs(6);
        let waiters: Vec<_> = (0..100_u32)
            .map(|n| {
                let board = Arc::clone(&board);
                tokio::spawn(async move { board.wait(n as usize % 2, until, |&now| now > n % 2).await })
            })
            .collect();
        while waiting(&board) != 100 {
            tokio::task::yield_now().await;
        }
        board.change(|shown| *shown = Shown::Now(Arc::new(1)));
        for (n, waiter) in waiters.into_iter().enumerate() {
            if n == 1 {
                // All even ones have theirs; the odd ones go on waiting, each with one place.
                while waiting(&board) != 50 {
                    tokio::task::yield_now().await;
                }
                board.change(|shown| *shown = Shown::Now(Arc::new(2)));
            }
            let seen = waiter.await.expect("no task panics").expect("in time").now().cloned();
            assert!(seen.is_some_and(|seen| *seen > n as u32 % 2));
        }
        assert_eq!(waiting(&board), 0);
        assert!(Instant::now() < until);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_so_within_a_tick() {
        let (board, criers) = board(1);
        let crier = Arc::clone(&criers[0]);
        tokio::spawn(async move { crier.run().await });
        let began = Instant::now();
        let seen = board.wait(0, began + Duration::from_secs(6), |_| false).await;
        assert!(seen.is_none());
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(6) && took <= Duration::from_secs(6) + 2 * TICK, "{took:?}");
        assert_eq!(waiting(&board), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_leaves_nothing_behind_and_a_closed_board_frees_all() {
        let (board, criers) = board(1);
        let crier = Arc::clone(&criers[0]);
        tokio::spawn(async move { crier.run().await });
        let until = Instant::now() + Duration::from_secs(6);
        let going = Arc::clone(&board);
        let gone = tokio::spawn(async move { going.wait(0, until, |_| true).await });
        let staying = Arc::clone(&board);
        let stayed = tokio::spawn(async move { staying.wait(0, until, |_| true).await });
        tokio::task::yield_now().await;
        assert_eq!(waiting(&board), 2);
        gone.abort();
        assert!(gone.await.is_err());
        assert_eq!(waiting(&board), 1);
        board.change(|shown| *shown = Shown::Closed);
        assert!(matches!(stayed.await, Ok(Some(Shown::Closed))));
    }
}
