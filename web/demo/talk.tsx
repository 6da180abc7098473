/** The conversation and the box to type in. */

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Conversation, Message, Way } from "./conversation.ts";
import type { Microphone } from "./ear.ts";
import { MicrophoneButton, MicrophoneStatus } from "./microphone.tsx";

const IDEAS = ["Who are you?", "How does your picture reach me?", "Tell me something nice."];
const LONGEST = 2000;

interface Props {
  name: ReadonlySignal<string>;
  conversation: ReadonlySignal<Conversation>;
  microphone: ReadonlySignal<Microphone>;
  level: ReadonlySignal<number>;
  /** What has been understood of what is being said. */
  partial: ReadonlySignal<string | null>;
  note: ReadonlySignal<string>;
  onSend(text: string, way: Way): Promise<void>;
  onAgain(message: Message): void;
  onMicrophone(): void;
}

export function Talk(props: Props) {
  const { name, conversation, microphone, level, partial, note, onSend, onAgain, onMicrophone } = props;
  const way = useSignal<Way>("ask");
  const text = useSignal("");
  const list = useRef<HTMLDivElement>(null);
  const { messages, thinkingUntilMs } = conversation.value;
  const thinking = useThinking(thinkingUntilMs);

  // biome-ignore lint/correctness/useExhaustiveDependencies: scrolls when what is listed changes
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight, behavior: "smooth" });
  }, [conversation.value, thinking, partial.value]);

  const submit = (event: Event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (words === "") return;
    text.value = "";
    void onSend(words, way.value);
  };

  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by key */}
      <div class="messages" ref={list} role="log" aria-live="polite" aria-label="What was said" tabIndex={0}>
        {messages.length === 0 && partial.value === null ? (
          <div class="empty">
            <h2>Say hello to {name}</h2>
            <p>Speak or type, and hear the answer. Or try one of these:</p>
            <div class="ideas">
              {IDEAS.map((idea) => (
                <button
                  key={idea}
                  type="button"
                  class="button small"
                  onClick={() => void onSend(idea, "ask")}
                >
                  {idea}
                </button>
              ))}
            </div>
          </div>
        ) : (
          messages.map((message) => (
            <Bubble key={message.id} name={name.value} message={message} onAgain={() => onAgain(message)} />
          ))
        )}
        {partial.value !== null && (
          <div class="bubble you partial" aria-live="off">
            <span class="visually-hidden">You are saying: </span>
            {partial.value || "…"}
          </div>
        )}
        {thinking && partial.value === null && (
          <div class="bubble ava thinking" role="status" aria-label={`${name} is thinking`}>
            <i />
            <i />
            <i />
          </div>
        )}
      </div>
      <MicrophoneStatus name={name} microphone={microphone} note={note} />
      <form class="composer" onSubmit={submit}>
        <fieldset class="ways">
          <legend class="visually-hidden">What {name} does with your words</legend>
          {(["ask", "say"] as const).map((choice) => (
            <label
              key={choice}
              title={choice === "ask" ? `${name} answers` : `${name} speaks your very words`}
            >
              <input
                type="radio"
                name="way"
                checked={way.value === choice}
                onChange={() => (way.value = choice)}
              />
              <span>{choice === "ask" ? "Ask" : "Say"}</span>
            </label>
          ))}
        </fieldset>
        <label class="visually-hidden" for="words">
          Your words
        </label>
        <input
          id="words"
          class="words"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
          placeholder={way.value === "ask" ? `Ask ${name} something…` : `Words for ${name} to speak…`}
          maxLength={LONGEST}
          autocomplete="off"
          enterkeyhint="send"
        />
        <MicrophoneButton name={name} microphone={microphone} level={level} onPress={onMicrophone} />
        <button type="submit" class="send" disabled={text.value.trim() === ""} aria-label="Send">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 19V5m-6 6 6-6 6 6" />
          </svg>
        </button>
      </form>
    </>
  );
}

function Bubble({ name, message, onAgain }: { name: string; message: Message; onAgain(): void }) {
  return (
    <div class={`bubble ${message.who} ${message.state}`}>
      <span class="visually-hidden">{message.who === "ava" ? `${name}: ` : "You: "}</span>
      {message.text}
      {message.state === "failed" && (
        <p class="why">
          Not sent: {message.why}{" "}
          <button type="button" onClick={onAgain}>
            Send again
          </button>
        </p>
      )}
    </div>
  );
}

/** True until that time; a silent avatar does not think for ever. */
function useThinking(untilMs: number): boolean {
  const over = useSignal(0);
  useEffect(() => {
    const left = untilMs - Date.now();
    if (left <= 0) return;
    const timer = setTimeout(() => (over.value = untilMs), left);
    return () => clearTimeout(timer);
  }, [untilMs, over]);
  return untilMs > Date.now() && over.value !== untilMs;
}
