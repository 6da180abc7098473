"""A recording that this packager's twin makes, kept ready to be gone on with: the twin's journal, line by line, and the segments that
are not in the store yet. All bytes are here already, since this packager reads along; the journal says which of them count.

FOLLOWING from the twin's first line -> taken over (`Shadow.one` is then an ordinary recording) or over, when the twin has ended it."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator

from common.log import log
from hls.store.intake import Finished, Run
from hls.store.journal import Journal, Op, parsed
from hls.store.ongoing import Ongoing
from hls.store.recording import Recording
from hls.store.spool import Spool, SpoolFull

_log = log("hls.recorder")

COPY = "journal.copy"
"""A journal that is another packager's. After a start of this one nobody needs it."""
_MOST_FINISHED = 96
"""Segments of all renditions that wait for the twin's word: it comes within moments."""


class BadLine(Exception):
    """The twin told of a recording what no packager tells."""


class Shadow:
    """What there is of one stream. Used under the recorder's lock."""

    def __init__(self, spool: Spool) -> None:
        self.one: Ongoing | None = None
        self._spool = spool
        self._finished: deque[Finished] = deque(maxlen=_MOST_FINISHED)

    def show(self, one: Finished) -> None:
        """A segment that the twin has finished."""
        self._finished.append(one)

    def hear(self, lines: bytes) -> None:
        """Takes lines of the twin's journal. Raises BadLine; then nothing of the recording is kept."""
        for line in lines.splitlines():
            try:
                self._take(parsed(line))
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                self.drop()
                raise BadLine(f"{line[:100]!r}: {error!r}") from None

    def _take(self, op: Op) -> None:
        if op["op"] == "open":
            self.drop()
            recording = Recording.opened(op)
            folder = self._spool.path(recording.path)
            folder.mkdir(parents=True, exist_ok=True)
            self.one = Ongoing(recording, Journal(folder / COPY))
            self.one.journal.note(op)
            return
        if self.one is None:
            return
        self.one.note(op)
        path = self.one.recording.path
        match op["op"]:
            case "init":
                self._write(f"{op['rendition']}/{op['name']}", self._init(op["rendition"], op["name"]))
            case "row":
                found = self._drain(str(op["rendition"]), str(op["uri"]))
                if op.get("size") and found is not None and found.data is not None:
                    self._write(f"{op['rendition']}/{op['uri']}", found.data)
            case "sent":
                self._spool.drop(f"{path}/{op['name']}")
            case "end":
                self.drop()

    def _init(self, rendition: str, name: str) -> bytes | None:
        for one in self._finished:
            if one.rendition == rendition and one.row.init == name:
                return one.init
        return None

    def _drain(self, rendition: str, uri: str) -> Finished | None:
        """The segment of this name, which the twin's word has come for."""
        for one in self._finished:
            if one.rendition == rendition and one.row.uri == uri:
                self._finished.remove(one)
                return one
        return None

    def _write(self, name: str, data: bytes | None) -> None:
        assert self.one is not None, "called for a line of its"
        file = self.one.recording.files.get(name)
        if data is None or file is None or zlib.crc32(data) != file.crc:
            return  # it came before this packager read along; the store has it, or it is a gap when we go on
        try:
            self._spool.write(f"{self.one.recording.path}/{name}", data)
        except SpoolFull as error:
            _log.warning("twin_recording_not_kept", recording=self.one.recording.id, reason=str(error))

    def take_over(self) -> tuple[Ongoing, Run, Iterator[Finished]] | None:
        """The recording, now ours, with the numbers that it goes on with and what the twin had finished without a word of it."""
        one, self.one = self.one, None
        last = one.recording.last if one else None
        if one is None or last is None:
            return None
        folder = self._spool.path(one.recording.path)
        (folder / COPY).rename(folder / "journal")
        run = Run(0, int(last.uri.partition(".")[0]) - last.msn)
        finished = iter(list(self._finished))
        self._finished.clear()
        return one, run, finished

    def drop(self) -> None:
        """Keeps nothing of the twin's recording."""
        one, self.one = self.one, None
        if one is not None:
            one.journal.close()
            self._spool.drop_folder(one.recording.path)
