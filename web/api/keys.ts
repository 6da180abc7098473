/** API keys, for operators. All functions reject with a Problem. */

import { call } from "./problem.ts";

export type Scope = "read" | "speak" | "broadcasts" | "sessions" | "jobs" | "node" | "admin";

export interface Key {
  /** Its prefix. */
  id: string;
  name: string;
  scopes: Scope[];
  /** Names of broadcasts that it is limited to, or with * how they begin; null: all. */
  only: string[] | null;
  created_at: string;
  expires_at: string | null;
  used_at: string | null;
  rotated_at: string | null;
  /** Until then the secret before this one is taken too. */
  old_until: string | null;
  old_used_at: string | null;
  requests_per_minute: number | null;
  makes_per_minute: number | null;
  sessions: number | null;
}

export interface MadeKey extends Key {
  /** Told this once. */
  secret: string;
}

export interface NewKey {
  name: string;
  scopes: Scope[];
  only: string[] | null;
  expires_in_s: number | null;
  requests_per_minute: number | null;
  makes_per_minute: number | null;
  sessions: number | null;
}

const of = (id: string): string => `/api/keys/${encodeURIComponent(id)}`;

/** The first 1,000, which is as many as there may be. */
export async function listKeys(token: string, signal: AbortSignal): Promise<Key[]> {
  return (await call<{ keys: Key[] }>("/api/keys?limit=1000", { token, signal })).keys;
}

export function createKey(body: NewKey, token: string): Promise<MadeKey> {
  return call("/api/keys", { method: "POST", body, token });
}

/** The old secret is taken for `graceS` seconds more. */
export function rotateKey(id: string, graceS: number, token: string): Promise<MadeKey> {
  return call(`${of(id)}/rotate`, { method: "POST", body: { grace_s: graceS }, token });
}

export function revokeKey(id: string, token: string): Promise<unknown> {
  return call(of(id), { method: "DELETE", token });
}
