/** Tells a source that went silent from one that is alive, by counting what arrives. Pure: time is an argument. */

export type Change = "silent" | "heard" | null;

export class Silence {
  private count = 0;
  private heardAtMs: number | null = null;
  private silent = false;

  /** `limitMs`: nothing for so long is silence. */
  constructor(private readonly limitMs = 2000) {}

  /** `count` only ever grows (packets, bytes, played time). Before the first of it there is no silence, only a start. */
  handleCount(nowMs: number, count: number): Change {
    if (count > this.count) {
      this.count = count;
      this.heardAtMs = nowMs;
      if (!this.silent) return null;
      this.silent = false;
      return "heard";
    }
    if (this.silent || this.heardAtMs === null || nowMs - this.heardAtMs < this.limitMs) return null;
    this.silent = true;
    return "silent";
  }
}
