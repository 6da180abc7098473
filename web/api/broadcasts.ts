/** Broadcasts as the API tells them, and what can be asked of them. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Broadcast {
  id: string;
  title: string;
  public: boolean;
  avatar: string | null;
  /** Never HLS, thus never recorded. */
  webrtc_only: boolean;
  live: boolean;
  /** How its viewers are reached: `direct`, `relayed`, `hybrid`. */
  stage: string;
  /** How a passive viewer that comes now watches. */
  mode: "webrtc" | "hls";
  viewers: number;
  origin: string | null;
  hls: string | null;
}

export interface CreatedBroadcast extends Broadcast {
  /** Publisher token. */
  token: string;
}

export interface Listeners {
  total: number;
  webrtc: number;
  hls: number;
  interactive: number;
  passive: number;
}

export interface BroadcastStats {
  listeners: Listeners;
  regions: Record<string, number>;
  /** Rates in bit/s, loss 0..1. */
  nodes: {
    role: "origin" | "relay" | "packager";
    viewers: number;
    stream: { ingest_bps: number; egress_bps: number; loss_ratio: number };
  }[];
  reported: {
    latency_ms: Record<string, { p50: number | null; p95: number | null }>;
    freezes: number;
  };
}

export interface Delivery {
  stage: string;
  mode: "webrtc" | "hls";
  /** Part of the passive viewers that has moved to HLS, 0..1. */
  hls_share: number;
  hls_ready: boolean;
  /** `force`: what ops hold it at; `auto`: the audience decides. */
  cdn: { on: boolean; force: "auto" | "on" | "off"; reason: string };
}

export type CdnOrder = "activate-cdn" | "deactivate-cdn" | "automatic-cdn";

/** Of a broadcast in the API. */
export const path = (id: string, verb = ""): string => `/api/broadcasts/${encodeURIComponent(id)}${verb}`;

/** Public broadcasts; all of them with the admin token. The first 1,000. */
export async function listBroadcasts(admin: string | null, signal: AbortSignal): Promise<Broadcast[]> {
  const url = "/api/broadcasts?limit=1000";
  return (await call<{ broadcasts: Broadcast[] }>(url, { token: admin, signal })).broadcasts;
}

export function readBroadcast(
  id: string,
  admin: string | null = null,
  signal?: AbortSignal,
): Promise<Broadcast> {
  return call(path(id), { token: admin, ...(signal && { signal }) });
}

export function readStats(id: string, admin: string | null, signal: AbortSignal): Promise<BroadcastStats> {
  return call(path(id, "/stats"), { token: admin, signal });
}

export function readDelivery(id: string, admin: string | null, signal: AbortSignal): Promise<Delivery> {
  return call(path(id, "/delivery"), { token: admin, signal });
}

export function orderCdn(id: string, order: CdnOrder, admin: string): Promise<Delivery> {
  return call(path(id, `/${order}`), { method: "POST", token: admin });
}

export function createBroadcast(
  wanted: { id?: string; title: string; public: boolean; avatar?: string; open_mic?: boolean },
  admin: string,
): Promise<CreatedBroadcast> {
  return call("/api/broadcasts", { method: "POST", body: wanted, token: admin });
}

export function endBroadcast(id: string, admin: string): Promise<unknown> {
  return call(path(id), { method: "DELETE", token: admin });
}

/** The avatar speaks these words; `now`: at once, and what waits comes after them. */
export function say(
  id: string,
  text: string,
  { now, token }: { now?: boolean; token?: string } = {},
): Promise<unknown> {
  return call(path(id, "/say"), { method: "POST", body: { text, now }, token: token ?? null });
}

/** The avatar answers, aloud; `held`: when its host has approved the question. */
export function ask(id: string, text: string): Promise<{ held?: boolean }> {
  return call(path(id, "/ask"), { method: "POST", body: { text } });
}

/** Where this viewer's microphone goes: a WHIP endpoint and the token for it. */
export function openEar(id: string): Promise<{ whip: string; token: string }> {
  return call(path(id, "/ears"), { method: "POST", body: {} });
}

/** The WHIP endpoint of the node that takes a broadcast's publisher now. */
export async function whereToPublish(id: string, token: string | null, signal: AbortSignal): Promise<string> {
  const found = await call<{ whip: string }>(path(id, "/publish"), { ...(token && { token }), signal });
  return found.whip;
}
