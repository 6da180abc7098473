/** What lies over the picture: bar, veil, captions, statistics. Knows nothing of how the picture comes. */

import { ICONS } from "./icons.ts";
import { type Layers, layerName } from "./layers.ts";
import type { Message } from "./messages.ts";
import css from "./player.css?inline";

export type Veil =
  | { show: "nothing" }
  | { show: "start" }
  | { show: "connecting" }
  | { show: "problem"; message: Message }
  /** The last picture stands still behind it. */
  | { show: "reconnecting" };

/** What a person asks for, by pointer or by key. */
export interface Wishes {
  toggleMute(): void;
  volume(value: number): void;
  toggleCaptions(): void;
  toggleStats(): void;
  toggleFullscreen(): void;
  /** Start, or try again now. */
  start(): void;
  sound(): void;
  /** A layer by its id, or (null) the best that fits. */
  choose(layer: string | null): void;
}

const QUIET_AFTER_MS = 2500;

const HTML = `
<div class="root" part="root">
  <div class="screen"></div>
  <img class="poster" alt="" hidden>
  <div class="captions" aria-live="off"></div>
  <dl class="stats" hidden></dl>
  <div class="pill" role="status" hidden></div>
  <div class="veil" hidden><div class="spinner"></div><strong role="status"></strong><p></p><button class="again" type="button"></button></div>
  <button class="sound" type="button" hidden>${ICONS.muted}Tap for sound</button>
  <div class="bar">
    <button class="mute" type="button" data-key="M"></button>
    <input class="volume" type="range" min="0" max="1" step="0.05" aria-label="Volume">
    <div class="badge"><i></i><b>Live</b><span></span></div>
    <div class="space"></div>
    <select class="quality" aria-label="Quality" title="Quality" hidden></select>
    <button class="cc" type="button">${ICONS.captions}</button>
    <button class="info" type="button">${ICONS.stats}</button>
    <button class="fs" type="button"></button>
  </div>
</div>`;

export class Controls {
  readonly screen: HTMLElement;
  private readonly root: HTMLElement;
  private quietTimer = 0;

  constructor(
    private readonly shadow: ShadowRoot,
    private readonly wishes: Wishes,
  ) {
    const style = document.createElement("style");
    style.textContent = css;
    const template = document.createElement("template");
    template.innerHTML = HTML;
    shadow.replaceChildren(style, template.content);
    this.root = this.part("root");
    this.screen = this.part("screen");
    this.part("mute").addEventListener("click", () => wishes.toggleMute());
    this.part("cc").addEventListener("click", () => wishes.toggleCaptions());
    this.part("info").addEventListener("click", () => wishes.toggleStats());
    this.part("fs").addEventListener("click", () => wishes.toggleFullscreen());
    this.part("again").addEventListener("click", () => wishes.start());
    this.part("sound").addEventListener("click", () => wishes.sound());
    const quality = this.part("quality") as HTMLSelectElement;
    quality.addEventListener("change", () => wishes.choose(quality.value || null));
    const volume = this.part("volume") as HTMLInputElement;
    volume.addEventListener("input", () => wishes.volume(Number(volume.value)));
    this.root.addEventListener("dblclick", (event) => {
      if (!(event.target as HTMLElement).closest("button, input, select")) wishes.toggleFullscreen();
    });
    for (const happening of ["pointermove", "pointerdown", "focusin"])
      this.root.addEventListener(happening, () => this.wake());
    this.root.addEventListener("pointerleave", (event) => {
      if ((event as PointerEvent).pointerType === "mouse") this.root.classList.add("quiet");
    });
    this.wake();
  }

  setSound(muted: boolean, volume: number, blocked: boolean): void {
    const button = this.part("mute");
    button.innerHTML = muted ? ICONS.muted : ICONS.sound;
    name(button, muted ? "Turn sound on (m)" : "Turn sound off (m)", muted);
    const slider = this.part("volume") as HTMLInputElement;
    slider.value = String(muted ? 0 : volume);
    this.part("sound").hidden = !blocked;
  }

  setCaptions(on: boolean): void {
    name(this.part("cc"), "Captions (c)", on);
    this.part("captions").hidden = !on;
  }

  setStats(on: boolean): void {
    name(this.part("info"), "Statistics (i)", on);
    this.part("stats").hidden = !on;
  }

  setFullscreen(on: boolean): void {
    const button = this.part("fs");
    button.innerHTML = on ? ICONS.window : ICONS.full;
    name(button, on ? "Leave full screen (f)" : "Full screen (f)", on);
  }

  /** The menu of qualities: shown where there is a choice. */
  setLayers(told: Layers | null): void {
    const menu = this.part("quality") as HTMLSelectElement;
    menu.hidden = told === null || told.layers.length < 2;
    if (told === null || menu.hidden) return;
    const current = told.layers.find((layer) => layer.id === told.current);
    const now = current ? layerName(current, told.layers) : "sound only";
    const entries = [
      { id: "", name: told.selected === null ? `Auto (${now})` : "Auto" },
      ...told.layers.map((layer) => ({ id: layer.id, name: layerName(layer, told.layers) })),
    ];
    menu.replaceChildren(...entries.map(({ id, name }) => new Option(name, id)));
    menu.value = told.selected ?? "";
  }

  setPoster(url: string | null): void {
    const poster = this.part("poster") as HTMLImageElement;
    poster.hidden = url === null;
    if (url !== null) poster.src = url;
  }

  setLive(live: boolean, detail: string): void {
    this.root.classList.toggle("live", live);
    (this.part("badge").querySelector("b") as HTMLElement).textContent = live ? "Live" : "Offline";
    (this.part("badge").lastElementChild as HTMLElement).textContent = detail;
  }

  setVeil(veil: Veil): void {
    const still = veil.show === "reconnecting";
    this.setText("pill", still ? "Reconnecting…" : "");
    const covered = veil.show !== "nothing" && !still;
    this.part("veil").hidden = !covered;
    if (!covered) return;
    const waiting = veil.show === "connecting";
    this.part("spinner").hidden = !waiting;
    const title = this.part("veil").querySelector("strong") as HTMLElement;
    const hint = this.part("veil").querySelector("p") as HTMLElement;
    title.textContent = veil.show === "problem" ? veil.message.title : waiting ? "Connecting…" : "";
    hint.textContent = veil.show === "problem" ? veil.message.hint : "";
    const again = this.part("again");
    again.hidden = waiting;
    again.innerHTML = veil.show === "start" ? `${ICONS.play}Watch live` : "Try again now";
  }

  showCaption(text: string | null): void {
    const captions = this.part("captions");
    if ((captions.textContent ?? "") === (text ?? "")) return;
    captions.replaceChildren();
    if (text === null) return;
    const line = document.createElement("span");
    line.textContent = text;
    captions.append(line);
  }

  showStats(rows: [string, string][]): void {
    const list = this.part("stats");
    list.replaceChildren(
      ...rows.flatMap(([term, value]) => {
        const dt = document.createElement("dt");
        const dd = document.createElement("dd");
        dt.textContent = term;
        dd.textContent = value;
        return [dt, dd];
      }),
    );
  }

  /** Shows the bar, and hides it again when nothing moves for a while. */
  wake(): void {
    this.root.classList.remove("quiet");
    window.clearTimeout(this.quietTimer);
    this.quietTimer = window.setTimeout(() => this.root.classList.add("quiet"), QUIET_AFTER_MS);
  }

  /** Keys as on other players. True when the key was ours. */
  handleKey(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const volume = this.part("volume") as HTMLInputElement;
    switch (event.key.toLowerCase()) {
      case "m":
        this.wishes.toggleMute();
        break;
      case "c":
        this.wishes.toggleCaptions();
        break;
      case "i":
        this.wishes.toggleStats();
        break;
      case "f":
        this.wishes.toggleFullscreen();
        break;
      case "arrowup":
        this.wishes.volume(Math.min(1, Number(volume.value) + 0.1));
        break;
      case "arrowdown":
        this.wishes.volume(Math.max(0, Number(volume.value) - 0.1));
        break;
      default:
        return false;
    }
    this.wake();
    return true;
  }

  private setText(part: string, text: string): void {
    const element = this.part(part);
    element.textContent = text;
    element.hidden = text === "";
  }

  private part(className: string): HTMLElement {
    const found = this.shadow.querySelector<HTMLElement>(`.${className}`);
    if (found === null) throw new Error(`The player's template has no .${className}`);
    return found;
  }
}

function name(button: HTMLElement, label: string, pressed: boolean): void {
  button.setAttribute("aria-label", label.replace(/ \(.\)$/, ""));
  button.setAttribute("aria-pressed", String(pressed));
  button.title = label;
}
