/** Recordings as the API tells them. All functions reject with a Problem. */

import { call } from "./problem.ts";

export interface Recording {
  id: string;
  broadcast: string;
  /** ISO 8601. */
  started: string;
  state: "recording" | "finishing" | "finished";
  /** Part of its bytes that is in the store, 0..1. */
  progress: number;
  duration_s: number;
  size_bytes: number;
  lost_segments: number;
  /** Why nothing is recorded at the moment. */
  paused: string | null;
  play: string;
  film: string | null;
  film_bytes: number;
  /** A JPEG. */
  poster: string | null;
  /** WebVTT: see storyboard.ts. */
  storyboard: string | null;
}

export interface RecordingPage {
  recordings: Recording[];
  next: string | null;
  /** Packagers that did not answer. */
  unreachable: string[];
}

export function listRecordings(admin: string, limit: number, signal: AbortSignal): Promise<RecordingPage> {
  return call<RecordingPage>(`/api/recordings?limit=${limit}`, { token: admin, signal });
}

export async function deleteRecording(one: Recording, admin: string): Promise<void> {
  const path = `/api/recordings/${encodeURIComponent(one.broadcast)}/${encodeURIComponent(one.id)}`;
  await call(path, { method: "DELETE", token: admin, timeoutMs: 20_000 });
}
