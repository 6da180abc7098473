/**
 * How far the nodes are from here: round trips measured when there is time, and told with the next question of how to watch.
 * The first join never waits for this; a page that comes back within ten minutes is placed by what its network really does.
 */

export interface Probe {
  node: string;
  url: string;
}

interface Kept {
  atMs: number;
  rtts: Record<string, number>;
}

const KEY = "avacast-rtts";
const KEPT_MS = 600_000;
const LIMIT_MS = 3000;
/** Requests that are timed, after the one that opens the connection. */
const TIMES = 2;
const MOST = 3;
/** Most that is believed of another's answer: ids and numbers of a sane size. */
const MAX_MS = 10_000;

/** Of an answer of `/play`; what is not a probe is left out. Relative URLs are taken from `base`. */
export function parseProbes(value: unknown, base: string): Probe[] {
  if (!Array.isArray(value)) return [];
  const found: Probe[] = [];
  for (const one of value.slice(0, MOST) as unknown[]) {
    const { node, url } = (one ?? {}) as Record<string, unknown>;
    if (typeof node !== "string" || !/^[^,]{1,64}$/.test(node) || typeof url !== "string") continue;
    try {
      const absolute = new URL(url, base);
      if (/^https?:$/.test(absolute.protocol)) found.push({ node, url: absolute.href });
    } catch {
      // Not a URL: not a probe.
    }
  }
  return found;
}

/** The shortest round trip to each node that answered, in ms. Never rejects. */
export async function measure(
  probes: readonly Probe[],
  get: (url: string, signal: AbortSignal) => Promise<unknown> = (url, signal) =>
    fetch(url, { cache: "no-store", credentials: "omit", signal }).then((answer) => answer.arrayBuffer()),
  clock: () => number = () => performance.now(),
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  // One after the other: side by side they would wait for each other on a thin line.
  for (const { node, url } of probes.slice(0, MOST)) {
    const signal = AbortSignal.timeout(LIMIT_MS);
    try {
      await get(url, signal);
      let shortest = MAX_MS;
      for (let time = 0; time < TIMES; time++) {
        const began = clock();
        await get(url, signal);
        shortest = Math.min(shortest, clock() - began);
      }
      found[node] = Math.max(0, Math.round(shortest * 10) / 10);
    } catch {
      // A node that does not answer in time says nothing; placement goes by distance.
    }
  }
  return found;
}

/** Keeps what was measured for this tab. */
export function keep(rtts: Record<string, number>, nowMs = Date.now()): void {
  if (Object.keys(rtts).length === 0) return;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ atMs: nowMs, rtts } satisfies Kept));
  } catch {
    // Without storage each page measures for itself.
  }
}

/** As the query of `/play` has it: `node:ms,node:ms`; empty when nothing was measured lately. */
export function kept(nowMs = Date.now()): string {
  try {
    const { atMs, rtts } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<Kept>;
    if (typeof atMs !== "number" || Math.abs(nowMs - atMs) > KEPT_MS) return "";
    return Object.entries(rtts ?? {})
      .filter(([node, ms]) => /^[^,]{1,64}$/.test(node) && ms >= 0 && ms <= MAX_MS)
      .slice(0, MOST)
      .map(([node, ms]) => `${node}:${ms}`)
      .join(",");
  } catch {
    return "";
  }
}
