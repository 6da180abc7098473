/** The HTTP half of WHIP (RFC 9725) and WHEP: an offer goes out, an answer and a session resource come back. */

import { Problem, problemFrom, problemOf } from "../api/problem.ts";
import { learn } from "./ice.ts";
import { linkOf } from "./links.ts";

/** One session on a node, as its POST answered. */
export interface Resource {
  answer: string;
  /** Session URL for PATCH and DELETE; null when the server sent no Location. */
  url: string | null;
  /** Server-sent events of this session, when the server offers them. */
  events: string | null;
  /** Where to ask for a layer, when the server offers it. */
  layer: string | null;
}

const EVENTS = "urn:ietf:params:whep:ext:core:server-sent-events";
const LAYER = "urn:ietf:params:whep:ext:core:layer";

/** Posts an offer. Redirects are followed by fetch (307 keeps the body). Rejects with a Problem. */
export async function exchange(
  endpoint: string,
  offer: string,
  token: string | null,
  signal: AbortSignal,
): Promise<Resource> {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...bearer(token) },
      body: offer,
      signal,
    });
    if (!response.ok) throw await problemOf(response);
    const answer = await response.text();
    if (!answer.startsWith("v=0"))
      throw new Problem(response.status, "no_sdp", "The server's answer is not SDP.");
    const location = response.headers.get("Location");
    const links = response.headers.get("Link") ?? "";
    learn(links);
    return {
      answer,
      url: location === null ? null : new URL(location, response.url).href,
      events: linkOf(links, EVENTS, response.url),
      layer: linkOf(links, LAYER, response.url),
    };
  } catch (thrown) {
    throw problemFrom(thrown);
  }
}

/** Ends a session. Works while the page goes away; a failure does not matter, the server expires it. */
export function release(url: string, token: string | null): void {
  fetch(url, { method: "DELETE", headers: bearer(token), keepalive: true }).catch(() => undefined);
}

export interface ServerEvent {
  event: string;
  data: string;
}

/**
 * Splits a text/event-stream into events. Fetch instead of EventSource, because that cannot send a token.
 * Feed it text as it comes; an event may arrive in pieces.
 */
export class EventStream {
  private rest = "";
  private event = "";
  private data: string[] = [];

  feed(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = (lines.pop() ?? "").slice(0, 1 << 20);
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) events.push({ event: this.event || "message", data: this.data.join("\n") });
        this.event = "";
        this.data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.event = value;
      if (field === "data" && this.data.length < 256) this.data.push(value);
    }
    return events;
  }
}

/** Hands each event to `handle` until the signal aborts or the stream ends; then resolves. Never rejects. */
export async function follow(
  url: string,
  token: string | null,
  signal: AbortSignal,
  handle: (event: ServerEvent) => void,
): Promise<void> {
  try {
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream", ...bearer(token) },
      signal,
      cache: "no-store",
    });
    if (!response.ok || response.body === null) return;
    const stream = new EventStream();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const event of stream.feed(value)) handle(event);
    }
  } catch {
    // The session is gone or the page is going; whoever follows decides what that means.
  }
}

/** The header that shows a token. */
export function bearer(token: string | null): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {};
}
