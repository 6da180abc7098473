import { describe, expect, test } from "vitest";
import type { Version } from "../api/rollouts.ts";
import { lasting, measured } from "../console/shares.ts";

const LIMITS = {
  error_ratio: 0.01,
  latency_growth: 0.5,
  underruns_a_session: 10,
  gpu_memory_errors: 1,
  least_requests: 200,
  window_s: 1800,
};
const NOTHING: Version = {
  version: "2",
  share: 0.1,
  nodes: 1,
  viewers: 0,
  streams: 0,
  requests: 0,
  sessions: 0,
  error_ratio: null,
  latency_ms: null,
  underruns_a_session: null,
  gpu_memory_errors: 0,
};

describe("the figures of a version", () => {
  test("nothing measured is no figure", () => {
    expect(measured(NOTHING, undefined, LIMITS).map((one) => one.part)).toEqual([null, null, null, 0]);
    expect(measured(NOTHING, undefined, LIMITS)[0]?.told).toBe("–");
  });

  test("a part of 1 is what takes it back", () => {
    const bad = {
      ...NOTHING,
      error_ratio: 0.01,
      latency_ms: 300,
      underruns_a_session: 10,
      gpu_memory_errors: 1,
    };
    const stable = { ...NOTHING, latency_ms: 200 };
    expect(measured(bad, stable, LIMITS).map((one) => one.part)).toEqual([1, 1, 1, 1]);
    expect(measured(bad, NOTHING, LIMITS)[1]?.part).toBeNull();
  });

  test("times are told in the unit that says most", () => {
    expect([3, 1800, 7200, 259_200].map(lasting)).toEqual(["1 minute", "30 minutes", "2 hours", "3 days"]);
  });
});
