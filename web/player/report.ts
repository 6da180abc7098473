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
}

export function reportOf(broadcast: string, role: Role, node: string | null, stats: Stats): Report {
  return {
    broadcast,
    delivery: stats.mode,
    latency_ms: stats.latencyMs === null ? null : Math.max(0, Math.round(stats.latencyMs)),
    bitrate_bps: stats.bitrateBps === null ? null : Math.round(stats.bitrateBps),
    freezes: stats.freezes,
    role,
    node: stats.mode === "webrtc" ? node : null,
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
