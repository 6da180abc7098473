//! Bursts to subscribers: sound at once, pictures in laps.
//!
//! A burst for a small audience leaves in one go, each viewer's sound as the short tail of the pictures' train. For a large one that takes
//! milliseconds (a key frame for 1,500 viewers: 150), in which sound, handshakes and repairs would wait. So sound goes first, to all, and
//! the pictures follow in a lap around the subscribers, a portion a turn of the worker's loop. A picture that comes while a lap is under way
//! is taken along: each subscriber is sent all that the cache has for it, so a worker that cannot keep up sends longer trains.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sfu::{Burst, Kind, Outbox, Packet, StreamCache, Subscriber, SubscriberEvent};

use crate::post::StreamName;

use super::{SUBSCRIBERS_A_FLUSH, Worker, send_out};

/// Datagrams of a burst that leave in one go: about 3 ms.
const MOST_AT_ONCE: usize = 1000;
/// What laps may take of a turn of the loop.
pub(super) const PORTION: Duration = Duration::from_millis(1);
/// A worker whose subscribers wait longer than that for pictures has more to do than it can: sound then rides with them, which is cheaper.
const MOST_BEHIND: Duration = Duration::from_millis(80);

/// What of a burst is sent.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    /// All that there is, and packets that came late.
    Whole(&'a [Arc<Packet>]),
    /// All but the pictures that are new.
    Sound(&'a [Arc<Packet>]),
}

impl Worker {
    /// Gives a burst to the stream's cache, its taps and its subscribers on this worker.
    pub(super) fn forward(&mut self, now: Instant, name: &StreamName, burst: &Burst) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let late = stream.cache.push(burst);
        stream.taps.retain_mut(|tapped| {
            tapped.tap.push(now, burst);
            while let Some(unit) = tapped.tap.poll() {
                tapped.queue.push(unit);
            }
            !tapped.queue.is_closed()
        });
        let count = stream.subscribers.len();
        let arrival = burst.first().map_or(now, |packet| packet.arrival);
        let pictures = burst.iter().filter(|packet| packet.kind == Kind::Video).count();
        if stream.lap.owed() == 0 && pictures * count <= MOST_AT_ONCE {
            stream.turn = stream.turn.wrapping_add(1);
            self.serve(now, name, count, Part::Whole(&late), arrival, None);
            return;
        }
        let behind = stream.lap.oldest().is_some_and(|oldest| now.saturating_duration_since(oldest) > MOST_BEHIND);
        if !late.is_empty() || pictures < burst.len() && !behind {
            self.serve(now, name, count, Part::Sound(&late), arrival, None);
        }
        let Some(stream) = self.streams.get_mut(name).filter(|_| pictures > 0 || behind) else { return };
        if stream.lap.owed() == 0 {
            stream.turn = stream.turn.wrapping_add(1);
            self.laps.push_back(Arc::clone(name));
        }
        stream.lap.add(arrival, count);
    }

    /// Serves laps for a while, one stream after the other.
    pub(super) fn run_laps(&mut self) {
        let until = Instant::now() + PORTION;
        while Instant::now() < until
            && let Some(name) = self.laps.pop_front()
        {
            if self.run_lap(&name, Some(until)) {
                self.laps.push_back(name);
            }
        }
    }

    /// Sends what subscribers of a stream still wait for.
    pub(super) fn finish_lap(&mut self, name: &StreamName) {
        self.run_lap(name, None);
        self.laps.retain(|other| other != name);
    }

    /// Goes on with a lap; whether it has not come to its end.
    fn run_lap(&mut self, name: &StreamName, until: Option<Instant>) -> bool {
        let Some(stream) = self.streams.get(name) else { return false };
        let owed = stream.lap.owed().min(stream.subscribers.len());
        let Some(oldest) = stream.lap.oldest() else { return false };
        let served = self.serve(Instant::now(), name, owed, Part::Whole(&[]), oldest, until);
        let Some(stream) = self.streams.get_mut(name) else { return false };
        stream.turn = stream.turn.wrapping_add(served);
        stream.lap.served(served);
        stream.lap.owed() > 0
    }

    /// Sends a part of what the cache has to `count` subscribers from `Stream::turn` on, or to fewer when it is `until`. To how many.
    fn serve(
        &mut self,
        now: Instant,
        name: &StreamName,
        count: usize,
        part: Part<'_>,
        arrival: Instant,
        until: Option<Instant>,
    ) -> usize {
        let Some(stream) = self.streams.get_mut(name) else { return 0 };
        let mut happened: Vec<(usize, SubscriberEvent)> = Vec::new();
        let mut faults: Vec<usize> = Vec::new();
        let (mut served, mut unsent) = (0, 0);
        while served < count {
            let slot = stream.subscribers[stream.turn.wrapping_add(served) % stream.subscribers.len()];
            served += 1;
            unsent += 1;
            if let Some(taker) = self.takers[slot].as_mut() {
                let (outbox, cache, subscriber) = (&mut self.outbox, &stream.cache, &mut taker.subscriber);
                if catch_unwind(AssertUnwindSafe(|| part.send(now, subscriber, cache, outbox))).is_err() {
                    faults.push(slot);
                }
                while let Some(event) = taker.subscriber.poll_event() {
                    happened.push((slot, event));
                }
                self.taker_timers.set(slot, taker.subscriber.poll_timeout());
            }
            if unsent == SUBSCRIBERS_A_FLUSH || served == count {
                send_out(&mut self.connections, &mut self.sender, &self.socket, &mut self.outbox);
                let at = Instant::now();
                let figures =
                    if matches!(part, Part::Sound(_)) { &mut self.stats.sound } else { &mut self.stats.forward };
                figures.record(at.saturating_duration_since(arrival), unsent as u64);
                unsent = 0;
                if until.is_some_and(|until| at >= until) {
                    break;
                }
            }
        }
        for slot in faults {
            self.stats.faults += 1;
            self.drop_taker(slot, "fault");
        }
        for (slot, event) in happened {
            self.taker_event(now, slot, event);
        }
        served
    }
}

impl Part<'_> {
    fn send(self, now: Instant, subscriber: &mut Subscriber, cache: &StreamCache, outbox: &mut Outbox) {
        match self {
            Part::Whole(late) => subscriber.forward(now, late, cache, outbox),
            Part::Sound(late) => subscriber.forward_sound(now, late, cache, outbox),
        }
    }
}
