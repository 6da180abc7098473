"""The folder on this machine's disk in which recordings lie until they are in the store: who may lie there, and what must go."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class SpoolFull(Exception):
    """The disk has no room; the message is the system's."""


@dataclass(slots=True)
class _Lying:
    size_bytes: int
    sent: bool = False
    keep: bool = False


class Spool:
    """Files below `root`, at most `bound_bytes` of them, oldest first. `give_up` is told the name of a file that had to go before it was in
    the store."""

    def __init__(self, root: Path, bound_bytes: int, give_up: Callable[[str], None]) -> None:
        self.root = root
        self.used_bytes = 0
        self._bound = bound_bytes
        self._give_up = give_up
        self._files: OrderedDict[str, _Lying] = OrderedDict()
        self._unsynced: list[Path] = []

    def path(self, name: str) -> Path:
        """Where a file lies, or would."""
        return self.root / name

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def write(self, name: str, data: bytes, *, keep: bool = False) -> None:
        """Keeps `data`; it is on the disk after `sync`. Makes room within the bound first: what is in the store already goes, then what
        has been waiting longest (not what is to be kept in any case). Raises SpoolFull when the disk itself has none, after it was given
        what is in the store already."""
        self._make_room(len(data))
        try:
            self._write(name, data)
        except SpoolFull:
            if not self._drop_sent(self.used_bytes):
                raise
            self._write(name, data)
        self._files[name] = _Lying(len(data), keep=keep)
        self.used_bytes += len(data)

    def adopt(self, name: str, size_bytes: int, crc: int | None) -> bool:
        """Takes in a file that an earlier process left; False when it is not there, or not as it was written (`crc`: its CRC-32, when
        that is to be looked at)."""
        path = self.path(name)
        try:
            if path.stat().st_size != size_bytes or crc not in (None, zlib.crc32(path.read_bytes())):
                return False
        except OSError:
            return False
        self._files[name] = _Lying(size_bytes)
        self.used_bytes += size_bytes
        return True

    def sent(self, name: str) -> None:
        """The file is in the store: it may go."""
        if name in self._files:
            self._files[name].sent = True

    def sync(self) -> None:
        """Waits until all that was written is on the disk. Raises SpoolFull."""
        paths, self._unsynced = self._unsynced, []
        for path in paths:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
            except FileNotFoundError:
                continue  # it had to make room
            except OSError as error:
                raise SpoolFull(error.strerror or str(error)) from error

    def drop(self, name: str) -> None:
        """Takes a file away."""
        lying = self._files.pop(name, None)
        if lying is not None:
            self.used_bytes -= lying.size_bytes
            self.path(name).unlink(missing_ok=True)

    def drop_folder(self, folder: str) -> None:
        """Takes a folder away, with all that is in it."""
        for name in [one for one in self._files if one.startswith(f"{folder}/")]:
            self.drop(name)
        shutil.rmtree(self.path(folder), ignore_errors=True)

    def _write(self, name: str, data: bytes) -> None:
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno in _FULL:
                raise SpoolFull(error.strerror or str(error)) from error
            raise
        self._unsynced.append(path)

    def _make_room(self, size_bytes: int) -> None:
        over = self.used_bytes + size_bytes - self._bound
        if over > 0:
            over -= self._drop_sent(over)
        if over <= 0:
            return
        for name in [one for one, lying in self._files.items() if not lying.keep]:
            over -= self._files[name].size_bytes
            self.drop(name)
            self._give_up(name)
            if over <= 0:
                return

    def _drop_sent(self, wanted: int) -> int:
        freed = 0
        for name in [one for one, lying in self._files.items() if lying.sent]:
            if freed >= wanted:
                break
            freed += self._files[name].size_bytes
            self.drop(name)
        return freed
