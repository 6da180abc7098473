/** Nodes as the API tells them. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Node {
  id: string;
  role: "origin" | "relay" | "packager";
  state: string;
  draining: boolean;
  drain: Drain | null;
  region: string;
  version: string;
  viewers: number;
  /** Viewers that it is given: what it says, corrected by what is measured. */
  capacity: number;
  said_capacity: number;
  cpu_ratio: number;
  memory_bytes: number;
  streams: string[];
  heartbeat_age_s: number;
}

/** Why a node gets empty, until when, and what is left. */
export interface Drain {
  cause: "operator" | "process" | "pod";
  why: string;
  phase: "moving" | "overdue" | "empty";
  left_s: number;
  viewers: number;
  nodes: number;
  streams: number;
}

/** What anybody may see of a node's media core. */
export interface NodeSfu {
  id: string;
  role: Node["role"];
  region: string;
  /** Latitude and longitude of its region; null: nobody knows where that is. */
  place: [number, number] | null;
  transports: number;
  streams: number;
  egress_bps: number;
  cpu_ratio: number;
  age_s: number;
}

export async function listNodes(admin: string, signal: AbortSignal): Promise<Node[]> {
  return (await call<{ nodes: Node[] }>("/api/nodes", { token: admin, signal })).nodes;
}

export async function listSfus(signal: AbortSignal): Promise<NodeSfu[]> {
  return (await call<{ nodes: NodeSfu[] }>("/api/sfu/stats", { signal })).nodes;
}

/** `drain` false takes it back. */
export function drainNode(id: string, drain: boolean, admin: string): Promise<Node> {
  const url = `/api/nodes/${encodeURIComponent(id)}/drain`;
  return call(url, { method: drain ? "POST" : "DELETE", token: admin });
}
