/** The host's desk of an avatar's broadcast: what it says, what waits, questions to approve, words at once, a script. */

import { type Signal, useSignal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { type Broadcast, say } from "../api/broadcasts.ts";
import * as api from "../api/desk.ts";
import { Dialog } from "./dialogs.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { clock, readScript } from "./script.ts";

const EVERY_MS = 700;
const EXAMPLE = "0:00 Welcome, everybody!\n0:08 Let us begin. <break time='800ms'/> With *you*.";

interface Props {
  broadcast: Broadcast;
  token: string;
  onClose(): void;
}

export function Desk({ broadcast, token, onClose }: Props) {
  const id = broadcast.id;
  const read = useCallback((token: string, signal: AbortSignal) => api.readDesk(id, token, signal), [id]);
  const { value: desk, problem, act } = usePolled(read, token, EVERY_MS);
  const now = desk.value;
  return (
    <Dialog title={`Desk of ${broadcast.title || id}`} kind="wide" onClose={onClose}>
      {problem && <Notice problem={problem} />}
      <Speak
        onSay={(text, at) => act(() => say(id, text, { now: at, token }))}
        onSilence={() => act(() => api.silence(id, token))}
      />
      {now === null ? (
        <p class="nothing">Reading…</p>
      ) : (
        <>
          <section aria-label="Now">
            <h3>Now</h3>
            <p class="now">
              {now.speaking ? <Words line={now.speaking} /> : <span class="soft">Nothing is said.</span>}
            </p>
          </section>
          <Lines
            title="Next"
            none="Nothing waits."
            lines={now.waiting}
            onDrop={(line) => act(() => api.drop(id, line.number, token))}
          />
          <section aria-label="Questions">
            <header>
              <h3>Questions for you</h3>
              <label class="check">
                <input
                  type="checkbox"
                  checked={now.moderated}
                  onChange={(event) => void act(() => api.moderate(id, event.currentTarget.checked, token))}
                />
                Visitors’ questions wait for me
              </label>
            </header>
            <Lines
              title=""
              none={now.moderated ? "No question yet." : "Visitors’ questions are answered as they come."}
              lines={now.held}
              onApprove={(line) => act(() => api.approve(id, line.number, token))}
              onDrop={(line) => act(() => api.drop(id, line.number, token))}
            />
          </section>
          <Script
            desk={now}
            onPlay={(cues) => act(() => api.play(id, cues, token))}
            onStop={() => act(() => api.stop(id, token))}
          />
        </>
      )}
      <div class="buttons">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Speak(props: {
  onSay(text: string, now: boolean): Promise<boolean>;
  onSilence(): Promise<boolean>;
}) {
  const text = useSignal("");
  const say = async (now: boolean): Promise<void> => {
    const words = text.value.trim();
    if (words !== "" && (await props.onSay(words, now))) text.value = "";
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void say(false);
  };
  return (
    <form class="speak" onSubmit={submit}>
      <label class="field">
        Words for the avatar
        <input
          name="words"
          maxLength={2000}
          autocomplete="off"
          value={text}
          placeholder="It will be said as you write it"
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      <div class="buttons">
        <button type="button" class="button small quiet" onClick={() => void props.onSilence()}>
          Silence
        </button>
        <button
          type="button"
          class="button small"
          disabled={!text.value.trim()}
          onClick={() => void say(true)}
        >
          Say now
        </button>
        <button type="submit" class="button small primary" disabled={!text.value.trim()}>
          Say next
        </button>
      </div>
    </form>
  );
}

interface LinesProps {
  title: string;
  none: string;
  lines: api.Line[];
  onApprove?(line: api.Line): Promise<boolean>;
  onDrop(line: api.Line): Promise<boolean>;
}

function Lines({ title, none, lines, onApprove, onDrop }: LinesProps) {
  return (
    <section aria-label={title || undefined}>
      {title && <h3>{title}</h3>}
      {lines.length === 0 ? (
        <p class="soft">{none}</p>
      ) : (
        <ul class="lines">
          {lines.map((line) => (
            <li key={line.number}>
              <Words line={line} />
              <div class="buttons">
                {onApprove && (
                  <button type="button" class="button small primary" onClick={() => void onApprove(line)}>
                    Answer
                  </button>
                )}
                <button type="button" class="button small quiet" onClick={() => void onDrop(line)}>
                  Drop
                </button>
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Words({ line }: { line: api.Line }) {
  return (
    <span class="words">
      <b>{line.kind === "ask" ? "Question" : "Line"}</b> {line.text}
    </span>
  );
}

function Script(props: {
  desk: api.Desk;
  onPlay(cues: api.Cue[]): Promise<boolean>;
  onStop(): Promise<boolean>;
}) {
  const text = useSignal("");
  const wrong: Signal<string> = useSignal("");
  const running = props.desk.script;
  const submit = (event: Event) => {
    event.preventDefault();
    const read = readScript(text.value);
    wrong.value = "wrong" in read ? read.wrong : "";
    if ("cues" in read) void props.onPlay(read.cues);
  };
  if (running && running.next_at_s !== null)
    return (
      <section aria-label="Script">
        <header>
          <h3>Script</h3>
          <button type="button" class="button small" onClick={() => void props.onStop()}>
            Stop
          </button>
        </header>
        <progress max={running.cues} value={running.begun} aria-label="Lines begun" />
        <p class="soft">
          {running.begun} of {running.cues} lines · at {clock(running.position_s)} · next at{" "}
          {clock(running.next_at_s)}
          {running.behind_s >= 0.5 && ` · the last one began ${running.behind_s.toFixed(1)} s late`}
        </p>
      </section>
    );
  return (
    <form onSubmit={submit}>
      <label class="field">
        Script
        <textarea
          name="script"
          rows={4}
          placeholder={EXAMPLE}
          value={text}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <small>A line each, with its time. A line without one follows the line before.</small>
      </label>
      {wrong.value && (
        <p class="wrong" role="alert">
          {wrong.value}
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="button small">
          Play script
        </button>
      </div>
    </form>
  );
}
