/** The button to speak instead of typing, and the line that says what it is doing. */

import type { ReadonlySignal } from "@preact/signals";
import type { Microphone } from "./ear.ts";

interface Props {
  name: ReadonlySignal<string>;
  microphone: ReadonlySignal<Microphone>;
  /** 0 to 1. */
  level: ReadonlySignal<number>;
  onPress(): void;
}

export function MicrophoneButton({ name, microphone, level, onPress }: Props) {
  const { state } = microphone.value;
  const on = state === "listening" || state === "connecting" || state === "asking";
  const label = on ? "Turn the microphone off" : `Speak to ${name}`;
  return (
    <button
      type="button"
      class={`mic ${state}`}
      style={{ "--level": level.value.toFixed(2) }}
      aria-pressed={on}
      aria-label={label}
      title={label}
      onClick={onPress}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <rect x="9" y="3" width="6" height="11" rx="3" />
        <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
        {state === "failed" && <path class="slash" d="M4 4l16 16" />}
      </svg>
    </button>
  );
}

/** How the microphone is, and what became of the last words. Nothing while it is off: the button says enough. */
export function MicrophoneStatus({
  name,
  microphone,
  note,
}: {
  name: ReadonlySignal<string>;
  microphone: ReadonlySignal<Microphone>;
  /** What became of the last words, when they became nothing. */
  note: ReadonlySignal<string>;
}) {
  return (
    <p class={`mic-status ${microphone.value.state}`} role="status">
      {textOf(microphone.value, name.value, note.value)}
    </p>
  );
}

function textOf(microphone: Microphone, name: string, note: string): string {
  switch (microphone.state) {
    case "off":
      return note;
    case "asking":
      return "Allow the microphone in your browser.";
    case "connecting":
      return "Connecting…";
    case "listening":
      return note || `Just speak. You can interrupt ${name}.`;
    case "failed":
      return `${microphone.why} ${microphone.hint}`;
  }
}
