//! Which layer a viewer gets: pure decisions over what its reports say and what the layers take, in the caller's time.
//!
//! Down is quick, up is careful. Down: loss above what the path always loses, a queue that grows (round trips), or an estimate
//! (REMB) that has fallen below what the layer takes. A drop is answered with the layer that fits what still came through, and
//! with sound alone when not even the lowest does. Up, one layer at a time: the path first has to carry padding of the missing
//! size, without loss and without a queue; a layer that had to be left again soon doubles the wait before the next try.
//!
//! Loss of a radio path is not congestion: when a step down does not change it, it is taken for the path's own and subtracted.
use std::time::{Duration, Instant};

use crate::packet::Layer;
use crate::rungs::Rungs;

/// Reports so soon after a change speak of the time before it (they come once a second).
const SETTLING: Duration = Duration::from_millis(1200);
/// Longer between two reports than this: the path was dead, and the next report's loss is no news of its width.
const OUTAGE: Duration = Duration::from_millis(1900);
/// Wait before a step up, and the most that failures make of it.
const LEAST_PATIENCE: Duration = Duration::from_secs(4);
const MOST_PATIENCE: Duration = Duration::from_secs(12);
/// A step up that is taken back within this has failed.
const TRIAL: Duration = Duration::from_secs(6);
/// A probe grows with good reports: shares of what is missing. The first ones find a wall without much harm to sound.
const PROBE_SHARES: [f64; 3] = [0.3, 0.65, 1.05];
/// How long each share must have been on the path before a report speaks of it, and how long all may take (receivers of sound
/// alone may report every 5 s).
const PROBE_STEP: Duration = Duration::from_millis(700);
const LONGEST_PROBE: Duration = Duration::from_secs(18);
/// Loss beyond the path's own: of note when it stays, a drop when it comes at once, too much for a probe.
const MILD_LOSS: f64 = 0.10;
const SEVERE_LOSS: f64 = 0.30;
const PROBE_LOSS: f64 = 0.08;
/// Most loss that can be the path's own.
const MOST_TOLERATED: f64 = 0.30;
/// Sound alone: excess loss at the lowest of several layers, or at the only one, in so many reports on end.
const HEAVY_LOSS: f64 = 0.20;
const HEAVY_REPORTS: u32 = 3;
const HOPELESS_LOSS: f64 = 0.50;
const HOPELESS_REPORTS: u32 = 4;
/// The same by a queue that does not go away.
const LONG_QUEUE: Duration = Duration::from_secs(1);
const LONGEST_QUEUE: Duration = Duration::from_secs(2);
const LASTING: Duration = Duration::from_secs(4);
/// Round trips longer than the shortest by this: a queue.
const QUEUE: Duration = Duration::from_millis(300);
const PROBE_QUEUE: Duration = Duration::from_millis(150);
/// A path that was too narrow is treated with care for so long.
const NARROW: Duration = Duration::from_secs(30);
/// An estimate is worth no more than this: its 18 bits may be shifted by up to 63.
const MOST_REMB_BPS: u64 = 1_000_000_000_000;
/// An estimate counts for so long, and a fall of it as overuse.
const FRESH: Duration = Duration::from_secs(3);

/// What a viewer gets of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Video(Layer),
    /// Not even the lowest layer fits: sound goes on alone.
    AudioOnly,
}

/// What a viewer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerWish {
    /// The best that fits.
    #[default]
    Auto,
    /// This layer; a lower one while it does not fit.
    Most(Layer),
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) to: Choice,
    /// Nothing more of the present layer: it would only be lost, and sound with it.
    pub(super) at_once: bool,
}

/// What a decision looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Layers that are alive.
    pub(super) rungs: Rungs,
    /// What sound takes; `None` when there is none, so that video cannot be given up for it.
    pub(super) audio_bps: Option<u64>,
    /// All that was sent over the last second.
    pub(super) sent_bps: u64,
    /// The path can be tried with padding (RTX is negotiated).
    pub(super) paddable: bool,
}

/// Bad reports in a row.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    since: Instant,
    reports: u32,
    /// Of those the last ones in a row with so much loss that several layers, or the only one, cannot be carried.
    heavy: u32,
    hopeless: u32,
    /// Newest loss, and how much of it is not the path's own.
    loss: f64,
    excess: f64,
}

#[derive(Debug, Clone, Copy)]
enum Climb {
    /// Not before this.
    Waiting { until: Instant },
    /// Padding fills the path up to what `layer` needs; `step` of the shares since `step_at`.
    Probing { layer: Layer, since: Instant, base_bps: u64, need_bps: u64, step: usize, step_at: Instant },
}

/// The state of one viewer's choice.
#[derive(Debug)]
pub(super) struct Chooser {
    wish: LayerWish,
    /// The wish is new: go there without a probe, once.
    asked: bool,
    choice: Choice,
    settled_at: Instant,
    climb: Climb,
    patience: Duration,
    trial_until: Option<Instant>,
    heard: Option<Instant>,
    /// Smoothed; `None` until the first report after a change.
    loss: Option<f64>,
    /// The path's own.
    tolerated: f64,
    /// Loss that made us step down, and reports since: does it stay?
    stepped: Option<(f64, u32)>,
    trouble: Option<Trouble>,
    shortest_rtt: Option<Duration>,
    queue: Duration,
    /// When the path was last found too narrow.
    narrowed: Option<Instant>,
    remb: Option<(u64, Instant)>,
    remb_fell: Option<Instant>,
}

impl Chooser {
    /// Begins with a layer.
    pub(super) fn new(now: Instant, layer: Layer) -> Chooser {
        Chooser {
            wish: LayerWish::Auto,
            asked: false,
            choice: Choice::Video(layer),
            settled_at: now + SETTLING,
            climb: Climb::Waiting { until: now + LEAST_PATIENCE },
            patience: LEAST_PATIENCE,
            trial_until: None,
            heard: None,
            loss: None,
            tolerated: 0.0,
            stepped: None,
            trouble: None,
            shortest_rtt: None,
            queue: Duration::ZERO,
            narrowed: None,
            remb: None,
            remb_fell: None,
        }
    }

    pub(super) fn choice(&self) -> Choice {
        self.choice
    }

    pub(super) fn set_wish(&mut self, now: Instant, wish: LayerWish) {
        (self.wish, self.asked, self.patience) = (wish, true, LEAST_PATIENCE);
        self.climb = Climb::Waiting { until: now };
    }

    /// The receiver's estimate of what the path carries.
    pub(super) fn take_remb(&mut self, now: Instant, bps: u64) {
        let bps = bps.min(MOST_REMB_BPS);
        // estimates rise by some percent a second and fall by 15 % at once
        let fell = self.remb.is_some_and(|(before, at)| now - at < FRESH && bps * 100 < before * 97);
        self.remb = Some((bps, now));
        if fell {
            self.remb_fell = Some(now);
            if matches!(self.climb, Climb::Probing { need_bps, .. } if bps < need_bps) {
                self.fail_climb(now);
            }
        }
    }

    /// A receiver report: share lost since the one before (0..1), and the round trip.
    pub(super) fn take_report(&mut self, now: Instant, loss: f64, rtt: Option<Duration>) {
        let gap = self.heard.map(|heard| now.saturating_duration_since(heard));
        self.heard = Some(now);
        if let Some(rtt) = rtt {
            // the shortest creeps up, so that a longer route is learnt
            let shortest =
                self.shortest_rtt.map_or(rtt, |shortest| rtt.min(shortest + rtt.saturating_sub(shortest) / 64));
            self.shortest_rtt = Some(shortest);
            self.queue = rtt - shortest;
        }
        let dead = self.choice != Choice::AudioOnly && gap.is_some_and(|gap| gap > OUTAGE);
        if now < self.settled_at || dead {
            return;
        }
        let smooth = self.loss.map_or(loss, |before| (before + loss) / 2.0);
        self.loss = Some(smooth);
        if smooth < self.tolerated {
            self.tolerated += (smooth - self.tolerated) / 8.0;
        }
        self.judge_the_step(now, smooth);
        let (excess, smooth_excess) = (loss - self.tolerated, smooth - self.tolerated);
        self.judge_the_probe(now, excess);
        if smooth_excess.max(excess - SEVERE_LOSS + MILD_LOSS) < MILD_LOSS && self.queue < QUEUE {
            self.trouble = None;
            return;
        }
        let trouble =
            self.trouble.get_or_insert(Trouble { since: now, reports: 0, heavy: 0, hopeless: 0, loss, excess });
        trouble.reports += 1;
        trouble.heavy = if excess >= HEAVY_LOSS { trouble.heavy + 1 } else { 0 };
        trouble.hopeless = if excess >= HOPELESS_LOSS { trouble.hopeless + 1 } else { 0 };
        (trouble.loss, trouble.excess) = (loss, excess);
    }

    /// Loss that a step down has not changed is the path's own.
    fn judge_the_step(&mut self, now: Instant, smooth: f64) {
        let Some((before, reports)) = self.stepped else { return };
        self.stepped = Some((before, reports + 1));
        if reports + 1 < 2 {
            return;
        }
        self.stepped = None;
        if before >= MILD_LOSS && smooth >= before * 0.6 && smooth <= MOST_TOLERATED {
            self.tolerated = self.tolerated.max(smooth);
            (self.trouble, self.patience, self.trial_until) = (None, LEAST_PATIENCE, None);
            self.climb = Climb::Waiting { until: now };
        }
    }

    fn judge_the_probe(&mut self, now: Instant, excess: f64) {
        let Climb::Probing { step, step_at, .. } = &mut self.climb else { return };
        if excess > PROBE_LOSS || self.queue > PROBE_QUEUE {
            self.fail_climb(now);
        } else if now >= *step_at + PROBE_STEP + self.shortest_rtt.unwrap_or_default() {
            (*step, *step_at) = (*step + 1, now);
        }
    }

    fn fail_climb(&mut self, now: Instant) {
        // what the probe itself has lost, and its repair, is not held against the layer
        self.settled_at = now + 2 * SETTLING + self.shortest_rtt.unwrap_or_default();
        (self.trouble, self.loss, self.narrowed) = (None, None, Some(now));
        self.patience = (2 * self.patience).min(MOST_PATIENCE);
        self.climb = Climb::Waiting { until: now + self.patience };
    }

    /// How fast a backlog may leave on a path that was found narrow lately: somewhat faster than the layer itself.
    pub(super) fn pace_bps(&self, now: Instant, layer_bps: u64) -> Option<u64> {
        let narrow = self.narrowed.is_some_and(|at| now.saturating_duration_since(at) < NARROW);
        narrow.then(|| (layer_bps * 5 / 2).max(64_000))
    }

    /// What to send of padding now, in bits per second.
    pub(super) fn padding_bps(&self) -> u64 {
        let Climb::Probing { base_bps, need_bps, step, .. } = self.climb else { return 0 };
        let share = PROBE_SHARES.get(step).or(PROBE_SHARES.last()).copied().unwrap_or(1.0);
        (need_bps.saturating_sub(base_bps) as f64 * share) as u64
    }

    /// The decision, if there is one: after reports, and once a second.
    pub(super) fn choose(&mut self, now: Instant, view: &View) -> Option<Move> {
        if view.rungs.len() == 0 {
            return None;
        }
        if self.trial_until.is_some_and(|until| now >= until) {
            (self.trial_until, self.patience) = (None, LEAST_PATIENCE);
        }
        let top = match self.wish {
            LayerWish::Most(layer) => view.rungs.index_of(layer),
            LayerWish::Auto => None,
        };
        let rungs = view.rungs.up_to(top.unwrap_or(view.rungs.len() - 1));
        let at = match self.choice {
            Choice::AudioOnly => None,
            Choice::Video(layer) => match rungs.index_of(layer) {
                Some(at) => Some(at),
                // silent, or above the wish
                None => {
                    let silent = view.rungs.index_of(layer).is_none();
                    let best = rungs.at(rungs.len() - 1)?;
                    return Some(self.change(now, Choice::Video(best.layer), silent));
                }
            },
        };
        if let Some(at) = at
            && let Some(down) = self.step_down(now, at, &rungs, view)
        {
            return Some(down);
        }
        self.step_up(now, at, &rungs, view)
    }

    fn step_down(&mut self, now: Instant, at: usize, rungs: &Rungs, view: &View) -> Option<Move> {
        let need = need_bps(rungs.at(at)?.bps, view);
        // An estimate that grows slowly behind a picture that grows quickly is no congestion: only one that has fallen counts.
        let fell = self.remb_fell.is_some_and(|fell| now.saturating_duration_since(fell) < FRESH);
        let remb =
            self.remb.filter(|(_, at)| fell && now >= self.settled_at && now.saturating_duration_since(*at) < FRESH);
        let narrow = remb.map(|(bps, _)| bps).filter(|bps| bps * 10 < need * 7);
        let through = self.trouble.map(|trouble| (view.sent_bps as f64 * (1.0 - trouble.loss.clamp(0.0, 1.0))) as u64);
        if at > 0 {
            let (drop, lasting) =
                self.trouble.map_or((false, false), |trouble| (trouble.excess >= SEVERE_LOSS, trouble.reports >= 2));
            if !(drop || lasting || narrow.is_some()) {
                return None;
            }
            let budget = through.into_iter().chain(narrow).min().unwrap_or(0) * 9 / 10;
            let fits =
                (0..at).rev().find(|index| rungs.at(*index).is_some_and(|rung| need_bps(rung.bps, view) <= budget));
            let to = if drop || narrow.is_some() { fits.unwrap_or(0) } else { at - 1 };
            let at_once = drop || narrow.is_some_and(|bps| bps * 2 < need);
            return Some(self.fall(now, Choice::Video(rungs.at(to)?.layer), at_once));
        }
        view.audio_bps?;
        let single = view.rungs.len() == 1;
        let hopeless = self.trouble.is_some_and(|trouble| {
            let lost = if single { trouble.hopeless >= HOPELESS_REPORTS } else { trouble.heavy >= HEAVY_REPORTS };
            let queue = if single { LONGEST_QUEUE } else { LONG_QUEUE };
            lost || self.queue >= queue && now.saturating_duration_since(trouble.since) >= LASTING
        });
        hopeless.then(|| self.fall(now, Choice::AudioOnly, true))
    }

    fn step_up(&mut self, now: Instant, at: Option<usize>, rungs: &Rungs, view: &View) -> Option<Move> {
        let next = rungs.at(at.map_or(0, |at| at + 1));
        let Some(next) = next else {
            if matches!(self.climb, Climb::Probing { .. }) {
                self.climb = Climb::Waiting { until: now };
            }
            return None;
        };
        if std::mem::take(&mut self.asked)
            && let (LayerWish::Most(layer), None) = (self.wish, self.trouble)
            && rungs.index_of(layer).is_some()
        {
            return Some(self.rise(now, layer));
        }
        let need = need_bps(next.bps, view);
        match self.climb {
            Climb::Waiting { until } if now < until || self.trouble.is_some() => None,
            Climb::Waiting { .. } => {
                let known = self.remb.filter(|(_, at)| now.saturating_duration_since(*at) < FRESH);
                let calm = self.remb_fell.is_none_or(|fell| now.saturating_duration_since(fell) >= FRESH);
                if !view.paddable || calm && known.is_some_and(|(bps, _)| bps >= need * 115 / 100) {
                    return Some(self.rise(now, next.layer));
                }
                let base_bps = at.and_then(|at| rungs.at(at)).map_or(0, |rung| rung.bps) + view.audio_bps.unwrap_or(0);
                self.climb =
                    Climb::Probing { layer: next.layer, since: now, base_bps, need_bps: need, step: 0, step_at: now };
                None
            }
            Climb::Probing { layer, .. } if layer != next.layer => {
                self.climb = Climb::Waiting { until: now };
                None
            }
            Climb::Probing { step, .. } if step >= PROBE_SHARES.len() => Some(self.rise(now, next.layer)),
            Climb::Probing { since, .. } => {
                if now.saturating_duration_since(since) >= LONGEST_PROBE {
                    self.fail_climb(now);
                }
                None
            }
        }
    }

    fn rise(&mut self, now: Instant, layer: Layer) -> Move {
        let change = self.change(now, Choice::Video(layer), false);
        self.trial_until = Some(now + TRIAL);
        self.climb = Climb::Waiting { until: now + LEAST_PATIENCE };
        change
    }

    fn fall(&mut self, now: Instant, to: Choice, at_once: bool) -> Move {
        if self.trial_until.take().is_some() {
            self.patience = (2 * self.patience).min(MOST_PATIENCE);
        }
        self.narrowed = Some(now);
        let before = self.loss;
        let change = self.change(now, to, at_once);
        self.stepped = before.map(|loss| (loss, 0));
        change
    }

    fn change(&mut self, now: Instant, to: Choice, at_once: bool) -> Move {
        self.choice = to;
        self.settled_at = now + SETTLING + self.shortest_rtt.unwrap_or_default();
        (self.trouble, self.loss, self.stepped) = (None, None, None);
        self.climb = Climb::Waiting { until: now + self.patience };
        Move { to, at_once }
    }
}

/// What a layer takes of the path: its payload, headers of equal packets, and sound.
fn need_bps(bps: u64, view: &View) -> u64 {
    bps * 106 / 100 + view.audio_bps.unwrap_or(0)
}
