/** The demo page: an avatar, and a conversation with it. */

import { signal } from "@preact/signals";
import { render } from "preact";
import "../theme/theme.css";
import "./demo.css";
import { ask, readBroadcast, say } from "../api/broadcasts.ts";
import { nameOf } from "../api/people.ts";
import { problemFrom } from "../api/problem.ts";
import type { AvacastPlayer } from "../player/element.ts";
import type { Caption } from "../player/playback.ts";
import type { Stats } from "../player/stats.ts";
import { Header } from "../theme/header.tsx";
import {
  delivered,
  EMPTY,
  heard,
  type Message,
  refused,
  typed,
  understood,
  type Way,
  withdrawn,
} from "./conversation.ts";
import { Ear, type Heard, type Microphone } from "./ear.ts";
import { Talk } from "./talk.tsx";
import { Who } from "./who.tsx";

const BROADCAST = "demo";

const player = document.querySelector("avacast-player") as AvacastPlayer;
const conversation = signal(EMPTY);
const stats = signal<Stats | null>(null);
const alive = signal(false);
const name = signal("Ava");
const microphone = signal<Microphone>({ state: "off" });
const level = signal(0);
const partial = signal<string | null>(null);
const note = signal("");
const HELD = "Your question waits for the host.";
let ear: Ear | null = null;
let lastId = 0;

player.addEventListener("avacast-caption", (event) => {
  const { detail } = event as CustomEvent<Caption>;
  conversation.value = heard(conversation.value, ++lastId, detail);
});
player.addEventListener("avacast-stats", (event) => {
  stats.value = (event as CustomEvent<Stats>).detail;
});
player.addEventListener("avacast-state", (event) => {
  alive.value = (event as CustomEvent<{ alive: boolean }>).detail.alive;
});

/** Who presents the demo is what its operator chose; until the answer comes, and without one, it is Ava. */
async function introduce(): Promise<void> {
  const { avatar } = await readBroadcast(BROADCAST);
  if (!avatar) return;
  name.value = nameOf(avatar);
  document.title = `${name.value}, live · Avacast`;
  player.setAttribute("aria-label", `${name.value}, live`);
}

async function send(text: string, way: Way): Promise<void> {
  const id = ++lastId;
  conversation.value = typed(conversation.value, id, text, way);
  // Typing to an avatar is a gesture: whoever asks wants to hear the answer.
  if (player.muted && !player.hasAttribute("muted")) player.muted = false;
  try {
    let held = false;
    if (way === "ask") held = (await ask(BROADCAST, text)).held ?? false;
    else await say(BROADCAST, text);
    note.value = held ? HELD : "";
    const now = delivered(conversation.value, id, Date.now());
    conversation.value = held ? { ...now, thinkingUntilMs: 0 } : now;
  } catch (thrown) {
    const problem = problemFrom(thrown);
    conversation.value = refused(conversation.value, id, problem.hint ?? problem.message);
  }
}

function sendAgain(message: Message): void {
  conversation.value = withdrawn(conversation.value, message.id);
  void send(message.text, message.way);
}

function pressMicrophone(): void {
  if (ear) {
    ear.stop();
    return;
  }
  // Whoever speaks wants to hear the answer.
  if (player.muted && !player.hasAttribute("muted")) player.muted = false;
  note.value = "";
  ear = new Ear(
    (now) => {
      microphone.value = now;
      if (now.state !== "off" && now.state !== "failed") return;
      ear = null;
      partial.value = null;
    },
    takeHeard,
    (loudness) => {
      level.value = loudness;
    },
  );
  void ear.start(BROADCAST);
}

function takeHeard(heard: Heard): void {
  switch (heard.event) {
    case "started":
      note.value = "";
      partial.value = "";
      return;
    case "partial":
      partial.value = heard.text;
      return;
    case "ended":
      return;
    case "final":
      partial.value = null;
      conversation.value = understood(conversation.value, ++lastId, heard.text, Date.now());
      return;
    case "held":
      note.value = HELD;
      return;
    case "refused":
      conversation.value = refused(conversation.value, lastId, heard.text);
      return;
    case "unclear":
      partial.value = null;
      note.value = "I did not catch that. Please say it again.";
  }
}

const mount = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
render(<Header />, mount("header"));
render(<Who name={name} stats={stats} alive={alive} onDetails={() => player.toggleStats()} />, mount("who"));
render(
  <Talk
    {...{ name, conversation, microphone, level, partial, note }}
    onSend={send}
    onAgain={sendAgain}
    onMicrophone={pressMicrophone}
  />,
  mount("talk"),
);
void introduce().catch(() => undefined);
