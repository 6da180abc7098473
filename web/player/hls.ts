/** Watching by HLS: hls.js with the profile that fits our playlists, the browser's own player where it has no MSE. */

import type HlsJs from "hls.js";
import type { CuesParsedData, HlsConfig, LevelDetails } from "hls.js";
import { Problem, problemFrom } from "../api/problem.ts";
import { type Target, withTokenOf } from "./plan.ts";
import { firstPicture, type Listener, type Playback, type Reading } from "./playback.ts";
import { DATA_ID, parseProfile, settingsOf, Tempo, USUAL } from "./profile.ts";
import { Silence } from "./silence.ts";

/**
 * What the server does not say (`profile.ts` has what it does).
 *
 * - Failed loads are repeated soon, because a part is worth nothing after a second, and less and less often.
 * - Captions are shown by the player itself, as those of WebRTC.
 */
export const PROFILE: Partial<HlsConfig> = {
  lowLatencyMode: true,
  enableWorker: true,
  ...settingsOf(USUAL),
  backBufferLength: 10,
  maxBufferLength: 10,
  startFragPrefetch: true,
  renderTextTracksNatively: false,
  manifestLoadPolicy: { default: loadPolicy(4000, 6000, 3) },
  playlistLoadPolicy: { default: loadPolicy(10_000, 12_000, 4) },
  fragLoadPolicy: { default: loadPolicy(4000, 10_000, 4) },
};

function loadPolicy(
  firstByteMs: number,
  loadMs: number,
  tries: number,
): HlsConfig["fragLoadPolicy"]["default"] {
  const retry = {
    maxNumRetry: tries,
    retryDelayMs: 200,
    maxRetryDelayMs: 1500,
    backoff: "exponential" as const,
  };
  return {
    maxTimeToFirstByteMs: firstByteMs,
    maxLoadTimeMs: loadMs,
    timeoutRetry: { ...retry, retryDelayMs: 0 },
    errorRetry: retry,
  };
}

const MOST_CUES = 256;

/** A DATERANGE of this class tells HLS viewers how to watch from now on. */
const MODE_CLASS = "avacast.mode";

/** Loads hls.js ahead of need, so that a later switch does not wait for it. */
export function preloadHls(): Promise<typeof HlsJs> {
  return import("hls.js").then((module) => module.default);
}

/** Unix ms of a time of the element, by the date of the segment around it. */
export function dateOf(
  mediaTime: number,
  details: { fragments: { start: number; programDateTime: number | null }[] },
): number | null {
  let found: number | null = null;
  for (const { start, programDateTime } of details.fragments) {
    if (programDateTime === null || (found !== null && start > mediaTime)) continue;
    found = programDateTime + (mediaTime - start) * 1000;
  }
  return found;
}

/** The words of a cue without its markup. */
export function plainText(payload: string): string {
  const named: Record<string, string> = {
    amp: "&",
    lt: "<",
    gt: ">",
    nbsp: "\u00a0",
    lrm: "\u200e",
    rlm: "\u200f",
  };
  return payload.replace(/<[^>]*>/g, "").replace(/&(\w+);/g, (whole, name: string) => named[name] ?? whole);
}

export class HlsPlayback implements Playback {
  readonly mode = "hls";
  private readonly ending = new AbortController();
  private readonly silence = new Silence(6000);
  private hls: HlsJs | null = null;
  private bytes = 0;
  private stalls = 0;
  private rescued = false;
  private tempo = new Tempo(USUAL);
  private timer = 0;
  /** The newest address of this broadcast that we were told. */
  private freshUrl: string;
  private captionsOn = false;
  /** Cues come again with each segment through which they go on. */
  private readonly cues = new Set<string>();
  private seenRanges: Set<string> | null = null;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly target: Target,
    private readonly listener: Listener,
  ) {
    this.freshUrl = target.url;
  }

  /** From now on the path token of `url` is shown instead of the one that we began with. */
  renew(url: string): void {
    this.freshUrl = url;
  }

  async open(): Promise<void> {
    const { signal } = this.ending;
    firstPicture(this.video, signal).then(() => this.listener.ready());
    try {
      const Hls = await preloadHls();
      if (signal.aborted) return;
      // Chromium says "maybe" for its own HLS, which has no low latency: hls.js first wherever it runs.
      if (Hls.isSupported()) this.openWithHlsJs(Hls);
      else this.openNatively();
      this.timer = window.setInterval(() => this.watch(), 500);
    } catch (thrown) {
      if (!signal.aborted) this.listener.lost(problemFrom(thrown));
    }
  }

  close(): void {
    this.ending.abort();
    window.clearInterval(this.timer);
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  async read(): Promise<Reading> {
    const quality = this.video.getVideoPlaybackQuality();
    const sourceMs = await this.sourceTimeMs();
    const level = this.hls?.levels[this.hls.currentLevel];
    return {
      atMs: performance.now(),
      mode: "hls",
      latencyMs: sourceMs === null ? (this.hls ? this.hls.latency * 1000 : null) : Date.now() - sourceMs,
      bytes: this.bytes > 0 ? this.bytes : null,
      bitrateBps: null,
      frames: quality.totalVideoFrames - quality.droppedVideoFrames,
      dropped: quality.droppedVideoFrames,
      freezes: this.stalls,
      lost: null,
      roundTripMs: null,
      codec: level?.videoCodec?.startsWith("avc") ? "H264" : (level?.videoCodec ?? null),
    };
  }

  sourceTimeMs(): Promise<number | null> {
    return Promise.resolve(this.hls?.playingDate?.getTime() ?? null);
  }

  /** There is no way up by HLS. */
  say(): boolean {
    return false;
  }

  quietMs(): null {
    return null;
  }

  /** Captions are loaded from the first time on that they are shown: hls.js 1.7 finds no cues after -1 and 0 in turn. */
  captions(on: boolean): void {
    this.captionsOn = on;
    if (this.hls) {
      if (on && this.hls.subtitleTracks.length > 0 && this.hls.subtitleTrack < 0) this.hls.subtitleTrack = 0;
    } else for (const track of this.video.textTracks) track.mode = on ? "showing" : "disabled";
  }

  private openWithHlsJs(Hls: typeof HlsJs): void {
    const hls = new Hls({
      ...PROFILE,
      // No header: it would cost a preflight a request, and no cache looks at it. A private broadcast has its token in the path.
      xhrSetup: (request: XMLHttpRequest, url: string) => {
        const fresh = withTokenOf(url, this.freshUrl);
        if (fresh !== url) request.open("GET", fresh, true);
      },
    });
    this.hls = hls;
    // Set later, because the constructor takes it only with a sync position of ours, and that is the playlist's to say.
    hls.config.liveMaxLatencyDuration = USUAL.jump;
    hls.on(Hls.Events.MANIFEST_LOADED, (_event, { sessionData }) => {
      const profile = parseProfile(sessionData?.[DATA_ID]?.VALUE);
      Object.assign(hls.config, settingsOf(profile));
      hls.config.liveMaxLatencyDuration = profile.jump;
      this.tempo = new Tempo(profile);
    });
    hls.on(Hls.Events.LEVEL_LOADED, (_event, { details }) => {
      this.handleRanges(details);
    });
    hls.on(Hls.Events.FRAG_LOADED, (_event, { part, frag }) => {
      this.bytes += (part ?? frag).stats.loaded;
    });
    hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () =>
      // Right after the event hls.js makes a choice of its own.
      queueMicrotask(() => {
        if (this.hls === hls) this.captions(this.captionsOn);
      }),
    );
    hls.on(Hls.Events.CUES_PARSED, (_event, data) => this.handleCues(data));
    hls.on(Hls.Events.ERROR, (_event, error) => {
      if (error.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) {
        this.stalls += 1;
        if (this.tempo.handleStall(performance.now())) this.useParts(false);
      }
      if (!error.fatal) return;
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && !this.rescued) {
        this.rescued = true;
        hls.recoverMediaError();
        return;
      }
      const status = error.response?.code ?? 0;
      this.listener.lost(new Problem(status, "hls_failed", `HLS stopped: ${error.details}.`));
    });
    hls.loadSource(this.target.url);
    hls.attachMedia(this.video);
  }

  /** Parts, near to live; or whole segments, from three target durations back, where the buffer still has them. */
  private useParts(parts: boolean): void {
    const { hls, video } = this;
    if (!hls) return;
    hls.lowLatencyMode = parts;
    if (parts) return;
    const back = hls.liveSyncPosition;
    for (let i = 0; back !== null && i < video.buffered.length; i++)
      if (video.buffered.start(i) <= back && back < Math.min(video.currentTime, video.buffered.end(i)))
        video.currentTime = back;
  }

  private openNatively(): void {
    if (this.video.canPlayType("application/vnd.apple.mpegurl") === "")
      throw new Problem(0, "no_hls", "This browser can play neither WebRTC from here nor HLS.");
    this.video.addEventListener(
      "error",
      () => this.listener.lost(new Problem(0, "hls_failed", "HLS stopped.")),
      {
        signal: this.ending.signal,
      },
    );
    this.video.textTracks.addEventListener("addtrack", () => this.captions(this.captionsOn), {
      signal: this.ending.signal,
    });
    this.video.src = this.target.url;
  }

  private handleCues({ cues }: CuesParsedData): void {
    const details = this.hls?.latestLevelDetails;
    if (!details) return;
    for (const cue of cues as VTTCue[]) {
      const startMs = dateOf(cue.startTime, details);
      if (startMs === null || this.cues.has(cue.id)) continue;
      if (this.cues.size >= MOST_CUES) this.cues.clear();
      this.cues.add(cue.id);
      const endMs = startMs + (cue.endTime - cue.startTime) * 1000;
      this.listener.caption({ text: plainText(cue.text), startMs, endMs });
    }
  }

  /** A range is in every reload, and heard once; those of the first playlist are older than we are. */
  private handleRanges(details: LevelDetails): void {
    const ids = Object.values(details.dateRanges).flatMap((range) =>
      range?.class === MODE_CLASS && range.attr["X-MODE"] !== undefined ? [range.id] : [],
    );
    const fresh = this.seenRanges && ids.some((id) => !this.seenRanges?.has(id));
    this.seenRanges = new Set(ids);
    if (fresh) this.listener.hint();
  }

  private watch(): void {
    if (this.tempo.tick(performance.now())) this.useParts(true);
    if (this.video.paused) return;
    const change = this.silence.handleCount(performance.now(), this.video.currentTime);
    if (change === "silent")
      this.listener.lost(new Problem(0, "stalled", "The picture has stood still for 6 s."));
    if (change === "heard") this.listener.recovered();
  }
}
