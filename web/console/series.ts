/** Rows of numbers, made ready to be drawn. Pure. */

import type { Share } from "../api/analytics.ts";

export interface Line {
  name: string;
  /** Custom property of the theme. */
  colour: string;
  /** Of an area, when that is another one. */
  fill?: string;
  values: readonly (number | null)[];
}

/** Each line's values and those of all lines after it, so that areas stand on each other. Unknown ones count nothing. */
export function cumulated(lines: readonly Line[]): (number | null)[][] {
  return lines.map((line, at) =>
    line.values.map((_, index) => {
      const below = lines.slice(at).map((one) => one.values[index] ?? null);
      const known = below.filter((value) => value !== null);
      return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
    }),
  );
}

/** Points at their times, with a null where steps are missing, so that no line leads across hours without a look. */
export function withGaps<T>(
  points: readonly T[],
  atS: (point: T) => number,
  stepS: number,
): { at: number[]; points: (T | null)[] } {
  const at: number[] = [];
  const told: (T | null)[] = [];
  for (const point of points) {
    const now = atS(point);
    const before = at.at(-1);
    if (before !== undefined && now - before > 1.5 * stepS) {
      at.push(before + stepS);
      told.push(null);
    }
    at.push(now);
    told.push(point);
  }
  return { at, points: told };
}

export function lastOf(values: readonly (number | null)[]): number | null {
  return values.at(-1) ?? null;
}

/** A moment on an axis: the time, or the day where days are seen. */
export function clockText(atS: number, spanS: number): string {
  const date = new Date(atS * 1000);
  if (spanS > 36 * 3600) return date.toLocaleDateString([], { day: "numeric", month: "short" });
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

const PARTS = 9;

/** The colour of the n-th of several parts. */
export const partColour = (n: number): string => `--part-${n % PARTS}`;

/** A line for each of `shares` (the largest first) that the points have by `name`. */
export function byName(
  shares: readonly Share[],
  points: readonly (Record<string, number> | null)[],
  most: number,
): Line[] {
  const seen = new Set(points.flatMap((point) => Object.keys(point ?? {})));
  const named = shares.map((share) => share.name).filter((name) => name !== "other" && seen.has(name));
  const names = [...named.slice(0, most), ...(seen.has("other") || named.length > most ? ["other"] : [])];
  return names.map((name, n) => ({
    name,
    colour: partColour(n),
    values: points.map((point) => {
      if (point === null) return null;
      if (name !== "other") return point[name] ?? 0;
      const rest = Object.entries(point).filter(([one]) => one === "other" || !names.includes(one));
      return rest.reduce((sum, [, value]) => sum + value, 0);
    }),
  }));
}

/** Watched time in words: `45 s`, `12 min`, `3.4 h`. */
export function spanText(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(seconds < 36_000 ? 1 : 0)} h`;
}

/** A part in percent, with a digit where it is small. */
export function percentText(part: number | null): string {
  if (part === null) return "–";
  const percent = part * 100;
  return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}
