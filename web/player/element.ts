/**
 * `<avacast-player broadcast="demo">`: a live picture that follows its delivery.
 *
 * Holds the parts together: the delivery machine decides, playbacks (WebRTC, HLS) bring pictures, controls show them.
 */

import { call, Problem, problemFrom } from "../api/problem.ts";
import { Captions } from "./captions.ts";
import { Controls, type Veil } from "./controls.ts";
import { type Action, Delivery, type Source } from "./delivery.ts";
import { Failures } from "./failures.ts";
import { HlsPlayback, preloadHls } from "./hls.ts";
import type { Layers } from "./layers.ts";
import { messageOf } from "./messages.ts";
import { type Mode, mergePlan, type Plan, parsePlan, type Role } from "./plan.ts";
import type { Listener, Playback, Reading } from "./playback.ts";
import { REPORT_MS, reportOf, sendReport } from "./report.ts";
import { keep, kept, measure, type Probe, parseProbes } from "./rtt.ts";
import { Seam } from "./seam.ts";
import { latencyText, MODE_NAMES, rowsOf, type Stats, statsOf } from "./stats.ts";
import { type Peer, preparePeer, WhepPlayback } from "./whep.ts";

const STATS_MS = 1000;
const SEAM_MS = 100;
const SHUN_MS = 20_000;
/** The server a script came from serves its broadcasts too, unless the page says otherwise. */
const HOME = new URL(import.meta.url).origin;

export class AvacastPlayer extends HTMLElement {
  static readonly observedAttributes = ["broadcast", "role", "server", "token", "poster"];

  private readonly delivery = new Delivery(Math.random);
  private readonly controls: Controls;
  private readonly captions = new Captions();
  private readonly failures = new Failures();
  /** Nodes that failed us lately, and until when we ask for others. */
  private readonly shunned = new Map<string, number>();
  private readonly playbacks = new Map<number, Playback>();
  private readonly layers = new Map<number, Layers | null>();
  private readonly sound = { muted: false, volume: 1, blocked: false };
  private readonly show = { captions: true, stats: false };
  /** Made while `/play` is on its way. */
  private spare: Peer | null = null;
  private plan: Plan | null = null;
  private probes: Probe[] = [];
  private asked = 0;
  private startedMs = 0;
  /** When the first picture was there; null before. */
  private shownMs: number | null = null;
  private pictures = 0;
  private deadlineTimer = 0;
  private statsTimer = 0;
  private reportTimer = 0;
  private last: { id: number; reading: Reading } | null = null;
  private latest: Stats | null = null;

  constructor() {
    super();
    this.controls = new Controls(this.attachShadow({ mode: "open", delegatesFocus: false }), {
      toggleMute: () => this.setMuted(!this.muted),
      volume: (value) => {
        this.volume = value;
      },
      toggleCaptions: () => this.setShow("captions", !this.show.captions),
      toggleStats: () => this.setShow("stats", !this.show.stats),
      toggleFullscreen: () => void this.toggleFullscreen(),
      start: () => this.start(),
      sound: () => this.setMuted(false),
      choose: (layer) => void this.choose(layer),
    });
    this.addEventListener("keydown", (event) => {
      const [target] = event.composedPath();
      const typing =
        target instanceof HTMLSelectElement ||
        (target instanceof HTMLInputElement && event.key.startsWith("Arrow"));
      if (!typing && this.controls.handleKey(event)) event.preventDefault();
    });
    this.addEventListener("fullscreenchange", () =>
      this.controls.setFullscreen(document.fullscreenElement === this),
    );
  }

  connectedCallback(): void {
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    if (!this.hasAttribute("aria-label")) this.ariaLabel = "Live video";
    this.sound.muted = this.hasAttribute("muted");
    this.controls.setFullscreen(false);
    this.controls.setCaptions(this.show.captions);
    this.controls.setStats(this.show.stats);
    this.controls.setPoster(this.getAttribute("poster"));
    this.refreshSound();
    window.addEventListener("pagehide", this.leave);
    window.addEventListener("pageshow", this.comeBack);
    window.addEventListener("online", this.tryNow);
    document.addEventListener("visibilitychange", this.tryNow);
    if (this.getAttribute("autostart") === "false") this.controls.setVeil({ show: "start" });
    else this.start();
  }

  disconnectedCallback(): void {
    window.removeEventListener("pagehide", this.leave);
    window.removeEventListener("pageshow", this.comeBack);
    window.removeEventListener("online", this.tryNow);
    document.removeEventListener("visibilitychange", this.tryNow);
    this.stop();
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now || !this.isConnected) return;
    if (name === "poster") this.controls.setPoster(now);
    else if (this.delivery.state.at !== "idle") {
      this.stop();
      this.start();
    }
  }

  get broadcast(): string {
    return this.getAttribute("broadcast") ?? "";
  }

  /** `passive` viewers may be moved to HLS, `interactive` ones stay on WebRTC. */
  get viewerRole(): Role {
    return this.getAttribute("role") === "passive" ? "passive" : "interactive";
  }

  get server(): string {
    return new URL(this.getAttribute("server") ?? HOME, document.baseURI).href;
  }

  /** How the picture on screen comes; null before the first. */
  get mode(): Mode | null {
    return this.delivery.shown?.target.mode ?? null;
  }

  /** Figures of the last second; null before the first picture. */
  get stats(): Stats | null {
    return this.latest;
  }

  /** The video element on screen. It is another one after each change of delivery. */
  get video(): HTMLVideoElement | null {
    const shown = this.delivery.shown;
    return shown ? (this.playbacks.get(shown.id)?.video ?? null) : null;
  }

  get muted(): boolean {
    return this.sound.muted || this.sound.blocked;
  }

  set muted(muted: boolean) {
    this.setMuted(muted);
  }

  get volume(): number {
    return this.sound.volume;
  }

  set volume(volume: number) {
    this.sound.volume = Math.min(1, Math.max(0, volume));
    this.setMuted(this.sound.volume === 0);
  }

  /** Starts to watch; while it waits for the next try, tries at once. */
  start(): void {
    if (this.broadcast === "") {
      const message = {
        title: "No broadcast chosen",
        hint: 'Set the attribute broadcast, such as broadcast="demo".',
      };
      this.controls.setVeil({ show: "problem", message });
      return;
    }
    if (this.delivery.state.at === "idle") this.startedMs = performance.now();
    const now = performance.now();
    this.act(this.delivery.state.at === "idle" ? this.delivery.start(now) : this.delivery.retry(now));
  }

  /** Writes a line of chat to everyone who watches; false while there is no channel for it (HLS, or not connected yet). */
  say(text: string, name: string | null = null): boolean {
    const shown = this.delivery.shown;
    return (shown && this.playbacks.get(shown.id)?.say(text, name)) ?? false;
  }

  /** Ends it; the screen goes dark. */
  stop(): void {
    this.act(this.delivery.stop());
    this.dropSpare();
    this.plan = null;
    this.last = null;
    this.latest = null;
    this.pictures = 0;
    this.shownMs = null;
    this.captions.clear();
    window.clearInterval(this.statsTimer);
    window.clearInterval(this.reportTimer);
    this.statsTimer = this.reportTimer = 0;
  }

  /** Shows or hides the figures on the picture. */
  toggleStats(): void {
    this.setShow("stats", !this.show.stats);
  }

  private readonly leave = (): void => this.stop();
  private readonly comeBack = (event: PageTransitionEvent): void => {
    if (event.persisted) this.start();
  };
  private readonly tryNow = (): void => {
    if (!document.hidden) this.act(this.delivery.retry(performance.now()));
  };

  private act(actions: Action[]): void {
    for (const action of actions) {
      switch (action.do) {
        case "ask":
          void this.ask();
          break;
        case "open":
          this.open(action.source);
          break;
        case "show":
          this.reveal(action.source);
          break;
        case "close":
          this.close(action.id);
          break;
      }
    }
    this.arm();
    this.refreshVeil();
  }

  /** One timer for whatever the machine waits for. */
  private arm(): void {
    window.clearTimeout(this.deadlineTimer);
    const deadline = this.delivery.deadlineMs;
    if (deadline === null) return;
    this.deadlineTimer = window.setTimeout(
      () => {
        const now = performance.now();
        const before = this.delivery.state;
        this.act(this.delivery.tick(now, new Problem(0, "timeout", "The server did not answer in time.")));
        if (before.at === "opening" && this.delivery.state !== before)
          this.failures.note(before.next.target.mode, now);
      },
      Math.max(0, deadline - performance.now()),
    );
  }

  private async ask(): Promise<void> {
    const turn = ++this.asked;
    // The offer needs nothing from the answer of /play: make both at once.
    if (typeof RTCPeerConnection === "function") this.spare ??= preparePeer();
    const url = new URL(`/api/broadcasts/${encodeURIComponent(this.broadcast)}/play`, this.server);
    url.searchParams.set("role", this.viewerRole);
    if (this.plan?.viewer) url.searchParams.set("viewer", this.plan.viewer);
    const shunned = [...this.shunned].filter(([, untilMs]) => performance.now() < untilMs);
    if (this.plan?.node) url.searchParams.set("node", this.plan.node);
    const rtt = kept();
    if (rtt) url.searchParams.set("rtt", rtt);
    if (shunned.length > 0) url.searchParams.set("exclude", shunned.map(([node]) => node).join(","));
    try {
      const answer = await call<unknown>(url, { token: this.getAttribute("token") });
      if (turn !== this.asked || this.delivery.state.at !== "asking") return;
      this.probes = parseProbes((answer as { probes?: unknown } | null)?.probes, url.href);
      this.follow(answer, url.href, true);
    } catch (thrown) {
      if (turn === this.asked) this.act(this.delivery.handleRefusal(performance.now(), problemFrom(thrown)));
    }
  }

  /** Takes an answer of /play, of a report, or a mode event. */
  private follow(answer: unknown, base: string, asked: boolean): void {
    const now = performance.now();
    const told = parsePlan(answer, base);
    const plan = told && mergePlan(told, this.plan);
    const usable = plan && (asked || plan[plan.mode === "hls" ? "hls" : "whep"] !== null);
    const target = usable ? this.failures.choose(plan, now) : null;
    if (!plan || !target) {
      const problem = new Problem(0, "no_way", "The server named no way to watch this broadcast.");
      if (asked) this.act(this.delivery.handleRefusal(now, problem));
      return;
    }
    this.plan = plan;
    const token = target.token ?? this.getAttribute("token");
    for (const playback of this.playbacks.values())
      if (playback.mode === target.mode) playback.renew(target.url);
    this.act(this.delivery.handleTarget(now, { ...target, token }));
  }

  private open(source: Source): void {
    const video = document.createElement("video");
    video.autoplay = true;
    video.playsInline = true;
    video.disablePictureInPicture = true;
    video.ariaHidden = "true";
    // Beside a picture that plays, the new one is silent until it takes over.
    video.muted = this.delivery.shown !== null || this.muted;
    video.volume = this.sound.volume;
    video.addEventListener("loadedmetadata", () => void this.playAloud(video));
    this.controls.screen.append(video);
    const node = source.target.mode === "webrtc" ? (this.plan?.node ?? null) : null;
    const listener: Listener = {
      ready: () => {
        this.failures.clear(source.target.mode);
        void this.takeOver(source);
      },
      lost: (problem) => {
        const now = performance.now();
        // A node that answers with a refusal was reached: that says nothing against WebRTC.
        const unreached = source.target.mode === "hls" || problem.status === 0;
        if (unreached && this.delivery.shown?.id !== source.id) this.failures.note(source.target.mode, now);
        const undecodable = problem.code === "no_common_codec";
        if (undecodable) this.failures.ruleOut(source.target.mode, now);
        this.emit("error", { mode: source.target.mode, problem });
        if (node && problem.status !== 404 && !undecodable) this.shunned.set(node, now + SHUN_MS);
        this.act(this.delivery.handleLost(now, source.id, problem));
      },
      recovered: () => this.act(this.delivery.handleRecovered(source.id)),
      mode: (plan) => this.follow(plan, source.target.url, false),
      hint: () => this.act(this.delivery.handleHint(performance.now())),
      caption: (caption) => {
        this.captions.add(caption);
        this.emit("caption", caption);
      },
      viewers: (count) => this.emit("viewercount", { count }),
      chat: (line) => this.emit("chat", line),
      layers: (told) => {
        this.layers.set(source.id, told);
        this.refreshLayers();
      },
    };
    const playback: Playback =
      source.target.mode === "hls"
        ? new HlsPlayback(video, source.target, listener)
        : this.openPeer(video, source, listener);
    this.playbacks.set(source.id, playback);
    playback.captions?.(this.show.captions);
    void playback.open();
  }

  /** Gives the screen to a source that has its picture: between WebRTC and HLS in a pause of the sound. */
  private async takeOver(source: Source): Promise<void> {
    const seam = new Seam(performance.now());
    for (;;) {
      const shown = this.delivery.shown;
      const old =
        shown?.alive && shown.target.mode !== source.target.mode ? this.playbacks.get(shown.id) : undefined;
      const next = this.playbacks.get(source.id);
      if (!old || !next) break;
      const [oldMs, nextMs] = await Promise.all([old.sourceTimeMs(), next.sourceTimeMs()]);
      const lagMs = oldMs === null || nextMs === null ? null : Math.abs(oldMs - nextMs);
      if (seam.isHere(performance.now(), old.quietMs() ?? next.quietMs(), lagMs)) break;
      await new Promise((resolve) => window.setTimeout(resolve, SEAM_MS));
    }
    this.act(this.delivery.handleReady(performance.now(), source.id));
  }

  private openPeer(video: HTMLVideoElement, source: Source, listener: Listener): WhepPlayback {
    const peer = this.spare ?? preparePeer();
    this.spare = null;
    const identity = { role: this.viewerRole, viewer: this.plan?.viewer ?? null };
    return new WhepPlayback(video, source.target, identity, listener, peer);
  }

  private close(id: number): void {
    const playback = this.playbacks.get(id);
    if (!playback) return;
    this.playbacks.delete(id);
    this.layers.delete(id);
    playback.close();
    playback.video.remove();
  }

  /** The new picture takes the screen; the machine closes the old one right after. */
  private reveal(source: Source): void {
    const video = this.playbacks.get(source.id)?.video;
    if (!video) return;
    for (const other of this.controls.screen.querySelectorAll("video")) {
      other.classList.toggle("shown", other === video);
      if (other !== video) other.muted = true;
    }
    video.muted = this.muted;
    void this.playAloud(video);
    this.dropSpare();
    this.last = null;
    const { mode } = source.target;
    this.refreshLayers();
    this.pictures += 1;
    if (this.pictures === 1) {
      this.shownMs = performance.now();
      this.emit("firstframe", { mode, ms: this.shownMs - this.startedMs });
      // hls.js is 400 kB: fetched when there is nothing better to do, so that a switch finds it there.
      if (mode === "webrtc") window.setTimeout(() => void preloadHls().catch(() => undefined), 4000);
      // Spread, so that a crowd that came at once does not ask all nodes at once.
      window.setTimeout(() => void this.measureNodes(), 5000 + 10_000 * Math.random());
    }
    this.emit("mode", { mode, node: this.plan?.node ?? null, region: this.plan?.region ?? null });
    this.statsTimer ||= window.setInterval(() => void this.measure(), STATS_MS);
    this.reportTimer ||= window.setInterval(() => void this.report(), REPORT_MS);
    void this.measure().then(() => this.report());
  }

  /** For the next join: how far the nodes are that the orchestrator would choose from. */
  private async measureNodes(): Promise<void> {
    if (this.probes.length > 0 && this.delivery.shown) keep(await measure(this.probes.splice(0)));
  }

  /** Plays with the sound that the person wants; muted, with a button that says so, where the browser forbids it. */
  private async playAloud(video: HTMLVideoElement): Promise<void> {
    try {
      await video.play();
    } catch (thrown) {
      if (!(thrown instanceof DOMException) || thrown.name !== "NotAllowedError") return;
      this.sound.blocked = !this.sound.muted;
      video.muted = true;
      this.refreshSound();
      await video.play().catch(() => undefined);
    }
  }

  private setMuted(muted: boolean): void {
    this.sound.muted = muted;
    this.sound.blocked = false;
    this.refreshSound();
    const video = this.video;
    if (!video) return;
    video.muted = muted;
    video.volume = this.sound.volume;
    void this.playAloud(video);
  }

  private refreshSound(): void {
    this.controls.setSound(this.muted, this.sound.volume, this.sound.blocked);
    this.emit("sound", { muted: this.muted, volume: this.sound.volume, blocked: this.sound.blocked });
  }

  /** Asks for a layer by its id, or (null) for the best that fits. False when what is on screen has no choice. */
  async choose(layer: string | null): Promise<boolean> {
    const shown = this.delivery.shown;
    const playback = shown ? this.playbacks.get(shown.id) : undefined;
    const taken = (await playback?.choose?.(layer)) ?? false;
    this.refreshLayers();
    return taken;
  }

  private refreshLayers(): void {
    const shown = this.delivery.shown;
    const told = (shown && this.layers.get(shown.id)) ?? null;
    this.controls.setLayers(told);
    this.emit("layers", told);
  }

  private setShow(what: "captions" | "stats", on: boolean): void {
    this.show[what] = on;
    if (what === "captions") {
      this.controls.setCaptions(on);
      for (const playback of this.playbacks.values()) playback.captions?.(on);
    } else this.controls.setStats(on);
  }

  private async measure(): Promise<void> {
    const shown = this.delivery.shown;
    const playback = shown && this.playbacks.get(shown.id);
    if (!shown || !playback) return;
    const reading = await playback.read();
    if (this.delivery.shown?.id !== shown.id) return;
    const before = this.last?.id === shown.id ? this.last.reading : null;
    const size = { width: playback.video.videoWidth, height: playback.video.videoHeight };
    this.latest = statsOf(before, reading, size);
    this.last = { id: shown.id, reading };
    this.controls.setLive(true, ` · ${MODE_NAMES[reading.mode]} · ${latencyText(this.latest.latencyMs)}`);
    const where = { node: this.plan?.node ?? null, region: this.plan?.region ?? null };
    if (this.show.stats) this.controls.showStats(rowsOf(this.latest, where));
    this.controls.showCaption(
      reading.latencyMs === null ? null : this.captions.at(Date.now() - reading.latencyMs),
    );
    this.emit("stats", this.latest);
  }

  private async report(): Promise<void> {
    const viewer = this.plan?.viewer;
    if (!viewer || !this.latest || this.delivery.state.at === "idle") return;
    const report = reportOf(
      this.broadcast,
      this.viewerRole,
      this.plan?.node ?? null,
      this.latest,
      this.shownMs === null ? null : { startedMs: this.startedMs, shownMs: this.shownMs },
      performance.now(),
    );
    try {
      const answer = await sendReport(this.server, viewer, this.plan?.token ?? null, report);
      if (this.delivery.state.at === "playing") this.follow(answer, this.server, false);
    } catch {
      // What plays goes on playing without the orchestrator.
    }
  }

  private refreshVeil(): void {
    const { state } = this.delivery;
    let veil: Veil = { show: "nothing" };
    if (state.at === "idle") veil = { show: "start" };
    else if (state.shown && !state.shown.alive) veil = { show: "reconnecting" };
    else if (!state.shown) {
      const failed = state.at === "waiting" || state.at === "asking" ? state.problem : null;
      veil = failed ? { show: "problem", message: messageOf(failed) } : { show: "connecting" };
    }
    this.controls.setVeil(veil);
    if (!state.at || state.at === "idle" || !state.shown?.alive) this.controls.setLive(false, "");
    const problem = state.at === "waiting" ? state.problem : null;
    this.emit("state", { state: state.at, alive: this.delivery.shown?.alive ?? false, problem });
  }

  private dropSpare(): void {
    this.spare?.connection.close();
    this.spare = null;
  }

  private async toggleFullscreen(): Promise<void> {
    try {
      if (document.fullscreenElement === this) await document.exitFullscreen();
      else await this.requestFullscreen();
    } catch {
      // Not allowed in this frame: there is nothing to show for it.
    }
  }

  private emit(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(`avacast-${name}`, { detail, bubbles: true, composed: true }));
  }
}
