/** Which qualities a broadcast has, as WHEP's `layers` event tells, and how to ask for one. */

import { bearer } from "./signalling.ts";

/** One layer of the video that a viewer may choose. */
export interface Layer {
  id: string;
  /** Pixels; null when the node cannot tell. */
  height: number | null;
  bitrateBps: number | null;
}

export interface Layers {
  /** The best one first. */
  layers: Layer[];
  /** What was asked for; null: the best that fits. */
  selected: string | null;
  /** What comes now; null: sound only, because nothing more fits. */
  current: string | null;
}

const MOST_LAYERS = 8;

/** Reads the event's data; null when it is none. Only the first media section counts: we ask for one. */
export function parseLayers(fields: Record<string, unknown>): Layers | null {
  const media = Object.values(fields)[0];
  if (typeof media !== "object" || media === null) return null;
  const { active, selected, current } = media as Record<string, unknown>;
  if (!Array.isArray(active)) return null;
  const layers: Layer[] = [];
  for (const entry of active.slice(0, MOST_LAYERS) as unknown[]) {
    if (typeof entry !== "object" || entry === null) continue;
    const { encodingId, id, height, bitrate } = entry as Record<string, unknown>;
    const name = typeof encodingId === "string" ? encodingId : id;
    if (typeof name !== "string") continue;
    layers.push({
      id: name,
      height: typeof height === "number" ? height : null,
      bitrateBps: typeof bitrate === "number" ? bitrate : null,
    });
  }
  return { layers, selected: textOrNull(selected), current: textOrNull(current) };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** What a layer is called: by its height, else by its bitrate. Equal heights are told apart. */
export function layerName(layer: Layer, all: Layer[]): string {
  const bitrate = layer.bitrateBps === null ? "" : `${(layer.bitrateBps / 1e6).toFixed(1)} Mbit/s`;
  if (layer.height === null) return bitrate || layer.id;
  const alone = all.filter((other) => other.height === layer.height).length === 1;
  return alone || bitrate === "" ? `${layer.height}p` : `${layer.height}p, ${bitrate}`;
}

/** Asks the node for a layer, or (null) for the best that fits. False when it did not take it. */
export async function choose(url: string, token: string | null, id: string | null): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...bearer(token) },
      body: JSON.stringify(id === null ? {} : { encodingId: id }),
    });
    return response.ok;
  } catch {
    return false;
  }
}
