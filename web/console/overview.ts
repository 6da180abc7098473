/** What the console shows, read every 2 s and at once when the server says that something changed. */

import { signal } from "@preact/signals";
import {
  type Broadcast,
  type BroadcastStats,
  type Delivery,
  listBroadcasts,
  readDelivery,
  readStats,
} from "../api/broadcasts.ts";
import { listNodes, listSfus, type Node, type NodeSfu } from "../api/nodes.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { follow } from "../player/signalling.ts";
import { admin, signOut } from "./session.ts";

export interface Row {
  broadcast: Broadcast;
  stats: BroadcastStats | null;
  delivery: Delivery | null;
}

/** A node: everyone sees its SFU's figures, operators its state too. */
export interface NodeRow extends NodeSfu {
  node: Node | null;
}

export interface Overview {
  rows: Row[];
  nodes: NodeRow[];
  /** Broadcasts beyond the ones that are read in detail. */
  more: number;
}

/** Viewers by delivery at one moment. */
export interface Point {
  atS: number;
  webrtc: number;
  hls: number;
}

const EVERY_MS = 2000;
const SOONEST_MS = 300;
const READ_MS = 8000;
const DETAILED = 25;
const POINTS = 900;

export const overview = signal<Overview | null>(null);
export const points = signal<readonly Point[]>([]);
export const problem = signal<Problem | null>(null);

async function read(token: string | null, signal: AbortSignal): Promise<Overview> {
  const [broadcasts, sfus, nodes] = await Promise.all([
    listBroadcasts(token, signal),
    listSfus(signal),
    token ? listNodes(token, signal) : Promise.resolve([]),
  ]);
  const shown = [...broadcasts]
    .sort((a, b) => b.viewers - a.viewers || a.id.localeCompare(b.id))
    .slice(0, DETAILED);
  const rows = await Promise.all(
    shown.map(async (broadcast): Promise<Row> => {
      // A broadcast may end between the list and its figures: then it has none.
      const [stats, delivery] = await Promise.all([
        readStats(broadcast.id, token, signal).catch(() => null),
        readDelivery(broadcast.id, token, signal).catch(() => null),
      ]);
      return { broadcast, stats, delivery };
    }),
  );
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return {
    rows,
    nodes: sfus.map((sfu) => ({ ...sfu, node: byId.get(sfu.id) ?? null })),
    more: broadcasts.length - shown.length,
  };
}

export function totals(now: Overview): { webrtc: number; hls: number } {
  return now.rows.reduce(
    (sum, { stats }) => ({
      webrtc: sum.webrtc + (stats?.listeners.webrtc ?? 0),
      hls: sum.hls + (stats?.listeners.hls ?? 0),
    }),
    { webrtc: 0, hls: 0 },
  );
}

let reading = false;
let again = false;
let timer = 0;

/** Reads now, and again after a while. While a reading is on its way, another one follows it. */
export async function refresh(): Promise<void> {
  again = true;
  if (reading) return;
  reading = true;
  window.clearTimeout(timer);
  while (again) {
    again = false;
    try {
      const now = await read(admin.value, AbortSignal.timeout(READ_MS));
      overview.value = now;
      problem.value = null;
      points.value = [...points.value, { atS: Date.now() / 1000, ...totals(now) }].slice(-POINTS);
    } catch (thrown) {
      const failed = problemFrom(thrown);
      // A token that the server no longer takes must not lock the page.
      if (failed.status === 401 || failed.status === 403) signOut();
      problem.value = failed;
    }
  }
  reading = false;
  timer = window.setTimeout(() => void refresh(), document.hidden ? EVERY_MS * 5 : EVERY_MS);
}

/** Until the signal aborts: an orchestrator that is replaced ends its streams, and another one has them. */
async function listen(token: string, signal: AbortSignal): Promise<void> {
  let nudge = 0;
  while (!signal.aborted) {
    await follow("/api/events", token, signal, () => {
      if (nudge !== 0) return;
      nudge = window.setTimeout(() => {
        nudge = 0;
        void refresh();
      }, SOONEST_MS);
    });
    await new Promise((again) => window.setTimeout(again, EVERY_MS));
  }
}

/** Lives as long as the page: the steady reading, and for operators the server's own events as a nudge. */
export function watchOverview(): void {
  let following = new AbortController();
  admin.subscribe((token) => {
    following.abort();
    following = new AbortController();
    void refresh();
    if (token) void listen(token, following.signal);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) void refresh();
  });
}
