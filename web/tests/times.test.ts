import { expect, test } from "vitest";
import { ago, until } from "../console/times.ts";

const now = Date.parse("2026-01-02T00:00:00Z");
const at = (seconds: number): string => new Date(now + seconds * 1000).toISOString();

test("what was is told in the largest unit that is whole", () => {
  expect([-5, -60, -3599, -3600, -7200, -86_400, -86_400 * 3.5].map((one) => ago(at(one), now))).toEqual([
    "just now",
    "1 minute ago",
    "59 minutes ago",
    "1 hour ago",
    "2 hours ago",
    "1 day ago",
    "3 days ago",
  ]);
  expect(ago(null, now)).toBe("never");
  expect(ago(at(30), now), "a clock that is late").toBe("just now");
});

test("what is left is rounded up", () => {
  expect([1, 59, 61, 3600, 86_399, 86_400, 86_401].map((one) => until(at(one), now))).toEqual([
    "1 minute",
    "1 minute",
    "2 minutes",
    "1 hour",
    "1 day",
    "1 day",
    "2 days",
  ]);
  expect(until(at(-5), now)).toBe("a minute");
});
