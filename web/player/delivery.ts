/**
 * Which source is on screen and which one comes next. Pure: time, chance and the network are arguments.
 *
 * Make before break: a new source is opened beside the one on screen, plays muted until its first picture is there,
 * and only then the old one is closed. A source that went silent stays on screen, as a still, until its
 * replacement has a picture; when it comes back to life first, the replacement is dropped.
 *
 *     idle -> asking -> opening -> playing -> opening (another target) -> playing
 *               ^          |          |
 *               +- waiting <- failed -+- silent
 */

import type { Problem } from "../api/problem.ts";
import { sameTarget, type Target } from "./plan.ts";

export interface Source {
  id: number;
  target: Target;
  alive: boolean;
}

export type State =
  | { at: "idle" }
  | { at: "asking"; shown: Source | null; attempt: number; deadlineMs: number; problem: Problem | null }
  | { at: "opening"; shown: Source | null; next: Source; attempt: number; deadlineMs: number }
  /** `retry`: when to ask again while it plays, because a target failed to start or a change was announced. */
  | { at: "playing"; shown: Source; retry: { untilMs: number; attempt: number } | null }
  | { at: "waiting"; shown: Source | null; attempt: number; untilMs: number; problem: Problem };

export type Action =
  | { do: "ask" }
  | { do: "open"; source: Source }
  | { do: "show"; source: Source }
  | { do: "close"; id: number };

export interface Limits {
  /** How long `/play` may take. */
  askMs: number;
  /** How long a source may take to its first picture, and then to the pause in which it takes over. */
  openMs: number;
  /** First and longest wait between tries; each wait is drawn from the upper half of its step. */
  backoffMs: { first: number; longest: number; absentMs: number };
  /** After a silent source: viewers of one dead node come back spread over this time. */
  spreadMs: number;
  /** After an announcement to all HLS viewers: they ask spread over this time. */
  hintMs: number;
}

export const LIMITS: Limits = {
  askMs: 6000,
  openMs: 12_000,
  backoffMs: { first: 400, longest: 10000, absentMs: 2500 },
  spreadMs: 250,
  hintMs: 1000,
};

export class Delivery {
  state: State = { at: "idle" };
  private lastId = 0;

  constructor(
    private readonly chance: () => number,
    private readonly limits: Limits = LIMITS,
  ) {}

  /** The source whose picture is on screen, alive or not. */
  get shown(): Source | null {
    return this.state.at === "idle" ? null : this.state.shown;
  }

  /** When `tick` must be called next, or null. */
  get deadlineMs(): number | null {
    switch (this.state.at) {
      case "asking":
      case "opening":
        return this.state.deadlineMs;
      case "waiting":
        return this.state.untilMs;
      case "playing":
        return this.state.retry?.untilMs ?? null;
      default:
        return null;
    }
  }

  start(nowMs: number): Action[] {
    if (this.state.at !== "idle") return [];
    return this.ask(nowMs, null, 0, null);
  }

  stop(): Action[] {
    const closing = this.sources().map((source): Action => ({ do: "close", id: source.id }));
    this.state = { at: "idle" };
    return closing;
  }

  /** The server told us how to watch: as an answer to `ask`, or by itself while we watch. */
  handleTarget(nowMs: number, target: Target): Action[] {
    const state = this.state;
    if (state.at === "idle") return [];
    const shown = state.shown;
    if (state.at === "opening" && sameTarget(state.next.target, target)) return [];
    const actions: Action[] = state.at === "opening" ? [{ do: "close", id: state.next.id }] : [];
    if (shown?.alive && sameTarget(shown.target, target)) {
      this.state = { at: "playing", shown, retry: null };
      return actions;
    }
    const next: Source = { id: ++this.lastId, target, alive: true };
    this.state = {
      at: "opening",
      shown,
      next,
      attempt: attemptOf(state),
      deadlineMs: nowMs + this.limits.openMs,
    };
    return [...actions, { do: "open", source: next }];
  }

  /** `/play` failed. */
  handleRefusal(nowMs: number, problem: Problem): Action[] {
    if (this.state.at !== "asking") return [];
    return this.fail(nowMs, this.state.shown, this.state.attempt, problem);
  }

  /** A source has its first picture (or its first sound, when there is no picture). */
  handleReady(_nowMs: number, id: number): Action[] {
    const state = this.state;
    if (state.at !== "opening" || state.next.id !== id) return [];
    const actions: Action[] = [{ do: "show", source: state.next }];
    if (state.shown) actions.push({ do: "close", id: state.shown.id });
    this.state = { at: "playing", shown: state.next, retry: null };
    return actions;
  }

  /** A source failed or went silent. */
  handleLost(nowMs: number, id: number, problem: Problem): Action[] {
    const state = this.state;
    if (state.at === "opening" && state.next.id === id) {
      return [{ do: "close", id }, ...this.fail(nowMs, state.shown, state.attempt, problem)];
    }
    const shown = this.shown;
    if (shown?.id !== id || !shown.alive) return [];
    shown.alive = false;
    if (state.at !== "playing") return []; // A replacement is already on its way.
    this.state = {
      at: "waiting",
      shown,
      attempt: 0,
      untilMs: nowMs + this.chance() * this.limits.spreadMs,
      problem,
    };
    return [];
  }

  /** A silent source that is still on screen delivers again: keep it. */
  handleRecovered(id: number): Action[] {
    const shown = this.shown;
    if (shown?.id !== id || shown.alive) return [];
    shown.alive = true;
    const actions: Action[] = this.state.at === "opening" ? [{ do: "close", id: this.state.next.id }] : [];
    this.state = { at: "playing", shown, retry: null };
    return actions;
  }

  /** Something changed that concerns everyone: ask soon, not all at once. */
  handleHint(nowMs: number): Action[] {
    if (this.state.at !== "playing" || this.state.retry) return [];
    this.state.retry = { untilMs: nowMs + this.chance() * this.limits.hintMs, attempt: 0 };
    return [];
  }

  /** Try again now: a person pressed the button, or the network came back. */
  retry(nowMs: number): Action[] {
    if (this.state.at === "asking") this.state.problem = null; // It is asking already: who pressed sees that.
    if (this.state.at !== "waiting") return [];
    return this.ask(nowMs, this.state.shown, 0, null);
  }

  tick(nowMs: number, timeout: Problem): Action[] {
    const state = this.state;
    const due = this.deadlineMs;
    if (due === null || nowMs < due) return [];
    switch (state.at) {
      case "asking":
        return this.fail(nowMs, state.shown, state.attempt, timeout);
      case "opening":
        return [{ do: "close", id: state.next.id }, ...this.fail(nowMs, state.shown, state.attempt, timeout)];
      case "waiting":
        return this.ask(nowMs, state.shown, state.attempt, state.problem);
      case "playing":
        return this.ask(nowMs, state.shown, state.retry?.attempt ?? 0, null);
      default:
        return [];
    }
  }

  /** `problem` is why the try before failed: a viewer goes on reading it while nobody but the player asks again. */
  private ask(nowMs: number, shown: Source | null, attempt: number, problem: Problem | null): Action[] {
    this.state = { at: "asking", shown, attempt, deadlineMs: nowMs + this.limits.askMs, problem };
    return [{ do: "ask" }];
  }

  private fail(nowMs: number, shown: Source | null, attempt: number, problem: Problem): Action[] {
    const { first, longest, absentMs } = this.limits.backoffMs;
    // What is not there yet may come at any moment; whoever waits for it wants to see its beginning.
    const limit = problem.status === 404 ? absentMs : longest;
    const step = Math.min(limit, first * 2 ** attempt);
    const wait = Math.max(step * (0.5 + 0.5 * this.chance()), problem.retryAfterMs ?? 0);
    this.state = shown?.alive
      ? { at: "playing", shown, retry: { untilMs: nowMs + wait, attempt: attempt + 1 } }
      : { at: "waiting", shown, attempt: attempt + 1, untilMs: nowMs + wait, problem };
    return [];
  }

  private sources(): Source[] {
    const state = this.state;
    if (state.at === "idle") return [];
    const sources = state.shown ? [state.shown] : [];
    return state.at === "opening" ? [...sources, state.next] : sources;
  }
}

function attemptOf(state: State): number {
  if (state.at === "playing") return state.retry?.attempt ?? 0;
  return state.at === "idle" ? 0 : state.attempt;
}
