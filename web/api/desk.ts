/** A host's desk: what an avatar says and what waits. All functions reject with a Problem. */

import { path } from "./broadcasts.ts";
import { call } from "./problem.ts";

export interface Line {
  number: number;
  kind: "say" | "ask";
  text: string;
  asker: string | null;
}

export interface Desk {
  /** Questions wait for the host. */
  moderated: boolean;
  speaking: Line | null;
  waiting: Line[];
  held: Line[];
  script: {
    cues: number;
    begun: number;
    position_s: number;
    next_at_s: number | null;
    behind_s: number;
  } | null;
}

export interface Cue {
  at_s: number;
  text: string;
}

export function readDesk(id: string, token: string, signal: AbortSignal): Promise<Desk> {
  return call(path(id, "/desk"), { token, signal });
}

export function approve(id: string, line: number, token: string): Promise<Desk> {
  return call(path(id, `/desk/lines/${line}/approve`), { method: "POST", token });
}

export function drop(id: string, line: number, token: string): Promise<Desk> {
  return call(path(id, `/desk/lines/${line}`), { method: "DELETE", token });
}

export function play(id: string, cues: Cue[], token: string): Promise<Desk> {
  return call(path(id, "/desk/script"), { method: "PUT", body: { cues }, token });
}

export function stop(id: string, token: string): Promise<Desk> {
  return call(path(id, "/desk/script"), { method: "DELETE", token });
}

export function silence(id: string, token: string): Promise<unknown> {
  return call(path(id, "/interrupt"), { method: "POST", token });
}

export function moderate(id: string, moderated: boolean, token: string): Promise<unknown> {
  return call(path(id), { method: "PATCH", body: { moderated }, token });
}
