/** The player in the console: muted, and loaded only where it is looked at. */

import { useEffect, useRef } from "preact/hooks";
import type { Broadcast } from "../api/broadcasts.ts";

const PLAYER = "/player.js";

interface Props {
  broadcast: Broadcast;
  /** For a private one. */
  token: string | null;
}

export function Preview({ broadcast, token }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const { id, title } = broadcast;
  const key = broadcast.public ? null : token;
  const mayWatch = broadcast.public || token !== null;
  useEffect(() => {
    const place = host.current;
    if (!place || !mayWatch) return;
    void import(/* @vite-ignore */ PLAYER);
    const player = document.createElement("avacast-player");
    player.setAttribute("broadcast", id);
    player.setAttribute("role", "passive");
    player.setAttribute("muted", "");
    player.setAttribute("aria-label", `Preview of ${title || id}`);
    if (key) player.setAttribute("token", key);
    place.append(player);
    return () => player.remove();
  }, [id, title, key, mayWatch]);
  return (
    <div class="preview">
      <div class="screen" ref={host}>
        {!mayWatch && <p class="nothing">Sign in to see a private broadcast.</p>}
      </div>
      <p class="soft">Muted; this preview counts as one passive viewer.</p>
    </div>
  );
}
