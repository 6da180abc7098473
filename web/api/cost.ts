/** What it costs, as `/api/cost` tells it. */

import { call } from "./problem.ts";

export interface Machines {
  type: string;
  spot: boolean;
  count: number;
  streams: number;
  hour: number;
}

export interface Bill {
  listeners: number;
  webrtc: number;
  hls: number;
  avatar: number;
  compute: number;
  egress: number;
  cdn: number;
  total: number;
  listener: number;
}

export interface Cost {
  date: string;
  currency: string;
  region: string;
  mix: {
    demand: number[];
    hours: Machines[][];
    cost: number;
    exact: boolean;
    gap: number;
    stream_hour: number;
  };
  spot_trouble: string | null;
  session: number;
  user_month: number;
  user_month_target: number;
  videos: number;
  broadcasts: Bill[];
  curve: Bill[];
}

export interface Asked {
  hours: number;
  /** Part of the listeners that takes part, 0..1. */
  interactive: number;
}

/** Rejects with a Problem. */
export function readCost(asked: Asked, admin: string, signal: AbortSignal): Promise<Cost> {
  const query = new URLSearchParams({ hours: String(asked.hours), interactive: String(asked.interactive) });
  return call(`/api/cost?${query}`, { token: admin, signal });
}
