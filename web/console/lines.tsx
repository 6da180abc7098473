/** Lines or stacked areas over time (or over a length of time), with their names and last values as text. */

import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { durationText } from "../player/stats.ts";
import { axis, type Drawn, draw, resolved } from "./plot.ts";
import { clockText, cumulated, type Line, lastOf } from "./series.ts";

interface Props {
  label: string;
  /** Unix seconds, or seconds since a beginning (`lengths`), ascending. */
  at: readonly number[];
  lines: readonly Line[];
  text(value: number): string;
  /** Each area stands on those that come after it. */
  stacked?: boolean;
  lengths?: boolean;
  legend?: boolean;
  height?: number;
  /** The scale goes up to this at least. */
  least?: number;
  /** Steps of the scale that may be marked. */
  steps?: readonly number[];
  /** Seconds that are seen at most, counted from the end, and at least. */
  span?: readonly [number, number];
}

export const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
export const PARTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
const LENGTHS = [1, 5, 10, 30];
const CLOCK = [60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400, 604_800, 2_592_000];
/** Of the scale's texts, and around them. */
const DIGIT_PX = 7;
const ROOM_PX = 16;

function optionsOf(props: Props): ReturnType<Parameters<typeof draw>[2]> {
  const { span, lines, lengths, least = 1, text, steps, stacked } = props;
  return {
    scales: {
      x: {
        time: false,
        range: (_plot, from, to): [number, number] => {
          if (span) return [Math.max(to - span[0], Math.min(from, to - span[1])), to];
          return from < to ? [from, to] : [from - 60, to + 60];
        },
      },
      y: { range: (_plot, _from, to): [number, number] => [0, Math.max(least, (to ?? 0) * 1.15)] },
    },
    axes: [
      {
        ...axis(),
        space: 90,
        size: 30,
        incrs: lengths ? [...LENGTHS, ...CLOCK] : CLOCK,
        values: (plot, ticks) => {
          const { min = 0, max = 0 } = plot.scales.x ?? {};
          return ticks.map((tick) =>
            lengths ? durationText(tick) : clockText(tick, (max ?? 0) - (min ?? 0)),
          );
        },
      },
      {
        ...axis(),
        size: (_plot, texts) =>
          ROOM_PX + DIGIT_PX * Math.max(3, ...(texts ?? []).map((one) => (one ?? "").length)),
        ...(steps && { incrs: [...steps] }),
        values: (_plot, ticks) => ticks.map((tick) => text(tick)),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        stroke: resolved(line.colour),
        ...(stacked && { fill: resolved(line.fill ?? line.colour) }),
        width: stacked && !line.fill ? 0 : 2,
        points: { show: props.at.length === 1 },
      })),
    ],
  };
}

const dataOf = (props: Props): uPlot.AlignedData =>
  [
    [...props.at],
    ...(props.stacked ? cumulated(props.lines) : props.lines.map((line) => [...line.values])),
  ] as uPlot.AlignedData;

export function Lines(props: Props) {
  const { label, lines, text, legend = true, height = 180 } = props;
  const host = useRef<HTMLDivElement>(null);
  const drawn = useRef<Drawn | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const shape = `${lines.map((line) => line.name).join("\n")}\n${props.at.length === 1}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: other lines are another plot
  useEffect(() => {
    if (!host.current) return;
    const chart = draw(
      host.current,
      height,
      () => optionsOf(newest.current),
      () => dataOf(newest.current),
    );
    drawn.current = chart;
    return () => {
      drawn.current = null;
      chart.end();
    };
  }, [shape, height]);
  useEffect(() => {
    drawn.current?.plot.setData(dataOf(newest.current));
  });
  const last = lines.map((line) => ({ line, value: lastOf(line.values) }));
  const told = last.map(({ line, value }) => `${line.name} ${value === null ? "unknown" : text(value)}`);
  return (
    <figure class="lines-of">
      {legend && (
        <figcaption>
          <b>{label}</b>
          <ul class="keys">
            {last.map(({ line, value }) => (
              <li key={line.name}>
                <i class="key" style={{ background: `var(${line.colour})` }} />
                {line.name} {!props.lengths && <span>{value === null ? "–" : text(value)}</span>}
              </li>
            ))}
          </ul>
        </figcaption>
      )}
      <div
        class="chart"
        style={{ height: `${height}px` }}
        ref={host}
        role="img"
        aria-label={props.lengths ? label : `${label}: ${told.join(", ")}`}
      />
    </figure>
  );
}
