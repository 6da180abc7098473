/** Bills as numbers for a plot and words for a table. */

import type { Bill } from "../api/cost.ts";

/** Below what is above it: the order in which they are stacked. */
export const PARTS = ["avatar", "compute", "egress", "cdn"] as const;
export const NAMES: Record<(typeof PARTS)[number], string> = {
  avatar: "Avatar",
  compute: "Relays",
  egress: "WebRTC traffic",
  cdn: "CDN",
};

/** Lines of a stacked plot, the sum of all parts first, so that each area covers what is above the next. */
export function stacked(curve: readonly Bill[]): number[][] {
  const sums = PARTS.map((_, at) =>
    curve.map((bill) => PARTS.slice(0, at + 1).reduce((sum, part) => sum + bill[part], 0)),
  );
  return [curve.map((bill) => bill.listeners), ...sums.reverse()];
}

export function money(amount: number, currency: string): string {
  const digits = amount !== 0 && amount < 0.1 ? 3 : amount < 100 ? 2 : 0;
  try {
    return new Intl.NumberFormat("en", {
      style: "currency",
      currency,
      currencyDisplay: "narrowSymbol",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }).format(amount);
  } catch {
    return `${amount.toFixed(digits)} ${currency}`;
  }
}
