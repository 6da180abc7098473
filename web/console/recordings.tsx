/** Recordings: play, download, delete. Only operators see them, and only where something is recorded. */

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { problemFrom } from "../api/problem.ts";
import { deleteRecording, listRecordings, type Recording, type RecordingPage } from "../api/recordings.ts";
import { loadStoryboard, spread, type Tile } from "../api/storyboard.ts";
import { preloadHls } from "../player/hls.ts";
import { durationText, sizeText } from "../player/stats.ts";
import { Dialog } from "./dialogs.tsx";
import { Notice } from "./notice.tsx";
import { usePolled } from "./polled.ts";
import { admin } from "./session.ts";
import { Table } from "./table.tsx";

const EVERY_MS = 5000;
const MOST = 25;
/**
 * Sound begins up to a frame after the pictures. hls.js 1.7 has sound that begins after the start of a running recording start at its
 * end, and when a discontinuity lies between, both wait for each other for ever.
 */
const BEGIN_S = 0.1;
/** Pictures below the player. */
const TILES = 24;

export function Recordings() {
  return admin.value ? <Of token={admin.value} /> : null;
}

const read = (token: string, signal: AbortSignal): Promise<RecordingPage> =>
  listRecordings(token, MOST, signal);

function Of({ token }: { token: string }) {
  const { value: page, failed } = usePolled(read, token, EVERY_MS);
  const playing = useSignal<Recording | null>(null);

  const remove = async (one: Recording): Promise<void> => {
    if (!confirm(`Delete the recording of “${one.broadcast}” of ${dateText(one)} for good?`)) return;
    try {
      await deleteRecording(one, token);
      const now = page.value;
      if (now) page.value = { ...now, recordings: now.recordings.filter((other) => other.id !== one.id) };
    } catch (thrown) {
      failed.value = problemFrom(thrown);
    }
  };

  const rows = page.value?.recordings ?? [];
  if (rows.length === 0 && !failed.value) return null;
  return (
    <section class="card" aria-labelledby="recordings">
      <header>
        <h2 id="recordings">Recordings</h2>
      </header>
      {failed.value && <Notice problem={failed.value} />}
      <Table
        rows={rows}
        columns={[
          "Broadcast",
          "Began",
          "State",
          { number: "Duration" },
          { number: "Size" },
          { actions: "Actions" },
        ]}
        empty="Nothing is recorded."
      >
        {(one) => (
          <tr key={one.id} data-recording={one.id}>
            <th scope="row">
              <span class="recorded">
                {one.poster ? <img src={one.poster} alt="" loading="lazy" /> : <span class="blank" />}
                {one.broadcast}
              </span>
            </th>
            <td>{dateText(one)}</td>
            <td>
              <State one={one} />
            </td>
            <td class="number">{durationText(one.duration_s)}</td>
            <td class="number">{sizeText(one.size_bytes + one.film_bytes)}</td>
            <td class="actions">
              <button type="button" class="button small" onClick={() => (playing.value = one)}>
                Play
              </button>
              {one.film && (
                <a class="button small" href={`${one.film}?download`} download>
                  MP4
                </a>
              )}
              {one.state !== "recording" && (
                <button type="button" class="button small quiet" onClick={() => void remove(one)}>
                  Delete
                </button>
              )}
            </td>
          </tr>
        )}
      </Table>
      {page.value?.next && <p class="nothing">And older ones: GET /api/recordings lists all.</p>}
      {page.value && page.value.unreachable.length > 0 && (
        <p class="nothing">Not answering: {page.value.unreachable.join(", ")}.</p>
      )}
      {playing.value && <Play one={playing.value} onClose={() => (playing.value = null)} />}
    </section>
  );
}

function State({ one }: { one: Recording }) {
  if (one.paused) return <span class="state bad">paused: {one.paused}</span>;
  const lost = one.lost_segments > 0 ? `, ${one.lost_segments} segments lost` : "";
  if (one.state === "finished") return <span class={`state ${lost ? "warn" : "good"}`}>finished{lost}</span>;
  const stored = `${Math.floor(one.progress * 100)} % stored`;
  return (
    <span class="state warn">
      {one.state}, {stored}
      {lost}
    </span>
  );
}

function Play({ one, onClose }: { one: Recording; onClose(): void }) {
  const video = useRef<HTMLVideoElement>(null);
  const failed = useSignal("");
  useEffect(() => {
    const element = video.current as HTMLVideoElement;
    let close = () => element.removeAttribute("src");
    let closed = false;
    void preloadHls().then((Hls) => {
      if (closed) return;
      if (!Hls.isSupported()) {
        element.src = one.play;
        return;
      }
      const hls = new Hls({ startPosition: BEGIN_S });
      close = () => hls.destroy();
      hls.on(Hls.Events.ERROR, (_event, data) => {
        if (data.fatal) failed.value = `It cannot be played: ${data.details}.`;
      });
      hls.loadSource(one.play);
      hls.attachMedia(element);
    });
    return () => {
      closed = true;
      close();
    };
  }, [one.play, failed]);
  return (
    <Dialog title={`Recording of ${one.broadcast}`} kind="play" onClose={onClose}>
      {/* biome-ignore lint/a11y/useMediaCaption: a recording has the captions that it has, in its playlist */}
      <video ref={video} controls autoPlay playsInline poster={one.poster ?? undefined} />
      {one.storyboard && <Storyboard address={one.storyboard} video={video} />}
      {failed.value && <p role="alert">{failed.value}</p>}
      <div class="buttons">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Storyboard({ address, video }: { address: string; video: RefObject<HTMLVideoElement | null> }) {
  const tiles = useSignal<Tile[]>([]);
  const now = useSignal(0);
  useEffect(() => {
    const ending = new AbortController();
    loadStoryboard(address, ending.signal).then(
      (found) => {
        tiles.value = spread(found, TILES);
      },
      () => {}, // the recording plays without it
    );
    const element = video.current;
    const note = (): void => {
      now.value = element?.currentTime ?? 0;
    };
    element?.addEventListener("timeupdate", note);
    return () => {
      ending.abort();
      element?.removeEventListener("timeupdate", note);
    };
  }, [address, video, tiles, now]);
  const go = (tile: Tile): void => {
    if (video.current) video.current.currentTime = tile.startS;
  };
  const at = tiles.value.findLastIndex((one) => one.startS <= now.value);
  return (
    <ol class="storyboard" aria-label="Go to">
      {tiles.value.map((one, index) => (
        <li key={one.startS}>
          <button
            type="button"
            onClick={() => go(one)}
            aria-current={index === at}
            aria-label={durationText(one.startS)}
            style={{
              width: `${one.width}px`,
              height: `${one.height}px`,
              background: `url("${one.sheet}") -${one.x}px -${one.y}px`,
            }}
          >
            <span>{durationText(one.startS)}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function dateText(one: Recording): string {
  return new Date(one.started).toLocaleString();
}
