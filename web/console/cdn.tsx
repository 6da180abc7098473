/** How a broadcast is delivered, and what operators can do about it: the CDN on, off or by the audience, the desk, the end. */

import { type Signal, useSignal } from "@preact/signals";
import { type Broadcast, type CdnOrder, endBroadcast, orderCdn } from "../api/broadcasts.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { type Row, refresh } from "./overview.ts";
import { admin } from "./session.ts";

interface Props {
  row: Row;
  /** Why the last order was refused. */
  failed: Signal<Problem | null>;
  onSignIn(): void;
  onDesk(broadcast: Broadcast): void;
  onDone?(): void;
}

export function Cdn({ row, failed, onSignIn, onDesk, onDone }: Props) {
  const { broadcast, delivery } = row;
  const busy = useSignal<CdnOrder | "end" | null>(null);

  const act = async (name: CdnOrder | "end", work: (token: string) => Promise<unknown>): Promise<void> => {
    const token = admin.value;
    if (!token) return onSignIn();
    busy.value = name;
    failed.value = null;
    try {
      await work(token);
      await refresh();
      onDone?.();
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
              if (confirm(`End “${broadcast.title || broadcast.id}” for good? Its id is free again then.`))
                void act("end", (token) => endBroadcast(broadcast.id, token));
            }}
          >
            End
          </button>
        )}
      </div>
    </div>
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
