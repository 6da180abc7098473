/** Webhooks as the API tells them. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Webhook {
  id: string;
  url: string;
  description: string;
  /** Empty: all. */
  events: string[];
  enabled: boolean;
  disabled_reason: string | null;
  /** ISO 8601; null: the last one was taken. */
  failing_since: string | null;
  waiting: number;
}

export interface WebhookDelivery {
  id: number;
  event: string;
  type: string;
  /** ISO 8601. */
  at: string;
  state: "waiting" | "delivered" | "failed";
  attempts: number;
  next_at: string | null;
  last_status: number | null;
  last_error: string | null;
  body: unknown;
}

/** The kinds of events, by what they are of. */
export const EVENTS: Record<string, readonly string[]> = {
  Broadcasts: ["broadcast.created", "broadcast.live", "broadcast.silent", "broadcast.ended"],
  CDN: ["cdn.activated", "cdn.deactivated"],
  Sessions: ["session.started", "session.moved", "session.ended"],
  Nodes: ["node.joined", "node.draining", "node.resumed", "node.lost"],
  Recordings: ["recording.ready"],
  Jobs: ["job.done", "job.failed"],
  Rollouts: [
    "rollout.begun",
    "rollout.widened",
    "rollout.paused",
    "rollout.resumed",
    "rollout.rolled_back",
    "rollout.finished",
  ],
};

const path = (id: string, verb = ""): string => `/api/webhooks/${encodeURIComponent(id)}${verb}`;

export async function listWebhooks(token: string, signal: AbortSignal): Promise<Webhook[]> {
  return (await call<{ webhooks: Webhook[] }>("/api/webhooks", { token, signal })).webhooks;
}

/** With its secret, which is told only now. */
export function makeWebhook(
  wanted: { url: string; description: string; events: string[] },
  token: string,
): Promise<Webhook & { secret: string }> {
  return call("/api/webhooks", { method: "POST", body: wanted, token });
}

export function changeWebhook(id: string, changes: { enabled: boolean }, token: string): Promise<Webhook> {
  return call(path(id), { method: "PATCH", body: changes, token });
}

export function deleteWebhook(id: string, token: string): Promise<unknown> {
  return call(path(id), { method: "DELETE", token });
}

export function renewSecret(id: string, token: string): Promise<{ secret: string }> {
  return call(path(id, "/secret"), { method: "POST", token });
}

export function testWebhook(id: string, token: string): Promise<WebhookDelivery> {
  return call(path(id, "/test"), { method: "POST", token });
}

/** The newest. */
export async function listDeliveries(
  id: string,
  token: string,
  signal: AbortSignal,
): Promise<WebhookDelivery[]> {
  const url = path(id, "/deliveries?limit=50");
  return (await call<{ deliveries: WebhookDelivery[] }>(url, { token, signal })).deliveries;
}

export function redeliver(id: string, delivery: number, token: string): Promise<WebhookDelivery> {
  return call(path(id, `/deliveries/${delivery}/redeliver`), { method: "POST", token });
}
