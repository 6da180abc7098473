/** What is asked for a film: who speaks, what is said, how it looks. Files are sent first. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import {
  createJob,
  deleteUpload,
  type Kind,
  MOST_CHARACTERS,
  type NewJob,
  refusal,
  upload,
} from "../api/jobs.ts";
import { nameOf, PEOPLE } from "../api/people.ts";
import { type Problem, problemFrom } from "../api/problem.ts";
import { Choice, FormDialog } from "./dialogs.tsx";
import { Face } from "./face.tsx";
import { Going } from "./going.tsx";

/** Choices that are no person; no avatar is named so. */
const PHOTO = "#photo";
const OTHER = "#other";

const SIZES: [string, string][] = [
  ["512x512", "512 × 512, square"],
  ["854x480", "854 × 480, wide"],
  ["1280x720", "1280 × 720, wide"],
  ["480x854", "480 × 854, upright"],
];
/** Of the people and of a photo, when no other is asked for. */
const OWN = { person: "854x480", photo: "512x512" };
const ACCEPTS: Record<Kind, string> = {
  image: ".jpg,.jpeg,.png,.webp",
  audio: ".wav,.mp3,.m4a,.flac,.ogg,.webm,.aac",
};

interface Sending {
  kind: Kind;
  share: number;
}

export function NewJobDialog({ token, onClose }: { token: string; onClose(): void }) {
  const who = useSignal(PEOPLE[0]?.avatar ?? OTHER);
  const other = useSignal("");
  const photo = useSignal<File | null>(null);
  const spoken = useSignal(false);
  const text = useSignal("");
  const recording = useSignal<File | null>(null);
  const size = useSignal("");
  const plain = useSignal(false);
  const colour = useSignal("#00b140");
  const failed = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const sending = useSignal<Sending | null>(null);
  const files = useFiles(token, sending);

  const order = async (): Promise<NewJob> => {
    const look = {
      ...(size.value && { size: size.value }),
      ...(plain.value && { background: colour.value }),
    };
    const said = recording.value
      ? { audio: await files.send("audio", recording.value) }
      : { text: text.value.trim() };
    if (photo.value) return { ...look, ...said, image: await files.send("image", photo.value) };
    return { ...look, ...said, avatar: who.value === OTHER ? other.value.trim() : who.value };
  };
  const refused =
    (photo.value && refusal("image", photo.value)) || (recording.value && refusal("audio", recording.value));
  const submit = async (): Promise<void> => {
    failed.value = null;
    busy.value = true;
    try {
      await createJob(await order(), token);
      files.taken();
      onClose();
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    } finally {
      busy.value = false;
    }
  };
  const own = who.value === PHOTO ? OWN.photo : OWN.person;
  return (
    <FormDialog
      title="New film"
      action="Make it"
      disabled={busy.value || refused !== null}
      failed={refused ?? failed.value}
      onSubmit={submit}
      onClose={onClose}
    >
      <fieldset class="people many">
        <legend>Who speaks</legend>
        {PEOPLE.map(({ avatar }) => (
          <Choice key={avatar} chosen={who} avatar={avatar} name={nameOf(avatar)} title={nameOf(avatar)}>
            <Face avatar={avatar} />
          </Choice>
        ))}
        <Choice chosen={who} avatar={PHOTO} name="Photo" title="The person of a photo of yours">
          <Face avatar={null} />
        </Choice>
        <Choice chosen={who} avatar={OTHER} name="Other" title="Another avatar of the origins, by name">
          <Face avatar={OTHER} />
        </Choice>
      </fieldset>
      {who.value === PHOTO && (
        <FileField
          kind="image"
          title="Photo"
          text="One person who looks at you. JPEG, PNG or WebP, 10 MB at most."
          chosen={photo}
        />
      )}
      {who.value === OTHER && (
        <label class="field">
          Name of the avatar
          <input
            name="avatar"
            required
            pattern="[a-z0-9](?:[a-z0-9_\-]{0,62}[a-z0-9])?"
            title="a to z, 0 to 9, - and _"
            autocapitalize="off"
            autocomplete="off"
            spellcheck={false}
            value={other}
            onInput={(event) => (other.value = event.currentTarget.value)}
          />
          <small>Of a package that your origins have.</small>
        </label>
      )}
      <fieldset class="choices either">
        <legend>What is said</legend>
        <Either name="said" title="A text" chosen={spoken} value={false} />
        <Either name="said" title="A recording" chosen={spoken} value={true} />
      </fieldset>
      {spoken.value ? (
        <FileField
          kind="audio"
          title="Recording"
          text="Of one voice. WAV, MP3, M4A, FLAC, Ogg, WebM or AAC, 50 MB at most."
          chosen={recording}
        />
      ) : (
        <label class="field">
          Text
          <textarea
            name="text"
            rows={5}
            required
            maxLength={MOST_CHARACTERS}
            value={text}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
          <small>
            {text.value.length.toLocaleString("en")} of {MOST_CHARACTERS.toLocaleString("en")} characters
          </small>
        </label>
      )}
      <label class="field">
        Size
        <select name="size" value={size} onChange={(event) => (size.value = event.currentTarget.value)}>
          <option value="">Its own, {own.replace("x", " × ")}</option>
          {SIZES.map(([value, title]) => (
            <option key={value} value={value}>
              {title}
            </option>
          ))}
        </select>
        {size.value !== "" && size.value !== own && (
          <small>The first film in this size takes a minute or two longer.</small>
        )}
      </label>
      <fieldset class="choices either">
        <legend>Background</legend>
        <Either name="background" title="As it is" chosen={plain} value={false} />
        <Either name="background" title="A colour" chosen={plain} value={true} />
        {plain.value && (
          <input
            type="color"
            aria-label="Colour of the background"
            value={colour}
            onInput={(event) => (colour.value = event.currentTarget.value)}
          />
        )}
      </fieldset>
      {sending.value && (
        <Going
          step={sending.value.kind === "image" ? "Sending the photo" : "Sending the recording"}
          share={sending.value.share}
        />
      )}
    </FormDialog>
  );
}

interface EitherProps {
  name: string;
  title: string;
  chosen: Signal<boolean>;
  value: boolean;
}

function Either({ name, title, chosen, value }: EitherProps) {
  return (
    <label class="check">
      <input
        type="radio"
        name={name}
        checked={chosen.value === value}
        onChange={() => (chosen.value = value)}
      />
      {title}
    </label>
  );
}

interface FileFieldProps {
  kind: Kind;
  title: string;
  text: string;
  /** Null again when the field goes. */
  chosen: Signal<File | null>;
}

function FileField({ kind, title, text, chosen }: FileFieldProps) {
  useEffect(
    () => () => {
      chosen.value = null;
    },
    [chosen],
  );
  return (
    <label class="field">
      {title}
      <input
        type="file"
        name={kind}
        required
        accept={ACCEPTS[kind]}
        onChange={(event) => {
          chosen.value = event.currentTarget.files?.[0] ?? null;
        }}
      />
      <small>{text}</small>
    </label>
  );
}

interface Files {
  /** The id of a file's upload; one that was sent before is not sent again. */
  send(kind: Kind, file: File): Promise<string>;
  /** They are a job's now. */
  taken(): void;
}

/** What was sent for a film that was not ordered in the end is deleted with the dialog, and what is on its way is stopped. */
function useFiles(token: string, sending: Signal<Sending | null>): Files {
  const sent = useRef(new Map<File, string>());
  const ending = useRef(new AbortController());
  useEffect(
    () => () => {
      ending.current.abort();
      for (const id of sent.current.values()) deleteUpload(id, token).catch(() => {}); // it goes by itself after a week
    },
    [token],
  );
  const send = async (kind: Kind, file: File): Promise<string> => {
    const before = sent.current.get(file);
    if (before !== undefined) return before;
    try {
      sending.value = { kind, share: 0 };
      const told = (share: number): void => {
        sending.value = { kind, share };
      };
      const { id } = await upload(file, token, told, ending.current.signal);
      sent.current.set(file, id);
      return id;
    } finally {
      sending.value = null;
    }
  };
  return { send, taken: () => sent.current.clear() };
}
