import { expect, test } from "vitest";
import type { Bill } from "../api/cost.ts";
import { money, stacked } from "../console/sums.ts";

const bill = (listeners: number, each: number): Bill => ({
  listeners,
  webrtc: listeners,
  hls: 0,
  avatar: each,
  compute: 2 * each,
  egress: 3 * each,
  cdn: 4 * each,
  total: 10 * each,
  listener: 0,
});

test("parts are stacked, the sum first", () => {
  expect(stacked([bill(0, 1), bill(100, 2)])).toEqual([
    [0, 100],
    [10, 20],
    [6, 12],
    [3, 6],
    [1, 2],
  ]);
});

test("money is told in its currency, with as many digits as tell something", () => {
  expect(money(0, "USD")).toBe("$0.00");
  expect(money(0.0123, "USD")).toBe("$0.012");
  expect(money(3.2, "USD")).toBe("$3.20");
  expect(money(1234.5, "EUR")).toBe("€1,235");
  expect(money(1, "no currency")).toBe("1.00 no currency");
});
