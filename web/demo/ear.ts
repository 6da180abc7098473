/** A microphone on its way to the avatar: asks for it, publishes it by WHIP, hears what was understood. */

import { openEar } from "../api/broadcasts.ts";
import { needSecurePage, refusal } from "../api/devices.ts";
import { Problem, problemFrom } from "../api/problem.ts";
import { connected } from "../player/connected.ts";
import { configuration } from "../player/ice.ts";
import { exchange, type Resource, release } from "../player/signalling.ts";

/** What the origin tells the speaker (docs/api.md). */
export type Heard =
  | { event: "started" | "ended" | "moved" }
  | { event: "partial" | "final" | "held" | "refused"; text: string }
  | { event: "unclear"; reason: string };

export type Microphone =
  | { state: "off" }
  | { state: "asking" }
  | { state: "connecting" }
  | { state: "listening" }
  | { state: "failed"; why: string; hint: string };

const SOUND: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
};
const CONNECT_MS = 10_000;
const LEVEL_MS = 66;

const isSaid = (event: unknown): event is "partial" | "final" | "held" | "refused" =>
  ["partial", "final", "held", "refused"].includes(String(event));

/** Reads a message of the data channel; null for what this page does not know. */
export function parseHeard(data: unknown): Heard | null {
  try {
    const { event, text, reason } = JSON.parse(String(data)) as Record<string, unknown>;
    if (event === "started" || event === "ended" || event === "moved") return { event };
    if (isSaid(event) && typeof text === "string") return { event, text };
    if (event === "unclear") return { event, reason: String(reason) };
  } catch {
    // not of ours
  }
  return null;
}

/** One use of the microphone; make a new one to speak again. */
export class Ear {
  private connection: RTCPeerConnection | null = null;
  private sound: MediaStream | null = null;
  private meter: AudioContext | null = null;
  private timer = 0;
  private resource: Resource | null = null;
  private token: string | null = null;
  private broadcast = "";
  private readonly stopping = new AbortController();

  constructor(
    private readonly changed: (microphone: Microphone) => void,
    private readonly heard: (heard: Heard) => void,
    /** 0 (silence) to 1, fifteen times a second. */
    private readonly level: (level: number) => void,
  ) {}

  async start(broadcast: string): Promise<void> {
    try {
      this.changed({ state: "asking" });
      const sound = await capture();
      if (this.stopping.signal.aborted) {
        for (const track of sound.getTracks()) track.stop();
        return;
      }
      this.sound = sound;
      this.broadcast = broadcast;
      for (const track of sound.getAudioTracks())
        track.addEventListener("ended", () =>
          this.fail(new Problem(0, "device_gone", "The microphone is gone.", "Connect it, then try again.")),
        );
      this.changed({ state: "connecting" });
      await this.connect(sound);
      this.measure(sound);
      this.changed({ state: "listening" });
    } catch (thrown) {
      if (!this.stopping.signal.aborted) this.fail(problemFrom(thrown));
    }
  }

  stop(): void {
    this.release();
    this.changed({ state: "off" });
  }

  /** Opens a way to where the avatar is now; the one before is used until then. */
  private async connect(sound: MediaStream): Promise<void> {
    const grant = await openEar(this.broadcast);
    const connection = new RTCPeerConnection(configuration());
    let resource: Resource | null = null;
    try {
      connection.createDataChannel("ears").addEventListener("message", ({ data }) => {
        const heard = parseHeard(data);
        if (heard?.event === "moved") void this.move(sound);
        else if (heard) this.heard(heard);
      });
      for (const track of sound.getAudioTracks())
        connection.addTransceiver(track, { direction: "sendonly", streams: [sound] });
      await connection.setLocalDescription();
      const signal = AbortSignal.any([this.stopping.signal, AbortSignal.timeout(CONNECT_MS)]);
      resource = await exchange(grant.whip, connection.localDescription?.sdp ?? "", grant.token, signal);
      await connection.setRemoteDescription({ type: "answer", sdp: resource.answer });
      const lost = new Problem(
        0,
        "no_media_path",
        "The avatar cannot be reached by voice.",
        "Is its port open to you?",
      );
      await connected(connection, signal, lost);
    } catch (thrown) {
      connection.close();
      if (resource?.url) release(resource.url, grant.token);
      throw thrown;
    }
    connection.addEventListener("connectionstatechange", () => {
      if (this.connection !== connection) return;
      if (connection.connectionState === "failed" || connection.connectionState === "closed")
        this.fail(new Problem(0, "connection_lost", "The connection broke.", "Press to speak again."));
    });
    this.close();
    this.connection = connection;
    this.resource = resource;
    this.token = grant.token;
  }

  /** The avatar goes on at another origin. What cannot be opened there leaves the way that there is, for as long as it holds. */
  private async move(sound: MediaStream): Promise<void> {
    try {
      await this.connect(sound);
    } catch {
      // what is said on the old way is passed on, until that ends
    }
  }

  private close(): void {
    this.connection?.close();
    if (this.resource?.url) release(this.resource.url, this.token);
    this.connection = this.resource = null;
  }

  private measure(sound: MediaStream): void {
    this.meter = new AudioContext();
    const analyser = new AnalyserNode(this.meter, { fftSize: 1024 });
    this.meter.createMediaStreamSource(sound).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.timer = window.setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      // 50 dB below full scale is silence, 10 dB a loud voice.
      this.level(Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 50) / 40)));
    }, LEVEL_MS);
  }

  private fail(problem: Problem): void {
    if (this.stopping.signal.aborted) return;
    this.release();
    this.changed({ state: "failed", why: problem.message, hint: problem.hint ?? "Try again, or type." });
  }

  private release(): void {
    this.stopping.abort();
    window.clearInterval(this.timer);
    void this.meter?.close();
    this.close();
    for (const track of this.sound?.getTracks() ?? []) track.stop();
    this.meter = this.sound = null;
    this.level(0);
  }
}

async function capture(): Promise<MediaStream> {
  needSecurePage("microphone");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: SOUND });
  } catch (thrown) {
    throw explain(thrown instanceof DOMException ? thrown.name : "");
  }
}

/** Why there is no microphone, and what to do. */
export function explain(name: string): Problem {
  if (name === "NotFoundError")
    return new Problem(0, "no_device", "There is no microphone.", "Connect one, then press again.");
  const refused = refusal(name, "microphone", "press again");
  if (refused) return refused;
  return new Problem(0, "capture_failed", "The microphone cannot be used.", "Press again, or type.");
}
