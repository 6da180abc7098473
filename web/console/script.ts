/** A script as a host types it: a line each, "0:05 Welcome!". Without a time a line follows the one before. */

import type { Cue } from "../api/desk.ts";

const TIMED = /^\s*(?:(\d{1,2}):)?(\d{1,3}):(\d{2})(?:[.,](\d))?\s+(.*)$/;
const LONGEST = 2000;
const MOST = 500;

export type Read = { cues: Cue[] } | { wrong: string };

export function readScript(text: string): Read {
  const cues: Cue[] = [];
  let atS = 0;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const where = `Line ${index + 1}`;
    const [, hours, minutes, seconds, tenths, timed] = TIMED.exec(line) ?? [];
    if (timed !== undefined) {
      const told =
        Number(hours ?? 0) * 3600 + Number(minutes) * 60 + Number(seconds) + Number(tenths ?? 0) / 10;
      if (Number(seconds) > 59) return { wrong: `${where}: a minute has 59 seconds at most.` };
      if (told < atS) return { wrong: `${where} comes before the line above it.` };
      atS = told;
    }
    const words = (timed ?? line).trim();
    if (words === "") return { wrong: `${where} has a time and no words.` };
    if (words.length > LONGEST) return { wrong: `${where} is longer than ${LONGEST} characters.` };
    cues.push({ at_s: atS, text: words });
  }
  if (cues.length === 0) return { wrong: "Write at least one line, such as “0:05 Welcome!”." };
  if (cues.length > MOST) return { wrong: `A script has ${MOST} lines at most.` };
  return { cues };
}

/** Seconds as a clock shows them. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60) % 60;
  const tail = `${String(whole % 60).padStart(2, "0")}`;
  return whole < 3600
    ? `${minutes}:${tail}`
    : `${Math.floor(whole / 3600)}:${String(minutes).padStart(2, "0")}:${tail}`;
}
