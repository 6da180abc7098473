import { describe, expect, it } from "vitest";
import { eventOf, Once, parseLine, takesData } from "../player/channels.ts";

describe("data channels", () => {
  it("say the same as server-sent events", () => {
    const caption = '{"text":"Hi","start_ms":1,"end_ms":2}';
    expect(eventOf("captions", caption)).toEqual({ event: "caption", data: caption });
    expect(eventOf("events", '{"event":"viewercount","data":{"viewercount":3}}')).toEqual({
      event: "viewercount",
      data: '{"viewercount":3}',
    });
    expect(eventOf("events", "{")).toBeNull();
    expect(eventOf("events", '{"event":3,"data":{}}')).toBeNull();
    expect(eventOf("events", "null")).toBeNull();
  });

  it("are there when the answer takes them", () => {
    expect(takesData("v=0\r\nm=audio 9 x\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")).toBe(
      true,
    );
    expect(takesData("v=0\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n")).toBe(false);
    expect(takesData("v=0\r\nm=audio 9 x\r\n")).toBe(false);
  });
});

describe("Once", () => {
  it("hears a caption once, by whichever way it comes", () => {
    const once = new Once();
    const caption = { event: "caption", data: '{"text":"Hi","start_ms":1,"end_ms":2}' };
    expect([once.isNew(caption), once.isNew({ ...caption })]).toEqual([true, false]);
    expect(once.isNew({ event: "caption", data: '{"text":"Hi","start_ms":9,"end_ms":12}' })).toBe(true);
  });

  it("hears a count that comes back", () => {
    const once = new Once();
    const counts = [3, 3, 4, 3].map((count) => ({ event: "viewercount", data: `{"viewercount":${count}}` }));
    expect(counts.map((count) => once.isNew(count))).toEqual([true, false, true, true]);
  });

  it("forgets what is long past", () => {
    const once = new Once();
    for (let line = 0; line < 40; line++) once.isNew({ event: "chat", data: `{"id":"${line}"}` });
    expect(once.isNew({ event: "chat", data: '{"id":"39"}' })).toBe(false);
    expect(once.isNew({ event: "chat", data: '{"id":"0"}' })).toBe(true);
  });
});

describe("a line of chat", () => {
  it("is whole or none", () => {
    const line = { id: "a1", name: "Ann", text: "<b>hi</b>", at_ms: 5 };
    expect(parseLine(line)).toEqual({ id: "a1", name: "Ann", text: "<b>hi</b>", atMs: 5 });
    expect(parseLine({ error: "chat_too_fast", detail: "wait" })).toBeNull();
    expect(parseLine({ ...line, text: 5 })).toBeNull();
  });
});
