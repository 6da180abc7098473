/** The conversation on the page: what was typed, and what the avatar says, in order. Pure: time is an argument. */

import type { Caption } from "../player/playback.ts";

/** Ask: she answers. Say: she speaks these very words. */
export type Way = "ask" | "say";

export interface Message {
  id: number;
  who: "you" | "ava";
  text: string;
  way: Way;
  /** `failed` messages keep their text so that they can be sent again. */
  state: "sending" | "sent" | "failed";
  why: string;
}

export interface Conversation {
  messages: readonly Message[];
  /** An answer is awaited until then. */
  thinkingUntilMs: number;
  /** End of the last caption: what follows closely is the same turn. */
  spokenUntilMs: number;
}

export const EMPTY: Conversation = { messages: [], thinkingUntilMs: 0, spokenUntilMs: 0 };

const THINKING_MS = 12_000;
const SAME_TURN_MS = 4000;
const KEPT = 200;

export function typed(conversation: Conversation, id: number, text: string, way: Way): Conversation {
  const message: Message = { id, who: "you", text, way, state: "sending", why: "" };
  return { ...conversation, messages: [...conversation.messages, message].slice(-KEPT) };
}

export function delivered(conversation: Conversation, id: number, nowMs: number): Conversation {
  const messages = conversation.messages.map(
    (message): Message => (message.id === id ? { ...message, state: "sent" } : message),
  );
  const answered = messages.findIndex((message) => message.id === id) < messages.length - 1;
  return { ...conversation, messages, thinkingUntilMs: answered ? 0 : nowMs + THINKING_MS };
}

export function refused(conversation: Conversation, id: number, why: string): Conversation {
  const messages = conversation.messages.map(
    (message): Message => (message.id === id ? { ...message, state: "failed", why } : message),
  );
  return { ...conversation, messages };
}

/** Takes a refused message away, because it is sent again. */
export function withdrawn(conversation: Conversation, id: number): Conversation {
  return { ...conversation, messages: conversation.messages.filter((message) => message.id !== id) };
}

/** What was spoken and understood is as if it had been typed and sent. */
export function understood(
  conversation: Conversation,
  id: number,
  text: string,
  nowMs: number,
): Conversation {
  return delivered(typed(conversation, id, text, "ask"), id, nowMs);
}

/** A caption becomes a new message of the avatar, or the next sentence of the one it is saying. */
export function heard(conversation: Conversation, id: number, caption: Caption): Conversation {
  const last = conversation.messages.at(-1);
  const sameTurn = last?.who === "ava" && caption.startMs - conversation.spokenUntilMs < SAME_TURN_MS;
  const text = caption.text.trim();
  const messages =
    sameTurn && last
      ? [...conversation.messages.slice(0, -1), { ...last, text: `${last.text} ${text}` }]
      : [...conversation.messages, { id, who: "ava", text, way: "say", state: "sent", why: "" } as const];
  return {
    messages: messages.slice(-KEPT),
    thinkingUntilMs: 0,
    spokenUntilMs: Math.max(conversation.spokenUntilMs, caption.endMs),
  };
}
