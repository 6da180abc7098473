/** Where nodes are: a dot a region, as large as its audience. Regions of known clouds have a place; others are told as latitude,longitude. */

import map from "./land.json";
import { overview } from "./overview.ts";
import { HEIGHT, radius, type Spot, spots, WIDTH } from "./spots.ts";

function told(spot: Spot): string {
  const nodes = spot.nodes.length === 1 ? "1 node" : `${spot.nodes.length} nodes`;
  return `${spot.region}: ${nodes}, ${spot.viewers} served`;
}

/** Nothing where no node has a place: a single machine needs no map. */
export function WorldMap() {
  const found = spots(overview.value?.nodes ?? []);
  if (found.length === 0) return null;
  const most = Math.max(...found.map((spot) => spot.viewers));
  return (
    <svg class="map" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-labelledby="map-title">
      <title id="map-title">{`Nodes on a map. ${found.map(told).join("; ")}.`}</title>
      <path class="land" d={map.land} />
      {found.map((spot) => {
        const r = radius(spot.viewers, most);
        const end = spot.x > WIDTH - 60;
        return (
          <g key={spot.region} class={`spot ${spot.kind}`} data-region={spot.region}>
            <title>{told(spot)}</title>
            <circle cx={spot.x} cy={spot.y} r={r} />
            <text
              x={end ? spot.x - r - 2 : spot.x + r + 2}
              y={spot.y + 1.8}
              text-anchor={end ? "end" : "start"}
            >
              {spot.region}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
