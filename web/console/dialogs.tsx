/** What dialogs are made of, and what the console asks of the operator: the admin token, and a new broadcast. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type CreatedBroadcast, createBroadcast } from "../api/broadcasts.ts";
import { listNodes } from "../api/nodes.ts";
import { nameOf, PEOPLE } from "../api/people.ts";
import { Problem, problemFrom } from "../api/problem.ts";
import { Face } from "./face.tsx";
import { Notice } from "./notice.tsx";
import { refresh } from "./overview.ts";
import { admin, signIn } from "./session.ts";

export function Dialog(props: {
  title: string;
  kind?: "wide" | "play";
  onClose(): void;
  children: preact.ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class={props.kind} onClose={props.onClose} aria-label={props.title}>
      <h2>{props.title}</h2>
      {props.children}
    </dialog>
  );
}

/** What stands below: the way out, then what the dialog is for. */
export function Buttons(props: { out: string; onClose(): void; children: preact.ComponentChildren }) {
  return (
    <div class="buttons">
      <button type="button" class="button" onClick={props.onClose}>
        {props.out}
      </button>
      {props.children}
    </div>
  );
}

/** A dialog that asks for something, and says why it was refused. */
export function FormDialog(props: {
  title: string;
  action: string;
  disabled?: boolean;
  failed: Problem | null;
  onSubmit(): Promise<void>;
  onClose(): void;
  children: preact.ComponentChildren;
}) {
  const submit = (event: Event): void => {
    event.preventDefault();
    void props.onSubmit();
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <form onSubmit={submit}>
        {props.children}
        {props.failed && <Notice problem={props.failed} />}
        <Buttons out="Cancel" onClose={props.onClose}>
          <button type="submit" class="button primary" disabled={props.disabled}>
            {props.action}
          </button>
        </Buttons>
      </form>
    </Dialog>
  );
}

/** A secret that is shown once. */
export function SecretDialog(props: { title: string; text: string; secret: string; onClose(): void }) {
  const copied = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const copy = async (): Promise<void> => {
    input.current?.select();
    try {
      await navigator.clipboard.writeText(props.secret);
      copied.value = true;
    } catch {
      // Without HTTPS there is no clipboard; it is selected, Ctrl+C does it.
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <p>{props.text}</p>
      <label class="field">
        Secret
        <input
          class="secret"
          ref={input}
          readOnly
          value={props.secret}
          onFocus={(event) => event.currentTarget.select()}
        />
      </label>
      <span class="visually-hidden" role="status">
        {copied.value ? "The secret is in the clipboard" : ""}
      </span>
      <Buttons out="Done" onClose={props.onClose}>
        <button type="button" class="button primary" onClick={() => void copy()}>
          {copied.value ? "Copied" : "Copy"}
        </button>
      </Buttons>
    </Dialog>
  );
}

export function SignIn({ onClose }: { onClose(): void }) {
  const token = useSignal("");
  const failed = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const submit = async (): Promise<void> => {
    busy.value = true;
    try {
      await listNodes(token.value.trim(), AbortSignal.timeout(5000));
      signIn(token.value.trim());
      onClose();
    } catch (thrown) {
      const problem = problemFrom(thrown);
      const refused = problem.status === 401 || problem.status === 403;
      failed.value = refused
        ? new Problem(
            problem.status,
            problem.code,
            "This is not the admin token.",
            "“avacast up” prints it when it starts.",
          )
        : problem;
    } finally {
      busy.value = false;
    }
  };
  return (
    <FormDialog
      title="Sign in"
      action="Sign in"
      disabled={busy.value}
      failed={failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <label class="field">
        Admin token
        <input
          name="admin-token"
          type="password"
          required
          autocomplete="off"
          value={token}
          onInput={(event) => (token.value = event.currentTarget.value)}
        />
        <small>“avacast up” prints it when it starts. It stays in this tab only.</small>
      </label>
    </FormDialog>
  );
}

export function NewBroadcast({ onClose }: { onClose(): void }) {
  const id = useSignal("");
  const title = useSignal("");
  const open = useSignal(true);
  const person = useSignal("");
  const made = useSignal<CreatedBroadcast | null>(null);
  const failed = useSignal<Problem | null>(null);
  const submit = async (): Promise<void> => {
    if (!admin.value) return;
    try {
      const speaks = person.value === "" ? {} : { avatar: person.value, open_mic: open.value };
      const wanted = { title: title.value.trim(), public: open.value, ...speaks };
      made.value = await createBroadcast(
        id.value.trim() ? { ...wanted, id: id.value.trim() } : wanted,
        admin.value,
      );
      void refresh();
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    }
  };
  if (made.value) return <Made broadcast={made.value} onClose={onClose} />;
  return (
    <FormDialog
      title="New broadcast"
      action="Make it"
      failed={failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <label class="field">
        Title
        <input
          name="title"
          required
          maxLength={200}
          value={title}
          onInput={(event) => (title.value = event.currentTarget.value)}
        />
      </label>
      <label class="field">
        Id
        <input
          name="id"
          pattern="[a-z0-9](?:[a-z0-9_\-]{0,62}[a-z0-9])?"
          title="a to z, 0 to 9, - and _"
          autocapitalize="off"
          value={id}
          onInput={(event) => (id.value = event.currentTarget.value)}
        />
        <small>The name in addresses. One is made when you leave it empty.</small>
      </label>
      <fieldset class="people">
        <legend>Who is seen</legend>
        <Choice chosen={person} avatar="" name="Camera" title="A camera, OBS or another encoder">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M3 7h11v10H3zm11 4 7-4v10l-7-4" />
          </svg>
        </Choice>
        {PEOPLE.map(({ avatar }) => (
          <Choice
            key={avatar}
            chosen={person}
            avatar={avatar}
            name={nameOf(avatar)}
            title={`${nameOf(avatar)}, drawn and spoken here`}
          >
            <Face avatar={avatar} />
          </Choice>
        ))}
      </fieldset>
      <label class="check">
        <input
          type="checkbox"
          checked={open.value}
          onChange={(event) => (open.value = event.currentTarget.checked)}
        />
        Anybody may watch
      </label>
    </FormDialog>
  );
}

interface ChoiceProps {
  chosen: Signal<string>;
  avatar: string;
  name: string;
  title: string;
  children: preact.ComponentChildren;
}

export function Choice({ chosen, avatar, name, title, children }: ChoiceProps) {
  return (
    <label title={title}>
      <input
        type="radio"
        name="person"
        checked={chosen.value === avatar}
        onChange={() => (chosen.value = avatar)}
      />
      {children}
      <span>{name}</span>
    </label>
  );
}

function Made({ broadcast, onClose }: { broadcast: CreatedBroadcast; onClose(): void }) {
  if (broadcast.avatar) return <Speaking broadcast={broadcast} onClose={onClose} />;
  const camera = `/camera#broadcast=${encodeURIComponent(broadcast.id)}&token=${encodeURIComponent(broadcast.token)}`;
  const whip = new URL(`/whip/${encodeURIComponent(broadcast.id)}`, location.href).href;
  return (
    <Dialog title="Ready to receive" onClose={onClose}>
      <p>Send to it from a browser, or with these in OBS or any WHIP encoder. The token is shown only now.</p>
      <label class="field">
        WHIP address
        <input readOnly value={whip} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <label class="field">
        Publisher token
        <input readOnly value={broadcast.token} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <Buttons out="Done" onClose={onClose}>
        <a class="button primary" href={camera} target="_blank" rel="noreferrer">
          Open the camera page
        </a>
      </Buttons>
    </Dialog>
  );
}

function Speaking({ broadcast, onClose }: { broadcast: CreatedBroadcast; onClose(): void }) {
  const name = nameOf(broadcast.avatar ?? "");
  return (
    <Dialog title={`${name} is getting ready`} onClose={onClose}>
      <p>In some seconds {name} is live, and says hello to the first who watches.</p>
      <Buttons out="Done" onClose={onClose}>
        <a
          class="button primary"
          href={`/watch/${encodeURIComponent(broadcast.id)}`}
          target="_blank"
          rel="noreferrer"
        >
          Watch
        </a>
      </Buttons>
    </Dialog>
  );
}
