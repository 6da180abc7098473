import { expect, test } from "vitest";
import { EMPTY, refused, understood } from "../demo/conversation.ts";
import { explain, parseHeard } from "../demo/ear.ts";

test("what the avatar understood is read, and nothing else", () => {
  expect(parseHeard('{"event":"partial","turn":1,"text":"What is","stable":2}')).toEqual({
    event: "partial",
    text: "What is",
  });
  expect(parseHeard('{"event":"started","turn":1}')).toEqual({ event: "started" });
  expect(parseHeard('{"event":"moved"}')).toEqual({ event: "moved" });
  expect(parseHeard('{"event":"unclear","reason":"no words"}')).toEqual({
    event: "unclear",
    reason: "no words",
  });
  for (const other of [
    "",
    "null",
    "7",
    "{",
    '{"event":"final"}',
    '{"event":"dance"}',
    '{"event":"final","text":1}',
  ])
    expect(parseHeard(other)).toBeNull();
});

test("spoken words wait for their answer like typed ones; refused ones can be sent again", () => {
  const talk = understood(EMPTY, 1, "Who are you?", 1000);
  expect(talk.messages[0]).toMatchObject({ who: "you", text: "Who are you?", way: "ask", state: "sent" });
  expect(talk.thinkingUntilMs).toBeGreaterThan(1000);
  expect(refused(talk, 1, "too many").messages[0]).toMatchObject({ state: "failed", why: "too many" });
});

test("each reason for no microphone says what to do", () => {
  for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "AbortError"])
    expect(explain(name).hint).toMatch(/press/i);
});
