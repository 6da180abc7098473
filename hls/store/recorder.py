"""The recorder of a node: takes what its packagers show, keeps it in the spool, has it put into the store, and finishes what has ended.

One thread does all of it, fed by a bounded queue, so that neither a slow disk nor a store that does not answer is noticed by who watches.
What it cannot keep is a gap in the recording, and is told.

    RecordedShelf.put ─► Inbox ─► thread: Intake ─► Spool, Ongoing ─► Publisher ─► Store
                           ▲                                             │ sent
                           └─────────────────────────────────────────────┘"""

from __future__ import annotations

import enum
import secrets
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from common.log import log
from common.metrics import counter, gauge
from hls.check.fragments import BadMedia
from hls.rendition import Snapshot
from hls.store import journal
from hls.store.catalogue import Entry, entry_of, stored_entry
from hls.store.fragments import key_bytes
from hls.store.inbox import (
    Close,
    Closed,
    Flush,
    Followed,
    HandedOver,
    Heard,
    Inbox,
    Indexed,
    Known,
    Leave,
    Message,
    Opened,
    Sent,
    Shown,
)
from hls.store.intake import Finished, Intake, Run, missing, run_after
from hls.store.journal import Journal, Op, line_of
from hls.store.ongoing import Ongoing
from hls.store.outbox import Item
from hls.store.publisher import Publisher
from hls.store.recording import Recording, State, Track, is_private, recording_id
from hls.store.rows import Row
from hls.store.shadow import COPY, BadLine, Shadow
from hls.store.spool import Spool, SpoolFull
from hls.store.store import Store, StoreError, whole

_log = log("hls.recorder")

_MOST_FILE_BYTES = 256 << 20
_LOOK_EVERY_S = 1.0
_PLAYERS_S = 60.0
"""So long players still ask for what has left a list."""
_MOST_ROWS = 43_200
"""A day: then a recording ends and the next one begins, so that neither memory nor a file grows for ever."""
_KEPT_S = 120.0
"""So long players of a broadcast that has ended find the list that goes back, which then has an end."""
_AGAIN_S = 120.0
"""So long after a start what the process before was recording may come again. Then it has ended."""
_ASK_AGAIN_S = 5.0
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
        self._clock = clock
        self._lock = threading.RLock()
        self._ongoing: dict[str, Ongoing] = {}
        self._live: dict[str, str] = {}
        self._intakes: dict[str, Intake] = {}
        self._leaving = False
        self._private: set[str] = set()
        self._shadows: dict[str, Shadow] = {}
        self._followers: dict[str, set[Callable[[bytes], None]]] = {}
        self._spool = Spool(root, bound_bytes, self._gave_up)
        self._inbox = Inbox()
        self._publisher = (
            Publisher(
                store, self._spool, self._file, self._was_sent, film=film, clock=clock, parallel=parallel
            )
            if store
            else None
        )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins; first with what an earlier process has left."""
        self._thread.start()

    def close(self, wait_s: float = 5.0) -> None:
        """Takes in what was shown until now. What is not in the store after `wait_s` is put there after the next start."""
        self._inbox.put(Close())
        self._thread.join()
        if self._publisher:
            self._publisher.close(wait_s)
        with self._lock:
            for one in self._ongoing.values():
                one.journal.close()
            self._ongoing.clear()
            for shadow in self._shadows.values():
                shadow.drop()

    # --- from the event loop: nothing here waits ---

    def opened(self, stream: str, target_s: int) -> None:
        """A packager begins."""
        self._inbox.put(Opened(stream, target_s))

    def indexed(self, stream: str, text: bytes) -> None:
        """Its multivariant playlist is another."""
        self._inbox.put(Indexed(stream, text))

    def shown(self, stream: str, snapshot: Snapshot, leads: bool) -> None:
        """It has shown more. Not `leads`: it is another one's, and recorded there."""
        self._inbox.show(stream, snapshot, leads)

    def closed(self, stream: str) -> None:
        """It is over, whether it has said so or not."""
        self._inbox.put(Closed(stream))

    def guard(self, stream: str, private: bool) -> None:
        """Whether recordings of this broadcast need a token. One that becomes private while it runs begins another recording; what is
        private stays so."""
        if private:
            self._private.add(stream)
        else:
            self._private.discard(stream)

    def follow(self, stream: str, reader: Callable[[bytes], None]) -> Callable[[], None]:
        """Tells `reader`, on the recorder's thread, the journal of the stream's recording: all lines so far, then each. Returns what ends
        that."""
        self._inbox.put(Followed(stream, reader))
        return lambda: self._inbox.put(Followed(stream, reader, ends=True))

    def heard(self, stream: str, lines: bytes) -> None:
        """The twin, which leads, has written this into its journal."""
        self._inbox.put(Heard(stream, lines))

    def hand_over(self, stream: str) -> None:
        """The twin goes on with this stream from now on. Its recording is finished here only if the twin records nothing."""
        self._inbox.put(HandedOver(stream))

    def leave(self) -> None:
        """The process ends, not the broadcasts: what runs now goes on after the next start, in the same recordings."""
        self._inbox.put(Leave())

    # --- for who reads ---

    @contextmanager
    def recording(self, broadcast: str, id: str | None = None) -> Iterator[Recording | None]:
        """A recording that is not whole in the store yet, unchanged while this lasts; without `id` the one that runs."""
        with self._lock:
            path = f"recordings/{broadcast}/{id}" if id else self._live.get(broadcast, "")
            one = self._ongoing.get(path)
            yield one.recording if one else None

    def entries(self) -> list[Entry]:
        """The recordings that are not whole in the store yet."""
        with self._lock:
            return [entry_of(one.recording, self.paused) for one in self._ongoing.values()]

    def spooled(self, name: str) -> Path | None:
        """Where a file of a recording lies on this machine; None when it does not."""
        with self._lock:
            return self._spool.path(name) if name in self._spool else None

    def flush(self) -> None:
        """Waits until all that was shown before this call is in the spool."""
        flush = Flush()
        self._inbox.put(flush)
        flush.done.wait()

    def forget(self, broadcast: str, id: str) -> bool:
        """Puts nothing more of a recording that has ended, and keeps nothing of it here; whether there was any."""
        with self._lock:
            one = self._ongoing.get(f"recordings/{broadcast}/{id}")
            if one is None or one.recording.state is State.LIVE:
                return False
            self._forget(one)
            return True

    @property
    def waiting(self) -> int:
        """Objects that are not in the store yet."""
        return self._publisher.waiting if self._publisher else 0

    # --- the thread ---

    def _run(self) -> None:
        with self._lock:
            self._resume()
        while True:
            batch = self._inbox.take(_LOOK_EVERY_S)
            with self._lock:
                for message in batch:
                    try:
                        self._take(message)
                    except Exception as error:
                        # A fault of ours, or of what was shown, must not end the recordings of other broadcasts.
                        _log.error("recorder_failed", what=type(message).__name__, exc_info=error)
            try:
                self._commit()
                with self._lock:
                    for one in list(self._ongoing.values()):
                        self._look(one)
                    if self._publisher is None:
                        for shadow in self._shadows.values():
                            if shadow.one:
                                self._expire(shadow.one)
                    _SPOOL.set(self._spool.used_bytes)
            except Exception as error:
                _log.error("recorder_failed", what="commit", exc_info=error)
            for message in batch:
                if isinstance(message, Flush):
                    message.done.set()
            if any(isinstance(message, Close) for message in batch):
                return

    def _take(self, message: Message) -> None:
        match message:
            case Opened(stream, target_s):
                self._intakes[stream] = Intake(target_s)
            case Indexed(stream, text):
                intake = self._intakes.get(stream)
                if intake:
                    intake.index = text.decode()
                    self._note_index(stream, intake)
            case Shown(stream, snapshot, leads):
                self._shown(stream, snapshot, leads)
            case Closed(stream):
                if not self._leaving:
                    self._end(stream)
                self._intakes.pop(stream, None)
                shadow = self._shadows.pop(stream, None)
                if shadow:
                    shadow.drop()
            case Heard(stream, lines):
                self._hear(stream, lines)
            case HandedOver(stream):
                path = self._live.pop(stream, None)
                if path:
                    self._ongoing[path].waits_until = self._clock() + _AGAIN_S
            case Followed(stream, reader, ends):
                self._followed(stream, reader, ends)
            case Known(path, elsewhere):
                self._known(path, elsewhere)
            case Leave():
                self._leaving = True
            case Sent(item):
                self._sent(item)
            case Flush() | Close():
                pass

    def _shown(self, stream: str, snapshot: Snapshot, leads: bool) -> None:
        intake = self._intakes.get(stream)
        if intake is None:
            return
        if leads and stream in self._shadows:
            self._take_over(stream, intake)
        for one in intake.take(snapshot):
            if leads:
                self._keep(stream, intake, one)
            else:
                self._shadows.setdefault(stream, Shadow(self._spool)).show(one)
        if intake.ended and not self._leaving:
            self._end(stream)

    def _hear(self, stream: str, lines: bytes) -> None:
        shadow = self._shadows.setdefault(stream, Shadow(self._spool))
        first = lines.partition(b"\n")[0]
        try:
            if b'"op":"open"' in first:
                # What we had of it before the twin went on with it is a part of what it tells.
                own = self._ongoing.get(Recording.opened(journal.parsed(first)).path)
                if own is not None:
                    if self._live.get(stream) == own.recording.path:
                        del self._live[stream]
                    self._forget(own)
            shadow.hear(lines)
        except (BadLine, ValueError, KeyError, TypeError) as error:
            _log.error("twin_recording_unreadable", broadcast=stream, reason=str(error))

    def _followed(self, stream: str, reader: Callable[[bytes], None], ends: bool) -> None:
        readers = self._followers.setdefault(stream, set())
        if ends:
            readers.discard(reader)
            return
        readers.add(reader)
        path = self._live.get(stream)
        if path:
            with suppress(OSError):
                self._ongoing[path].flush()
                reader((self._spool.path(path) / _JOURNAL).read_bytes())

    def _tell(self, stream: str, line: bytes) -> None:
        for reader in self._followers.get(stream, ()):
            reader(line)

    def _take_over(self, stream: str, intake: Intake) -> None:
        """The twin is gone: its recording is ours."""
        ours = self._shadows.pop(stream).take_over()
        if ours is None:
            return
        one, intake.run, finished = ours
        recording = one.recording
        self._end(stream)
        self._ongoing[recording.path] = one
        self._live[stream] = recording.path
        one.told = partial(self._tell, stream)
        for name, file in list(recording.files.items()):
            if f"{recording.path}/{name}" in self._spool:
                self._send(one, name)
            elif not file.sent:
                self._miss(one, name)
        _log.info("recording_taken_over", broadcast=stream, recording=recording.id, unsent=recording.unsent)
        for each in finished:
            self._keep(stream, intake, each)

    def _known(self, path: str, elsewhere: bool | None) -> None:
        one = self._ongoing.get(path)
        if one is None or one.waits_until is None:
            return  # its broadcast came again meanwhile
        if elsewhere is None:
            one.waits_until = self._clock() + _ASK_AGAIN_S
        elif elsewhere:
            _log.info("recording_is_elsewhere", recording=one.recording.id)
            if self._live.get(one.recording.broadcast) == path:
                del self._live[one.recording.broadcast]
            self._forget(one)
        else:
            self._finish(one)

    def _ask(self, one: Ongoing) -> None:
        """Whether a twin has gone on with a recording that nobody came for here: then it is finished there, and longer."""
        recording, store = one.recording, self.store
        one.waits_until = float("inf")
        if store is None:
            self._finish(one)
            return
        name, length_s = recording.catalogue_name, recording.duration_s

        def ask() -> None:
            try:
                view = stored_entry(store, name)
                elsewhere = view is not None and view.duration_s > length_s + 0.001
            except StoreError:
                self._inbox.put(Known(recording.path, None))
            else:
                self._inbox.put(Known(recording.path, elsewhere))

        threading.Thread(target=ask, name="recording elsewhere", daemon=True).start()

    def _keep(self, stream: str, intake: Intake, one: Finished) -> None:
        row = one.row
        path = self._live.get(stream)
        if path and len(self._ongoing[path].recording.tracks.get(one.rendition, _NONE).rows) >= _MOST_ROWS:
            self._end(stream)
            path = None
        if path and stream in self._private and not is_private(self._ongoing[path].recording.id):
            self._end(stream)
            path = None
        if path is None or intake.run is None:
            if one.data is None:
                return  # the gaps that lead in
            try:
                path = self._go_on_with(stream, intake, row) or self._begin(stream, intake, row)
            except OSError as error:
                self._pause(error.strerror or str(error))
                return
        run = intake.run
        assert run is not None, "a recording that has begun or goes on"
        if row.msn < run.first:
            return
        ongoing = self._ongoing[path]
        recording = ongoing.recording
        row = run.placed(row)
        track = recording.tracks.get(one.rendition)
        if track and row.msn <= track.rows[-1].msn:
            return
        for before in missing(recording, one.rendition, row, run.shift):
            ongoing.note(_row_op(one.rendition, before))
        if one.init is not None and f"{one.rendition}/{row.init}" not in recording.files:
            name, section = f"{one.rendition}/{row.init}", one.init
            if self._write(f"{path}/{name}", section, keep=True):
                ongoing.note(
                    {
                        "op": "init",
                        "rendition": one.rendition,
                        "name": row.init,
                        "size": len(section),
                        "crc": zlib.crc32(section),
                    },
                )
                self._send(ongoing, name)
        op = _row_op(one.rendition, row)
        if one.data is not None and self._write(f"{path}/{one.rendition}/{row.uri}", one.data):
            more = {"size": len(one.data), "crc": zlib.crc32(one.data)}
            if one.rendition.startswith("v"):
                more["key"] = _key_bytes(one.data)
            ongoing.note(op | more)
            self._send(ongoing, f"{one.rendition}/{row.uri}")
            return
        lost = one.data is not None or not row.gap
        if lost:
            self._lost(stream, Why.DISK_FULL if one.data is not None else Why.DISK_SLOW, row)
        ongoing.note({**op, "gap": True, "lost": lost})

    def _go_on_with(self, stream: str, intake: Intake, row: Row) -> str | None:
        """The recording of the run before this one, which `row` goes on with; None when there is none, or none that it can go on with:
        then that has ended."""
        path = self._live.get(stream)
        if path is None:
            return None
        one = self._ongoing[path]
        intake.run = run_after(one.recording, row, intake.target_s)
        if intake.run is None:
            self._end(stream)
            return None
        one.waits_until = None
        one.told = partial(self._tell, stream)
        self._note_index(stream, intake)
        _log.info("recording_goes_on_after_a_break", broadcast=stream, recording=one.recording.id)
        return path

    def _begin(self, stream: str, intake: Intake, row: Row) -> str:
        id = recording_id(row.date, secrets.token_hex(8), private=stream in self._private)
        recording = Recording(stream, id, row.msn, row.date, intake.target_s)
        folder = self._spool.path(recording.path)
        folder.mkdir(parents=True, exist_ok=True)
        one = Ongoing(recording, Journal(folder / _JOURNAL), told=partial(self._tell, stream))
        one.journal.note(recording.opening)
        self._tell(stream, line_of(recording.opening))
        self._ongoing[recording.path] = one
        self._live[stream] = recording.path
        intake.run = Run(row.msn)
        self._note_index(stream, intake)
        _log.info("recording", broadcast=stream, recording=id)
        return recording.path

    def _note_index(self, stream: str, intake: Intake) -> None:
        path = self._live.get(stream)
        if path and intake.index:
            self._ongoing[path].note({"op": "index", "text": intake.index})

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
        one = self._ongoing.get(path)
        if self._publisher:
            self._publisher.cancel(name)
        if one is None:
            return
        row = one.recording.tracks[rendition].row(file)
        if row is not None and row.size_bytes:
            one.note({"op": "lost", "rendition": rendition, "msn": row.msn})
            if self.store is not None:
                self._lost(one.recording.broadcast, Why.SPOOL_FULL, row)

    def _send(self, one: Ongoing, name: str) -> None:
        if self._publisher:
            self._publisher.send(one.recording, name)

    def _was_sent(self, item: Item) -> None:
        self._inbox.put(Sent(item))

    def _sent(self, item: Item) -> None:
        self._spool.sent(item.name)
        one = self._ongoing.get("/".join(item.name.split("/")[:3])) or next(
            (one for one in self._ongoing.values() if one.recording.catalogue_name == item.name), None
        )
        if one is not None and self._publisher:
            self._publisher.sent(one, item)

    def _end(self, stream: str) -> None:
        path = self._live.get(stream)
        if path is not None:
            self._finish(self._ongoing[path])

    def _finish(self, one: Ongoing) -> None:
        stream = one.recording.broadcast
        if self._live.get(stream) == one.recording.path:
            del self._live[stream]
        one.ended_at, one.waits_until = self._clock(), None
        self._even(one)
        one.note({"op": "end"})
        _log.info(
            "recording_ended",
            broadcast=stream,
            recording=one.recording.id,
            duration_s=round(one.recording.duration_s, 1),
            lost=one.recording.lost,
        )

    @staticmethod
    def _even(one: Ongoing) -> None:
        """A rendition that the last run had not, or not to its end, is gaps from there on: no list ends before the others."""
        last = one.recording.last
        for name, track in one.recording.tracks.items():
            if last is None or not track.rows:
                continue
            end = replace(last, msn=last.msn + 1, init=track.rows[-1].init)
            for row in missing(one.recording, name, end):
                one.note(_row_op(name, row))

    def _commit(self) -> None:
        """What has been taken in is on the disk when this returns, as far as there is room. Without the lock: who reads does not wait for
        a disk, and nobody else writes."""
        try:
            self._spool.sync()
        except SpoolFull as error:
            self._pause(str(error))
        copies = [shadow.one for shadow in self._shadows.values() if shadow.one]
        for one in [*self._ongoing.values(), *copies]:
            try:
                one.flush()
            except OSError as error:
                self._pause(error.strerror or str(error))

    def _look(self, one: Ongoing) -> None:
        """What is due without anything having happened."""
        over = self._publisher is None or one.recording.state is State.DONE
        if over and one.ended_at is not None and self._clock() >= one.ended_at + _KEPT_S:
            self._forget(one)
        elif one.waits_until is not None:
            if self._clock() >= one.waits_until:
                self._ask(one)
        elif self._publisher:
            self._publisher.look(one, self.paused)
        else:
            self._expire(one)

    def _expire(self, one: Ongoing) -> None:
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

    def _file(self, path: str, name: str) -> bytes:
        """A file of a recording, from this machine or from the store; for threads. Raises StoreError."""
        spooled = self.spooled(f"{path}/{name}")
        if spooled is not None:
            with suppress(OSError):
                return spooled.read_bytes()
        assert self.store is not None, "without a store there is no film"
        return whole(self.store, f"{path}/{name}", _MOST_FILE_BYTES)

    def _forget(self, one: Ongoing) -> None:
        self._ongoing.pop(one.recording.path, None)
        if self._publisher:
            self._publisher.forget(one)
        one.journal.close()
        self._spool.drop_folder(one.recording.path)

    def _resume(self) -> None:
        """Goes on with what an earlier process has left: what was not in the store is put there, and what it was recording waits for its
        broadcast."""
        for path in sorted(self._spool.root.glob(f"recordings/*/*/{_JOURNAL}")):
            try:
                ops, size = journal.read(path)
                recording = Recording.opened(ops[0])
                if self._spool.path(recording.path) != path.parent:
                    raise ValueError(f"it is of {recording.path}")
                for op in ops[1:]:
                    recording.apply(op)
                self._adopt(Ongoing(recording, Journal(path, size)))
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                _log.error("journal_unreadable", path=str(path), reason=repr(error))
        for path in self._spool.root.glob(f"recordings/*/*/{COPY}"):
            shutil.rmtree(path.parent, ignore_errors=True)

    def _adopt(self, one: Ongoing) -> None:
        recording = one.recording
        self._ongoing[recording.path] = one
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
            self._end(recording.broadcast)  # one that is older
            self._live[recording.broadcast] = recording.path
            one.waits_until = self._clock() + _AGAIN_S
        else:
            one.ended_at = self._clock()
        _log.info(
            "recording_resumed",
            broadcast=recording.broadcast,
            recording=recording.id,
            unsent=recording.unsent,
        )

    def _miss(self, one: Ongoing, name: str) -> None:
        rendition, _, uri = name.partition("/")
        track = one.recording.tracks.get(rendition)
        row = track.row(uri) if track else None
        if row is not None:
            self._lost(one.recording.broadcast, Why.DISK_BROKEN, row)
            one.note({"op": "lost", "rendition": rendition, "msn": row.msn})
        else:
            # An init section: what needs it cannot be played.
            _log.error("recording_lost_an_init_section", recording=one.recording.id, name=name)
            one.note({"op": "sent", "name": name})


def _key_bytes(segment: bytes) -> int:
    try:
        return key_bytes(memoryview(segment))
    except (BadMedia, struct.error, IndexError):
        return 0  # it is kept as it came


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
