/** A broadcast's cost against its listeners, by parts, stacked; below it the sums. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Bill } from "../api/cost.ts";
import { resolved } from "./colours.ts";
import { money, PARTS, stacked } from "./sums.ts";

const HEIGHT = 220;

function make(host: HTMLElement, curve: readonly Bill[], currency: string): uPlot {
  const axis = {
    stroke: resolved("--soft"),
    grid: { stroke: resolved("--line"), width: 1 },
    ticks: { show: false },
    font: "12px Figtree, sans-serif",
  };
  return new uPlot(
    {
      width: host.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (_plot, _from, to) => [0, Math.max(0.1, to * 1.1)] } },
      axes: [
        { ...axis, space: 70, size: 30 },
        { ...axis, size: 52, values: (_plot, ticks) => ticks.map((tick) => money(tick, currency)) },
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
    },
    stacked(curve) as uPlot.AlignedData,
    host,
  );
}

export function BillChart({ curve, currency }: { curve: readonly Bill[]; currency: string }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = host.current;
    if (!place || curve.length < 2) return;
    let plot = make(place, curve, currency);
    const remake = (): void => {
      plot.destroy();
      plot = make(place, curve, currency);
    };
    const sizes = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT }));
    sizes.observe(place);
    const themes = new MutationObserver(remake);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", remake);
    return () => {
      sizes.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", remake);
      plot.destroy();
    };
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
