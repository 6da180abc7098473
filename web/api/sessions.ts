/** Sessions and the audit log, for operators. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Session {
  id: string;
  user: string | null;
  avatar: string | null;
  state: "preparing" | "live";
  origin: string | null;
  region: string | null;
  created_at: string;
  seen_at: string;
  ends_at: string;
}

export interface AuditEntry {
  id: number;
  at: string;
  actor: "admin" | "key" | "publisher" | "node" | "system";
  /** Prefix and name of the API key; empty when none did it. */
  key_id: string;
  key_name: string;
  address: string;
  method: string;
  path: string;
  status: number;
  made: string;
}

/** The first 1,000. */
export async function listSessions(token: string, signal: AbortSignal): Promise<Session[]> {
  return (await call<{ sessions: Session[] }>("/api/sessions?limit=1000", { token, signal })).sessions;
}

export function endSession(id: string, token: string): Promise<unknown> {
  return call(`/api/sessions/${encodeURIComponent(id)}`, { method: "DELETE", token });
}

/** The newest. */
export async function listAudit(limit: number, token: string, signal: AbortSignal): Promise<AuditEntry[]> {
  return (await call<{ entries: AuditEntry[] }>(`/api/audit?limit=${limit}`, { token, signal })).entries;
}
