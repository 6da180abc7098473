/** The settings of hls.js that fit the stream: the server hands them over in EXT-X-SESSION-DATA, one line of the multivariant playlist. */

import type { HlsConfig } from "hls.js";

/** Seconds, unless it says otherwise. */
export interface Profile {
  tolerance: number;
  /** Playback rate, 1 or more. */
  catchUp: number;
  onStall: number;
  jump: number;
  /** So many stalls within so long: whole segments from then on, for a while. */
  stalls: number;
  stallsWithin: number;
  plainFor: number;
}

export const DATA_ID = "avacast.player";

/** What holds where the server says nothing. */
export const USUAL: Profile = {
  tolerance: 0.08,
  catchUp: 1.1,
  onStall: 0.2,
  jump: 10,
  stalls: 3,
  stallsWithin: 20,
  plainFor: 30,
};

/** Where each setting stands in the line, and what is believed of it. */
const BOUNDS: Record<keyof Profile, [name: string, least: number, most: number]> = {
  tolerance: ["tolerance", 0.01, 0.25],
  catchUp: ["catch-up", 1, 1.5],
  onStall: ["on-stall", 0, 2],
  jump: ["jump", 4, 60],
  stalls: ["stalls", 1, 100],
  stallsWithin: ["stalls-within", 1, 600],
  plainFor: ["plain-for", 5, 3600],
};

/** Reads `name=number name=number`; what is missing, unreadable or out of bounds is as usual. */
export function parseProfile(value: string | undefined): Profile {
  const told = new Map(
    (value ?? "")
      .slice(0, 1000)
      .split(" ")
      .map((one) => one.split("=", 2) as [string, string]),
  );
  const profile = { ...USUAL };
  for (const [key, [name, least, most]] of Object.entries(BOUNDS) as [
    keyof Profile,
    [string, number, number],
  ][]) {
    const number = Number.parseFloat(told.get(name) ?? "");
    if (number >= least && number <= most) profile[key] = number;
  }
  return profile;
}

/** What of it hls.js takes. */
export function settingsOf(profile: Profile): Partial<HlsConfig> {
  return {
    maxFragLookUpTolerance: profile.tolerance,
    maxLiveSyncPlaybackRate: profile.catchUp,
    liveSyncOnStallIncrease: profile.onStall,
  };
}

/**
 * Parts or whole segments. Pure: time is an argument.
 *
 * A path that delivers in bursts stalls again and again at the distance that parts allow; whole segments are played from three target
 * durations back and survive that. After a while parts are tried again, each time later.
 *
 *     parts -- so many stalls in so long --> plain -- its time is up --> parts
 */
export class Tempo {
  private stalledAtMs: number[] = [];
  private plainUntilMs: number | null = null;
  private times = 0;

  constructor(private readonly profile: Profile) {}

  get plain(): boolean {
    return this.plainUntilMs !== null;
  }

  /** A stall, or a part that did not come in its time. True when whole segments are due from now on. */
  handleStall(nowMs: number): boolean {
    if (this.plainUntilMs !== null) {
      // It stalls even so: parts would be worse.
      this.plainUntilMs = Math.max(this.plainUntilMs, nowMs + this.profile.plainFor * 1000);
      return false;
    }
    this.stalledAtMs = this.stalledAtMs.filter((atMs) => nowMs - atMs < this.profile.stallsWithin * 1000);
    this.stalledAtMs.push(nowMs);
    if (this.stalledAtMs.length < this.profile.stalls) return false;
    this.stalledAtMs = [];
    this.plainUntilMs = nowMs + this.profile.plainFor * 1000 * 2 ** Math.min(this.times, 4);
    this.times += 1;
    return true;
  }

  /** True when parts are due again. */
  tick(nowMs: number): boolean {
    if (this.plainUntilMs === null || nowMs < this.plainUntilMs) return false;
    this.plainUntilMs = null;
    return true;
  }
}
