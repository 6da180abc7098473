/** Rollouts: a new version of a pool, given to its users bit by bit. For operators. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Version {
  version: string;
  /** Of the users, 0..1. */
  share: number;
  nodes: number;
  viewers: number;
  streams: number;
  requests: number;
  sessions: number;
  error_ratio: number | null;
  latency_ms: number | null;
  underruns_a_session: number | null;
  gpu_memory_errors: number;
}

export interface Limits {
  error_ratio: number;
  latency_growth: number;
  underruns_a_session: number;
  gpu_memory_errors: number;
  least_requests: number;
  window_s: number;
}

export interface Rollout {
  id: string;
  role: "origin" | "relay";
  stable: string;
  candidate: string;
  state: "running" | "paused" | "done" | "rolled_back";
  /** Its pool goes by it; false: by a later one. */
  current: boolean;
  reason: string;
  attempt: number;
  percent: number;
  phase: number;
  phases: { percent: number; days: number }[];
  phase_left_s: number | null;
  seen: number;
  limits: Limits;
  versions: Version[];
}

export interface NewRollout {
  role: Rollout["role"];
  stable: string;
  candidate: string;
}

export type Order = "pause" | "resume" | "rollback" | "again";

/** The newest 20. */
export async function listRollouts(token: string, signal: AbortSignal): Promise<Rollout[]> {
  return (await call<{ rollouts: Rollout[] }>("/api/rollouts?limit=20", { token, signal })).rollouts;
}

export function createRollout(wanted: NewRollout, token: string): Promise<Rollout> {
  return call("/api/rollouts", { method: "POST", body: wanted, token });
}

export function orderRollout(id: string, order: Order, token: string): Promise<Rollout> {
  return call(`/api/rollouts/${encodeURIComponent(id)}/${order}`, { method: "POST", token });
}
