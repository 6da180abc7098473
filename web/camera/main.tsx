/** `/camera`: sends this camera to a broadcast. `#broadcast=...&token=...` (or a query) fills the form. */

import { signal, useSignalEffect } from "@preact/signals";
import { render } from "preact";
import { useRef } from "preact/hooks";
import "../theme/theme.css";
import "./camera.css";
import { whereToPublish } from "../api/broadcasts.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { bitrateText, latencyText } from "../player/stats.ts";
import { Header } from "../theme/header.tsx";
import { type Choice, capture, type Device, type Devices, list } from "./devices.ts";
import { type Figures, Publisher } from "./publisher.ts";

type Phase = "preparing" | "ready" | "connecting" | "live";

const given = new URLSearchParams(`${location.search.slice(1)}&${location.hash.slice(1)}`);
const broadcast = signal(given.get("broadcast") ?? "");
const token = signal(given.get("token") ?? "");
const quality = signal(1_500_000);
const simulcast = signal(given.get("simulcast") === "1");
const phase = signal<Phase>("preparing");
const problem = signal<Problem | null>(null);
const stream = signal<MediaStream | null>(null);
const devices = signal<Devices>({ cameras: [], microphones: [] });
const choice = signal<Choice>({ camera: null, microphone: null });
const figures = signal<Figures | null>(null);
let publisher: Publisher | null = null;

const QUALITIES = [
  { name: "Economic, up to 600 kbit/s", bps: 600_000 },
  { name: "Good, up to 1.5 Mbit/s", bps: 1_500_000 },
  { name: "Best, up to 4 Mbit/s", bps: 4_000_000 },
];

async function prepare(): Promise<void> {
  try {
    const fresh = await capture(choice.value);
    const old = stream.value;
    stream.value = fresh;
    if (phase.value === "live") await publisher?.replace(fresh);
    else phase.value = "ready";
    for (const track of old?.getTracks() ?? []) track.stop();
    problem.value = null;
    devices.value = await list();
    const used = (kind: string) =>
      fresh
        .getTracks()
        .find((track) => track.kind === kind)
        ?.getSettings().deviceId ?? null;
    choice.value = { camera: used("video"), microphone: used("audio") };
  } catch (thrown) {
    problem.value = problemFrom(thrown);
  }
}

async function goLive(): Promise<void> {
  if (!stream.value) return;
  phase.value = "connecting";
  problem.value = null;
  const [id, shown] = [broadcast.value.trim(), token.value.trim() || null];
  publisher = new Publisher(
    {
      find: (signal) => whereToPublish(id, shown, signal),
      token: shown,
      maxBitrateBps: quality.value,
      simulcast: simulcast.value,
    },
    (ending) => {
      phase.value = "ready";
      problem.value = ending;
      figures.value = null;
      publisher = null;
    },
  );
  try {
    await publisher.start(stream.value);
    phase.value = "live";
  } catch (thrown) {
    phase.value = "ready";
    problem.value = problemFrom(thrown);
    publisher = null;
  }
}

setInterval(async () => {
  if (phase.value === "live" && publisher) figures.value = await publisher.read();
}, 1000);
navigator.mediaDevices?.addEventListener("devicechange", async () => {
  devices.value = await list();
});
addEventListener("pagehide", () => publisher?.stop());

function Page() {
  return (
    <>
      <Header />
      <main>
        <Preview />
        <form
          class="panel"
          onSubmit={(event) => {
            event.preventDefault();
            if (phase.value === "live") publisher?.stop();
            else void goLive();
          }}
        >
          <h1>Send your camera</h1>
          <Field label="Broadcast" hint="Its id, as the console shows it.">
            <input
              name="broadcast"
              required
              pattern="[A-Za-z0-9_\-]{1,64}"
              title="Letters, digits, - and _"
              value={broadcast}
              onInput={(event) => (broadcast.value = event.currentTarget.value)}
              disabled={phase.value !== "ready" && phase.value !== "preparing"}
              autocomplete="off"
              autocapitalize="off"
            />
          </Field>
          <Field label="Publisher token" hint="Comes with the broadcast when it is made.">
            <input
              name="token"
              type="password"
              value={token}
              onInput={(event) => (token.value = event.currentTarget.value)}
              disabled={phase.value !== "ready" && phase.value !== "preparing"}
              autocomplete="off"
            />
          </Field>
          <Select
            label="Camera"
            devices={devices.value.cameras}
            value={choice.value.camera}
            onChoose={(camera) => {
              choice.value = { ...choice.value, camera };
              void prepare();
            }}
          />
          <Select
            label="Microphone"
            devices={devices.value.microphones}
            value={choice.value.microphone}
            onChoose={(microphone) => {
              choice.value = { ...choice.value, microphone };
              void prepare();
            }}
          />
          <Field label="Quality">
            <select
              value={quality.value}
              disabled={phase.value === "live"}
              onChange={(event) => (quality.value = Number(event.currentTarget.value))}
            >
              {QUALITIES.map(({ name, bps }) => (
                <option key={bps} value={bps}>
                  {name}
                </option>
              ))}
            </select>
          </Field>
          <label class="check">
            <input
              type="checkbox"
              name="simulcast"
              checked={simulcast}
              disabled={phase.value === "live"}
              onChange={(event) => (simulcast.value = event.currentTarget.checked)}
            />
            Send a small picture too, for viewers on slow networks
          </label>
          <Trouble />
          <button
            type="submit"
            class={`button primary go ${phase.value === "live" ? "stop" : ""}`}
            disabled={phase.value === "preparing" || phase.value === "connecting"}
          >
            {{ preparing: "Go live", ready: "Go live", connecting: "Connecting…", live: "Stop" }[phase.value]}
          </button>
          {phase.value === "live" && (
            <p class="link">
              Watch it at{" "}
              <a
                href={`/watch/${encodeURIComponent(broadcast.value)}`}
                target="_blank"
                rel="noreferrer"
              >{`/watch/${broadcast.value}`}</a>
            </p>
          )}
        </form>
      </main>
    </>
  );
}

function Trouble() {
  const now = problem.value;
  if (!now) return null;
  const again = phase.value === "preparing";
  return (
    <div class="notice" role="alert">
      <div>
        <strong>{now.message}</strong>
        {now.hint ?? hintOf(now)}{" "}
        {again && (
          <button type="button" class="button small" onClick={() => void prepare()}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

/** What helps here, when the server does not say. */
function hintOf(now: Problem): string {
  if (now.status === 401 || now.status === 403)
    return "The console shows the publisher token when it makes a broadcast.";
  if (now.status === 404) return "The console lists the broadcasts that there are.";
  return "";
}

function Preview() {
  const video = useRef<HTMLVideoElement>(null);
  const now = stream.value;
  useSignalEffect(() => {
    if (video.current) video.current.srcObject = stream.value;
  });
  const sent = figures.value;
  return (
    <section class="preview" aria-label="Preview">
      <div class="frame">
        <video ref={video} autoplay playsInline muted hidden={!now} />
        {!now && <p class="waiting">{problem.value ? "No picture" : "Waiting for your camera…"}</p>}
        <span class={`state ${phase.value}`} role="status">
          {
            { preparing: "Preparing", ready: "Preview", connecting: "Connecting", live: "On air" }[
              phase.value
            ]
          }
        </span>
      </div>
      <dl class="figures" hidden={!sent}>
        <Figure name="Sent" value={bitrateText(sent?.bitrateBps ?? null)} />
        <Figure
          name="Picture"
          value={sent && sent.width > 0 ? `${sent.width} × ${sent.height}, ${Math.round(sent.fps)} fps` : "–"}
        />
        <Figure name="Round trip" value={latencyText(sent?.roundTripMs ?? null)} />
        <Figure
          name="Loss"
          value={sent?.lossRatio == null ? "–" : `${(sent.lossRatio * 100).toFixed(1)} %`}
        />
        <Figure name="Codec" value={sent?.codec ?? "–"} />
        <Figure
          name="Held back by"
          value={
            sent
              ? ({ none: "nothing", cpu: "this computer", bandwidth: "the network" }[sent.limitedBy] ??
                sent.limitedBy)
              : "–"
          }
        />
      </dl>
    </section>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: string;
  children: preact.ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
    <label class="field">
      {label}
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}

function Select(props: {
  label: string;
  devices: Device[];
  value: string | null;
  onChoose(id: string): void;
}) {
  return (
    <Field label={props.label}>
      <select
        value={props.value ?? ""}
        disabled={props.devices.length === 0}
        onChange={(event) => props.onChoose(event.currentTarget.value)}
      >
        {props.devices.length === 0 && <option value="">None found</option>}
        {props.devices.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </select>
    </Field>
  );
}

render(<Page />, document.getElementById("app") as HTMLElement);
void prepare();
