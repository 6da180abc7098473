/**
 * When to swap two sources that show the same broadcast at different times, so that nobody hears a word twice or misses one.
 *
 * HLS runs about 1.3 s behind WebRTC. What lies between the two is repeated by a swap to HLS and skipped by a swap back; nothing is lost
 * when it is silence. So the swap waits for a pause of that length on the WebRTC side, but not for ever. Sliding the WebRTC playout back
 * instead (jitterBufferTarget) stops its picture for the whole distance while its sound follows by 45 ms a second. Pure: time is an argument.
 */

/** Pauses between sentences come every few seconds; longer than this nobody should hold two sources. */
const PATIENCE_MS = 5000;

export class Seam {
  private readonly untilMs: number;

  constructor(nowMs: number, patienceMs = PATIENCE_MS) {
    this.untilMs = nowMs + patienceMs;
  }

  /** `quietMs`: how long the source nearer to live has been silent; `lagMs`: how far the other is behind. Null: not known. */
  isHere(nowMs: number, quietMs: number | null, lagMs: number | null): boolean {
    if (nowMs >= this.untilMs || quietMs === null || lagMs === null) return true;
    return quietMs >= Math.max(0, lagMs);
  }
}
