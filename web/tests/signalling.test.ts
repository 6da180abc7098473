import { describe, expect, test } from "vitest";
import { linkOf } from "../player/links.ts";
import { EventStream, type ServerEvent } from "../player/signalling.ts";

const EVENTS = "urn:ietf:params:whep:ext:core:server-sent-events";

describe("Link headers", () => {
  test("are found among others, relative to the answer", () => {
    const header = `<stun:stun.example:3478>; rel="ice-server", </whep/demo/7/events>; rel="${EVENTS}"; events="mode,caption"`;
    expect(linkOf(header, EVENTS, "http://node:8082/whep/demo")).toBe("http://node:8082/whep/demo/7/events");
  });

  test("without the relation give nothing", () => {
    expect(linkOf("", EVENTS, "http://node/")).toBeNull();
    expect(linkOf('<x>; rel="next"', EVENTS, "http://node/")).toBeNull();
    expect(linkOf("<<<;;;,,,", EVENTS, "http://node/")).toBeNull();
  });
});

describe("event streams", () => {
  const whole =
    'event: mode\ndata: {"mode":"hls"}\n\n: still here\n\nevent: caption\ndata: one\ndata: two\n\n';
  const expected: ServerEvent[] = [
    { event: "mode", data: '{"mode":"hls"}' },
    { event: "caption", data: "one\ntwo" },
  ];

  test("are the same however they are cut", () => {
    for (let size = 1; size <= whole.length; size++) {
      const stream = new EventStream();
      const events: ServerEvent[] = [];
      for (let at = 0; at < whole.length; at += size) events.push(...stream.feed(whole.slice(at, at + size)));
      expect(events).toEqual(expected);
    }
  });

  test("may use any line end", () => {
    for (const end of ["\r\n", "\r", "\n"]) {
      const stream = new EventStream();
      const events = [...stream.feed(whole.replaceAll("\n", end)), ...stream.feed(end)];
      expect(events).toEqual(expected);
    }
  });

  test("without an event name are messages, without data nothing", () => {
    expect(new EventStream().feed("data:x\n\nevent: mode\n\n")).toEqual([{ event: "message", data: "x" }]);
  });

  test("of one endless line do not grow without bound", () => {
    const stream = new EventStream();
    for (let i = 0; i < 40; i++) stream.feed("x".repeat(100_000));
    expect(stream.feed("\ndata: y\n\n").at(-1)).toEqual({ event: "message", data: "y" });
  });
});
