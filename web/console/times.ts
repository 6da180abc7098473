/** How long ago, and how much longer: in the one unit that says enough. */

const UNITS: [string, string, number][] = [
  ["day", "days", 86_400],
  ["hour", "hours", 3600],
  ["minute", "minutes", 60],
];

function told(seconds: number): string | null {
  for (const [one, many, length] of UNITS) {
    const count = Math.floor(seconds / length);
    if (count > 0) return `${count} ${count === 1 ? one : many}`;
  }
  return null;
}

/** "never", "just now", "3 hours ago". `now` in ms since the epoch. */
export function ago(at: string | null, now: number): string {
  if (at === null) return "never";
  const passed = told((now - Date.parse(at)) / 1000);
  return passed === null ? "just now" : `${passed} ago`;
}

/** "20 hours", rounded up: what is left is never told as nothing. */
export function until(at: string, now: number): string {
  const left = Math.max(0, (Date.parse(at) - now) / 1000);
  const length = UNITS.find(([, , length]) => left >= length)?.[2] ?? 60;
  return told(Math.ceil(left / length) * length) ?? "a minute";
}
