import { describe, expect, it } from "vitest";
import type { NodeRow } from "../console/overview.ts";
import { radius, spots } from "../console/spots.ts";

function node(
  id: string,
  region: string,
  place: [number, number] | null,
  more: Partial<NodeRow> = {},
): NodeRow {
  return {
    id,
    role: "relay",
    region,
    place,
    transports: 0,
    streams: 0,
    egress_bps: 0,
    cpu_ratio: 0,
    age_s: 0.5,
    node: null,
    ...more,
  };
}

describe("the map of nodes", () => {
  it("has a dot a region, the one with most viewers beneath the others", () => {
    const found = spots([
      node("r1", "eu-west-1", [53, -6], { transports: 3 }),
      node("r2", "us-east-1", [38, -77], { transports: 40 }),
      node("r3", "eu-west-1", [53, -6], { transports: 4 }),
      node("o1", "local", null, { transports: 100 }),
    ]);
    expect(found.map((spot) => [spot.region, spot.viewers, spot.nodes.length])).toEqual([
      ["us-east-1", 40, 1],
      ["eu-west-1", 7, 2],
    ]);
    expect([found[1]?.x, found[1]?.y]).toEqual([174, 31]);
  });

  it("shows a region as its worst node is", () => {
    const place: [number, number] = [1, 104];
    expect(spots([node("a", "s", place), node("b", "s", place, { age_s: 60 })])[0]?.kind).toBe("bad");
    expect(spots([node("a", "s", place)])[0]?.kind).toBe("good");
  });

  it("tells viewers by the area of a dot, and shows one where nobody watches too", () => {
    expect(radius(0, 0)).toBe(radius(0, 100));
    expect(radius(25, 100) - radius(0, 100)).toBeCloseTo((radius(100, 100) - radius(0, 100)) / 2);
  });
});
