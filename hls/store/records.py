"""The recordings of this machine that are not whole in the store yet: which run, what of them lies on the disk, what an earlier process has
left, and how one ends. Used under the recorder's lock, on its thread, unless a method says otherwise.

    run ─► (broadcast goes) ─► finished ─► whole in the store ─► dropped
     └──► waits: its process or its broadcast is gone, and may come again ─► run, finished, or dropped (a twin went on with it)"""

from __future__ import annotations

import enum
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from common.log import log
from common.metrics import counter, gauge
from common.store.store import Store, StoreError, whole
from hls.store import journal
from hls.store.catalogue import stored_entry
from hls.store.intake import missing
from hls.store.journal import Journal, Op
from hls.store.ongoing import Ongoing
from hls.store.outbox import Item
from hls.store.publisher import Publisher
from hls.store.recording import Recording, State
from hls.store.rows import Row
from hls.store.shadow import COPY
from hls.store.spool import Spool, SpoolFull

_log = log("hls.recorder")

_MOST_FILE_BYTES = 256 << 20
_PLAYERS_S = 60.0
"""So long players still ask for what has left a list."""
_KEPT_S = 120.0
"""So long players of a broadcast that has ended find the list that goes back, which then has an end."""
_AGAIN_S = 120.0
"""So long after a start what the process before was recording may come again. Then it has ended."""
_ASK_AGAIN_S = 5.0
JOURNAL = "journal"

_LOST = counter("hls_recording_lost_segments_total", "Segments that are not in their recording", ("why",))
_PAUSED = gauge("hls_recording_paused", "1 while the disk has no room for recordings")


class Why(enum.StrEnum):
    """Why a segment is a gap in the recording."""

    DISK_FULL = "disk full"
    DISK_SLOW = "disk slow"
    SPOOL_FULL = "spool full"
    DISK_BROKEN = "lost on disk"


class Records:
    """`learnt` hears, from other threads, what the store says of a recording that nobody came for; `sent` hears of each item that the
    store has."""

    def __init__(
        self,
        spool: Callable[[Callable[[str], None]], Spool],
        store: Store | None,
        *,
        dvr_s: float,
        film: bool,
        clock: Callable[[], float],
        parallel: int,
        lock: AbstractContextManager[object],
        learnt: Callable[[str, bool | None], None],
        sent: Callable[[Item], None],
    ) -> None:
        self.store = store
        self.dvr_s = dvr_s
        self.paused: str | None = None
        """Why nothing is recorded at the moment."""
        self.ongoing: dict[str, Ongoing] = {}
        """By path."""
        self.spool = spool(self._gave_up)
        self.publisher = (
            Publisher(store, self.spool, self._file, sent, film=film, clock=clock, parallel=parallel)
            if store
            else None
        )
        self._clock = clock
        self._lock = lock
        self._learnt = learnt
        self._live: dict[str, str] = {}
        """Stream -> path of the recording that runs, or waits for it."""

    def running(self, stream: str) -> Ongoing | None:
        """The recording of a stream that runs, or waits for it."""
        path = self._live.get(stream)
        return self.ongoing[path] if path is not None else None

    def run(self, one: Ongoing) -> None:
        """From now on it is the one of its stream."""
        self.ongoing[one.recording.path] = one
        self._live[one.recording.broadcast] = one.recording.path

    def leave(self, one: Ongoing) -> None:
        """Its stream has it no longer."""
        if self._live.get(one.recording.broadcast) == one.recording.path:
            del self._live[one.recording.broadcast]

    def hand_over(self, stream: str) -> None:
        """A twin goes on with the stream: its recording is finished here only if nobody went on with it."""
        one = self.running(stream)
        if one is not None:
            self.leave(one)
            one.waits_until = self._clock() + _AGAIN_S

    def spooled(self, name: str) -> Path | None:
        """Where a file of a recording lies on this machine; None when it does not. For any thread."""
        with self._lock:
            return self.spool.path(name) if name in self.spool else None

    def close(self) -> None:
        """Closes all journals."""
        for one in self.ongoing.values():
            one.journal.close()
        self.ongoing.clear()

    def write(self, name: str, data: bytes, *, keep: bool = False) -> bool:
        """Puts a file into the spool; False when the disk has no room."""
        try:
            self.spool.write(name, data, keep=keep)
        except SpoolFull as error:
            self.pause(str(error))
            return False
        self._go_on()
        return True

    def pause(self, reason: str) -> None:
        """Nothing can be kept now."""
        if self.paused is None:
            self.paused = reason
            _PAUSED.set(1)
            _log.error(
                "recording_paused",
                reason=reason,
                folder=str(self.spool.root),
                hint="make room on that disk; the broadcast goes on, and so does the recording as soon as there is room",
            )

    def _go_on(self) -> None:
        if self.paused is not None:
            self.paused = None
            _PAUSED.set(0)
            _log.info("recording_goes_on", folder=str(self.spool.root))

    def lose(self, stream: str, why: Why, row: Row) -> None:
        """A segment is not in its recording."""
        _LOST.labels(why.value).inc()
        _log.warning(
            "recording_lost_a_segment", broadcast=stream, why=why.value, segment=row.msn, at=row.date
        )

    def _gave_up(self, name: str) -> None:
        """The spool is at its bound and the store has not taken this file: newer ones need its place."""
        folder, _, file = name.rpartition("/")
        path, _, rendition = folder.rpartition("/")
        one = self.ongoing.get(path)
        if self.publisher:
            self.publisher.cancel(name)
        if one is None:
            return
        row = one.recording.tracks[rendition].row(file)
        if row is not None and row.size_bytes:
            one.note({"op": "lost", "rendition": rendition, "msn": row.msn})
            if self.store is not None:
                self.lose(one.recording.broadcast, Why.SPOOL_FULL, row)

    def send(self, one: Ongoing, name: str) -> None:
        """Has a file of it put into the store."""
        if self.publisher:
            self.publisher.send(one.recording, name)

    def sent(self, item: Item) -> None:
        """The store has it."""
        self.spool.sent(item.name)
        one = self.ongoing.get("/".join(item.name.split("/")[:3])) or next(
            (one for one in self.ongoing.values() if one.recording.catalogue_name == item.name), None
        )
        if one is not None and self.publisher:
            self.publisher.sent(one, item)

    def end(self, stream: str) -> None:
        """The stream is over, and with it the recording that runs."""
        one = self.running(stream)
        if one is not None:
            self.finish(one)

    def finish(self, one: Ongoing) -> None:
        """It is complete: its lists are made even, and the rest is the publisher's."""
        self.leave(one)
        one.ended_at, one.waits_until = self._clock(), None
        self._even(one)
        one.note({"op": "end"})
        _log.info(
            "recording_ended",
            broadcast=one.recording.broadcast,
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
                one.note(row_op(name, row))

    def commit(self, copies: Iterable[Ongoing]) -> None:
        """What has been taken in is on the disk when this returns, as far as there is room, and `copies` too. Without the lock: who reads
        does not wait for a disk, and nobody else writes."""
        try:
            self.spool.sync()
        except SpoolFull as error:
            self.pause(str(error))
        for one in [*self.ongoing.values(), *copies]:
            try:
                one.flush()
            except OSError as error:
                self.pause(error.strerror or str(error))

    def look(self, one: Ongoing) -> None:
        """What is due without anything having happened."""
        over = self.publisher is None or one.recording.state is State.DONE
        if over and one.ended_at is not None and self._clock() >= one.ended_at + _KEPT_S:
            self.drop(one)
        elif one.waits_until is not None:
            if self._clock() >= one.waits_until:
                self._ask(one)
        elif self.publisher:
            self.publisher.look(one, self.paused)
        else:
            self.expire(one)

    def known(self, path: str, elsewhere: bool | None) -> None:
        """What the store said to `_ask`; None: nothing."""
        one = self.ongoing.get(path)
        if one is None or one.waits_until is None:
            return  # its broadcast came again meanwhile
        if elsewhere is None:
            one.waits_until = self._clock() + _ASK_AGAIN_S
        elif elsewhere:
            _log.info("recording_is_elsewhere", recording=one.recording.id)
            self.leave(one)
            self.drop(one)
        else:
            self.finish(one)

    def _ask(self, one: Ongoing) -> None:
        """Whether a twin has gone on with a recording that nobody came for here: then it is finished there, and longer."""
        recording, store = one.recording, self.store
        one.waits_until = float("inf")
        if store is None:
            self.finish(one)
            return
        name, length_s = recording.catalogue_name, recording.duration_s

        def ask() -> None:
            try:
                view = stored_entry(store, name)
                elsewhere = view is not None and view.duration_s > length_s + 0.001
            except StoreError:
                self._learnt(recording.path, None)
            else:
                self._learnt(recording.path, elsewhere)

        threading.Thread(target=ask, name="recording elsewhere", daemon=True).start()

    def expire(self, one: Ongoing) -> None:
        """Without a store: what has left the list that goes back is there a minute longer."""
        for name, track in one.recording.tracks.items():
            gone, begin = 0, one.expired.get(name, 0.0)
            for row in track.rows:
                if track.duration_s - begin - row.duration_s <= self.dvr_s + _PLAYERS_S:
                    break
                begin += row.duration_s
                gone += 1
                self.spool.drop(f"{one.recording.path}/{name}/{row.uri}")
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

    def drop(self, one: Ongoing) -> None:
        """Keeps nothing more of it here."""
        self.ongoing.pop(one.recording.path, None)
        if self.publisher:
            self.publisher.forget(one)
        one.journal.close()
        self.spool.drop_folder(one.recording.path)

    def resume(self) -> None:
        """Goes on with what an earlier process has left: what was not in the store is put there, and what it was recording waits for its
        broadcast."""
        for path in sorted(self.spool.root.glob(f"recordings/*/*/{JOURNAL}")):
            try:
                ops, size = journal.read(path)
                recording = Recording.opened(ops[0])
                if self.spool.path(recording.path) != path.parent:
                    raise ValueError(f"it is of {recording.path}")
                for op in ops[1:]:
                    recording.apply(op)
                self._adopt(Ongoing(recording, Journal(path, size)))
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                _log.error("journal_unreadable", path=str(path), reason=repr(error))
        for path in self.spool.root.glob(f"recordings/*/*/{COPY}"):
            shutil.rmtree(path.parent, ignore_errors=True)

    def _adopt(self, one: Ongoing) -> None:
        recording = one.recording
        self.ongoing[recording.path] = one
        if recording.state is State.DONE or not recording.files or self.store is None:
            self.drop(one)
            return
        for name, file in list(recording.files.items()):
            path = f"{recording.path}/{name}"
            there = self.spool.adopt(path, file.size_bytes, None if file.sent else file.crc)
            if there and file.sent:
                self.spool.sent(path)
            elif there:
                self.send(one, name)
            elif not file.sent:
                self.miss(one, name)
        if recording.state is State.LIVE:
            self.end(recording.broadcast)  # one that is older
            self.run(one)
            one.waits_until = self._clock() + _AGAIN_S
        else:
            one.ended_at = self._clock()
        _log.info(
            "recording_resumed",
            broadcast=recording.broadcast,
            recording=recording.id,
            unsent=recording.unsent,
        )

    def miss(self, one: Ongoing, name: str) -> None:
        """A file of it that is to be here is not."""
        rendition, _, uri = name.partition("/")
        track = one.recording.tracks.get(rendition)
        row = track.row(uri) if track else None
        if row is not None:
            self.lose(one.recording.broadcast, Why.DISK_BROKEN, row)
            one.note({"op": "lost", "rendition": rendition, "msn": row.msn})
        else:
            # An init section: what needs it cannot be played.
            _log.error("recording_lost_an_init_section", recording=one.recording.id, name=name)
            one.note({"op": "sent", "name": name})


def row_op(rendition: str, row: Row) -> Op:
    """How a journal tells of a row."""
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
