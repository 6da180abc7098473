/** Who watched a broadcast: over time by region and device, for how long, who is still there, how well. For operators. */

import { useSignal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { type Analytics, readAnalytics, readTable, type Share } from "../api/analytics.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { bitrateText, latencyText } from "../player/stats.ts";
import { ViewersChart } from "./chart.tsx";
import { Lines, PARTS, WHOLE } from "./lines.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { byName, type Line, partColour, percentText, spanText, withGaps } from "./series.ts";

const EVERY_MS = 10_000;
const LINES = 5;
const PERIODS: readonly { name: string; seconds: number | null }[] = [
  { name: "Last hour", seconds: 3600 },
  { name: "Last 24 hours", seconds: 86_400 },
  { name: "Last 7 days", seconds: 604_800 },
  { name: "Since it was made", seconds: null },
];
/** What its viewers are drawn by. */
const PARTED = [
  ["By region", "regions"],
  ["By device", "devices"],
] as const;

export function BroadcastAnalytics({ id, token }: { id: string; token: string }) {
  const period = useSignal(3);
  const refused = useSignal<Problem | null>(null);
  const seconds = PERIODS[period.value]?.seconds ?? null;
  const read = useCallback(
    (token: string, signal: AbortSignal) => readAnalytics(id, seconds, token, signal),
    [id, seconds],
  );
  const { value, failed } = usePolled(read, token, EVERY_MS);
  const save = async (): Promise<void> => {
    refused.value = null;
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await readTable(id, seconds, token));
      link.download = `${id}-analytics.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (thrown) {
      refused.value = problemFrom(thrown);
    }
  };
  const told = value.value;
  const unknown = failed.value?.code === "broadcast_unknown";
  const problem = refused.value ?? failed.value;
  return (
    <section class="card plots" aria-labelledby="analytics">
      <header>
        <h2 id="analytics">Who watched</h2>
        <div class="asked">
          <select
            aria-label="Period"
            value={period.value}
            onChange={(event) => (period.value = Number(event.currentTarget.value))}
          >
            {PERIODS.map(({ name }, index) => (
              <option key={name} value={index}>
                {name}
              </option>
            ))}
          </select>
          <button type="button" class="button small" disabled={told === null} onClick={() => void save()}>
            Table (CSV)
          </button>
        </div>
      </header>
      {problem && !unknown && <Notice problem={problem} />}
      {unknown ? (
        <div class="nothing">
          <strong>No such broadcast</strong>
          <p>None has this id, and none had it since analytics are kept.</p>
        </div>
      ) : told === null ? (
        <p class="nothing">Reading…</p>
      ) : told.joins === 0 && told.peak === 0 ? (
        <div class="nothing">
          <strong>Nobody has watched in this time</strong>
          <p>As soon as somebody does, it is counted here by the minute, without a trace of who it was.</p>
        </div>
      ) : (
        <Told told={told} />
      )}
    </section>
  );
}

function Told({ told }: { told: Analytics }) {
  const { at, points } = withGaps(told.points, (point) => Date.parse(point.at) / 1000, told.step_s);
  const { watch, quality } = told;
  const viewers = (value: number): string => String(Math.round(value * 10) / 10);
  const stays = told.still_there;
  const half = stays.find((one) => one.share < 0.5);
  return (
    <>
      <dl class="small-sums">
        <Sum name="Came" text={String(told.joins)} more={`${told.leaves} left`} />
        <Sum
          name="At once"
          text={String(told.peak)}
          more={told.peak_at ? `at ${new Date(told.peak_at).toLocaleString()}` : ""}
        />
        <Sum
          name="Watched together"
          text={spanText(watch.total_s)}
          more={`${spanText(watch.mean_s)} each, half ${spanText(watch.p50_s)} or more`}
        />
        <Sum
          name="First picture"
          text={latencyText(quality.startup_ms.p50)}
          more={`95 %: ${latencyText(quality.startup_ms.p95)}`}
        />
        <Sum
          name="Stalls an hour"
          text={quality.stalls_per_hour === null ? "–" : quality.stalls_per_hour.toFixed(1)}
          more={`${quality.stalls} in all`}
        />
        <Sum
          name="Loss"
          text={percentText(quality.loss_ratio)}
          more={`${bitrateText(quality.bitrate_bps)} received`}
        />
      </dl>
      <div class="grid">
        <ViewersChart
          label="Viewers by delivery"
          at={at}
          webrtc={points.map((point) => point?.webrtc ?? null)}
          hls={points.map((point) => point?.hls ?? null)}
        />
        <Lines
          label="Still there"
          lengths
          legend
          at={stays.map((one) => one.after_s)}
          least={1}
          steps={PARTS}
          text={percentText}
          lines={[
            {
              name: half ? `half have left by ${spanText(half.after_s)}` : "more than half stay",
              colour: "--part-2",
              values: stays.map((one) => one.share),
            },
          ]}
        />
        {PARTED.map(([label, part]) => (
          <Lines
            key={part}
            label={label}
            at={at}
            stacked
            least={4}
            steps={WHOLE}
            text={viewers}
            lines={named(
              told[part],
              points.map((point) => point?.[part] ?? null),
            )}
          />
        ))}
        <Lines
          label="Latency, median"
          at={at}
          least={200}
          text={latencyText}
          lines={[
            { name: "all", colour: "--part-3", values: points.map((point) => point?.latency_ms ?? null) },
          ]}
        />
        <Lines
          label="Came and left"
          at={at}
          least={4}
          steps={WHOLE}
          text={viewers}
          lines={[
            { name: "came", colour: "--part-2", values: points.map((point) => point?.joins ?? null) },
            { name: "left", colour: "--part-0", values: points.map((point) => point?.leaves ?? null) },
          ]}
        />
      </div>
      <div class="grid shares">
        <Shares name="Region" shares={told.regions} />
        <Shares name="Device" shares={told.devices} />
        <Shares name="Country" shares={told.countries} />
        <Shares name="Delivery" shares={told.deliveries} />
      </div>
      <p class="fine soft">
        Devices, countries, times and latency are what players report; viewers, regions and loss what nodes
        count. A viewer has left when it has been silent for 30 s. Nothing of anybody is kept.
      </p>
    </>
  );
}

function Sum({ name, text, more }: { name: string; text: string; more: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {text}
        <small>{more}</small>
      </dd>
    </div>
  );
}

const NAMES: Record<string, string> = {
  webrtc: "WebRTC",
  hls: "HLS",
  cdn: "HLS, from caches",
  tv: "TV",
  desktop: "Desktop",
  mobile: "Phone",
  tablet: "Tablet",
  other: "Other",
  unknown: "Unknown",
};
const COLOURS: Record<string, string> = { webrtc: "--webrtc", hls: "--hls" };
const ROWS = 10;

function named(shares: readonly Share[], points: readonly (Record<string, number> | null)[]): Line[] {
  return byName(shares, points, LINES).map((line) => ({ ...line, name: NAMES[line.name] ?? line.name }));
}

/** In English, as the rest of the page. */
function countryName(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return NAMES[code] ?? code;
  return new Intl.DisplayNames("en", { type: "region" }).of(code) ?? code;
}

function Shares({ name, shares }: { name: string; shares: readonly Share[] }) {
  if (shares.length === 0) return null;
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{name}</th>
            <th scope="col" class="number">
              Watched
            </th>
            <th scope="col" class="number">
              Part
            </th>
          </tr>
        </thead>
        <tbody>
          {shares.slice(0, ROWS).map((one, n) => (
            <tr key={one.name}>
              <th scope="row">
                {name === "Country" ? countryName(one.name) : (NAMES[one.name] ?? one.name)}
                <span class="bar" aria-hidden="true">
                  <i
                    style={{ flexGrow: one.share, background: `var(${COLOURS[one.name] ?? partColour(n)})` }}
                  />
                  <i style={{ flexGrow: 1 - one.share }} />
                </span>
              </th>
              <td class="number">{spanText(one.watch_s)}</td>
              <td class="number">{percentText(one.share)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
