/** What uPlot draws here: in the colours of the theme and anew when these change, as wide as its place. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Custom properties hold `light-dark(...)`; a canvas needs the colour that it means now. */
export function resolved(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = colour(name);
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** An axis as all have it. */
export function axis(): uPlot.Axis {
  return {
    stroke: resolved("--soft"),
    grid: { stroke: resolved("--line"), width: 1 },
    ticks: { show: false },
    font: "12px Figtree, sans-serif",
  };
}

export interface Drawn {
  /** As it is now: another one after each change of the theme. */
  readonly plot: uPlot;
  end(): void;
}

type Options = Omit<uPlot.Options, "width" | "height" | "legend" | "cursor">;

/** Draws into `place` until `end`; `options` and `data` are asked for each time that it is drawn anew. */
export function draw(
  place: HTMLElement,
  height: number,
  options: () => Options,
  data: () => uPlot.AlignedData,
): Drawn {
  const make = (): uPlot =>
    new uPlot(
      { width: place.clientWidth, height, legend: { show: false }, cursor: { show: false }, ...options() },
      data(),
      place,
    );
  let plot = make();
  const remake = (): void => {
    plot.destroy();
    plot = make();
  };
  const sizes = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height }));
  sizes.observe(place);
  const themes = new MutationObserver(remake);
  themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", remake);
  return {
    get plot() {
      return plot;
    },
    end() {
      sizes.disconnect();
      themes.disconnect();
      scheme.removeEventListener("change", remake);
      plot.destroy();
    },
  };
}
