/** ICE restart: the viewer's network has changed, the session stays (RFC 9725 4.3.3 and its like in WHEP). */

import { Problem, problemOf } from "../api/problem.ts";
import { bearer } from "./signalling.ts";

const TYPE = "application/trickle-ice-sdpfrag";

/** The PATCH body of a restart: the new credentials in the section that carries the bundle. Null when the offer has none. Pure. */
export function fragmentOf(offer: string): string | null {
  const [session = "", section = ""] = offer.split(/(?=^m=)/m);
  const line = (text: string, name: string) =>
    text.split(/\r?\n/).find((one) => one.startsWith(`a=${name}:`)) ?? null;
  const found = ["ice-ufrag", "ice-pwd"].map((name) => line(section, name) ?? line(session, name));
  const mid = line(section, "mid");
  if (found.includes(null) || mid === null) return null;
  const media = section.split(/\r?\n/)[0];
  const group = line(session, "group");
  return `${[line(session, "ice-options") ?? line(section, "ice-options"), group, media, mid, ...found]
    .filter((one) => one !== null)
    .join("\r\n")}\r\n`;
}

/** The answer that holds after a restart: the one before, with the credentials of the node's fragment. Null when it names none. Pure. */
export function restarted(answer: string, fragment: string): string | null {
  const value = (name: string) => new RegExp(`^a=${name}:(\\S+)`, "m").exec(fragment)?.[1];
  const [ufrag, password] = [value("ice-ufrag"), value("ice-pwd")];
  if (!ufrag || !password) return null;
  return answer
    .replace(/^a=ice-ufrag:\S+/gm, () => `a=ice-ufrag:${ufrag}`)
    .replace(/^a=ice-pwd:\S+/gm, () => `a=ice-pwd:${password}`);
}

/** Asks the node for a restart; resolves to its fragment. Rejects with a Problem. */
async function patch(
  url: string,
  fragment: string,
  token: string | null,
  signal: AbortSignal,
): Promise<string> {
  const response = await fetch(url, {
    method: "PATCH",
    headers: { "Content-Type": TYPE, "If-Match": "*", ...bearer(token) },
    body: fragment,
    signal,
  });
  if (!response.ok) throw await problemOf(response);
  return await response.text();
}

/**
 * Restarts ICE on a connection whose first answer was `answer`. `shape` makes the same changes to the offer as were made to the first
 * one. Rejects when the node refuses; the connection is then as it was.
 */
export async function restart(
  connection: RTCPeerConnection,
  answer: string,
  target: { url: string; token: string | null },
  shape: (sdp: string) => string,
  signal: AbortSignal,
): Promise<void> {
  const offer = await connection.createOffer({ iceRestart: true });
  await connection.setLocalDescription({ type: "offer", sdp: shape(offer.sdp ?? "") });
  try {
    const fragment = fragmentOf(connection.localDescription?.sdp ?? "");
    const told = fragment && (await patch(target.url, fragment, target.token, signal));
    const sdp = told ? restarted(answer, told) : null;
    if (!sdp) throw new Problem(0, "no_restart", "The node cannot restart the connection.");
    await connection.setRemoteDescription({ type: "answer", sdp });
  } catch (thrown) {
    if (connection.signalingState === "have-local-offer")
      await connection.setLocalDescription({ type: "rollback" });
    throw thrown;
  }
}

/** Calls `handle` when the browser says that its network has changed, until the signal aborts. */
export function onNetworkChange(handle: () => void, signal: AbortSignal): void {
  window.addEventListener("online", handle, { signal });
  const network = (navigator as { connection?: EventTarget }).connection;
  network?.addEventListener("change", handle, { signal });
}
