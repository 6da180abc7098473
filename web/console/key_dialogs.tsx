/** What is asked for an API key, and how one is rotated. */

import { type Signal, useSignal } from "@preact/signals";
import { createKey, type Key, type MadeKey, rotateKey, type Scope } from "../api/keys.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { FormDialog } from "./dialogs.tsx";

const DAY_S = 86_400;

const SCOPES: [Scope, string, string][] = [
  ["read", "See", "all broadcasts, nodes, figures, costs and recordings"],
  ["speak", "Speak", "have avatars say, answer and be interrupted; a host’s desk"],
  ["broadcasts", "Broadcasts", "make, change and end them, with their tokens and delivery"],
  ["sessions", "Sessions", "make them for people, read, talk in and end them"],
  ["jobs", "Jobs", "upload files, have films made of them: its own only"],
  ["node", "Nodes", "start origins, relays and packagers in this cluster"],
  ["admin", "Everything", "keys and the audit log too: as the admin token"],
];

const LIVES: [string, number | null][] = [
  ["Until it is revoked", null],
  ["30 days", 30 * DAY_S],
  ["90 days", 90 * DAY_S],
  ["A year", 365 * DAY_S],
];

const GRACES: [string, number][] = [
  ["A day", DAY_S],
  ["A week", 7 * DAY_S],
  ["An hour", 3600],
  ["Not at all", 0],
];

interface Making {
  token: string;
  onMade(made: MadeKey): void;
  onClose(): void;
}

export function NewKeyDialog({ token, onMade, onClose }: Making) {
  const name = useSignal("");
  const scopes = useSignal<Scope[]>([]);
  const only = useSignal("");
  const life = useSignal(0);
  const sessions = useSignal("");
  const makes = useSignal("");
  const requests = useSignal("");
  const failed = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const submit = async (): Promise<void> => {
    busy.value = true;
    try {
      const wanted = {
        name: name.value.trim(),
        scopes: scopes.value,
        only: names(only.value),
        expires_in_s: LIVES[life.value]?.[1] ?? null,
        sessions: count(sessions.value),
        makes_per_minute: count(makes.value),
        requests_per_minute: count(requests.value),
      };
      onMade(await createKey(wanted, token));
    } catch (thrown) {
      failed.value = problemFrom(thrown);
      busy.value = false;
    }
  };
  const choose = (scope: Scope, on: boolean): void => {
    scopes.value = on ? [...scopes.value, scope] : scopes.value.filter((one) => one !== scope);
  };
  return (
    <FormDialog
      title="New API key"
      action="Make it"
      disabled={busy.value || scopes.value.length === 0}
      failed={failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <label class="field">
        Name
        <input
          name="name"
          required
          maxLength={100}
          autocomplete="off"
          value={name}
          onInput={(event) => (name.value = event.currentTarget.value)}
        />
        <small>Whose key it is. The audit log shows it.</small>
      </label>
      <fieldset class="choices">
        <legend>What it may</legend>
        {SCOPES.map(([scope, title, what]) => (
          <label key={scope} class="check">
            <input
              type="checkbox"
              name={scope}
              checked={scopes.value.includes(scope)}
              onChange={(event) => choose(scope, event.currentTarget.checked)}
            />
            <span>
              {title}
              <small>{what}</small>
            </span>
          </label>
        ))}
      </fieldset>
      <label class="field">
        Only these broadcasts
        <input
          name="only"
          autocomplete="off"
          spellcheck={false}
          placeholder="shop-* town-hall"
          value={only}
          onInput={(event) => (only.value = event.currentTarget.value)}
        />
        <small>shop-*: all that begin so. Of sessions it has those that it makes. Empty: all.</small>
      </label>
      <label class="field">
        Valid
        <select
          name="life"
          value={life.value}
          onChange={(event) => (life.value = Number(event.currentTarget.value))}
        >
          {LIVES.map(([title], index) => (
            <option key={title} value={index}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <details>
        <summary>Limits of its own</summary>
        <div class="limits">
          <Limit name="sessions" title="Sessions at once" value={sessions} />
          <Limit name="makes" title="Made a minute" value={makes} />
          <Limit name="requests" title="Requests a minute" value={requests} />
        </div>
        <small>Empty: as the settings have it.</small>
      </details>
    </FormDialog>
  );
}

function Limit({ name, title, value }: { name: string; title: string; value: Signal<string> }) {
  return (
    <label class="field">
      {title}
      <input
        name={name}
        type="number"
        inputMode="numeric"
        min={1}
        max={1_000_000}
        value={value}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
    </label>
  );
}

const names = (text: string): string[] | null => {
  const found = text.split(/[\s,]+/).filter((one) => one !== "");
  return found.length > 0 ? found : null;
};

const count = (text: string): number | null => (text.trim() === "" ? null : Number(text));

export function RotateDialog({ held, token, onMade, onClose }: Making & { held: Key }) {
  const grace = useSignal(0);
  const failed = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const submit = async (): Promise<void> => {
    busy.value = true;
    try {
      onMade(await rotateKey(held.id, GRACES[grace.value]?.[1] ?? DAY_S, token));
    } catch (thrown) {
      failed.value = problemFrom(thrown);
      busy.value = false;
    }
  };
  return (
    <FormDialog
      title={`Rotate the key of ${held.name}`}
      action="Rotate"
      disabled={busy.value}
      failed={failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <label class="field">
        The old secret is taken for
        <select
          name="grace"
          value={grace.value}
          onChange={(event) => (grace.value = Number(event.currentTarget.value))}
        >
          {GRACES.map(([title], index) => (
            <option key={title} value={index}>
              {title}
            </option>
          ))}
        </select>
        <small>Long enough to bring the new one to every place that has the old.</small>
      </label>
    </FormDialog>
  );
}
