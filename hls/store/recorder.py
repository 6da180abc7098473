"""The recorder of a node: takes what its packagers show, keeps it in the spool, has it put into the store, and finishes what has ended.

One thread does all of it, fed by a bounded queue, so that neither a slow disk nor a store that does not answer is noticed by who watches.
What it cannot keep is a gap in the recording, and is told.

    RecordingShelf.put ─► queue ─► thread: Intake ─► Spool, Journal, Recording ─► Uploader ─► Store
                                     ▲                                              │ sent
                                     └──────────────────────────────────────────────┘"""

from __future__ import annotations

import enum
import queue
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from common.log import log
from common.metrics import counter, gauge
from hls.rendition import Snapshot
from hls.store import journal
from hls.store.catalogue import FILM, Entry, entry_of
from hls.store.film import Film
from hls.store.intake import Finished, Intake, missing
from hls.store.journal import Journal, JournalFull, Op
from hls.store.outbox import Item
from hls.store.recording import Recording, State, Track, recording_id
from hls.store.rows import Row
from hls.store.spool import Spool, SpoolFull
from hls.store.store import BRIEF, FINAL, IMMUTABLE, Store, Stream, content_type, whole
from hls.store.uploader import Uploader

_log = log("hls.recorder")

_MOST_QUEUED_BYTES = 64 << 20
"""What waits for the disk; what comes beyond it is a gap in the recording."""
_BATCH = 64
_MOST_FILE_BYTES = 256 << 20
_STORED_EVERY_S = 30.0
"""So often the playlists of a running broadcast are renewed in the store."""
_LOOK_EVERY_S = 1.0
_PLAYERS_S = 60.0
"""So long players still ask for what has left a list."""
_MOST_ROWS = 43_200
"""A day: then a recording ends and the next one begins, so that neither memory nor a file grows for ever."""
_MOST_QUEUED = 4096
"""Most snapshots that wait for the disk."""
_KEPT_S = 120.0
"""So long players of a broadcast that has ended find the list that goes back, which then has an end."""
_JOURNAL = "journal"

_LOST = counter("hls_recording_lost_segments_total", "Segments that are not in their recording", ("why",))
_SPOOL = gauge("hls_spool_bytes", "Bytes of recordings on this machine's disk")
_PAUSED = gauge("hls_recording_paused", "1 while the disk has no room for recordings")


class Why(enum.StrEnum):
    """Why a segment is a gap in the recording."""

    DISK_FULL = "disk full"
    DISK_SLOW = "disk slow"
    SPOOL_FULL = "spool full"
    DISK_BROKEN = "lost on disk"


_NONE = Track()


@dataclass(slots=True)
class _Open:
    """A recording that is not whole in the store yet, with its journal."""

    recording: Recording
    journal: Journal
    dirty: bool = True
    """Its journal has lines that must not be lost."""
    changed: bool = True
    """Its playlists are others than those in the store."""
    expired: dict[str, float] = field(default_factory=dict)
    """Seconds of each rendition that nobody will ask for again."""
    stored_at: float = float("-inf")
    ended_at: float | None = None
    last: dict[str, Item] = field(default_factory=dict)
    """What is still to be put before the recording is whole."""
    film: Film | None = None
    listed: bool = False
    """Everything but its entry in the catalogue is in the store."""


class Recorder:
    """Spools below `root`, at most `bound_bytes`. Without `store` nothing is kept beyond the broadcast: there is only the list that goes
    back `dvr_s`. `film`: each recording is kept as one MP4 too."""

    def __init__(
        self,
        root: Path,
        store: Store | None,
        *,
        bound_bytes: int,
        dvr_s: float = 0.0,
        film: bool = True,
        clock: Callable[[], float] = time.monotonic,
        parallel: int = 4,
    ) -> None:
        self.store = store
        self.dvr_s = dvr_s
        self.paused: str | None = None
        """Why nothing is recorded at the moment."""
        self._film = film
        self._clock = clock
        self._lock = threading.RLock()
        self._open: dict[str, _Open] = {}
        self._live: dict[str, str] = {}
        self._intakes: dict[str, Intake] = {}
        self._spool = Spool(root, bound_bytes, self._gave_up)
        self._queue: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._queued = threading.Lock()
        self._uploader = Uploader(store, self._was_sent, parallel=parallel, clock=clock) if store else None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins; first with what an earlier process has left."""
        self._thread.start()

    def close(self, wait_s: float = 5.0) -> None:
        """Takes in what was shown until now. What is not in the store after `wait_s` is put there after the next start."""
        self._queue.put(("close",))
        self._thread.join()
        if self._uploader:
            self._uploader.close(wait_s)
        with self._lock:
            for one in self._open.values():
                one.journal.close()
            self._open.clear()

    # --- from the event loop: nothing here waits ---

    def opened(self, stream: str, target_s: int) -> None:
        """A packager begins."""
        self._queue.put(("opened", stream, target_s))

    def indexed(self, stream: str, text: bytes) -> None:
        """Its multivariant playlist is another."""
        self._queue.put(("indexed", stream, text))

    def shown(self, stream: str, snapshot: Snapshot, leads: bool) -> None:
        """It has shown more. Not `leads`: it is another one's, and recorded there."""
        if self._queue.qsize() > _MOST_QUEUED and not snapshot.ended:
            return  # a disk that hangs: the next playlist that is looked at tells what is missing
        size = sum(len(data) for _, data in snapshot.media)
        with self._queued:
            if self._queued_bytes + size > _MOST_QUEUED_BYTES:
                # Only its media: the lists still say what is missing.
                snapshot, size = _without_media(snapshot), 0
            self._queued_bytes += size
        self._queue.put(("shown", stream, snapshot, leads, size))

    def closed(self, stream: str) -> None:
        """It is over, whether it has said so or not."""
        self._queue.put(("closed", stream))

    # --- for who reads ---

    @contextmanager
    def recording(self, broadcast: str, id: str | None = None) -> Iterator[Recording | None]:
        """A recording that is not whole in the store yet, unchanged while this lasts; without `id` the one that runs."""
        with self._lock:
            path = f"recordings/{broadcast}/{id}" if id else self._live.get(broadcast, "")
            one = self._open.get(path)
            yield one.recording if one else None

    def entries(self) -> list[Entry]:
        """The recordings that are not whole in the store yet."""
        with self._lock:
            return [entry_of(one.recording, self.paused) for one in self._open.values()]

    def spooled(self, name: str) -> Path | None:
        """Where a file of a recording lies on this machine; None when it does not."""
        with self._lock:
            return self._spool.path(name) if name in self._spool else None

    def flush(self) -> None:
        """Waits until all that was shown before this call is in the spool."""
        done = threading.Event()
        self._queue.put(("flush", done))
        done.wait()

    def forget(self, broadcast: str, id: str) -> bool:
        """Puts nothing more of a recording that has ended, and keeps nothing of it here; whether there was any."""
        with self._lock:
            one = self._open.get(f"recordings/{broadcast}/{id}")
            if one is None or one.recording.state is State.LIVE:
                return False
            if self._uploader:
                self._uploader.cancel_below(f"{one.recording.path}/")
                self._uploader.cancel(one.recording.catalogue_name)
            self._forget(one)
            return True

    @property
    def waiting(self) -> int:
        """Objects that are not in the store yet."""
        return self._uploader.waiting if self._uploader else 0

    # --- the thread ---

    def _run(self) -> None:
        with self._lock:
            self._resume()
        while True:
            batch: list[tuple[Any, ...]] = [self._wait()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            with self._lock:
                for one in batch:
                    try:
                        self._take(*one)
                    except Exception as error:
                        # A fault of ours, or of what was shown, must not end the recordings of other broadcasts.
                        _log.error("recorder_failed", what=one[0], exc_info=error)
            try:
                self._commit()
                with self._lock:
                    for open_ in list(self._open.values()):
                        self._publish(open_)
                    _SPOOL.set(self._spool.used_bytes)
            except Exception as error:
                _log.error("recorder_failed", what="commit", exc_info=error)
            for what, *more in batch:
                if what == "flush":
                    more[0].set()
            if any(one[0] == "close" for one in batch):
                return

    def _wait(self) -> tuple[Any, ...]:
        try:
            return self._queue.get(timeout=_LOOK_EVERY_S)
        except queue.Empty:
            return ("look",)

    def _take(self, what: str, *more: Any) -> None:
        match what:
            case "opened":
                stream, target_s = more
                self._end(stream)
                self._intakes[stream] = Intake(target_s)
            case "indexed":
                stream, text = more
                intake = self._intakes.get(stream)
                if intake:
                    intake.index = text.decode()
                    self._note_index(stream, intake)
            case "shown":
                stream, snapshot, leads, size = more
                with self._queued:
                    self._queued_bytes -= size
                self._shown(stream, snapshot, leads)
            case "closed":
                self._end(more[0])
                self._intakes.pop(more[0], None)
            case "sent":
                self._sent(more[0])
            case _:
                pass

    def _shown(self, stream: str, snapshot: Snapshot, leads: bool) -> None:
        intake = self._intakes.get(stream)
        if intake is None:
            return
        for one in intake.take(snapshot):
            if leads:
                self._keep(stream, intake, one)
        if intake.ended:
            self._end(stream)

    def _keep(self, stream: str, intake: Intake, one: Finished) -> None:
        row = one.row
        path = self._live.get(stream)
        if path and len(self._open[path].recording.tracks.get(one.rendition, _NONE).rows) >= _MOST_ROWS:
            self._end(stream)
            path = None
        if path is None:
            if one.data is None:
                return  # the gaps that lead in
            try:
                path = self._begin(stream, intake, row)
            except OSError as error:
                self._pause(error.strerror or str(error))
                return
        open_ = self._open[path]
        recording = open_.recording
        track = recording.tracks.get(one.rendition)
        if row.msn < recording.first or (track and row.msn <= track.rows[-1].msn):
            return
        for before in missing(recording, one.rendition, row):
            self._note(open_, _row_op(one.rendition, before))
        if one.init is not None and f"{one.rendition}/{row.init}" not in recording.files:
            name, section = f"{one.rendition}/{row.init}", one.init
            if self._write(f"{path}/{name}", section, keep=True):
                self._note(
                    open_,
                    {
                        "op": "init",
                        "rendition": one.rendition,
                        "name": row.init,
                        "size": len(section),
                        "crc": zlib.crc32(section),
                    },
                )
                self._send(open_, name)
        op = _row_op(one.rendition, row)
        if one.data is not None and self._write(f"{path}/{one.rendition}/{row.uri}", one.data):
            self._note(open_, {**op, "size": len(one.data), "crc": zlib.crc32(one.data)})
            self._send(open_, f"{one.rendition}/{row.uri}")
            return
        lost = one.data is not None or not row.gap
        if lost:
            self._lost(stream, Why.DISK_FULL if one.data is not None else Why.DISK_SLOW, row)
        self._note(open_, {**op, "gap": True, "lost": lost})

    def _begin(self, stream: str, intake: Intake, row: Row) -> str:
        id = recording_id(row.date, secrets.token_hex(8))
        recording = Recording(stream, id, row.msn, row.date, intake.target_s)
        folder = self._spool.path(recording.path)
        folder.mkdir(parents=True, exist_ok=True)
        one = _Open(recording, Journal(folder / _JOURNAL))
        one.journal.note(recording.opening)
        self._open[recording.path] = one
        self._live[stream] = recording.path
        self._note_index(stream, intake)
        _log.info("recording", broadcast=stream, recording=id)
        return recording.path

    def _note_index(self, stream: str, intake: Intake) -> None:
        path = self._live.get(stream)
        if path and intake.index:
            self._note(self._open[path], {"op": "index", "text": intake.index})

    def _note(self, one: _Open, op: Op) -> None:
        one.recording.apply(op)
        one.changed = True
        one.dirty = one.dirty or op["op"] != "sent"
        try:
            one.journal.note(op)
        except JournalFull as error:
            _log.error("journal_full", recording=one.recording.id, reason=str(error))

    def _write(self, name: str, data: bytes, *, keep: bool = False) -> bool:
        try:
            self._spool.write(name, data, keep=keep)
        except SpoolFull as error:
            self._pause(str(error))
            return False
        self._go_on()
        return True

    def _pause(self, reason: str) -> None:
        if self.paused is None:
            self.paused = reason
            _PAUSED.set(1)
            _log.error(
                "recording_paused",
                reason=reason,
                folder=str(self._spool.root),
                hint="make room on that disk; the broadcast goes on, and so does the recording as soon as there is room",
            )

    def _go_on(self) -> None:
        if self.paused is not None:
            self.paused = None
            _PAUSED.set(0)
            _log.info("recording_goes_on", folder=str(self._spool.root))

    def _lost(self, stream: str, why: Why, row: Row) -> None:
        _LOST.labels(why.value).inc()
        _log.warning(
            "recording_lost_a_segment", broadcast=stream, why=why.value, segment=row.msn, at=row.date
        )

    def _gave_up(self, name: str) -> None:
        """The spool is at its bound and the store has not taken this file: newer ones need its place."""
        folder, _, file = name.rpartition("/")
        path, _, rendition = folder.rpartition("/")
        one = self._open.get(path)
        if self._uploader:
            self._uploader.cancel(name)
        if one is None:
            return
        row = one.recording.tracks[rendition].row(file)
        if row is not None and row.size_bytes:
            self._note(one, {"op": "lost", "rendition": rendition, "msn": row.msn})
            if self.store is not None:
                self._lost(one.recording.broadcast, Why.SPOOL_FULL, row)

    def _send(self, one: _Open, name: str) -> None:
        path = f"{one.recording.path}/{name}"
        if self._uploader is None:
            return
        rendition = name.partition("/")[0]
        self._uploader.add(Item(path, self._spool.path(path), content_type(name, rendition), IMMUTABLE))

    def _was_sent(self, item: Item) -> None:
        self._queue.put(("sent", item))

    def _sent(self, item: Item) -> None:
        self._spool.sent(item.name)
        one = next((one for path, one in self._open.items() if item.name.startswith(f"{path}/")), None)
        if one is None:
            one = next(
                (one for one in self._open.values() if one.recording.catalogue_name == item.name), None
            )
        if one is None:
            return
        name = item.name.removeprefix(f"{one.recording.path}/")
        if name in one.recording.files:
            self._note(one, {"op": "sent", "name": name})
        if one.last.get(item.name) is item:
            del one.last[item.name]
            if not one.last:
                self._next_step(one)

    def _end(self, stream: str) -> None:
        path = self._live.pop(stream, None)
        if path is None:
            return
        one = self._open[path]
        one.ended_at = self._clock()
        self._note(one, {"op": "end"})
        _log.info(
            "recording_ended",
            broadcast=stream,
            recording=one.recording.id,
            duration_s=round(one.recording.duration_s, 1),
            lost=one.recording.lost,
        )

    def _commit(self) -> None:
        """What has been taken in is on the disk when this returns, as far as there is room. Without the lock: who reads does not wait for
        a disk, and nobody else writes."""
        try:
            self._spool.sync()
        except SpoolFull as error:
            self._pause(str(error))
        for one in list(self._open.values()):
            try:
                one.journal.flush(sync=one.dirty)
                one.dirty = False
            except OSError as error:
                self._pause(error.strerror or str(error))

    def _publish(self, one: _Open) -> None:
        """Renews playlists and the catalogue's entry in the store; the last time when all segments are there."""
        recording, now = one.recording, self._clock()
        over = self._uploader is None or recording.state is State.DONE
        if over and one.ended_at is not None and now >= one.ended_at + _KEPT_S:
            self._forget(one)
        elif self._uploader is None:
            self._expire(one)
        elif recording.state is State.LIVE:
            if one.changed and now >= one.stored_at + _STORED_EVERY_S:
                one.stored_at, one.changed = now, False
                for item in [*self._playlists(recording, BRIEF), self._entry(recording)]:
                    self._uploader.add(item)
        elif recording.state is State.ENDED and not recording.unsent and not one.listed and not one.last:
            items = [*self._playlists(recording, FINAL), self._entry(recording)]
            if self._film:
                one.film = self._film_of(recording)
            if one.film:
                name = f"{recording.path}/{FILM}"
                items.append(Item(name, Stream(one.film.chunks), content_type(FILM), IMMUTABLE))
            self._put_last(one, items)

    def _expire(self, one: _Open) -> None:
        """Without a store: what has left the list that goes back is there a minute longer."""
        for name, track in one.recording.tracks.items():
            gone, begin = 0, one.expired.get(name, 0.0)
            for row in track.rows:
                if track.duration_s - begin - row.duration_s <= self.dvr_s + _PLAYERS_S:
                    break
                begin += row.duration_s
                gone += 1
                self._spool.drop(f"{one.recording.path}/{name}/{row.uri}")
            one.expired[name] = begin
            track.forget(gone)

    def _put_last(self, one: _Open, items: list[Item]) -> None:
        assert self._uploader is not None, "without a store nothing is put"
        one.last = {item.name: item for item in items}
        for item in items:
            self._uploader.add(item)

    def _next_step(self, one: _Open) -> None:
        """All that was to be put is there: the entry that says so comes last, then this machine keeps nothing of it."""
        if not one.listed:
            one.listed = True
            if one.film:
                self._note(one, {"op": "film", "size": one.film.size_bytes})
            self._put_last(one, [self._entry(one.recording, State.DONE)])
            return
        self._note(one, {"op": "done"})
        _log.info("recording_stored", broadcast=one.recording.broadcast, recording=one.recording.id)

    def _film_of(self, recording: Recording) -> Film | None:
        video, sound = recording.pieces("v"), recording.pieces("a")
        return Film(video, sound, partial(self._file, recording.path)) if video or sound else None

    def _file(self, path: str, name: str) -> bytes:
        """A file of a recording, from this machine or from the store; for threads. Raises StoreError."""
        spooled = self.spooled(f"{path}/{name}")
        if spooled is not None:
            with suppress(OSError):
                return spooled.read_bytes()
        assert self.store is not None, "without a store there is no film"
        return whole(self.store, f"{path}/{name}", _MOST_FILE_BYTES)

    def _forget(self, one: _Open) -> None:
        self._open.pop(one.recording.path, None)
        one.journal.close()
        self._spool.drop_folder(one.recording.path)

    @staticmethod
    def _playlists(recording: Recording, lifetime: str) -> list[Item]:
        texts = {"index.m3u8": recording.multivariant()}
        texts |= {f"{name}/index.m3u8": recording.stored(name) for name in recording.tracks}
        kind = content_type("index.m3u8")
        return [
            Item(f"{recording.path}/{name}", text.encode(), kind, lifetime) for name, text in texts.items()
        ]

    def _entry(self, recording: Recording, state: State | None = None) -> Item:
        entry = entry_of(recording, self.paused)
        view = (
            entry.view if state is None else entry.view.model_copy(update={"state": state, "progress": 1.0})
        )
        return Item(entry.name, view.model_dump_json().encode(), "application/json", "no-store")

    def _resume(self) -> None:
        """Goes on with what an earlier process has left: what it was recording has ended, what was not in the store is put there."""
        for path in sorted(self._spool.root.glob(f"recordings/*/*/{_JOURNAL}")):
            try:
                ops, size = journal.read(path)
                recording = Recording.opened(ops[0])
                if self._spool.path(recording.path) != path.parent:
                    raise ValueError(f"it is of {recording.path}")
                for op in ops[1:]:
                    recording.apply(op)
                self._adopt(_Open(recording, Journal(path, size), ended_at=self._clock()))
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                _log.error("journal_unreadable", path=str(path), reason=repr(error))

    def _adopt(self, one: _Open) -> None:
        recording = one.recording
        self._open[recording.path] = one
        if recording.state is State.DONE or not recording.files or self.store is None:
            self._forget(one)
            return
        for name, file in list(recording.files.items()):
            path = f"{recording.path}/{name}"
            there = self._spool.adopt(path, file.size_bytes, None if file.sent else file.crc)
            if there and file.sent:
                self._spool.sent(path)
            elif there:
                self._send(one, name)
            elif not file.sent:
                self._miss(one, name)
        if recording.state is State.LIVE:
            self._note(one, {"op": "end"})
        _log.info(
            "recording_resumed",
            broadcast=recording.broadcast,
            recording=recording.id,
            unsent=recording.unsent,
        )

    def _miss(self, one: _Open, name: str) -> None:
        rendition, _, uri = name.partition("/")
        track = one.recording.tracks.get(rendition)
        row = track.row(uri) if track else None
        if row is not None:
            self._lost(one.recording.broadcast, Why.DISK_BROKEN, row)
            self._note(one, {"op": "lost", "rendition": rendition, "msn": row.msn})
        else:
            # An init section: what needs it cannot be played.
            _log.error("recording_lost_an_init_section", recording=one.recording.id, name=name)
            self._note(one, {"op": "sent", "name": name})


def _row_op(rendition: str, row: Row) -> Op:
    op: Op = {
        "op": "row",
        "rendition": rendition,
        "msn": row.msn,
        "uri": row.uri,
        "duration": row.duration,
        "date": row.date,
        "init": row.init,
    }
    if row.discontinuity:
        op["discontinuity"] = True
    if row.gap:
        op["gap"] = True
    return op


def _without_media(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, media=[one for one in snapshot.media if one[0].startswith("init-")])
