/** Ways that do not work for this viewer (UDP blocked, a CDN out of reach): they are avoided for a while. Pure. */

import { type Mode, type Plan, type Target, targetOf } from "./plan.ts";

const TRIES = 2;
const FIRST_MS = 60_000;
const LONGEST_MS = 600_000;

export class Failures {
  private readonly counts: Record<Mode, number> = { webrtc: 0, hls: 0 };
  private readonly untilMs: Record<Mode, number> = { webrtc: 0, hls: 0 };

  /** A source of this mode did not come to its first picture. */
  note(mode: Mode, nowMs: number): void {
    this.counts[mode] += 1;
    const beyond = this.counts[mode] - TRIES;
    if (beyond >= 0) this.untilMs[mode] = nowMs + Math.min(LONGEST_MS, FIRST_MS * 2 ** beyond);
  }

  /** This browser cannot watch this broadcast so, whichever node it asks: it has no decoder for it. */
  ruleOut(mode: Mode, nowMs: number): void {
    this.counts[mode] = Math.max(this.counts[mode], TRIES);
    this.untilMs[mode] = nowMs + LONGEST_MS;
  }

  /** It did. */
  clear(mode: Mode): void {
    this.counts[mode] = 0;
    this.untilMs[mode] = 0;
  }

  /** The plan's own way, or the other one while that is avoided. */
  choose(plan: Plan, nowMs: number): Target | null {
    const other: Mode = plan.mode === "webrtc" ? "hls" : "webrtc";
    const avoided = nowMs < this.untilMs[plan.mode] && nowMs >= this.untilMs[other];
    const way = plan[other === "hls" ? "hls" : "whep"];
    return targetOf(avoided && way !== null ? { ...plan, mode: other } : plan);
  }
}
