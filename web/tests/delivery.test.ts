import { describe, expect, test } from "vitest";
import { Problem } from "../api/problem.ts";
import { type Action, Delivery, LIMITS, type Source } from "../player/delivery.ts";
import type { Mode, Target } from "../player/plan.ts";

const lost = new Problem(0, "silent", "nothing came");
const target = (mode: Mode, url = `http://node/${mode}`): Target => ({ mode, url, token: null });
const opened = (actions: Action[]): Source => {
  const action = actions.find((one) => one.do === "open");
  if (action?.do !== "open") throw new Error(`nothing was opened: ${JSON.stringify(actions)}`);
  return action.source;
};
const verbs = (actions: Action[]) => actions.map((action) => action.do);

/** A machine that plays by `mode`, and its source. */
function playing(mode: Mode, chance = 0): { machine: Delivery; source: Source } {
  const machine = new Delivery(() => chance);
  machine.start(0);
  const source = opened(machine.handleTarget(10, target(mode)));
  machine.handleReady(200, source.id);
  return { machine, source };
}

describe("the first picture", () => {
  test("asks, opens and shows", () => {
    const machine = new Delivery(() => 0);
    expect(verbs(machine.start(0))).toEqual(["ask"]);
    const source = opened(machine.handleTarget(10, target("webrtc")));
    expect(machine.shown).toBeNull();
    expect(verbs(machine.handleReady(200, source.id))).toEqual(["show"]);
    expect(machine.state.at).toBe("playing");
    expect(machine.deadlineMs).toBeNull();
  });

  test("waits longer after each refusal, and at least as long as the server says", () => {
    const machine = new Delivery(() => 1);
    machine.start(0);
    const waits: number[] = [];
    let now = 0;
    for (let attempt = 0; attempt < 8; attempt++) {
      machine.handleRefusal(now, new Problem(500, "failed", "no"));
      const due = machine.deadlineMs ?? Number.NaN;
      waits.push(due - now);
      now = due;
      expect(verbs(machine.tick(now, lost))).toEqual(["ask"]);
    }
    expect(waits.slice(0, 3)).toEqual([400, 800, 1600]);
    expect(Math.max(...waits)).toBe(LIMITS.backoffMs.longest);
    machine.handleRefusal(now, new Problem(503, "no_node", "full", null, 30_000));
    expect(machine.deadlineMs).toBe(now + 30_000);
  });

  test("looks more often for a broadcast that is not there yet", () => {
    const machine = new Delivery(() => 1);
    machine.start(0);
    for (let attempt = 0, now = 0; attempt < 8; attempt++) {
      machine.handleRefusal(now, new Problem(404, "broadcast_unknown", "no"));
      const due = machine.deadlineMs ?? 0;
      expect(due - now).toBeLessThanOrEqual(LIMITS.backoffMs.absentMs);
      now = due;
      machine.tick(now, lost);
    }
  });

  test("why it failed is still known while it asks again by itself, until a person presses the button", () => {
    const machine = new Delivery(() => 0);
    const unknown = new Problem(404, "broadcast_unknown", "no");
    machine.start(0);
    expect(machine.state).toMatchObject({ at: "asking", problem: null });
    machine.handleRefusal(0, unknown);
    machine.tick(machine.deadlineMs ?? 0, lost);
    expect(machine.state).toMatchObject({ at: "asking", problem: unknown });
    machine.retry(1000);
    expect(machine.state).toMatchObject({ at: "asking", problem: null });
    machine.handleRefusal(1000, unknown);
    machine.retry(1001);
    expect(machine.state).toMatchObject({ at: "asking", problem: null });
  });

  test("an answer that never comes counts as a refusal", () => {
    const machine = new Delivery(() => 0);
    machine.start(0);
    expect(machine.tick(LIMITS.askMs - 1, lost)).toEqual([]);
    machine.tick(LIMITS.askMs, lost);
    expect(machine.state.at).toBe("waiting");
  });
});

describe("a switch", () => {
  test.each([
    ["webrtc", "hls"],
    ["hls", "webrtc"],
  ] as const)("from %s to %s keeps the old picture until the new one is there", (from, to) => {
    const { machine, source } = playing(from);
    const next = opened(machine.handleTarget(1000, target(to)));
    expect(machine.shown?.id).toBe(source.id);
    const done = machine.handleReady(2500, next.id);
    expect(done).toEqual([
      { do: "show", source: next },
      { do: "close", id: source.id },
    ]);
  });

  test("that fails leaves the picture alone and tries again later", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("hls")));
    expect(machine.handleLost(3000, next.id, lost)).toEqual([{ do: "close", id: next.id }]);
    expect(machine.state.at).toBe("playing");
    expect(machine.shown).toBe(source);
    const retry = machine.deadlineMs ?? 0;
    expect(retry).toBeGreaterThan(3000);
    expect(verbs(machine.tick(retry, lost))).toEqual(["ask"]);
    expect(machine.shown).toBe(source);
  });

  test("that takes too long is given up", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("hls")));
    expect(machine.tick(1000 + LIMITS.openMs, lost)).toEqual([{ do: "close", id: next.id }]);
    expect(machine.shown).toBe(source);
  });

  test("that is taken back while it opens ends where it began", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("hls")));
    expect(machine.handleTarget(1500, target("webrtc"))).toEqual([{ do: "close", id: next.id }]);
    expect(machine.state).toEqual({ at: "playing", shown: source, retry: null });
  });

  test("to where it is already changes nothing", () => {
    const { machine } = playing("webrtc");
    expect(machine.handleTarget(1000, target("webrtc"))).toEqual([]);
    const next = opened(machine.handleTarget(1000, target("hls")));
    expect(machine.handleTarget(1100, target("hls"))).toEqual([]);
    expect(machine.state).toMatchObject({ at: "opening", next: { id: next.id } });
  });

  test("that is announced to all is asked for within its spread, while the picture plays", () => {
    const { machine, source } = playing("hls", 0.5);
    expect(machine.handleHint(1000)).toEqual([]);
    machine.handleHint(1300);
    expect(machine.deadlineMs).toBe(1000 + LIMITS.hintMs / 2);
    expect(verbs(machine.tick(1500, lost))).toEqual(["ask"]);
    expect(machine.handleTarget(1520, target("hls"))).toEqual([]);
    expect(machine.state).toEqual({ at: "playing", shown: source, retry: null });
  });

  test("to another node is make-before-break too", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("webrtc", "http://other/webrtc")));
    expect(verbs(machine.handleReady(1300, next.id))).toEqual(["show", "close"]);
    expect(source.id).not.toBe(next.id);
  });
});

describe("silence", () => {
  test("asks anew within the spread, keeps the still, and shows the replacement", () => {
    const { machine, source } = playing("webrtc", 0.5);
    expect(machine.handleLost(5000, source.id, lost)).toEqual([]);
    expect(machine.deadlineMs).toBe(5000 + LIMITS.spreadMs / 2);
    expect(verbs(machine.tick(5125, lost))).toEqual(["ask"]);
    const next = opened(machine.handleTarget(5150, target("webrtc", "http://other/webrtc")));
    expect(machine.shown?.id).toBe(source.id);
    expect(verbs(machine.handleReady(5400, next.id))).toEqual(["show", "close"]);
  });

  test("opens the same node again when the server says so", () => {
    const { machine, source } = playing("webrtc");
    machine.handleLost(5000, source.id, lost);
    machine.tick(5000, lost);
    expect(opened(machine.handleTarget(5010, target("webrtc"))).id).not.toBe(source.id);
  });

  test("that ends before the replacement is there keeps the old source", () => {
    const { machine, source } = playing("webrtc");
    machine.handleLost(5000, source.id, lost);
    machine.tick(5000, lost);
    const next = opened(machine.handleTarget(5010, target("webrtc")));
    expect(machine.handleRecovered(source.id)).toEqual([{ do: "close", id: next.id }]);
    expect(machine.state).toMatchObject({ at: "playing", shown: { alive: true } });
  });

  test("during a switch waits for the switch", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("hls")));
    expect(machine.handleLost(1200, source.id, lost)).toEqual([]);
    expect(verbs(machine.handleReady(1500, next.id))).toEqual(["show", "close"]);
  });

  test("of a closed source means nothing", () => {
    const { machine, source } = playing("webrtc");
    const next = opened(machine.handleTarget(1000, target("hls")));
    machine.handleReady(1500, next.id);
    expect(machine.handleLost(1600, source.id, lost)).toEqual([]);
    expect(machine.handleRecovered(source.id)).toEqual([]);
    expect(machine.state.at).toBe("playing");
  });
});

test("stop closes whatever is open, and late news are not heard", () => {
  const { machine, source } = playing("webrtc");
  const next = opened(machine.handleTarget(1000, target("hls")));
  expect(machine.stop()).toEqual([
    { do: "close", id: source.id },
    { do: "close", id: next.id },
  ]);
  expect(machine.handleReady(1100, next.id)).toEqual([]);
  expect(machine.handleTarget(1100, target("hls"))).toEqual([]);
  expect(machine.state.at).toBe("idle");
});

test("whatever happens, in any order, at most two sources are open and none is left after stop", () => {
  let seed = 7;
  const chance = () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  for (let story = 0; story < 300; story++) {
    const machine = new Delivery(chance);
    const open = new Set<number>();
    const apply = (actions: Action[]) => {
      for (const action of actions) {
        if (action.do === "open") open.add(action.source.id);
        if (action.do === "close") expect(open.delete(action.id)).toBe(true);
        if (action.do === "show") expect(open.has(action.source.id)).toBe(true);
      }
    };
    apply(machine.start(0));
    for (let step = 1, now = 0; step < 60; step++) {
      now += chance() * 4000;
      const id = Math.ceil(chance() * (step + 1));
      const moves = [
        () => machine.handleTarget(now, target(chance() < 0.5 ? "webrtc" : "hls", `http://n/${step % 3}`)),
        () => machine.handleReady(now, id),
        () => machine.handleLost(now, id, lost),
        () => machine.handleRecovered(id),
        () => machine.handleRefusal(now, lost),
        () => machine.tick(now, lost),
        () => machine.retry(now),
      ];
      apply(moves[Math.floor(chance() * moves.length)]?.() ?? []);
      expect(open.size).toBeLessThanOrEqual(2);
    }
    apply(machine.stop());
    expect(open.size).toBe(0);
  }
});
