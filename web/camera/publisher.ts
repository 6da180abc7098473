/** Sends a camera and a microphone to a broadcast by WHIP. Make a new publisher to send again. */

import { Problem, problemFrom } from "../api/problem.ts";
import { negotiateCaptureTimes } from "../player/capture.ts";
import { eventOf } from "../player/channels.ts";
import { connected } from "../player/connected.ts";
import { configuration } from "../player/ice.ts";
import { exchange, type Resource, release } from "../player/signalling.ts";

export interface Figures {
  bitrateBps: number | null;
  fps: number;
  width: number;
  height: number;
  roundTripMs: number | null;
  /** Part of our packets that the node did not get, 0..1. */
  lossRatio: number | null;
  codec: string | null;
  /** Why the browser sends less than it could: "cpu", "bandwidth", or "none". */
  limitedBy: string;
}

export interface Settings {
  /** Asks for the node to send to: no redirect of WHIP, because browsers show no token at the host that it leads to. */
  find: (signal: AbortSignal) => Promise<string>;
  token: string | null;
  /** Highest video bitrate. */
  maxBitrateBps: number;
  /** Two sizes at once, so that viewers on narrow paths need not go without a picture. */
  simulcast: boolean;
}

export type Ending = (problem: Problem | null) => void;

/** Before another try to follow the node's word, while the first connection goes on. */
const AGAIN_MS = 3000;

/** Over one connection, or for a while over two: when its node is to be emptied, the node names another one to send to as well. */
export class Publisher {
  /** The newest last. */
  private readonly sendings: Sending[] = [];
  private stream: MediaStream | null = null;
  private retry = 0;

  constructor(
    private readonly settings: Settings,
    private readonly ended: Ending,
  ) {}

  /** Resolves when media flows. Rejects with a Problem. */
  async start(stream: MediaStream): Promise<void> {
    this.stream = stream;
    await this.open();
  }

  stop(): void {
    this.close();
    this.ended(null);
  }

  /** Another camera or microphone, without a new session. */
  async replace(stream: MediaStream): Promise<void> {
    this.stream = stream;
    await Promise.all(this.sendings.map((sending) => sending.replace(stream)));
  }

  async read(): Promise<Figures | null> {
    return this.sendings.at(-1)?.read() ?? null;
  }

  private async open(): Promise<void> {
    const { stream } = this;
    if (!stream) return;
    const sending: Sending = new Sending(this.settings, {
      lost: (problem) => this.handleLost(sending, problem),
      move: (moves) => this.handleMove(sending, moves),
    });
    this.sendings.push(sending);
    try {
      await sending.start(stream);
    } catch (thrown) {
      this.drop(sending);
      throw thrown;
    }
  }

  /** The node of `from` asks for the stream to be sent to another one too; or to stay after all. */
  private handleMove(from: Sending, moves: boolean): void {
    window.clearTimeout(this.retry);
    if (!this.sendings.includes(from)) return;
    if (!moves) {
      for (const other of this.sendings.filter((sending) => sending !== from)) this.drop(other);
      return;
    }
    const again = (): void => {
      this.retry = window.setTimeout(() => this.handleMove(from, true), AGAIN_MS);
    };
    // Two are enough: one of them is about to be ended by its node.
    if (this.sendings.length > 1) again();
    else this.open().catch(again);
  }

  private handleLost(sending: Sending, problem: Problem): void {
    this.drop(sending);
    if (this.sendings.length > 0) return;
    this.close();
    this.ended(problem);
  }

  private drop(sending: Sending): void {
    const index = this.sendings.indexOf(sending);
    if (index >= 0) this.sendings.splice(index, 1);
    sending.close();
  }

  private close(): void {
    window.clearTimeout(this.retry);
    this.stream = null;
    for (const sending of [...this.sendings]) this.drop(sending);
  }
}

interface Listener {
  lost: (problem: Problem) => void;
  move: (moves: boolean) => void;
}

/** One connection to one node. */
class Sending {
  private readonly connection = new RTCPeerConnection(configuration());
  private readonly stopping = new AbortController();
  private resource: Resource | null = null;
  private before: { atMs: number; bytes: number; frames: number } | null = null;

  constructor(
    private readonly settings: Settings,
    private readonly listener: Listener,
  ) {}

  async start(stream: MediaStream): Promise<void> {
    const { connection, settings } = this;
    for (const track of stream.getTracks()) {
      const transceiver = connection.addTransceiver(track, {
        direction: "sendonly",
        streams: [stream],
        ...(track.kind === "video" && settings.simulcast && { sendEncodings: encodings(settings) }),
      });
      negotiateCaptureTimes(transceiver);
      if (track.kind === "video") preferH264(transceiver);
    }
    const events = connection.createDataChannel("events");
    events.addEventListener("message", ({ data }) => this.handleEvent(data));
    try {
      await connection.setLocalDescription();
      const offer = connection.localDescription?.sdp ?? "";
      const timeout = AbortSignal.any([this.stopping.signal, AbortSignal.timeout(10_000)]);
      const endpoint = await settings.find(timeout);
      this.resource = await exchange(endpoint, offer, settings.token, timeout);
      await connection.setRemoteDescription({ type: "answer", sdp: this.resource.answer });
      await this.limit();
      const lost = new Problem(
        0,
        "no_media_path",
        "The node cannot be reached for media.",
        "Is its UDP port open to you?",
      );
      await connected(connection, AbortSignal.timeout(10_000), lost);
    } catch (thrown) {
      this.close();
      throw problemFrom(thrown);
    }
    const lost = new Problem(0, "connection_lost", "The connection to the node broke.", "Go live again.");
    const handleEnd = (): void => {
      if (!this.stopping.signal.aborted) this.listener.lost(lost);
    };
    connection.addEventListener("connectionstatechange", () => {
      if (connection.connectionState === "failed") handleEnd();
    });
    // A node that ends a session closes its channels; one that takes none has closed them by now.
    if (events.readyState === "open") events.addEventListener("close", handleEnd);
    else events.addEventListener("open", () => events.addEventListener("close", handleEnd));
  }

  async replace(stream: MediaStream): Promise<void> {
    for (const sender of this.connection.getSenders()) {
      const track = stream.getTracks().find((candidate) => candidate.kind === sender.track?.kind);
      if (track) await sender.replaceTrack(track);
    }
  }

  async read(): Promise<Figures> {
    const figures: Figures = {
      bitrateBps: null,
      fps: 0,
      width: 0,
      height: 0,
      roundTripMs: null,
      lossRatio: null,
      codec: null,
      limitedBy: "none",
    };
    let bytes = 0;
    let frames = 0;
    const report = await this.connection.getStats();
    report.forEach((entry) => {
      if (entry.type === "outbound-rtp") {
        const sent = entry as RTCOutboundRtpStreamStats;
        bytes += sent.bytesSent ?? 0;
        if (sent.kind !== "video" || (sent.frameWidth ?? 0) < figures.width) return;
        frames = sent.framesEncoded ?? 0;
        figures.width = sent.frameWidth ?? 0;
        figures.height = sent.frameHeight ?? 0;
        figures.limitedBy = sent.qualityLimitationReason ?? "none";
        const codec = report.get(sent.codecId ?? "") as { mimeType?: string } | undefined;
        figures.codec = codec?.mimeType?.replace("video/", "") ?? null;
      } else if (entry.type === "remote-inbound-rtp" && entry.kind === "video") {
        if (typeof entry.roundTripTime === "number") figures.roundTripMs = entry.roundTripTime * 1000;
        if (typeof entry.fractionLost === "number") figures.lossRatio = entry.fractionLost;
      }
    });
    const atMs = performance.now();
    if (this.before) {
      const seconds = (atMs - this.before.atMs) / 1000;
      figures.bitrateBps = ((bytes - this.before.bytes) * 8) / seconds;
      figures.fps = (frames - this.before.frames) / seconds;
    }
    this.before = { atMs, bytes, frames };
    return figures;
  }

  private async limit(): Promise<void> {
    for (const sender of this.connection.getSenders()) {
      if (sender.track?.kind !== "video") continue;
      const parameters = sender.getParameters();
      if (!this.settings.simulcast)
        for (const encoding of parameters.encodings) encoding.maxBitrate = this.settings.maxBitrateBps;
      // A change of resolution costs every HLS viewer a new init section; fewer frames cost nothing.
      parameters.degradationPreference = "maintain-resolution";
      await sender.setParameters(parameters);
    }
  }

  close(): void {
    if (this.stopping.signal.aborted) return;
    this.stopping.abort();
    this.connection.close();
    if (this.resource?.url) release(this.resource.url, this.settings.token);
    this.resource = null;
  }

  private handleEvent(message: unknown): void {
    const told = typeof message === "string" ? eventOf("events", message) : null;
    if (told?.event !== "move") return;
    const { whip } = JSON.parse(told.data) as { whip?: unknown };
    this.listener.move(typeof whip === "string");
  }
}

/** The full picture, and one of half its height with a fifth of its bits. The first is what HLS takes. */
function encodings({ maxBitrateBps }: Settings): RTCRtpEncodingParameters[] {
  return [
    { rid: "h", maxBitrate: maxBitrateBps },
    { rid: "l", scaleResolutionDownBy: 2, maxBitrate: Math.max(120_000, maxBitrateBps / 5) },
  ];
}

/** H.264 passes through to HLS and to every browser without transcoding. */
function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const isH264 = (codec: RTCRtpCodec): boolean => codec.mimeType === "video/H264";
  if (codecs.some(isH264))
    transceiver.setCodecPreferences([...codecs.filter(isH264), ...codecs.filter((codec) => !isH264(codec))]);
}
