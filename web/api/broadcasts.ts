/** Broadcasts as the API tells them, and what can be asked of them. */

import { call } from "./problem.ts";

const path = (id: string, verb = ""): string => `/api/broadcasts/${encodeURIComponent(id)}${verb}`;

/** The avatar speaks these words. */
export function say(id: string, text: string): Promise<unknown> {
  return call(path(id, "/say"), { method: "POST", body: { text } });
}

/** The avatar answers, aloud. */
export function ask(id: string, text: string): Promise<unknown> {
  return call(path(id, "/ask"), { method: "POST", body: { text } });
}
