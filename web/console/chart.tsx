/** Viewers by delivery over the last minutes, stacked. */

import { Lines, WHOLE } from "./lines.tsx";
import { points } from "./overview.ts";

/** Ten minutes at most; grows from two as there is more to see. */
export const SPAN = [600, 120] as const;

interface Props {
  label: string;
  at: readonly number[];
  webrtc: readonly (number | null)[];
  hls: readonly (number | null)[];
  legend?: boolean;
  span?: readonly [number, number];
}

export function ViewersChart({ webrtc, hls, ...rest }: Props) {
  return (
    <Lines
      {...rest}
      stacked
      steps={WHOLE}
      least={4}
      text={(value) => String(Math.round(value * 10) / 10)}
      lines={[
        { name: "HLS", colour: "--hls", fill: "--hls-fill", values: hls },
        { name: "WebRTC", colour: "--webrtc", fill: "--webrtc-fill", values: webrtc },
      ]}
    />
  );
}

export function Chart() {
  const all = points.value;
  return (
    <ViewersChart
      label="Viewers by delivery over the last ten minutes"
      legend={false}
      span={SPAN}
      at={all.map((point) => point.atS)}
      webrtc={all.map((point) => point.webrtc)}
      hls={all.map((point) => point.hls)}
    />
  );
}
