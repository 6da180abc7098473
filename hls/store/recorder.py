"""The recorder of a node: takes what its packagers show, keeps it in the spool, has it put into the store, and finishes what has ended.

One thread does all of it, fed by a bounded queue, so that neither a slow disk nor a store that does not answer is noticed by who watches.
What it cannot keep is a gap in the recording, and is told.

    RecordedShelf.put ─► Inbox ─► thread: Intake ─► Records: Spool, Ongoing ─► Publisher ─► Store
                           ▲                                             │ sent
                           └─────────────────────────────────────────────┘"""

from __future__ import annotations

import secrets
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from common.log import log
from common.metrics import gauge
from common.store.store import Store
from hls.check.fragments import BadMedia
from hls.rendition import Snapshot
from hls.store import journal
from hls.store.catalogue import Entry, entry_of
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
from hls.store.journal import Journal, line_of
from hls.store.ongoing import Ongoing
from hls.store.outbox import Item
from hls.store.recording import Recording, State, Track, is_private, recording_id
from hls.store.records import JOURNAL, Records, Why, row_op
from hls.store.rows import Row
from hls.store.shadow import BadLine, Shadow
from hls.store.spool import Spool

_log = log("hls.recorder")

_LOOK_EVERY_S = 1.0
_MOST_ROWS = 43_200
"""A day: then a recording ends and the next one begins, so that neither memory nor a file grows for ever."""

_SPOOL = gauge("hls_spool_bytes", "Bytes of recordings on this machine's disk")
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
        self.root = root
        self.store = store
        self.dvr_s = dvr_s
        self._lock = threading.RLock()
        self._inbox = Inbox()
        self._records = Records(
            partial(Spool, root, bound_bytes),
            store,
            dvr_s=dvr_s,
            film=film,
            clock=clock,
            parallel=parallel,
            lock=self._lock,
            learnt=lambda path, elsewhere: self._inbox.put(Known(path, elsewhere)),
            sent=self._was_sent,
        )
        self._intakes: dict[str, Intake] = {}
        self._leaving = False
        self._private: set[str] = set()
        self._shadows: dict[str, Shadow] = {}
        self._followers: dict[str, set[Callable[[bytes], None]]] = {}
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins; first with what an earlier process has left."""
        self._thread.start()

    def close(self, wait_s: float = 5.0) -> None:
        """Takes in what was shown until now. What is not in the store after `wait_s` is put there after the next start."""
        self._inbox.put(Close())
        self._thread.join()
        if self._records.publisher:
            self._records.publisher.close(wait_s)
        with self._lock:
            self._records.close()
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
        """Tells `reader`, on the recorder's thread, the journal of the stream's recording: all lines so far (none, when nothing is
        recorded), then each. Returns what ends that."""
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
            one = (
                self._records.ongoing.get(f"recordings/{broadcast}/{id}")
                if id
                else self._records.running(broadcast)
            )
            yield one.recording if one else None

    def entries(self) -> list[Entry]:
        """The recordings that are not whole in the store yet."""
        with self._lock:
            return [entry_of(one.recording, self._records.paused) for one in self._records.ongoing.values()]

    def spooled(self, name: str) -> Path | None:
        """Where a file of a recording lies on this machine; None when it does not."""
        return self._records.spooled(name)

    def flush(self) -> None:
        """Waits until all that was shown before this call is in the spool."""
        flush = Flush()
        self._inbox.put(flush)
        flush.done.wait()

    def forget(self, broadcast: str, id: str) -> bool:
        """Puts nothing more of a recording that has ended, and keeps nothing of it here; whether there was any."""
        with self._lock:
            one = self._records.ongoing.get(f"recordings/{broadcast}/{id}")
            if one is None or one.recording.state is State.LIVE:
                return False
            self._records.drop(one)
            return True

    @property
    def paused(self) -> str | None:
        """Why nothing is recorded at the moment."""
        return self._records.paused

    @property
    def waiting(self) -> int:
        """Objects that are not in the store yet."""
        return self._records.publisher.waiting if self._records.publisher else 0

    # --- the thread ---

    def _run(self) -> None:
        with self._lock:
            self._records.resume()
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
                self._records.commit([shadow.one for shadow in self._shadows.values() if shadow.one])
                with self._lock:
                    for one in list(self._records.ongoing.values()):
                        self._records.look(one)
                    if self.store is None:
                        for shadow in self._shadows.values():
                            if shadow.one:
                                self._records.expire(shadow.one)
                    _SPOOL.set(self._records.spool.used_bytes)
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
                    self._records.end(stream)
                self._intakes.pop(stream, None)
                shadow = self._shadows.pop(stream, None)
                if shadow:
                    shadow.drop()
            case Heard(stream, lines):
                self._hear(stream, lines)
            case HandedOver(stream):
                self._records.hand_over(stream)
            case Followed(stream, reader, ends):
                self._followed(stream, reader, ends)
            case Known(path, elsewhere):
                self._records.known(path, elsewhere)
            case Leave():
                self._leaving = True
            case Sent(item):
                self._records.sent(item)
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
                self._shadows.setdefault(stream, Shadow(self._records.spool)).show(one)
        if intake.ended and not self._leaving:
            self._records.end(stream)

    def _hear(self, stream: str, lines: bytes) -> None:
        shadow = self._shadows.setdefault(stream, Shadow(self._records.spool))
        first = lines.partition(b"\n")[0]
        try:
            if b'"op":"open"' in first:
                # What we had of it before the twin went on with it is a part of what it tells.
                own = self._records.ongoing.get(Recording.opened(journal.parsed(first)).path)
                if own is not None:
                    self._records.leave(own)
                    self._records.drop(own)
            shadow.hear(lines)
        except (BadLine, ValueError, KeyError, TypeError) as error:
            _log.error("twin_recording_unreadable", broadcast=stream, reason=str(error))

    def _followed(self, stream: str, reader: Callable[[bytes], None], ends: bool) -> None:
        readers = self._followers.setdefault(stream, set())
        if ends:
            readers.discard(reader)
            return
        readers.add(reader)
        one, lines = self._records.running(stream), b""
        if one is not None:
            with suppress(OSError):
                one.flush()
                lines = (self._records.spool.path(one.recording.path) / JOURNAL).read_bytes()
        reader(lines)

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
        self._records.end(stream)
        self._records.run(one)
        one.told = partial(self._tell, stream)
        for name, file in list(recording.files.items()):
            if f"{recording.path}/{name}" in self._records.spool:
                self._records.send(one, name)
            elif not file.sent:
                self._records.miss(one, name)
        _log.info("recording_taken_over", broadcast=stream, recording=recording.id, unsent=recording.unsent)
        for each in finished:
            self._keep(stream, intake, each)

    def _keep(self, stream: str, intake: Intake, one: Finished) -> None:
        row = one.row
        ongoing = self._records.running(stream)
        if ongoing is not None and self._is_over(ongoing, one.rendition):
            self._records.finish(ongoing)
            ongoing = None
        if ongoing is None or intake.run is None:
            if one.data is None:
                return  # the gaps that lead in
            try:
                ongoing = self._go_on_with(stream, intake, row) or self._begin(stream, intake, row)
            except OSError as error:
                self._records.pause(error.strerror or str(error))
                return
        run = intake.run
        assert run is not None, "a recording that has begun or goes on"
        if row.msn < run.first:
            return
        recording = ongoing.recording
        path = recording.path
        row = run.placed(row)
        track = recording.tracks.get(one.rendition)
        if track and row.msn <= track.rows[-1].msn:
            return
        for before in missing(recording, one.rendition, row, run.shift):
            ongoing.note(row_op(one.rendition, before))
        if one.init is not None and f"{one.rendition}/{row.init}" not in recording.files:
            name, section = f"{one.rendition}/{row.init}", one.init
            if self._records.write(f"{path}/{name}", section, keep=True):
                ongoing.note(
                    {
                        "op": "init",
                        "rendition": one.rendition,
                        "name": row.init,
                        "size": len(section),
                        "crc": zlib.crc32(section),
                    },
                )
                self._records.send(ongoing, name)
        op = row_op(one.rendition, row)
        if one.data is not None and self._records.write(f"{path}/{one.rendition}/{row.uri}", one.data):
            more = {"size": len(one.data), "crc": zlib.crc32(one.data)}
            if one.rendition.startswith("v"):
                more["key"] = _key_bytes(one.data)
            ongoing.note(op | more)
            self._records.send(ongoing, f"{one.rendition}/{row.uri}")
            return
        lost = one.data is not None or not row.gap
        if lost:
            self._records.lose(stream, Why.DISK_FULL if one.data is not None else Why.DISK_SLOW, row)
        ongoing.note({**op, "gap": True, "lost": lost})

    def _is_over(self, one: Ongoing, rendition: str) -> bool:
        """Whether the next segment begins another recording: this one is a day long, or its broadcast has become private."""
        recording = one.recording
        if len(recording.tracks.get(rendition, _NONE).rows) >= _MOST_ROWS:
            return True
        return recording.broadcast in self._private and not is_private(recording.id)

    def _go_on_with(self, stream: str, intake: Intake, row: Row) -> Ongoing | None:
        """The recording of the run before this one, which `row` goes on with; None when there is none, or none that it can go on with:
        then that has ended."""
        one = self._records.running(stream)
        if one is None:
            return None
        intake.run = run_after(one.recording, row, intake.target_s)
        if intake.run is None:
            self._records.end(stream)
            return None
        one.waits_until = None
        one.told = partial(self._tell, stream)
        self._note_index(stream, intake)
        _log.info("recording_goes_on_after_a_break", broadcast=stream, recording=one.recording.id)
        return one

    def _begin(self, stream: str, intake: Intake, row: Row) -> Ongoing:
        id = recording_id(row.date, secrets.token_hex(8), private=stream in self._private)
        recording = Recording(stream, id, row.msn, row.date, intake.target_s)
        folder = self._records.spool.path(recording.path)
        folder.mkdir(parents=True, exist_ok=True)
        one = Ongoing(recording, Journal(folder / JOURNAL), told=partial(self._tell, stream))
        one.journal.note(recording.opening)
        self._tell(stream, line_of(recording.opening))
        self._records.run(one)
        intake.run = Run(row.msn)
        self._note_index(stream, intake)
        _log.info("recording", broadcast=stream, recording=id)
        return one

    def _note_index(self, stream: str, intake: Intake) -> None:
        one = self._records.running(stream)
        if one is not None and intake.index:
            one.note({"op": "index", "text": intake.index})

    def _was_sent(self, item: Item) -> None:
        self._inbox.put(Sent(item))


def _key_bytes(segment: bytes) -> int:
    try:
        return key_bytes(memoryview(segment))
    except (BadMedia, struct.error, IndexError):
        return 0  # it is kept as it came
