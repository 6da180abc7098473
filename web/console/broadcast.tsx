/** A broadcast's page: its picture, how it is delivered, its figures live, and who watched so far. */

import { useSignal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";
import { type Broadcast, readBroadcast, readDelivery, readStats } from "../api/broadcasts.ts";
import type { Problem } from "../api/problem.ts";
import { bitrateText, latencyText } from "../player/stats.ts";
import { BroadcastAnalytics } from "./analytics.tsx";
import { latencies, Split, whereText } from "./broadcasts.tsx";
import { Cdn } from "./cdn.tsx";
import { SPAN, ViewersChart } from "./chart.tsx";
import { Lines, PARTS } from "./lines.tsx";
import { Notice } from "./notice.tsx";
import type { Row } from "./overview.ts";
import { usePolled } from "./polled.ts";
import { Preview } from "./preview.tsx";
import { percentText } from "./series.ts";
import { admin } from "./session.ts";

const EVERY_MS = 2000;
const POINTS = 300;

/** One look at the broadcast; null where nobody could tell. */
interface Moment {
  atS: number;
  webrtc: number;
  hls: number;
  ingest: number;
  egress: number;
  loss: number | null;
  webrtcMs: number | null;
  hlsMs: number | null;
}

interface Props {
  id: string;
  onSignIn(): void;
  onDesk(broadcast: Broadcast): void;
}

export function BroadcastPage({ id, onSignIn, onDesk }: Props) {
  const token = admin.value;
  const read = useCallback(
    async (given: string, signal: AbortSignal): Promise<Row> => {
      const token = given || null;
      // One that has ended has no figures of the moment, and still its past.
      const [broadcast, stats, delivery] = await Promise.all([
        readBroadcast(id, token, signal),
        readStats(id, token, signal),
        readDelivery(id, token, signal),
      ]);
      return { broadcast, stats, delivery };
    },
    [id],
  );
  const { value, failed, round } = usePolled(read, token ?? "", EVERY_MS);
  const moments = useSignal<readonly Moment[]>([]);
  const refused = useSignal<Problem | null>(null);
  const row = value.value;
  useEffect(() => {
    if (row) moments.value = [...moments.peek(), momentOf(row)].slice(-POINTS);
  }, [row, moments]);

  // Whoever comes by keyboard or listens is at the page's head, not where the link was.
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    head.current?.focus();
    window.scrollTo(0, 0);
  }, []);
  const title = row?.broadcast.title || id;
  useEffect(() => {
    document.title = `${title} · Console · Avacast`;
    return () => {
      document.title = "Console · Avacast";
    };
  }, [title]);

  const problem = refused.value ?? failed.value;
  const over = failed.value?.code === "broadcast_unknown";
  return (
    <div class="broadcast-page" data-page={id}>
      <div class="head">
        <a href="#/" class="back">
          ← All broadcasts
        </a>
        <h2 ref={head} tabIndex={-1}>
          {row && !over && (
            <i
              class={row.broadcast.live ? "dot live" : "dot"}
              title={row.broadcast.live ? "Live" : "Not live"}
            />
          )}
          {title}
        </h2>
        <p class="soft">
          {over ? `${id} · over, or never made` : row ? whereText(row.broadcast) : "Reading…"}
          {row && !over && (
            <>
              {" · "}
              <a href={id === "demo" ? "/" : `/watch/${encodeURIComponent(id)}`}>Watch page</a>
            </>
          )}
        </p>
      </div>
      {problem && !over && <Notice problem={problem} />}
      {row && !over && (
        <>
          <section class="card now" aria-label="Picture and delivery">
            <Preview broadcast={row.broadcast} token={token} />
            <div class="beside">
              <Split webrtc={row.stats?.listeners.webrtc ?? 0} hls={row.stats?.listeners.hls ?? 0} />
              <dl class="facts">
                <Fact name="Interactive" text={String(row.stats?.listeners.interactive ?? 0)} />
                <Fact name="Passive" text={String(row.stats?.listeners.passive ?? 0)} />
                <Fact name="Latency" text={latencies(row)} />
              </dl>
              <Cdn
                row={row}
                failed={refused}
                onSignIn={onSignIn}
                onDesk={onDesk}
                onDone={() => round.value++}
              />
            </div>
          </section>
          <Live moments={moments.value} />
        </>
      )}
      {token ? (
        <BroadcastAnalytics id={id} token={token} />
      ) : (
        <section class="card" aria-label="Analytics">
          <header>
            <h2>Who watched</h2>
            <button type="button" class="button small" onClick={onSignIn}>
              Sign in
            </button>
          </header>
          <p class="nothing">Operators see who watched for how long, from where and how well.</p>
        </section>
      )}
    </div>
  );
}

function Fact({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </div>
  );
}

function Live({ moments }: { moments: readonly Moment[] }) {
  const at = moments.map((one) => one.atS);
  const of = (name: keyof Moment) => moments.map((one) => one[name]);
  return (
    <section class="card plots" aria-labelledby="live">
      <header>
        <h2 id="live">Live</h2>
      </header>
      <div class="grid">
        <ViewersChart
          label="Viewers by delivery"
          span={SPAN}
          at={at}
          webrtc={moments.map((one) => one.webrtc)}
          hls={moments.map((one) => one.hls)}
        />
        <Lines
          label="Bit rate"
          span={SPAN}
          at={at}
          least={100_000}
          text={bitrateText}
          lines={[
            { name: "received", colour: "--part-1", values: of("ingest") },
            { name: "sent by all nodes", colour: "--part-0", values: of("egress") },
          ]}
        />
        <Lines
          label="Packet loss"
          span={SPAN}
          at={at}
          least={0.01}
          steps={PARTS}
          text={percentText}
          lines={[{ name: "by WebRTC", colour: "--webrtc", values: of("loss") }]}
        />
        <Lines
          label="Latency, median"
          span={SPAN}
          at={at}
          least={200}
          text={latencyText}
          lines={[
            { name: "WebRTC", colour: "--webrtc", values: of("webrtcMs") },
            { name: "HLS", colour: "--hls", values: of("hlsMs") },
          ]}
        />
      </div>
    </section>
  );
}

function momentOf({ stats }: Row): Moment {
  const nodes = stats?.nodes ?? [];
  const sum = (pick: (node: (typeof nodes)[number]) => number): number =>
    nodes.reduce((all, node) => all + pick(node), 0);
  const viewers = sum((node) => node.viewers);
  const latency = stats?.reported.latency_ms ?? {};
  return {
    atS: Date.now() / 1000,
    webrtc: stats?.listeners.webrtc ?? 0,
    hls: stats?.listeners.hls ?? 0,
    ingest: sum((node) => (node.role === "origin" ? node.stream.ingest_bps : 0)),
    egress: sum((node) => node.stream.egress_bps),
    loss: viewers > 0 ? sum((node) => node.viewers * node.stream.loss_ratio) / viewers : null,
    webrtcMs: latency.webrtc?.p50 ?? null,
    hlsMs: latency.hls?.p50 ?? null,
  };
}
