/** Broadcasts: who watches how; each has a page of its own. */

import { useSignal } from "@preact/signals";
import type { Broadcast } from "../api/broadcasts.ts";
import type { Problem } from "../api/problem.ts";
import { latencyText } from "../player/stats.ts";
import { Cdn } from "./cdn.tsx";
import { Notice } from "./notice.tsx";
import { overview, type Row } from "./overview.ts";
import { pageOf } from "./route.ts";
import { admin } from "./session.ts";

interface Props {
  onSignIn(): void;
  onCreate(): void;
  onDesk(broadcast: Broadcast): void;
}

export function Broadcasts({ onSignIn, onCreate, onDesk }: Props) {
  const now = overview.value;
  return (
    <section class="card" aria-labelledby="broadcasts">
      <header>
        <h2 id="broadcasts">Broadcasts</h2>
        <button type="button" class="button small" onClick={() => (admin.value ? onCreate() : onSignIn())}>
          New broadcast
        </button>
      </header>
      {now === null ? (
        <p class="nothing">Reading…</p>
      ) : now.rows.length === 0 ? (
        <div class="nothing">
          <strong>No broadcast yet</strong>
          <p>Make one, then send to it from the camera page, OBS or any WHIP encoder.</p>
        </div>
      ) : (
        <ul class="broadcasts">
          {now.rows.map((row) => (
            <Line key={row.broadcast.id} row={row} onSignIn={onSignIn} onDesk={onDesk} />
          ))}
        </ul>
      )}
      {now !== null && now.more > 0 && <p class="nothing">And {now.more} more with fewer viewers.</p>}
    </section>
  );
}

function Line({ row, onSignIn, onDesk }: { row: Row } & Pick<Props, "onSignIn" | "onDesk">) {
  const { broadcast, stats } = row;
  const failed = useSignal<Problem | null>(null);
  const listeners = stats?.listeners ?? { total: 0, webrtc: 0, hls: 0, interactive: 0, passive: 0 };
  return (
    <li data-broadcast={broadcast.id}>
      <div class="name">
        <i class={broadcast.live ? "dot live" : "dot"} title={broadcast.live ? "Live" : "Not live"} />
        <div>
          <a href={pageOf(broadcast.id)}>{broadcast.title || broadcast.id}</a>
          <small>{whereText(broadcast)}</small>
        </div>
      </div>
      <Split webrtc={listeners.webrtc} hls={listeners.hls} />
      <dl class="facts">
        <div>
          <dt>Interactive</dt>
          <dd>{listeners.interactive}</dd>
        </div>
        <div>
          <dt>Passive</dt>
          <dd>{listeners.passive}</dd>
        </div>
        <div>
          <dt>Latency</dt>
          <dd>{latencies(row)}</dd>
        </div>
      </dl>
      <Cdn row={row} failed={failed} onSignIn={onSignIn} onDesk={onDesk} />
      {failed.value && <Notice problem={failed.value} />}
    </li>
  );
}

/** Where a broadcast is, in words. */
export function whereText(broadcast: Broadcast): string {
  const live = broadcast.live ? `live${broadcast.origin ? ` on ${broadcast.origin}` : ""}` : "not live";
  return `${broadcast.id} · ${live} · ${broadcast.public ? "public" : "private"}`;
}

export function latencies({ stats }: Row): string {
  const known = Object.entries(stats?.reported.latency_ms ?? {}).filter(([, one]) => one.p50 !== null);
  if (known.length === 0) return "–";
  return known
    .map(
      ([way, one]) =>
        `${latencyText(one.p50)}${known.length > 1 ? (way === "hls" ? " HLS" : " WebRTC") : ""}`,
    )
    .join(", ");
}

/** Viewers by delivery, as a bar and in words. */
export function Split({ webrtc, hls }: { webrtc: number; hls: number }) {
  const total = webrtc + hls;
  return (
    <div class="split">
      <p>
        <b>{total}</b> {total === 1 ? "viewer" : "viewers"}
        <small>
          {webrtc} WebRTC, {hls} HLS
        </small>
      </p>
      <div class={total === 0 ? "bar empty" : "bar"} aria-hidden="true">
        <i class="webrtc" style={{ flexGrow: webrtc }} />
        <i class="hls" style={{ flexGrow: hls }} />
      </div>
    </div>
  );
}
