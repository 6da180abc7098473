/** Jobs: films of an avatar or a photo that speaks, and the files that they are made of. All functions reject with a Problem. */

import { call, Problem, problemFrom, problemOf } from "./problem.ts";

export interface Job {
  id: string;
  /** Prefix of the API key that made it; null: an operator did. */
  account: string | null;
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  /** Null: it is made of a photo. */
  avatar: string | null;
  image: string | null;
  /** Null: it is made of a recording. */
  text: string | null;
  audio: string | null;
  /** WIDTHxHEIGHT. */
  size: string;
  /** ISO 8601. */
  created_at: string;
  /** Jobs that were there before it and wait too. */
  ahead: number | null;
  /** What is being done, in words, and how much of that, 0..1. */
  step: string;
  share: number;
  error: string | null;
  size_bytes: number | null;
  /** The film: a link that needs no token for a day. */
  result: string | null;
  result_until: string | null;
}

export interface JobPage {
  jobs: Job[];
  /** `after` of the next page. */
  next: string | null;
}

/** One of avatar and image, one of text and audio. */
export interface NewJob {
  avatar?: string;
  image?: string;
  text?: string;
  audio?: string;
  size?: string;
  background?: string;
}

export interface Upload {
  id: string;
  kind: Kind;
}

/** What a file is for. */
export type Kind = "image" | "audio";

export const MOST_CHARACTERS = 20_000;
const MOST_MB: Record<Kind, number> = { image: 10, audio: 50 };
const CALLED: Record<Kind, string> = { image: "photo", audio: "recording" };
const ADVICE: Record<Kind, string> = {
  image: "Save it with fewer pixels or as JPEG.",
  audio: "Save it as MP3 or M4A, or make a film of each part.",
};

/** Why a file is not sent at all; null: it may be. */
export function refusal(kind: Kind, file: Blob): Problem | null {
  const most = MOST_MB[kind];
  if (file.size === 0)
    return new Problem(0, "empty", `The ${CALLED[kind]} is empty.`, "Choose another file.");
  if (file.size <= most * 1_000_000) return null;
  const has = (Math.ceil(file.size / 100_000) / 10).toFixed(1);
  return new Problem(
    0,
    "too_large",
    `The ${CALLED[kind]} has ${has} MB, and ${most} MB are the most.`,
    ADVICE[kind],
  );
}

/** Keeps a file for a week. `onShare` hears how much of it is sent, 0..1. */
export function upload(
  file: Blob,
  token: string,
  onShare: (share: number) => void,
  signal: AbortSignal,
): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much of a body is sent
    request.open("POST", "/api/uploads");
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => onShare(total > 0 ? loaded / total : 0);
    request.onerror = () => reject(problemFrom(new TypeError("no answer")));
    request.onabort = () => reject(problemFrom(signal.reason));
    request.onload = () => {
      const waits = request.getResponseHeader("Retry-After");
      const answer = new Response(request.responseText, {
        status: request.status,
        headers: waits === null ? {} : { "Retry-After": waits },
      });
      if (answer.ok) answer.json().then(resolve, (thrown) => reject(problemFrom(thrown)));
      else void problemOf(answer).then(reject);
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

export function deleteUpload(id: string, token: string): Promise<unknown> {
  return call(`/api/uploads/${encodeURIComponent(id)}`, { method: "DELETE", token });
}

const path = (id: string, verb = ""): string => `/api/jobs/${encodeURIComponent(id)}${verb}`;

/** The newest first; `after` is the `next` of the page before. */
export function listJobs(
  token: string,
  limit: number,
  after: string | null,
  signal: AbortSignal,
): Promise<JobPage> {
  const from = after === null ? "" : `&after=${encodeURIComponent(after)}`;
  return call(`/api/jobs?limit=${limit}${from}`, { token, signal });
}

export function createJob(wanted: NewJob, token: string): Promise<Job> {
  return call("/api/jobs", { method: "POST", body: wanted, token });
}

export function cancelJob(id: string, token: string): Promise<Job> {
  return call(path(id, "/cancel"), { method: "POST", token });
}

/** Makes one that failed or was cancelled once more. */
export function retryJob(id: string, token: string): Promise<Job> {
  return call(path(id, "/retry"), { method: "POST", token });
}

/** With its film. */
export function deleteJob(id: string, token: string): Promise<unknown> {
  return call(path(id), { method: "DELETE", token, timeoutMs: 20_000 });
}
