"""What has happened to a recording, a line of JSON each, in the order in which it happened. It is only ever appended to, so a process that
is killed leaves at most its last line torn; whoever reads it again takes that line away and goes on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

Op = dict[str, Any]
"""One line: "op" says what has happened (hls.store.recording.Recording.apply)."""

_MOST_WAITING_BYTES = 4 << 20
_MOST_LINE_BYTES = 256 << 10


def line_of(op: Op) -> bytes:
    """An operation as it is written."""
    return json.dumps(op, separators=(",", ":")).encode() + b"\n"


def parsed(line: bytes) -> Op:
    """The operation of a line. Raises ValueError."""
    op = json.loads(line)
    if not isinstance(op, dict):
        raise ValueError(f"{line[:40]!r} is no operation")
    return op


class JournalFull(Exception):
    """The disk takes no more, and neither does the memory that waits for it."""


def read(path: Path) -> tuple[list[Op], int]:
    """The whole lines of a journal, and how many bytes they are. What follows them is torn."""
    ops: list[Op] = []
    good = 0
    with path.open("rb") as file:
        while (line := file.readline(_MOST_LINE_BYTES)).endswith(b"\n"):
            try:
                op = json.loads(line)
            except ValueError:
                break
            if not isinstance(op, dict):
                break
            ops.append(op)
            good += len(line)
    return ops, good


class Journal:
    """The open journal at `path`; `size` are the bytes of it that count."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self.size = size
        self._waiting = bytearray()
        self._closed = False
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._fd, size)

    def note(self, op: Op) -> None:
        """Adds a line, which `flush` writes. Raises JournalFull when the disk has taken none for too long."""
        line = line_of(op)
        if len(line) > _MOST_LINE_BYTES or len(self._waiting) + len(line) > _MOST_WAITING_BYTES:
            raise JournalFull(f"{len(self._waiting)} bytes of the journal wait for the disk")
        self._waiting += line

    def flush(self, *, sync: bool) -> None:
        """Writes what has been noted; with `sync` it is on the disk when this returns. Raises OSError, and keeps the lines for the next
        time. Nothing when it was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._flush(sync)

    def _flush(self, sync: bool) -> None:
        try:
            while self._waiting:
                written = os.pwrite(self._fd, self._waiting, self.size)
                # A disk that is full takes a part of a line. It is written over the next time, or is torn.
                if written < len(self._waiting):
                    whole = self._waiting.rfind(b"\n", 0, written) + 1
                    self.size += whole
                    del self._waiting[:whole]
                    if not whole:
                        os.pwrite(self._fd, self._waiting, self.size)
                        raise OSError(28, os.strerror(28))
                    continue
                self.size += written
                self._waiting.clear()
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        if sync:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Closes the file; what was not flushed is lost."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._fd)
