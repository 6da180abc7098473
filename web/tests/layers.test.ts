import { describe, expect, it } from "vitest";
import { layerName, parseLayers } from "../player/layers.ts";

const told = {
  "0": {
    active: [
      { id: "h", encodingId: "h", simulcastIdx: 0, bitrate: 1_500_000, width: 1280, height: 720 },
      { id: "l", encodingId: "l", simulcastIdx: 1, bitrate: 300_000, width: 640, height: 360 },
    ],
    inactive: [],
    selected: "l",
    current: "l",
  },
};

describe("layers", () => {
  it("reads what the node tells", () => {
    const layers = parseLayers(told);
    expect(layers?.layers.map((layer) => layerName(layer, layers.layers))).toEqual(["720p", "360p"]);
    expect(layers?.selected).toBe("l");
  });

  it("takes nothing from what is no list of layers", () => {
    for (const data of [{}, { "0": null }, { "0": { active: 3 } }]) expect(parseLayers(data)).toBeNull();
    expect(parseLayers({ "0": { active: [null, 7, { id: 3 }] } })?.layers).toEqual([]);
  });

  it("tells equal heights apart by their bitrates", () => {
    const all = [
      { id: "a", height: 480, bitrateBps: 1_500_000 },
      { id: "b", height: 480, bitrateBps: 400_000 },
      { id: "c", height: null, bitrateBps: null },
    ];
    expect(all.map((layer) => layerName(layer, all))).toEqual(["480p, 1.5 Mbit/s", "480p, 0.4 Mbit/s", "c"]);
  });
});
