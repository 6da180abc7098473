/** Broadcasts: who watches how, and the switch of the CDN. */

import { useSignal } from "@preact/signals";
import { type Broadcast, type CdnOrder, endBroadcast, orderCdn } from "../api/broadcasts.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { latencyText } from "../player/stats.ts";
import { Notice } from "./notice.tsx";
import { overview, type Row, refresh } from "./overview.ts";
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
  const { broadcast, stats, delivery } = row;
  const busy = useSignal<CdnOrder | "end" | null>(null);
  const failed = useSignal<Problem | null>(null);
  const listeners = stats?.listeners ?? { total: 0, webrtc: 0, hls: 0, interactive: 0, passive: 0 };

  const act = async (name: CdnOrder | "end", work: (token: string) => Promise<unknown>): Promise<void> => {
    const token = admin.value;
    if (!token) return onSignIn();
    busy.value = name;
    failed.value = null;
    try {
      await work(token);
      await refresh();
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    } finally {
      busy.value = null;
    }
  };
  const order = (name: CdnOrder) => void act(name, (token) => orderCdn(broadcast.id, name, token));
  const on = delivery?.cdn.on ?? broadcast.mode === "hls";
  const forced = (delivery?.cdn.force ?? "auto") !== "auto";

  return (
    <li data-broadcast={broadcast.id}>
      <div class="name">
        <i class={broadcast.live ? "dot live" : "dot"} title={broadcast.live ? "Live" : "Not live"} />
        <div>
          <a href={broadcast.id === "demo" ? "/" : `/watch/${encodeURIComponent(broadcast.id)}`}>
            {broadcast.title || broadcast.id}
          </a>
          <small>
            {broadcast.id} ·{" "}
            {broadcast.live ? `live${broadcast.origin ? ` on ${broadcast.origin}` : ""}` : "not live"} ·{" "}
            {broadcast.public ? "public" : "private"}
          </small>
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
      <div class="cdn">
        <p>
          <b>{on ? "CDN on" : "CDN off"}</b>
          <small>{cdnText(row)}</small>
        </p>
        <div class="buttons">
          {forced && (
            <button
              type="button"
              class="button small quiet"
              disabled={busy.value !== null}
              onClick={() => order("automatic-cdn")}
            >
              Automatic
            </button>
          )}
          <button
            type="button"
            class={`button small ${on || !broadcast.live ? "" : "primary"}`}
            disabled={busy.value !== null || broadcast.webrtc_only || (on && delivery?.cdn.force === "off")}
            onClick={() => order(on ? "deactivate-cdn" : "activate-cdn")}
          >
            {busy.value !== null ? "Working…" : on ? "Turn CDN off" : "Turn CDN on"}
          </button>
          {admin.value && broadcast.avatar && (
            <button type="button" class="button small" onClick={() => onDesk(broadcast)}>
              Desk
            </button>
          )}
          {admin.value && broadcast.id !== "demo" && (
            <button
              type="button"
              class="button small quiet"
              disabled={busy.value !== null}
              onClick={() => {
                if (
                  confirm(`End “${broadcast.title || broadcast.id}” for good? Its id cannot be used again.`)
                )
                  void act("end", (token) => endBroadcast(broadcast.id, token));
              }}
            >
              End
            </button>
          )}
        </div>
      </div>
      {failed.value && <Notice problem={failed.value} />}
    </li>
  );
}

function cdnText({ broadcast, delivery }: Row): string {
  if (broadcast.webrtc_only) return "by WebRTC only, not recorded";
  if (!delivery) return "";
  const held = delivery.cdn.force === "auto" ? "by the audience" : "held by an operator";
  if (delivery.cdn.on && !delivery.hls_ready) return "preparing the playlists";
  const share = Math.round(delivery.hls_share * 100);
  const moving = delivery.cdn.on ? share < 100 : share > 0;
  if (moving) return `${share} % of the passive viewers are on HLS`;
  return held;
}

function latencies({ stats }: Row): string {
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
function Split({ webrtc, hls }: { webrtc: number; hls: number }) {
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
