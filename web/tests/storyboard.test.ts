import { describe, expect, test } from "vitest";
import { spread, tilesOf } from "../api/storyboard.ts";

const TEXT = `WEBVTT

00:00:00.000 --> 00:00:02.000
storyboard-0.jpg#xywh=0,0,160,90

01:00:02.000 --> 01:00:04.500
storyboard-1.jpg#xywh=160,90,160,90

00:00:04.000 --> 00:00:06.000
only words

00:00:06.000 --> 00:00:08.000
storyboard-0.jpg#xywh=0,0,0,90
`;

describe("storyboards", () => {
  test("are tiles with times and places; anything else in them is no tile", () => {
    const tiles = tilesOf(TEXT, "https://cdn.example/recordings/demo/1/storyboard.vtt");
    expect(tiles).toEqual([
      {
        startS: 0,
        endS: 2,
        sheet: "https://cdn.example/recordings/demo/1/storyboard-0.jpg",
        x: 0,
        y: 0,
        width: 160,
        height: 90,
      },
      {
        startS: 3602,
        endS: 3604.5,
        sheet: "https://cdn.example/recordings/demo/1/storyboard-1.jpg",
        x: 160,
        y: 90,
        width: 160,
        height: 90,
      },
    ]);
    expect(tilesOf("<html>", "https://cdn.example/")).toEqual([]);
  });

  test("are thinned evenly", () => {
    const tiles = Array.from({ length: 300 }, (_, at) => ({
      startS: at,
      endS: at + 1,
      sheet: "",
      x: 0,
      y: 0,
      width: 1,
      height: 1,
    }));
    expect(spread(tiles, 3).map((one) => one.startS)).toEqual([0, 100, 200]);
    expect(spread(tiles.slice(0, 2), 3)).toHaveLength(2);
  });
});
