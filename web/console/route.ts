/** Which page of the console is shown: all of it, or one broadcast's (`#/broadcasts/{id}`), so that each has an address and Back works. */

import { signal } from "@preact/signals";

const BROADCAST = /^#\/broadcasts\/([^/?#]+)$/;

function read(): string | null {
  const named = BROADCAST.exec(location.hash)?.[1];
  try {
    return named === undefined ? null : decodeURIComponent(named);
  } catch {
    return null;
  }
}

/** The id of the broadcast whose page is shown; null: none. */
export const shown = signal<string | null>(read());

window.addEventListener("hashchange", () => {
  shown.value = read();
});

export const pageOf = (id: string): string => `#/broadcasts/${encodeURIComponent(id)}`;
