/** Analytics of a broadcast as the API tells them. All functions reject with a Problem. */

import { path } from "./broadcasts.ts";
import { call, problemFrom, problemOf } from "./problem.ts";

export interface Share {
  name: string;
  watch_s: number;
  /** 0..1 */
  share: number;
}

export interface Spread {
  p50: number | null;
  p95: number | null;
  count: number;
}

export interface AnalyticsPoint {
  /** ISO 8601. */
  at: string;
  viewers: number | null;
  peak: number;
  webrtc: number | null;
  hls: number | null;
  joins: number;
  leaves: number;
  stalls: number;
  latency_ms: number | null;
  loss_ratio: number | null;
  ingest_bps: number | null;
  egress_bps: number | null;
  regions: Record<string, number>;
  devices: Record<string, number>;
}

export interface Analytics {
  step_s: number;
  live_s: number;
  peak: number;
  peak_at: string | null;
  joins: number;
  leaves: number;
  watch: { total_s: number; mean_s: number | null; p50_s: number | null; p90_s: number | null };
  quality: {
    startup_ms: Spread;
    latency_ms: Record<string, Spread>;
    stalls: number;
    stalls_per_hour: number | null;
    loss_ratio: number | null;
    bitrate_bps: number | null;
  };
  deliveries: Share[];
  regions: Share[];
  countries: Share[];
  devices: Share[];
  still_there: { after_s: number; share: number }[];
  points: AnalyticsPoint[];
}

/** The last `seconds`; null: since its begin. */
function query(seconds: number | null): string {
  if (seconds === null) return "";
  return `?from=${encodeURIComponent(new Date(Date.now() - seconds * 1000).toISOString())}`;
}

export function readAnalytics(
  id: string,
  seconds: number | null,
  token: string,
  signal: AbortSignal,
): Promise<Analytics> {
  return call(`${path(id, "/analytics")}${query(seconds)}`, { token, signal });
}

/** The points as a file. */
export async function readTable(id: string, seconds: number | null, token: string): Promise<Blob> {
  try {
    const response = await fetch(`${path(id, "/analytics.csv")}${query(seconds)}`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(20_000),
    });
    if (!response.ok) throw await problemOf(response);
    return await response.blob();
  } catch (thrown) {
    throw problemFrom(thrown);
  }
}
