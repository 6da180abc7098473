/** Tells the orchestrator every 10 s how the picture is; this is how viewers by HLS are counted. */

import { call } from "../api/problem.ts";
import type { Role } from "./plan.ts";
import type { Stats } from "./stats.ts";

export const REPORT_MS = 10_000;

export interface Report {
  broadcast: string;
  delivery: "webrtc" | "hls";
  latency_ms: number | null;
  bitrate_bps: number | null;
  freezes: number;
  role: Role;
  /** The node that serves, by WebRTC; the answer then says whether to stay there. */
  node: string | null;
  /** From the wish to watch to the first picture. */
  startup_ms: number | null;
  /** Since the first picture. */
  watched_s: number | null;
}

/** When a player was started and showed its first picture, on the page's clock. */
export interface Begin {
  startedMs: number;
  shownMs: number;
}

export function reportOf(
  broadcast: string,
  role: Role,
  node: string | null,
  stats: Stats,
  begin: Begin | null,
  nowMs: number,
): Report {
  return {
    broadcast,
    delivery: stats.mode,
    latency_ms: stats.latencyMs === null ? null : Math.max(0, Math.round(stats.latencyMs)),
    bitrate_bps: stats.bitrateBps === null ? null : Math.round(stats.bitrateBps),
    freezes: stats.freezes,
    role,
    node: stats.mode === "webrtc" ? node : null,
    startup_ms: begin && Math.min(600_000, Math.max(0, Math.round(begin.shownMs - begin.startedMs))),
    watched_s: begin && Math.min(604_800, Math.max(0, Math.round((nowMs - begin.shownMs) / 1000))),
  };
}

/** Resolves with the answer (how to watch from now on), unchecked. Rejects with a Problem. */
export function sendReport(
  server: string,
  viewer: string,
  token: string | null,
  report: Report,
): Promise<unknown> {
  return call(new URL(`/api/v1/viewers/${encodeURIComponent(viewer)}`, server), {
    method: "POST",
    body: report,
    token,
  });
}
