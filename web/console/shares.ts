/** The figures of a version as words, and how near each is to what takes a version back. */

import type { Limits, Version } from "../api/rollouts.ts";

export interface Measured {
  name: string;
  told: string;
  /** 1 is the limit; null: nothing to compare. */
  part: number | null;
}

export function measured(version: Version, stable: Version | undefined, limits: Limits): Measured[] {
  const { error_ratio: errors, latency_ms: latency, underruns_a_session: underruns } = version;
  const slowest = stable?.latency_ms ? stable.latency_ms * (1 + limits.latency_growth) : null;
  return [
    {
      name: "errors",
      told: errors === null ? "–" : `${(errors * 100).toFixed(2)} %`,
      part: errors === null ? null : errors / limits.error_ratio,
    },
    {
      name: "latency",
      told: latency === null ? "–" : `${Math.round(latency)} ms`,
      part: latency === null || slowest === null ? null : latency / slowest,
    },
    {
      name: "underruns",
      told: underruns === null ? "–" : underruns.toFixed(1),
      part: underruns === null ? null : underruns / limits.underruns_a_session,
    },
    {
      name: "gpu",
      told: String(version.gpu_memory_errors),
      part: version.gpu_memory_errors / limits.gpu_memory_errors,
    },
  ];
}

/** Seconds in the one unit that says most. */
export function lasting(seconds: number): string {
  if (seconds >= 172_800) return `${Math.round(seconds / 86_400)} days`;
  if (seconds >= 7200) return `${Math.round(seconds / 3600)} hours`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}
