/** Sends a camera and a microphone to a broadcast by WHIP. One object a sending; make a new one to send again. */

import { Problem, problemFrom } from "../api/problem.ts";
import { negotiateCaptureTimes } from "../player/capture.ts";
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
  /** WHIP endpoint; redirects are followed. */
  endpoint: string;
  token: string | null;
  /** Highest video bitrate. */
  maxBitrateBps: number;
  /** Two sizes at once, so that viewers on narrow paths need not go without a picture. */
  simulcast: boolean;
}

export type Ending = (problem: Problem | null) => void;

export class Publisher {
  private readonly connection = new RTCPeerConnection(configuration());
  private readonly stopping = new AbortController();
  private resource: Resource | null = null;
  private before: { atMs: number; bytes: number; frames: number } | null = null;

  constructor(
    private readonly settings: Settings,
    private readonly ended: Ending,
  ) {}

  /** Resolves when media flows. Rejects with a Problem. */
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
    try {
      await connection.setLocalDescription();
      const offer = connection.localDescription?.sdp ?? "";
      const timeout = AbortSignal.any([this.stopping.signal, AbortSignal.timeout(10_000)]);
      this.resource = await exchange(settings.endpoint, offer, settings.token, timeout);
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
      this.release();
      throw problemFrom(thrown);
    }
    connection.addEventListener("connectionstatechange", () => {
      if (connection.connectionState !== "failed") return;
      this.release();
      this.ended(new Problem(0, "connection_lost", "The connection to the node broke.", "Go live again."));
    });
  }

  stop(): void {
    this.release();
    this.ended(null);
  }

  /** Another camera or microphone, without a new session. */
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

  private release(): void {
    this.stopping.abort();
    this.connection.close();
    if (this.resource?.url) release(this.resource.url, this.settings.token);
    this.resource = null;
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
