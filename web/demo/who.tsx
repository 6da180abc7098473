/** Under the picture: who is there, and how the picture comes. */

import type { ReadonlySignal } from "@preact/signals";
import { latencyText, MODE_NAMES, type Stats } from "../player/stats.ts";

interface Props {
  name: ReadonlySignal<string>;
  stats: ReadonlySignal<Stats | null>;
  alive: ReadonlySignal<boolean>;
  onDetails(): void;
}

export function Who({ name, stats, alive, onDetails }: Props) {
  const now = alive.value ? stats.value : null;
  return (
    <div class="who">
      <div>
        <h1>{name}</h1>
        <p>Rendered and spoken live, frame by frame.</p>
      </div>
      <button type="button" class="way" onClick={onDetails} title="Show statistics on the picture (i)">
        <i class={now ? "on" : ""} />
        {now ? (
          <>
            {MODE_NAMES[now.mode]}
            <span>{latencyText(now.latencyMs)}</span>
          </>
        ) : (
          "Not connected"
        )}
      </button>
    </div>
  );
}
