import { expect, test } from "vitest";
import { byName, cumulated, type Line, lastOf, percentText, spanText, withGaps } from "../console/series.ts";

const line = (name: string, values: (number | null)[]): Line => ({ name, colour: "--x", values });

test("areas stand on those after them, and what nobody knows is a gap", () => {
  expect(cumulated([line("hls", [1, 2, null, null]), line("webrtc", [10, null, 30, null])])).toEqual([
    [11, 2, 30, null],
    [10, null, 30, null],
  ]);
});

test("the largest parts have a line each, the rest has one together", () => {
  const shares = ["b", "a", "c", "never"].map((name) => ({ name, watch_s: 1, share: 0.25 }));
  const lines = byName(shares, [{ a: 1, b: 2, c: 3 }, { a: 4, other: 5 }, {}, null], 2);
  expect(lines.map((one) => [one.name, one.values])).toEqual([
    ["b", [2, 0, 0, null]],
    ["a", [1, 4, 0, null]],
    ["other", [3, 5, 0, null]],
  ]);
  expect(new Set(lines.map((one) => one.colour)).size).toBe(3);
  expect(byName(shares.slice(0, 2), [{ a: 1, b: 2 }], 2).map((one) => one.name)).toEqual(["b", "a"]);
  expect(byName([], [], 5)).toEqual([]);
});

test("where steps are missing there is a gap", () => {
  const seen = [0, 60, 600, 660];
  expect(withGaps(seen, (one) => one, 60)).toEqual({
    at: [0, 60, 120, 600, 660],
    points: [0, 60, null, 600, 660],
  });
  expect(withGaps([], (one: number) => one, 60)).toEqual({ at: [], points: [] });
});

test("lengths and parts are told with as many digits as tell something", () => {
  expect([null, 0, 45, 89.6, 600, 5400, 12_240, 360_000].map(spanText)).toEqual([
    "–",
    "0 s",
    "45 s",
    "90 s",
    "10 min",
    "1.5 h",
    "3.4 h",
    "100 h",
  ]);
  expect([null, 0, 0.004, 0.25, 1].map(percentText)).toEqual(["–", "0 %", "0.4 %", "25 %", "100 %"]);
  expect([lastOf([]), lastOf([1, null]), lastOf([1, 2])]).toEqual([null, null, 2]);
});
