/** Which caption belongs to the picture on screen. Pure: the time of the picture is an argument. */

import type { Caption } from "./playback.ts";

const KEPT = 64;

export class Captions {
  private captions: Caption[] = [];

  /** Captions come ahead of or with their sound. One that corrects an earlier one starts at the same time. */
  add(caption: Caption): void {
    const others = this.captions.filter((known) => known.startMs !== caption.startMs);
    this.captions = [...others, caption].sort((a, b) => a.startMs - b.startMs).slice(-KEPT);
  }

  /** Text for a picture of this time (Unix ms at the sender), or null. */
  at(sourceTimeMs: number): string | null {
    for (let index = this.captions.length - 1; index >= 0; index--) {
      const caption = this.captions[index];
      if (caption && caption.startMs <= sourceTimeMs && sourceTimeMs < caption.endMs) return caption.text;
    }
    return null;
  }

  clear(): void {
    this.captions = [];
  }
}
