/**
 * Data channels of a WebRTC session: what the node tells, on the connection that carries the media, and chat both ways.
 *
 * While they are open nothing else is needed; while they are not, the same words come as server-sent events. What both bring
 * during the change from one to the other is heard once.
 */

import type { ServerEvent } from "./signalling.ts";

const LABELS = ["events", "captions", "chat"] as const;
type Label = (typeof LABELS)[number];

/** Words that are remembered, to know them again when they come a second time. */
const REMEMBERED = 16;

/** One line of chat. `text` is plain text: show it as such. */
export interface ChatLine {
  id: string;
  name: string;
  text: string;
  atMs: number;
}

/** The channels of a connection; made before its offer, so that the offer has them. */
export class Channels {
  private readonly open = new Set<Label>();
  private readonly channels: Map<Label, RTCDataChannel>;
  private onEvent: (event: ServerEvent) => void = () => undefined;
  private onChange: () => void = () => undefined;

  constructor(connection: RTCPeerConnection) {
    this.channels = new Map(LABELS.map((label) => [label, connection.createDataChannel(label)]));
    for (const [label, channel] of this.channels) {
      channel.addEventListener("open", () => this.handleState(label, true));
      channel.addEventListener("close", () => this.handleState(label, false));
      channel.addEventListener("message", ({ data }) => {
        const event = typeof data === "string" ? eventOf(label, data) : null;
        if (event) this.onEvent(event);
      });
    }
  }

  /** `event` hears what comes, `change` that `suffice` may have changed. Before this, nothing is open. */
  listen(event: (event: ServerEvent) => void, change: () => void): void {
    this.onEvent = event;
    this.onChange = change;
  }

  /** Whether all that a node tells comes here. */
  get suffice(): boolean {
    return this.open.has("events") && this.open.has("captions");
  }

  /** Writes a line of chat; false when there is no channel for it. */
  say(text: string, name: string | null): boolean {
    const chat = this.channels.get("chat");
    if (chat?.readyState !== "open") return false;
    chat.send(JSON.stringify(name === null ? { text } : { text, name }));
    return true;
  }

  private handleState(label: Label, open: boolean): void {
    if (open) this.open.add(label);
    else this.open.delete(label);
    this.onChange();
  }
}

/** A message as the server-sent event that says the same; null when it is none. */
export function eventOf(label: string, message: string): ServerEvent | null {
  if (label === "captions") return { event: "caption", data: message };
  if (label === "chat") return { event: "chat", data: message };
  try {
    const { event, data } = JSON.parse(message) as { event?: unknown; data?: unknown };
    return typeof event === "string" && data !== undefined ? { event, data: JSON.stringify(data) } : null;
  } catch {
    return null;
  }
}

/** Whether an answer has taken the section for data channels. */
export function takesData(answer: string): boolean {
  return /^m=application [1-9]/m.test(answer);
}

/** Lets each event through once, by whichever way it comes first. */
export class Once {
  private readonly heard: string[] = [];
  private readonly last = new Map<string, string>();

  isNew({ event, data }: ServerEvent): boolean {
    if (event === "caption" || event === "chat") {
      // Each is unlike all others by its time or its id.
      if (this.heard.includes(data)) return false;
      this.heard.push(data);
      if (this.heard.length > REMEMBERED) this.heard.shift();
      return true;
    }
    // A count that comes back is news; one that is repeated is none.
    if (this.last.get(event) === data) return false;
    this.last.set(event, data);
    return true;
  }
}

/** A line as it came; null when it is none (a refusal of what we said, or nonsense). */
export function parseLine(fields: Record<string, unknown>): ChatLine | null {
  const { id, name, text, at_ms: atMs } = fields;
  const whole = typeof id === "string" && typeof name === "string" && typeof text === "string";
  if (!whole || typeof atMs !== "number") return null;
  return { id, name: name.slice(0, 40), text: text.slice(0, 500), atMs };
}
