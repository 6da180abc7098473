/** What the orchestrator says about how to watch: the answer of `/play`, of a report, and of a mode event. */

export type Mode = "webrtc" | "hls";
export type Role = "passive" | "interactive";

export interface Plan {
  mode: Mode;
  whep: string | null;
  hls: string | null;
  /** Viewer token for a private broadcast; null for a public one. */
  token: string | null;
  viewer: string | null;
  node: string | null;
  region: string | null;
}

/** One way to watch, ready to be opened. */
export interface Target {
  mode: Mode;
  url: string;
  token: string | null;
}

const PATH_TOKEN = /\/hls\/t\/[^/]+\//;

/** `url` with the path token that `fresh` has, when both are HLS of a private broadcast. Tokens are renewed while one watches. */
export function withTokenOf(url: string, fresh: string): string {
  const token = PATH_TOKEN.exec(fresh)?.[0];
  return token === undefined ? url : url.replace(PATH_TOKEN, token);
}

/** Two ways to watch are the same when only their path tokens differ. */
export function sameTarget(a: Target, b: Target): boolean {
  return a.mode === b.mode && withTokenOf(a.url, b.url) === b.url;
}

const text = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** Checks an answer field by field; relative URLs are taken from `base`. Null when it names no mode we know. */
export function parsePlan(value: unknown, base: string): Plan | null {
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Record<string, unknown>;
  if (fields.mode !== "webrtc" && fields.mode !== "hls") return null;
  const url = (given: unknown): string | null => {
    const spelled = text(given);
    if (spelled === null) return null;
    try {
      const absolute = new URL(spelled, base);
      return absolute.protocol === "http:" || absolute.protocol === "https:" ? absolute.href : null;
    } catch {
      return null;
    }
  };
  return {
    mode: fields.mode,
    whep: url(fields.whep),
    hls: url(fields.hls),
    token: text(fields.token),
    viewer: text(fields.viewer),
    node: text(fields.node),
    region: text(fields.region),
  };
}

/** `told` with what it leaves out filled in from what we knew: events name only what changes. */
export function mergePlan(told: Plan, known: Plan | null): Plan {
  return {
    ...told,
    token: told.token ?? known?.token ?? null,
    viewer: told.viewer ?? known?.viewer ?? null,
    node: told.node ?? known?.node ?? null,
    region: told.region ?? known?.region ?? null,
  };
}

/** The way to watch that a plan asks for, or the other one when it names only that. */
export function targetOf(plan: Plan): Target | null {
  const ways: Record<Mode, string | null> = { webrtc: plan.whep, hls: plan.hls };
  const other: Mode = plan.mode === "webrtc" ? "hls" : "webrtc";
  for (const mode of [plan.mode, other]) {
    const url = ways[mode];
    if (url !== null) return { mode, url, token: plan.token };
  }
  return null;
}
