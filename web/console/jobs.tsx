/** Jobs: films of an avatar or a photo that speaks: how far each is, and what to do with it. For operators. */

import { useSignal } from "@preact/signals";
import { useCallback } from "preact/hooks";
import { cancelJob, deleteJob, type Job, type JobPage, listJobs, retryJob } from "../api/jobs.ts";
import { nameOf } from "../api/people.ts";
import { sizeText } from "../player/stats.ts";
import { Buttons, Dialog } from "./dialogs.tsx";
import { Face } from "./face.tsx";
import { Going } from "./going.tsx";
import { NewJobDialog } from "./job_dialog.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";
import { ago, until } from "./times.ts";

const SOON_MS = 2000;
const LATER_MS = 5000;
const MOST = 25;
/** Of a text, in the table. */
const BEGINNING = 80;

const isOpen = (job: Job): boolean => job.state === "waiting" || job.state === "running";
const pace = (page: JobPage | null): number => (page?.jobs.some(isOpen) ? SOON_MS : LATER_MS);
const whoOf = (job: Job): string => (job.avatar === null ? "Photo" : nameOf(job.avatar));

export function Jobs() {
  return admin.value ? <Of token={admin.value} /> : null;
}

function Of({ token }: { token: string }) {
  /** `after` of the page that is shown, and of those before it; none: the first. */
  const turned = useSignal<readonly string[]>([]);
  const after = turned.value.at(-1) ?? null;
  const read = useCallback(
    (token: string, signal: AbortSignal) => listJobs(token, MOST, after, signal),
    [after],
  );
  const { value, problem, round, act } = usePolled(read, token, pace);
  const making = useSignal(false);
  const watched = useSignal<Job | null>(null);
  const page = value.value;
  return (
    <section class="card jobs" aria-labelledby="jobs">
      <header>
        <h2 id="jobs">Jobs</h2>
        <button type="button" class="button small" onClick={() => (making.value = true)}>
          New film
        </button>
      </header>
      {problem && <Notice problem={problem} />}
      <Table
        rows={page?.jobs ?? null}
        columns={["Film", "State", "Made", { number: "Size" }, { actions: "Actions" }]}
        empty={after === null ? <Nothing /> : "Nothing older is left."}
      >
        {(job) => (
          <Row
            key={job.id}
            job={job}
            onWatch={() => (watched.value = job)}
            onCancel={() => void act(() => cancelJob(job.id, token))}
            onAgain={() => void act(() => retryJob(job.id, token))}
            onDelete={() => void act(() => deleteJob(job.id, token))}
          />
        )}
      </Table>
      {(after !== null || page?.next) && (
        <div class="buttons pages">
          <button
            type="button"
            class="button small quiet"
            disabled={after === null}
            onClick={() => (turned.value = turned.value.slice(0, -1))}
          >
            Newer
          </button>
          <button
            type="button"
            class="button small quiet"
            disabled={!page?.next}
            onClick={() => {
              if (page?.next) turned.value = [...turned.value, page.next];
            }}
          >
            Older
          </button>
        </div>
      )}
      {making.value && (
        <NewJobDialog
          token={token}
          onClose={() => {
            making.value = false;
            turned.value = [];
            round.value++;
          }}
        />
      )}
      {watched.value && <Watch job={watched.value} onClose={() => (watched.value = null)} />}
    </section>
  );
}

function Nothing() {
  return (
    <>
      <strong>No film yet</strong>
      <p>
        A job makes a film of an avatar or a photo that says a text or a recording, while nobody waits. Make
        one here, or by POST /api/jobs.
      </p>
    </>
  );
}

interface RowProps {
  job: Job;
  onWatch(): void;
  onCancel(): void;
  onAgain(): void;
  onDelete(): void;
}

function Row({ job, onWatch, onCancel, onAgain, onDelete }: RowProps) {
  const said = job.text ?? "A recording";
  return (
    <tr data-job={job.id} data-state={job.state}>
      <th scope="row">
        <span class="film">
          <Face avatar={job.avatar} />
          <span class="words">
            {whoOf(job)}
            <small title={job.id}>{said.slice(0, BEGINNING)}</small>
          </span>
        </span>
      </th>
      <td>
        <State job={job} />
      </td>
      <td>
        <time dateTime={job.created_at} title={new Date(job.created_at).toLocaleString()}>
          {ago(job.created_at, Date.now())}
        </time>
        {job.account && <small>by {job.account}</small>}
      </td>
      <td class="number">
        {job.size_bytes === null ? "–" : sizeText(job.size_bytes)}
        <small>{job.size}</small>
      </td>
      <td>
        <div class="actions">
          {job.result && (
            <button type="button" class="button small" onClick={onWatch}>
              Watch
            </button>
          )}
          {(job.state === "failed" || job.state === "cancelled") && (
            <button type="button" class="button small" onClick={onAgain}>
              Again
            </button>
          )}
          {isOpen(job) ? (
            <button type="button" class="button small quiet" onClick={onCancel}>
              Cancel
            </button>
          ) : (
            <button
              type="button"
              class="button small quiet"
              onClick={() => {
                if (confirm(`Delete this film of ${whoOf(job)} for good?`)) onDelete();
              }}
            >
              Delete
            </button>
          )}
        </div>
      </td>
    </tr>
  );
}

function State({ job }: { job: Job }) {
  switch (job.state) {
    case "waiting":
      return (
        <>
          <span class="state warn">Waiting</span>
          <small class="reason">{job.ahead ? `${job.ahead} ahead of it` : "It is the next one"}</small>
        </>
      );
    case "running":
      return <Going step={job.step || "beginning"} share={job.share} />;
    case "done":
      return <span class="state good">Done</span>;
    case "failed":
      return (
        <>
          <span class="state bad">Failed</span>
          <small class="reason">{job.error}</small>
        </>
      );
    case "cancelled":
      return <span class="state">Cancelled</span>;
  }
}

function Watch({ job, onClose }: { job: Job; onClose(): void }) {
  const failed = useSignal(false);
  const film = job.result ?? "";
  return (
    <Dialog title={`Film of ${whoOf(job)}`} kind="play" onClose={onClose}>
      {/* biome-ignore lint/a11y/useMediaCaption: what is said stands below as text, where it was ordered as text */}
      <video controls autoPlay playsInline src={film} onError={() => (failed.value = true)} />
      {failed.value && <p role="alert">The film cannot be played. Is it deleted?</p>}
      {job.text && <p class="said">{job.text}</p>}
      {job.result_until && <p class="soft">It is kept for {until(job.result_until, Date.now())} more.</p>}
      <Buttons out="Close" onClose={onClose}>
        <a class="button primary" href={film} download={`${job.id}.mp4`}>
          Download
        </a>
      </Buttons>
    </Dialog>
  );
}
