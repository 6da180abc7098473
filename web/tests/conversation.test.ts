import { expect, test } from "vitest";
import { delivered, EMPTY, heard, refused, typed, withdrawn } from "../demo/conversation.ts";

const caption = (text: string, startMs: number, endMs: number) => ({ text, startMs, endMs });

test("a question waits for its answer, and the answer ends the waiting", () => {
  let talk = delivered(typed(EMPTY, 1, "Who are you?", "ask"), 1, 1000);
  expect(talk.thinkingUntilMs).toBeGreaterThan(1000);
  talk = heard(talk, 2, caption("I am Ava.", 1500, 2500));
  expect(talk.thinkingUntilMs).toBe(0);
  expect(talk.messages.map(({ who, text }) => [who, text])).toEqual([
    ["you", "Who are you?"],
    ["ava", "I am Ava."],
  ]);
});

test("captions that follow closely are one message; after a pause or a question they are another", () => {
  let talk = heard(EMPTY, 1, caption("One.", 0, 1000));
  talk = heard(talk, 2, caption("Two.", 1100, 2000));
  expect(talk.messages.map((message) => message.text)).toEqual(["One. Two."]);
  talk = heard(talk, 3, caption("Three.", 9000, 9500));
  talk = typed(talk, 4, "And?", "ask");
  talk = heard(talk, 5, caption("Four.", 9600, 9900));
  expect(talk.messages.map((message) => message.text)).toEqual(["One. Two.", "Three.", "And?", "Four."]);
});

test("an answer that is faster than its receipt leaves nothing waiting", () => {
  const talk = heard(typed(EMPTY, 1, "Hi", "ask"), 2, caption("Hello.", 10, 20));
  expect(delivered(talk, 1, 30).thinkingUntilMs).toBe(0);
});

test("a refused message keeps its words and says why, and goes when it is sent again", () => {
  const talk = refused(typed(EMPTY, 1, "Hi", "say"), 1, "too many");
  expect(talk.messages[0]).toMatchObject({ text: "Hi", way: "say", state: "failed", why: "too many" });
  expect(withdrawn(talk, 1).messages).toEqual([]);
});

test("a long evening does not fill the memory", () => {
  let talk = EMPTY;
  for (let id = 0; id < 1000; id++) talk = typed(talk, id, "again", "ask");
  expect(talk.messages.length).toBe(200);
});
