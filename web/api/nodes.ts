/** Nodes as the API tells them. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Node {
  id: string;
  role: "origin" | "relay" | "packager";
  state: string;
  draining: boolean;
  region: string;
  viewers: number;
  capacity: number;
  cpu_ratio: number;
  memory_bytes: number;
  streams: string[];
  heartbeat_age_s: number;
}

/** What anybody may see of a node's media core. */
export interface NodeSfu {
  id: string;
  role: Node["role"];
  region: string;
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
