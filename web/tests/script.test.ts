import { describe, expect, it } from "vitest";
import { clock, readScript } from "../console/script.ts";

describe("a script as a host types it", () => {
  it("has a line each with its time", () => {
    expect(readScript("0:05 Welcome!\n\n1:02.5 Go *on*\n1:00:00 The end: 10:30 is now")).toEqual({
      cues: [
        { at_s: 5, text: "Welcome!" },
        { at_s: 62.5, text: "Go *on*" },
        { at_s: 3600, text: "The end: 10:30 is now" },
      ],
    });
  });

  it("lets a line without a time follow the one before", () => {
    expect(readScript("Hello\n0:10 One\nTwo")).toEqual({
      cues: [
        { at_s: 0, text: "Hello" },
        { at_s: 10, text: "One" },
        { at_s: 10, text: "Two" },
      ],
    });
  });

  it.each([
    ["", "Write at least one line"],
    ["0:10 a\n0:05 b", "Line 2 comes before"],
    ["0:61 a", "59 seconds"],
    [`0:01 ${"x".repeat(2001)}`, "longer than 2000"],
    ["a\n".repeat(501), "500 lines"],
  ])("says what is wrong", (text, told) => {
    expect(readScript(text)).toEqual({ wrong: expect.stringContaining(told) });
  });
});

it("shows seconds as a clock does", () => {
  expect([0, 65.9, 3661].map(clock)).toEqual(["0:00", "1:05", "1:01:01"]);
});
