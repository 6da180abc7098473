/** What the two ways to watch have in common, so that the element can hold either. */

import type { Problem } from "../api/problem.ts";
import type { ChatLine } from "./channels.ts";
import type { Layers } from "./layers.ts";
import type { Mode } from "./plan.ts";

/** Counters of one source at one moment. Null where this way of watching cannot know. */
export interface Reading {
  atMs: number;
  mode: Mode;
  /** From the camera or the renderer to this screen. */
  latencyMs: number | null;
  /** Bytes received since the source was opened. */
  bytes: number | null;
  /** When the source measures its rate itself. */
  bitrateBps: number | null;
  frames: number;
  dropped: number;
  freezes: number;
  lost: number | null;
  roundTripMs: number | null;
  codec: string | null;
}

export interface Caption {
  text: string;
  startMs: number;
  endMs: number;
}

export interface Listener {
  /** The first picture (or sound) is there. */
  ready(): void;
  lost(problem: Problem): void;
  recovered(): void;
  /** The server says how to watch from now on; unchecked. */
  mode(plan: unknown): void;
  /** The way to watch has changed for some; whether for us, only the orchestrator knows. */
  hint(): void;
  caption(caption: Caption): void;
  viewers(count: number): void;
  chat(line: ChatLine): void;
  /** Which qualities there are; null when this way has no choice. */
  layers(layers: Layers | null): void;
}

export interface Playback {
  readonly mode: Mode;
  readonly video: HTMLVideoElement;
  open(): Promise<void>;
  /** The address of what it plays, as told last: only its path token may differ. */
  renew(url: string): void;
  /** Ends it at once; no listener is called afterwards. */
  close(): void;
  read(): Promise<Reading>;
  /** Wall-clock time (Unix ms, sender's clock) of the picture on screen; null when it is not known. */
  sourceTimeMs(): Promise<number | null>;
  /** How long its sound has been silent; null when it cannot tell. */
  quietMs(): number | null;
  /** Writes a line of chat; false when this way of watching cannot. */
  say(text: string, name: string | null): boolean;
  /** Whether captions are shown; absent where they come in any case. */
  captions?(on: boolean): void;
  /** Asks for a layer by its id, or (null) for the best that fits. */
  choose?(id: string | null): Promise<boolean>;
}

/** Resolves when the element shows its first frame, or plays sound when there is no picture or the page is hidden. */
export function firstPicture(video: HTMLVideoElement, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      video.removeEventListener("timeupdate", advanced);
      if (!signal.aborted) resolve();
    };
    // A hidden page paints no frames: there, and for sound alone, the clock of the element has to do.
    const advanced = (): void => {
      const pictureless = document.hidden || video.videoWidth === 0;
      if (video.currentTime > 0 && !video.paused && pictureless && video.readyState >= 3) done();
    };
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(done);
    else (video as HTMLVideoElement).addEventListener("loadeddata", done, { once: true });
    video.addEventListener("timeupdate", advanced);
    signal.addEventListener("abort", () => video.removeEventListener("timeupdate", advanced), { once: true });
  });
}
