/** Waits for the media path of a peer connection. */

import type { Problem } from "../api/problem.ts";

/** Resolves when media can flow; rejects with `lost` when no path is found, or when `patience` ends. */
export function connected(
  connection: RTCPeerConnection,
  patience: AbortSignal,
  lost: Problem,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      connection.removeEventListener("connectionstatechange", check);
      patience.removeEventListener("abort", fail);
    };
    const fail = (): void => {
      done();
      reject(lost);
    };
    const check = (): void => {
      if (connection.connectionState === "failed") fail();
      if (connection.connectionState !== "connected") return;
      done();
      resolve();
    };
    connection.addEventListener("connectionstatechange", check);
    patience.addEventListener("abort", fail);
    check();
    if (patience.aborted) fail();
  });
}
