import { describe, expect, test } from "vitest";
import { problemFrom, problemOf } from "../api/problem.ts";
import { Captions } from "../player/captions.ts";
import { Failures } from "../player/failures.ts";
import { dateOf, plainText } from "../player/hls.ts";
import { mergePlan, type Plan, parsePlan, sameTarget, targetOf, withTokenOf } from "../player/plan.ts";
import type { Reading } from "../player/playback.ts";
import { parseProfile, Tempo, USUAL } from "../player/profile.ts";
import { reportOf } from "../player/report.ts";
import { Seam } from "../player/seam.ts";
import { Silence } from "../player/silence.ts";
import { bitrateText, durationText, latencyText, rowsOf, sizeText, statsOf } from "../player/stats.ts";
import { parseCaption } from "../player/whep.ts";

const plan: Plan = {
  mode: "webrtc",
  whep: "http://node/whep/demo",
  hls: "http://cdn/demo/index.m3u8",
  token: "t",
  viewer: "v",
  node: "relay-1",
  region: "eu",
};

describe("plans", () => {
  test("take relative URLs from their answer", () => {
    const told = parsePlan(
      { mode: "hls", hls: "/hls/demo/index.m3u8", whep: null },
      "https://live.example/api/x",
    );
    expect(told?.hls).toBe("https://live.example/hls/demo/index.m3u8");
    expect(told && targetOf(told)?.mode).toBe("hls");
  });

  test.each([null, 7, "webrtc", {}, { mode: "carrier pigeon" }])("that are none are refused: %j", (value) => {
    expect(parsePlan(value, "http://x/")).toBeNull();
  });

  test.each(["javascript:alert(1)", "data:text/html,x", 5, ""])("do not take %j as a URL", (url) => {
    expect(parsePlan({ mode: "webrtc", whep: url }, "http://x/")?.whep).toBeNull();
  });

  test("name the other way when they have but that", () => {
    expect(targetOf({ ...plan, whep: null })).toEqual({ mode: "hls", url: plan.hls, token: "t" });
    expect(targetOf({ ...plan, whep: null, hls: null })).toBeNull();
  });

  test("of an event keep what it leaves out", () => {
    const told = parsePlan({ mode: "hls", hls: "http://cdn/2.m3u8", whep: null }, "http://x/");
    expect(told && mergePlan(told, plan)).toEqual({
      ...plan,
      mode: "hls",
      hls: "http://cdn/2.m3u8",
      whep: null,
    });
  });
});

describe("ways that fail", () => {
  test("a way that this browser cannot decode is avoided at once", () => {
    const failures = new Failures();
    failures.ruleOut("webrtc", 0);
    expect(failures.choose(plan, 1)?.mode).toBe("hls");
    expect(failures.choose(plan, 600_001)?.mode).toBe("webrtc");
  });

  test("twice in a row are avoided for a minute, then tried again", () => {
    const failures = new Failures();
    failures.note("webrtc", 0);
    expect(failures.choose(plan, 1)?.mode).toBe("webrtc");
    failures.note("webrtc", 10);
    expect(failures.choose(plan, 20)?.mode).toBe("hls");
    expect(failures.choose(plan, 60_010)?.mode).toBe("webrtc");
    failures.note("webrtc", 60_020);
    expect(failures.choose(plan, 60_020 + 119_000)?.mode).toBe("hls");
  });

  test("are forgiven by the first picture", () => {
    const failures = new Failures();
    failures.note("webrtc", 0);
    failures.note("webrtc", 0);
    failures.clear("webrtc");
    expect(failures.choose(plan, 1)?.mode).toBe("webrtc");
  });

  test("are taken all the same when there is no other, or the other fails too", () => {
    const failures = new Failures();
    for (const mode of ["webrtc", "webrtc", "hls", "hls"] as const) failures.note(mode, 0);
    expect(failures.choose(plan, 1)?.mode).toBe("webrtc");
    const alone = new Failures();
    alone.note("webrtc", 0);
    alone.note("webrtc", 0);
    expect(alone.choose({ ...plan, hls: null }, 1)?.mode).toBe("webrtc");
  });
});

describe("silence", () => {
  test("is called once after its limit, and its end once", () => {
    const silence = new Silence(2000);
    expect(silence.handleCount(0, 0)).toBeNull();
    expect(silence.handleCount(9000, 0)).toBeNull();
    expect(silence.handleCount(10_000, 5)).toBeNull();
    expect(silence.handleCount(11_999, 5)).toBeNull();
    expect(silence.handleCount(12_000, 5)).toBe("silent");
    expect(silence.handleCount(13_000, 5)).toBeNull();
    expect(silence.handleCount(13_500, 6)).toBe("heard");
    expect(silence.handleCount(14_000, 7)).toBeNull();
  });
});

describe("a seam", () => {
  test("is where the silence is as long as the way between the sources", () => {
    const seam = new Seam(0);
    expect(seam.isHere(100, 900, 1300)).toBe(false);
    expect(seam.isHere(600, 1400, 1300)).toBe(true);
  });

  test("is taken in the middle of a word when no pause comes, or when nobody can tell", () => {
    expect(new Seam(0).isHere(5000, 0, 1300)).toBe(true);
    expect(new Seam(0).isHere(0, null, 1300)).toBe(true);
    expect(new Seam(0).isHere(0, 0, null)).toBe(true);
  });
});

describe("captions", () => {
  const captions = new Captions();
  captions.add({ text: "one", startMs: 1000, endMs: 2000 });
  captions.add({ text: "two", startMs: 1900, endMs: 3000 });
  captions.add({ text: "one, corrected", startMs: 1000, endMs: 2000 });

  test.each([
    [999, null],
    [1000, "one, corrected"],
    [1950, "two"],
    [2999, "two"],
    [3000, null],
  ])("at %d ms: %j", (at, text) => {
    expect(captions.at(at)).toBe(text);
  });

  test("of another clock count from their arrival", () => {
    const now = 1_800_000_000_000;
    expect(parseCaption({ text: "hi", start_ms: 500, end_ms: 1500 }, now)).toEqual({
      text: "hi",
      startMs: now,
      endMs: now + 1000,
    });
    expect(parseCaption({ text: "hi", start_ms: now + 80, end_ms: now + 900 }, now)?.startMs).toBe(now + 80);
    expect(parseCaption({ text: 5, start_ms: 0, end_ms: 1 }, now)).toBeNull();
  });
});

describe("statistics", () => {
  const reading = (atMs: number, bytes: number, frames: number): Reading => ({
    atMs,
    mode: "webrtc",
    latencyMs: 80,
    bytes,
    bitrateBps: null,
    frames,
    dropped: 0,
    freezes: 1,
    lost: 3,
    roundTripMs: 12,
    codec: "H264",
  });
  const size = { width: 854, height: 480 };

  test("are rates between two readings", () => {
    const stats = statsOf(reading(1000, 0, 0), reading(3000, 250_000, 50), size);
    expect(stats).toMatchObject({ bitrateBps: 1_000_000, fps: 25, width: 854 });
    expect(rowsOf(stats, { node: "relay-1", region: "eu" })).toContainEqual(["Node", "relay-1 (eu)"]);
  });

  test("of the first reading know no rate", () => {
    expect(statsOf(null, reading(0, 5, 5), size)).toMatchObject({ bitrateBps: null, fps: 0 });
  });

  test("are reported in whole, non-negative numbers", () => {
    const stats = { ...statsOf(null, reading(0, 5, 5), size), latencyMs: -3.2, bitrateBps: 1000.6 };
    const begin = { startedMs: 1000.2, shownMs: 1420.6 };
    expect(reportOf("demo", "passive", "relay-1", stats, begin, 31_400)).toEqual({
      broadcast: "demo",
      delivery: "webrtc",
      latency_ms: 0,
      bitrate_bps: 1001,
      freezes: 1,
      role: "passive",
      node: "relay-1",
      startup_ms: 420,
      watched_s: 30,
    });
    const before = reportOf("demo", "passive", "relay-1", stats, null, 31_400);
    expect([before.startup_ms, before.watched_s]).toEqual([null, null]);
  });

  test("read well", () => {
    expect([latencyText(84.4), latencyText(1530), latencyText(null)]).toEqual(["84 ms", "1.5 s", "–"]);
    expect([bitrateText(850_000), bitrateText(1_500_000)]).toEqual(["850 kbit/s", "1.50 Mbit/s"]);
    expect([durationText(7.4), durationText(59.6), durationText(3723)]).toEqual(["0:07", "1:00", "1:02:03"]);
    const sizes = [0, 812, 999_600, 1_400_000_000].map(sizeText);
    expect(sizes).toEqual(["0 B", "812 B", "1.0 MB", "1.4 GB"]);
  });
});

describe("problems", () => {
  test("carry code, hint and Retry-After", async () => {
    const body = JSON.stringify({ code: "no_node", detail: "full", hint: "wait" });
    const problem = await problemOf(new Response(body, { status: 503, headers: { "Retry-After": "2" } }));
    expect(problem).toMatchObject({
      status: 503,
      code: "no_node",
      message: "full",
      hint: "wait",
      retryAfterMs: 2000,
    });
  });

  test("survive a proxy's page", async () => {
    const problem = await problemOf(new Response("<html>", { status: 502 }));
    expect(problem).toMatchObject({ status: 502, code: "http_502", retryAfterMs: null });
  });

  test("name a network that is gone", () => {
    expect(problemFrom(new TypeError("Failed to fetch")).code).toBe("unreachable");
    expect(problemFrom(new DOMException("", "TimeoutError")).code).toBe("timeout");
  });
});

describe("path tokens", () => {
  const at = (token: string, rest = "demo/index.m3u8") => `https://cdn/hls/t/${token}/${rest}`;
  const hls = (url: string) => ({ mode: "hls" as const, url, token: null });

  test("a renewed token is the same way to watch, another broadcast or a public one is not", () => {
    expect(sameTarget(hls(at("1.a")), hls(at("2.b")))).toBe(true);
    expect(sameTarget(hls(at("1.a")), hls(at("1.a", "other/index.m3u8")))).toBe(false);
    expect(sameTarget(hls(at("1.a")), hls("https://cdn/hls/demo/index.m3u8"))).toBe(false);
    expect(sameTarget(hls("https://cdn/hls/demo/index.m3u8"), hls(at("1.a")))).toBe(false);
  });

  test("requests take the newest token, and public addresses stay as they are", () => {
    expect(withTokenOf(at("1.a", "demo/v0/7.m4s?x=1"), at("2.b"))).toBe(at("2.b", "demo/v0/7.m4s?x=1"));
    expect(withTokenOf("https://cdn/hls/t/v0/7.m4s", "https://cdn/hls/t/index.m3u8")).toBe(
      "https://cdn/hls/t/v0/7.m4s",
    );
  });
});

describe("captions of HLS", () => {
  const fragments = [
    { start: 10, programDateTime: 1_000_000 },
    { start: 12, programDateTime: null },
    { start: 14, programDateTime: 2_000_000 },
  ];

  test.each([
    [11.5, 1_001_500],
    [13, 1_003_000],
    [14.25, 2_000_250],
    [9, 999_000],
  ])("are dated by the segment around them: %d s", (at, date) => {
    expect(dateOf(at, { fragments })).toBe(date);
  });

  test("have no date where no segment has", () => {
    expect(dateOf(3, { fragments: [{ start: 0, programDateTime: null }] })).toBeNull();
  });

  test("are plain text", () => {
    expect(plainText("a <i>b</i> &lt;c&gt; &amp;amp; &unknown;")).toBe("a b <c> &amp; &unknown;");
  });
});

describe("the server's settings", () => {
  test("are read from the playlist's line, each within its bounds", () => {
    const told = parseProfile("part=0.2 hold-back=0.6 tolerance=0.05 catch-up=1.2 jump=10 stalls=2");
    expect(told).toEqual({ ...USUAL, tolerance: 0.05, catchUp: 1.2, stalls: 2 });
    expect(parseProfile("catch-up=16 jump=0 tolerance=NaN stalls= plain-for")).toEqual(USUAL);
    expect(parseProfile(undefined)).toEqual(USUAL);
  });

  test("say when parts give way to whole segments, and when they come back, each time later", () => {
    const tempo = new Tempo({ ...USUAL, stalls: 3, stallsWithin: 20, plainFor: 30 });
    for (const atMs of [0, 10_000, 21_000, 31_000]) expect(tempo.handleStall(atMs)).toBe(false);
    expect(tempo.handleStall(32_000)).toBe(true);
    expect(tempo.plain).toBe(true);
    expect(tempo.tick(61_999)).toBe(false);
    // A stall even so: it stays with whole segments.
    expect(tempo.handleStall(40_000)).toBe(false);
    expect(tempo.tick(69_999)).toBe(false);
    expect(tempo.tick(70_000)).toBe(true);
    expect(tempo.tick(70_001)).toBe(false);
    for (const atMs of [71_000, 72_000]) expect(tempo.handleStall(atMs)).toBe(false);
    expect(tempo.handleStall(73_000)).toBe(true);
    expect(tempo.tick(132_999)).toBe(false);
    expect(tempo.tick(133_000)).toBe(true);
  });
});
