/** Viewers by delivery over the last minutes, stacked. */

import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { resolved } from "./colours.ts";
import { type Point, points } from "./overview.ts";

const HEIGHT = 180;
const SPAN_S = 600;

function dataOf(all: readonly Point[]): uPlot.AlignedData {
  return [
    all.map((point) => point.atS),
    all.map((point) => point.webrtc + point.hls),
    all.map((point) => point.webrtc),
  ];
}

function make(host: HTMLElement): uPlot {
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
      scales: {
        // Grows from two minutes to ten as there is more to see.
        x: { range: (_chart, from, to) => [Math.max(to - SPAN_S, Math.min(from, to - 120)), to] },
        y: { range: (_chart, _from, to) => [0, Math.max(4, Math.ceil(to * 1.15))] },
      },
      axes: [
        {
          ...axis,
          space: 90,
          size: 30,
          incrs: [60, 120, 300, 600],
          values: (_chart, ticks) => ticks.map((tick) => clock(tick)),
        },
        { ...axis, size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000] },
      ],
      series: [
        {},
        { stroke: resolved("--hls"), fill: resolved("--hls-fill"), width: 2, points: { show: false } },
        { stroke: resolved("--webrtc"), fill: resolved("--webrtc-fill"), width: 2, points: { show: false } },
      ],
    },
    dataOf(points.value),
    host,
  );
}

function clock(atS: number): string {
  return new Date(atS * 1000).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

export function Chart() {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  useEffect(() => {
    const place = host.current;
    if (!place) return;
    const remake = (): void => {
      chart.current?.destroy();
      chart.current = make(place);
    };
    remake();
    const sizes = new ResizeObserver(() =>
      chart.current?.setSize({ width: place.clientWidth, height: HEIGHT }),
    );
    sizes.observe(place);
    const themes = new MutationObserver(remake);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", remake);
    return () => {
      sizes.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", remake);
      chart.current?.destroy();
    };
  }, []);
  useSignalEffect(() => {
    chart.current?.setData(dataOf(points.value));
  });
  return (
    <div class="chart" ref={host} role="img" aria-label="Viewers by delivery over the last ten minutes" />
  );
}
