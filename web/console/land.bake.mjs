/**
 * Bakes land.json: the coasts of the world as one SVG path, for the map of nodes.
 *
 * Source: Natural Earth 1:110m land (public domain), as npm's `world-atlas` 2.0.2 has it. In a folder with that and `topojson-client`
 * 3.1.0 installed:
 *
 *     node path/to/web/console/land.bake.mjs node_modules > path/to/web/console/land.json
 *
 * Equirectangular, a unit a degree: x = longitude + 180, y = 84 - latitude, to half a degree. South of 58° S there is no node.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const modules = resolve(process.argv[2] ?? "node_modules");
const require = createRequire(`${modules}/`);
const { feature } = require("topojson-client");
const atlas = JSON.parse(readFileSync(`${modules}/world-atlas/land-110m.json`, "utf8"));
const SOUTH = -58;
const STEPS = 2;

const round = (degrees) => Math.round(degrees * STEPS) / STEPS;
const text = (number) => String(number).replace(/^(-?)0\./, "$1.");

function ring(points) {
  let path = "";
  let x = 0;
  let y = 0;
  for (const [longitude, latitude] of points) {
    const [nextX, nextY] = [round(longitude + 180), round(84 - latitude)];
    if (path && nextX === x && nextY === y) continue;
    const [dx, dy] = [round(nextX - x), round(nextY - y)];
    path += path ? `l${text(dx)} ${text(dy)}` : `M${text(nextX)} ${text(nextY)}`;
    [x, y] = [nextX, nextY];
  }
  return `${path}z`;
}

/** Longitudes that go on beyond 180° where a coast does, and the same once more on the other side. */
function unrolled(points) {
  let before = points[0][0];
  const whole = points.map(([longitude, latitude]) => {
    before = longitude + 360 * Math.round((before - longitude) / 360);
    return [before, latitude];
  });
  const copies = [-360, 0, 360].map((turn) =>
    whole.map(([longitude, latitude]) => [longitude + turn, latitude]),
  );
  return copies.filter((copy) => copy.some(([longitude]) => longitude > -180 && longitude < 180));
}

const land = feature(atlas, atlas.objects.land);
const polygons = land.features.flatMap(({ geometry }) =>
  geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates,
);
const shown = polygons.flat().filter((points) => points.some(([, latitude]) => latitude > SOUTH));
process.stdout.write(`${JSON.stringify({ land: shown.flatMap(unrolled).map(ring).join("") })}\n`);
