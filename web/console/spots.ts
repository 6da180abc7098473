/** Where nodes are and how they are, for the map: a spot a region. */

import type { NodeRow } from "./overview.ts";

export const WIDTH = 360;
export const HEIGHT = 142;
const NORTH = 84;
const SMALLEST = 2.4;
const LARGEST = 9;

export interface Spot {
  region: string;
  x: number;
  y: number;
  nodes: NodeRow[];
  viewers: number;
  kind: "good" | "warn" | "bad";
}

/** The regions that have a place, those with most viewers first so that small ones are drawn on top. */
export function spots(nodes: readonly NodeRow[]): Spot[] {
  const byRegion = new Map<string, Spot>();
  for (const node of nodes) {
    if (!node.place) continue;
    const [latitude, longitude] = node.place;
    const spot = byRegion.get(node.region) ?? {
      region: node.region,
      x: longitude + 180,
      y: Math.min(HEIGHT, NORTH - latitude),
      nodes: [],
      viewers: 0,
      kind: "good",
    };
    spot.nodes.push(node);
    spot.viewers += node.transports;
    const kind = stateOf(node).kind;
    if (kind === "bad" || (kind === "warn" && spot.kind === "good")) spot.kind = kind;
    byRegion.set(node.region, spot);
  }
  return [...byRegion.values()].sort((a, b) => b.viewers - a.viewers || a.region.localeCompare(b.region));
}

/** A dot's area tells its viewers. */
export function radius(viewers: number, most: number): number {
  return SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(most > 0 ? viewers / most : 0);
}

/** How a node is, in a word, and how bad that is. */
export function stateOf(row: NodeRow): { state: string; kind: "good" | "warn" | "bad" } {
  const late = row.age_s > 10;
  const state = row.node?.draining ? "draining" : (row.node?.state ?? (late ? "late" : "up"));
  return { state, kind: late || state === "lapsed" ? "bad" : state === "up" ? "good" : "warn" };
}
