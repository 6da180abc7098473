/** Watching by WebRTC: one peer connection to one node, its events, and an ear for silence. */

import { Problem, problemFrom } from "../api/problem.ts";
import { capturedAtMs, negotiateCaptureTimes, unixMs } from "./capture.ts";
import { Channels, Once, parseLine, takesData } from "./channels.ts";
import { configuration } from "./ice.ts";
import { choose, parseLayers } from "./layers.ts";
import type { Role, Target } from "./plan.ts";
import { type Caption, firstPicture, type Listener, type Playback, type Reading } from "./playback.ts";
import { onNetworkChange, restart } from "./restart.ts";
import { exchange, follow, type Resource, release, type ServerEvent } from "./signalling.ts";
import { Silence } from "./silence.ts";

/** How often packets are counted. Silence is called after 2 s; this much later at most. */
const WATCH_MS = 250;
/** How long the data channels may take to open before the node's events are fetched instead. */
const CHANNELS_MS = 2000;

/** Mean square of what nobody hears: 50 dB below full scale. */
const QUIET_POWER = 1e-5;

/** A peer connection with its offer set. Made before the node is known, so that it costs no time later. */
export interface Peer {
  connection: RTCPeerConnection;
  offer: Promise<string>;
  channels: Channels;
}

export function preparePeer(): Peer {
  const connection = new RTCPeerConnection(configuration());
  for (const kind of ["video", "audio"])
    negotiateCaptureTimes(connection.addTransceiver(kind, { direction: "recvonly" }));
  const channels = new Channels(connection);
  const offer = connection.createOffer().then(async (description) => {
    const sdp = stereo(description.sdp ?? "");
    await connection.setLocalDescription({ type: "offer", sdp });
    // Not gathered: the node is passive and learns our address from the checks that we send.
    return connection.localDescription?.sdp ?? sdp;
  });
  offer.catch(() => undefined); // The one who awaits it handles it.
  return { connection, offer, channels };
}

/** Chromium plays Opus in mono unless the offer asks for stereo. */
function stereo(sdp: string): string {
  const opus = /a=rtpmap:(\d+) opus\/48000\/2/i.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`(a=fmtp:${opus} [^\r\n]*)`), "$1;stereo=1") : sdp;
}

export class WhepPlayback implements Playback {
  readonly mode = "webrtc";
  private readonly ending = new AbortController();
  private readonly silence = new Silence();
  private resource: Resource | null = null;
  private timer = 0;
  private buffered = { frames: 0, seconds: 0 };
  private heard: { energy: number; seconds: number } | null = null;
  private soundAtMs: number | null = null;
  private readonly once = new Once();
  /** Ends the server-sent events that are followed now. */
  private following: AbortController | null = null;
  private patience = 0;
  private restarting = false;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly target: Target,
    private readonly identity: { role: Role; viewer: string | null },
    private readonly listener: Listener,
    private readonly peer: Peer,
  ) {}

  async open(): Promise<void> {
    const { connection } = this.peer;
    const { signal } = this.ending;
    const stream = new MediaStream();
    connection.addEventListener("track", ({ track }) => stream.addTrack(track));
    connection.addEventListener("connectionstatechange", () => this.handleConnection());
    this.peer.channels.listen(
      (event) => this.handleEvent(event),
      () => this.chooseWords(),
    );
    firstPicture(this.video, signal).then(() => this.listener.ready());
    try {
      const endpoint = new URL(this.target.url);
      endpoint.searchParams.set("role", this.identity.role);
      if (this.identity.viewer) endpoint.searchParams.set("viewer", this.identity.viewer);
      const timeout = AbortSignal.timeout(8000);
      const resource = await exchange(
        endpoint.href,
        await this.peer.offer,
        this.target.token,
        AbortSignal.any([signal, timeout]),
      );
      this.resource = resource;
      if (signal.aborted) return this.close(); // Closed while the answer was on its way: give the session back.
      await connection.setRemoteDescription({ type: "answer", sdp: resource.answer });
      // All tracks at once: a picture that starts before its sound slips past the browser's autoplay rules, and then stays mute.
      this.video.srcObject = stream;
      this.timer = window.setInterval(() => void this.watch(), WATCH_MS);
      onNetworkChange(() => void this.restart(), signal);
    } catch (thrown) {
      if (!signal.aborted) this.listener.lost(problemFrom(thrown));
    }
  }

  close(): void {
    this.ending.abort();
    window.clearInterval(this.timer);
    window.clearTimeout(this.patience);
    this.following?.abort();
    this.peer.connection.close();
    this.video.srcObject = null;
    if (this.resource?.url) release(this.resource.url, this.target.token);
    this.resource = null;
  }

  async read(): Promise<Reading> {
    const reading: Reading = {
      atMs: performance.now(),
      mode: "webrtc",
      latencyMs: null,
      bytes: 0,
      bitrateBps: null,
      frames: 0,
      dropped: 0,
      freezes: 0,
      lost: 0,
      roundTripMs: null,
      codec: null,
    };
    let bufferedMs = 0;
    const report = await this.peer.connection.getStats();
    report.forEach((entry) => {
      if (entry.type === "inbound-rtp") {
        const inbound = entry as RTCInboundRtpStreamStats;
        reading.bytes = (reading.bytes ?? 0) + (inbound.bytesReceived ?? 0);
        reading.lost = (reading.lost ?? 0) + (inbound.packetsLost ?? 0);
        if (inbound.kind !== "video") return;
        reading.frames = inbound.framesDecoded ?? 0;
        reading.dropped = inbound.framesDropped ?? 0;
        reading.freezes = inbound.freezeCount ?? 0;
        reading.codec = mimeOf(report, inbound.codecId);
        bufferedMs = this.bufferedMs(inbound);
      } else if (entry.type === "candidate-pair" && (entry as RTCIceCandidatePairStats).nominated) {
        const seconds = (entry as RTCIceCandidatePairStats).currentRoundTripTime;
        if (seconds !== undefined) reading.roundTripMs = seconds * 1000;
      }
    });
    const sourceMs = this.capturedMs() ?? playoutTime(report);
    const sinceSource = sourceMs === null ? 0 : Date.now() - sourceMs;
    // What we can see ourselves is the least that it can be; a sender whose clock differs plainly says nothing more.
    const seen = (reading.roundTripMs ?? 0) / 2 + bufferedMs;
    reading.latencyMs = sinceSource < 30_000 ? Math.max(seen, sinceSource) : seen;
    return reading;
  }

  async choose(id: string | null): Promise<boolean> {
    const url = this.resource?.layer ?? null;
    return url !== null && (await choose(url, this.target.token, id));
  }

  async sourceTimeMs(): Promise<number | null> {
    return this.capturedMs() ?? playoutTime(await this.peer.connection.getStats());
  }

  /** Unix ms at which the picture on screen (or else the sound) was captured, by the clock of the one who captured it. */
  private capturedMs(): number | null {
    const of = (kind: string): number | null => {
      const receivers = this.peer.connection.getReceivers().filter(({ track }) => track.kind === kind);
      return capturedAtMs(receivers.flatMap((receiver) => receiver.getSynchronizationSources()));
    };
    return of("video") ?? of("audio");
  }

  /** A session keeps its address. */
  renew(): void {}

  quietMs(): number | null {
    return this.soundAtMs === null ? null : performance.now() - this.soundAtMs;
  }

  private handleConnection(): void {
    if (this.ending.signal.aborted) return;
    const state = this.peer.connection.connectionState;
    if (state === "connected" && this.patience === 0) {
      const wait = this.resource && takesData(this.resource.answer) ? CHANNELS_MS : 0;
      this.patience = window.setTimeout(() => {
        this.patience = -1;
        this.chooseWords();
      }, wait);
    }
    if (state === "disconnected") void this.restart();
    if (state === "failed" || state === "closed")
      this.listener.lost(new Problem(0, "connection_lost", "The connection to the node broke."));
  }

  /** Goes on from another address. When it cannot be done, silence will tell, and the player joins anew. */
  private async restart(): Promise<void> {
    const { connection } = this.peer;
    const url = this.resource?.url ?? null;
    if (url === null || this.resource === null || this.restarting || connection.signalingState !== "stable")
      return;
    this.restarting = true;
    try {
      const target = { url, token: this.target.token };
      await restart(connection, this.resource.answer, target, stereo, this.ending.signal);
    } catch {
      // The node refused or is out of reach.
    } finally {
      this.restarting = false;
    }
  }

  /** Where the node's words come from: the data channels while they are open, else server-sent events. */
  private chooseWords(): void {
    if (this.ending.signal.aborted) return;
    if (this.peer.channels.suffice) {
      this.following?.abort();
      this.following = null;
    } else if (this.patience < 0 && !this.following && this.resource?.events) {
      const following = new AbortController();
      this.following = following;
      void follow(this.resource.events, this.target.token, following.signal, (event) =>
        this.handleEvent(event),
      );
    }
  }

  say(text: string, name: string | null): boolean {
    return this.peer.channels.say(text, name);
  }

  private async watch(): Promise<void> {
    let packets = 0;
    (await this.peer.connection.getStats()).forEach((entry) => {
      if (entry.type !== "inbound-rtp") return;
      const inbound = entry as RTCInboundRtpStreamStats;
      packets += inbound.packetsReceived ?? 0;
      if (inbound.kind === "audio") this.hear(inbound);
    });
    if (this.ending.signal.aborted) return;
    const change = this.silence.handleCount(performance.now(), packets);
    if (change === "silent")
      this.listener.lost(new Problem(0, "silent", "Nothing has come from the node for 2 s."));
    if (change === "heard") this.listener.recovered();
  }

  /** How long a frame waited in the jitter buffer, mean since the last reading. */
  private bufferedMs(inbound: RTCInboundRtpStreamStats): number {
    const now = { frames: inbound.jitterBufferEmittedCount ?? 0, seconds: inbound.jitterBufferDelay ?? 0 };
    const frames = now.frames - this.buffered.frames;
    const seconds = now.seconds - this.buffered.seconds;
    this.buffered = now;
    return frames > 0 ? (seconds / frames) * 1000 : 0;
  }

  /** Energy that came since the last look, as mean power; the first look begins the silence. */
  private hear(inbound: RTCInboundRtpStreamStats): void {
    const { totalAudioEnergy: energy, totalSamplesDuration: seconds } = inbound;
    if (energy === undefined || seconds === undefined) return;
    const before = this.heard ?? { energy, seconds };
    const power = seconds > before.seconds ? (energy - before.energy) / (seconds - before.seconds) : 0;
    if (this.soundAtMs === null || power > QUIET_POWER) this.soundAtMs = performance.now();
    this.heard = { energy, seconds };
  }

  private handleEvent({ event, data }: ServerEvent): void {
    if (this.ending.signal.aborted || !this.once.isNew({ event, data })) return;
    let value: unknown;
    try {
      value = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof value !== "object" || value === null) return;
    const fields = value as Record<string, unknown>;
    if (event === "mode") this.listener.mode(fields);
    if (event === "viewercount" && typeof fields.viewercount === "number")
      this.listener.viewers(fields.viewercount);
    const layers = event === "layers" ? parseLayers(fields) : null;
    if (layers) this.listener.layers(layers);
    const caption = event === "caption" ? parseCaption(fields, Date.now()) : null;
    if (caption) this.listener.caption(caption);
    const line = event === "chat" ? parseLine(fields) : null;
    if (line) this.listener.chat(line);
  }
}

/** Times are Unix ms at the sender. A caption whose times are of another clock counts from its arrival. */
export function parseCaption(fields: Record<string, unknown>, nowMs: number): Caption | null {
  const { text, start_ms: startMs, end_ms: endMs } = fields;
  if (typeof text !== "string" || typeof startMs !== "number" || typeof endMs !== "number") return null;
  const shift = Math.abs(startMs - nowMs) > 3_600_000 ? nowMs - startMs : 0;
  return { text: text.slice(0, 2000), startMs: startMs + shift, endMs: endMs + shift };
}

function mimeOf(report: RTCStatsReport, id: string | undefined): string | null {
  const codec: unknown = id === undefined ? undefined : report.get(id);
  const mime = (codec as { mimeType?: unknown } | undefined)?.mimeType;
  return typeof mime === "string" ? mime.replace(/^video\//, "") : null;
}

/** Unix ms at the sender of what is played now, from its sender reports; null before they came. */
function playoutTime(report: RTCStatsReport): number | null {
  let newest: number | null = null;
  report.forEach((entry) => {
    const playout = (entry as { estimatedPlayoutTimestamp?: number }).estimatedPlayoutTimestamp;
    if (entry.type === "inbound-rtp" && typeof playout === "number" && playout > 0)
      newest = Math.max(newest ?? 0, unixMs(playout));
  });
  return newest;
}
