/** What a person or a report sees of a playing source: rates from two readings. Pure. */

import type { Mode } from "./plan.ts";
import type { Reading } from "./playback.ts";

export interface Stats {
  mode: Mode;
  latencyMs: number | null;
  bitrateBps: number | null;
  fps: number;
  width: number;
  height: number;
  freezes: number;
  dropped: number;
  lost: number | null;
  roundTripMs: number | null;
  codec: string | null;
}

/** `before` must be an earlier reading of the same source; without one, rates are not known yet. */
export function statsOf(
  before: Reading | null,
  now: Reading,
  size: { width: number; height: number },
): Stats {
  const elapsedS = before ? (now.atMs - before.atMs) / 1000 : 0;
  const rate = (from: number | null | undefined, to: number | null): number | null =>
    elapsedS > 0 && from !== null && from !== undefined && to !== null
      ? Math.max(0, (to - from) / elapsedS)
      : null;
  const bytesPerSecond = rate(before?.bytes, now.bytes);
  return {
    mode: now.mode,
    latencyMs: now.latencyMs,
    bitrateBps: now.bitrateBps ?? (bytesPerSecond === null ? null : bytesPerSecond * 8),
    fps: rate(before?.frames, now.frames) ?? 0,
    width: size.width,
    height: size.height,
    freezes: now.freezes,
    dropped: now.dropped,
    lost: now.lost,
    roundTripMs: now.roundTripMs,
    codec: now.codec,
  };
}

export const MODE_NAMES: Record<Mode, string> = { webrtc: "WebRTC", hls: "HLS" };

const unknown = "–";

export function latencyText(ms: number | null): string {
  if (ms === null) return unknown;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function bitrateText(bps: number | null): string {
  if (bps === null) return unknown;
  return bps < 1e6 ? `${Math.round(bps / 1000)} kbit/s` : `${(bps / 1e6).toFixed(2)} Mbit/s`;
}

/** Rows of the overlay: name and value. */
export function rowsOf(
  stats: Stats,
  where: { node: string | null; region: string | null },
): [string, string][] {
  const rows: [string, string][] = [
    ["Delivery", MODE_NAMES[stats.mode]],
    ["Latency", latencyText(stats.latencyMs)],
    ["Bitrate", bitrateText(stats.bitrateBps)],
    ["Picture", stats.width > 0 ? `${stats.width} × ${stats.height}, ${Math.round(stats.fps)} fps` : unknown],
    ["Codec", stats.codec ?? unknown],
    ["Freezes", String(stats.freezes)],
    ["Dropped frames", String(stats.dropped)],
  ];
  if (stats.lost !== null) rows.push(["Lost packets", String(stats.lost)]);
  if (stats.roundTripMs !== null) rows.push(["Round trip", latencyText(stats.roundTripMs)]);
  if (stats.mode === "webrtc" && where.node)
    rows.push(["Node", where.region ? `${where.node} (${where.region})` : where.node]);
  return rows;
}

/** A length of time: `1:02:03`, `0:07`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A size: `812 kB`, `1.4 GB`. */
export function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
