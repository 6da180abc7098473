import { beforeEach, describe, expect, test, vi } from "vitest";
import { keep, kept, measure, parseProbes } from "../player/rtt.ts";

beforeEach(() => {
  const held = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => held.get(key) ?? null,
    setItem: (key: string, text: string) => held.set(key, text),
  });
});

describe("probes", () => {
  test("are read from the answer, three at most, and nothing else is", () => {
    const many = Array.from({ length: 9 }, (_, at) => ({ node: `r${at}`, url: `/n/r${at}/health` }));
    expect(parseProbes(many, "https://live.example/api/play")).toEqual([
      { node: "r0", url: "https://live.example/n/r0/health" },
      { node: "r1", url: "https://live.example/n/r1/health" },
      { node: "r2", url: "https://live.example/n/r2/health" },
    ]);
    for (const bad of [null, 5, {}, [null], [{ node: 1, url: "/" }], [{ node: "a,b", url: "/" }]])
      expect(parseProbes(bad, "https://live.example/")).toEqual([]);
    expect(parseProbes([{ node: "a", url: "javascript:alert(1)" }], "https://live.example/")).toEqual([]);
  });

  test("the shortest round trip counts, without the one that opens the connection", async () => {
    let now = 0;
    const took: Record<string, number[]> = { near: [90, 12, 10.04], far: [400, 150, 170] };
    const get = async (url: string) => {
      now += took[url]?.shift() ?? 0;
    };
    const probes = [
      { node: "a", url: "near" },
      { node: "b", url: "far" },
    ];
    expect(await measure(probes, get, () => now)).toEqual({ a: 10, b: 150 });
  });

  test("a node that does not answer is left out", async () => {
    const get = (url: string) => (url === "dead" ? Promise.reject(new Error("refused")) : Promise.resolve());
    const probes = [
      { node: "a", url: "dead" },
      { node: "b", url: "here" },
    ];
    expect(Object.keys(await measure(probes, get, () => 0))).toEqual(["b"]);
  });
});

describe("what was measured", () => {
  test("is told for ten minutes", () => {
    keep({ a: 10, b: 150.5 }, 1000);
    expect(kept(1000 + 599_000)).toBe("a:10,b:150.5");
    expect(kept(1000 + 601_000)).toBe("");
  });

  test("is empty when there is none, or when the storage holds something else", () => {
    expect(kept()).toBe("");
    for (const text of ["x", "null", "[]", '{"atMs": 1}', '{"atMs": "now"}']) {
      sessionStorage.setItem("avacast-rtts", text);
      expect(kept(1)).toBe("");
    }
    sessionStorage.setItem("avacast-rtts", '{"atMs": 1, "rtts": {"a": -1, "b": 1e9, "c,d": 3, "e": 4}}');
    expect(kept(1)).toBe("e:4");
  });
});
