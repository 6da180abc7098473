/** Why a browser gives no camera or microphone, and what to do. */

import { Problem } from "./problem.ts";

/** Rejects where the browser has no devices to give: on a page that is not secure. */
export function needSecurePage(what: "camera" | "microphone"): void {
  if (!navigator.mediaDevices)
    throw new Problem(
      0,
      "insecure",
      `A ${what} needs a secure page.`,
      "Open this page by https:// or on localhost.",
    );
}

/** What the name of a DOMException says of a device; null for the names that say nothing that one could mend. `again`: how to try again. */
export function refusal(name: string, what: "camera" | "microphone", again: string): Problem | null {
  if (name === "NotAllowedError")
    return new Problem(
      0,
      "not_allowed",
      `The browser may not use the ${what}.`,
      `Allow it beside the address, then ${again}.`,
    );
  if (name === "NotReadableError")
    return new Problem(
      0,
      "device_busy",
      `Another program uses the ${what}.`,
      `Close that program, then ${again}.`,
    );
  return null;
}
