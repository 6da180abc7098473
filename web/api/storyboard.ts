/** A storyboard: small pictures of a recording with their times, in sheets, listed by a WebVTT file. */

export interface Tile {
  startS: number;
  endS: number;
  sheet: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

const MOST = 1000;
const CUE =
  /^(?:(\d+):)?(\d\d):(\d\d\.\d{3}) --> (?:(\d+):)?(\d\d):(\d\d\.\d{3})[^\n]*\n([^\s#]+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm;

/** The tiles of a WebVTT text; sheets are addressed from `base`. What is no tile is left out. */
export function tilesOf(text: string, base: string): Tile[] {
  const found: Tile[] = [];
  for (const one of text.matchAll(CUE)) {
    const [, h1, m1, s1, h2, m2, s2, sheet, ...box] = one;
    const [x, y, width, height] = box.map(Number);
    if (!width || !height || found.length === MOST) continue;
    found.push({
      startS: seconds(h1, m1, s1),
      endS: seconds(h2, m2, s2),
      sheet: new URL(sheet as string, base).href,
      x: x as number,
      y: y as number,
      width,
      height,
    });
  }
  return found;
}

/** At most `count` tiles that are spread evenly over all of them. */
export function spread(tiles: Tile[], count: number): Tile[] {
  if (tiles.length <= count) return tiles;
  return Array.from(
    { length: count },
    (_, index) => tiles[Math.floor((index * tiles.length) / count)] as Tile,
  );
}

export async function loadStoryboard(address: string, signal: AbortSignal): Promise<Tile[]> {
  const absolute = new URL(address, location.href).href;
  const reply = await fetch(absolute, { signal });
  return reply.ok ? tilesOf(await reply.text(), absolute) : [];
}

function seconds(hours: string | undefined, minutes: string | undefined, rest: string | undefined): number {
  return Number(hours ?? 0) * 3600 + Number(minutes) * 60 + Number(rest);
}
