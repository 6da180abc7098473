/** A broadcast's cost against its listeners, by parts, stacked; below it the sums. */

import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import type { Bill } from "../api/cost.ts";
import { axis, draw, resolved } from "./plot.ts";
import { money, PARTS, stacked } from "./sums.ts";

const HEIGHT = 220;

export function BillChart({ curve, currency }: { curve: readonly Bill[]; currency: string }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current || curve.length < 2) return;
    const chart = draw(
      host.current,
      HEIGHT,
      () => ({
        scales: { x: { time: false }, y: { range: (_plot, _from, to) => [0, Math.max(0.1, to * 1.1)] } },
        axes: [
          { ...axis(), space: 70, size: 30 },
          { ...axis(), size: 52, values: (_plot, ticks) => ticks.map((tick) => money(tick, currency)) },
        ],
        series: [
          {},
          ...[...PARTS].reverse().map((part) => ({
            stroke: resolved(`--cost-${part}`),
            fill: resolved(`--cost-${part}`),
            width: 0,
            points: { show: false },
          })),
        ],
      }),
      () => stacked(curve) as uPlot.AlignedData,
    );
    return () => chart.end();
  }, [curve, currency]);
  const most = curve.at(-1);
  return (
    <div
      class="chart bills"
      ref={host}
      role="img"
      aria-label={
        most
          ? `Cost of a broadcast by its listeners: ${money(most.total, currency)} with ${most.listeners}`
          : ""
      }
    />
  );
}
