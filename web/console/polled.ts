/** What operators see read again and again, one reading at a time, while a part of the console is shown; and what they do there. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Problem, problemFrom } from "../api/problem.ts";

export interface Polled<T> {
  /** Null until the first answer. */
  value: Signal<T | null>;
  failed: Signal<Problem | null>;
  /** Why the last order was refused, or else why nothing could be read. */
  problem: Problem | null;
  /** Raised to read at once. */
  round: Signal<number>;
  /** Gives an order and reads at once what came of it. Whether it was taken. */
  act(order: () => Promise<unknown>): Promise<boolean>;
}

/**
 * `everyMs` may go by what was read. `settleMs`: how long a reading waits after `read` has become another one, which may happen at each key.
 */
export function usePolled<T>(
  read: (token: string, signal: AbortSignal) => Promise<T>,
  token: string,
  everyMs: number | ((value: T | null) => number),
  settleMs = 0,
): Polled<T> {
  const value = useSignal<T | null>(null);
  const failed = useSignal<Problem | null>(null);
  const refused = useSignal<Problem | null>(null);
  const round = useSignal(0);
  const now = round.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `now` is what asks for another reading
  useEffect(() => {
    const ending = new AbortController();
    const once = async (): Promise<void> => {
      try {
        value.value = await read(token, ending.signal);
        failed.value = null;
      } catch (thrown) {
        if (!ending.signal.aborted) failed.value = problemFrom(thrown);
      }
      if (!ending.signal.aborted) timer = window.setTimeout(() => void once(), pauseMs());
    };
    const pauseMs = (): number => (typeof everyMs === "number" ? everyMs : everyMs(value.peek()));
    let timer = window.setTimeout(() => void once(), value.peek() ? settleMs : 0);
    return () => {
      ending.abort();
      window.clearTimeout(timer);
    };
  }, [read, token, everyMs, settleMs, now]);
  const act = async (order: () => Promise<unknown>): Promise<boolean> => {
    refused.value = null;
    try {
      await order();
    } catch (thrown) {
      refused.value = problemFrom(thrown);
    }
    round.value++;
    return refused.value === null;
  };
  return { value, failed, problem: refused.value ?? failed.value, round, act };
}
