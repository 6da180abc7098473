"""Work that is done, kept beside the film until it is whole: an interrupted film goes on where it was.

`out.mp4.parts/journal.jsonl` begins with the recipe (all that decides the bytes); each further line names a part that is
complete on disk, with its hash. A part that is not in the journal, or is not what the journal says, is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

_JOURNAL: Final = "journal.jsonl"
_MAKING: Final = "making-"


class FilmError(Exception):
    """The film cannot be made; the message says why and what to do."""


class Parts:
    """The folder of parts, held by one process at a time. Raises FilmError when another one holds it."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        self.folder = folder
        self._known: dict[str, str] = {}
        self._journal = self._open()
        lines = self._read()
        self.begun_anew = bool(lines) and lines[0] != {"recipe": dict(recipe)}
        """There was work here, but for another film."""
        if not lines or self.begun_anew:
            self._clear()
            self._journal.truncate(0)
            self._append({"recipe": dict(recipe)})
        else:
            self._known = {line["part"]: line["sha256"] for line in lines[1:] if "part" in line}

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()

    def path(self, name: str) -> Path | None:
        """The file of a part, if it is whole."""
        file = self.folder / name
        if name in self._known and file.is_file() and _digest(file) == self._known[name]:
            return file
        return None

    def keep(self, name: str, write: Callable[[Path], object]) -> Path:
        """Lets `write` make a part under another name, and takes it in when it is whole."""
        making, file = self.folder / f"{_MAKING}{name}", self.folder / name
        write(making)
        with making.open("rb+") as written:
            os.fsync(written.fileno())
        digest = _digest(making)
        making.replace(file)
        self._append({"part": name, "sha256": digest})
        self._known[name] = digest
        return file

    def remove(self) -> None:
        """Everything is in the film now."""
        self._clear()
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _open(self) -> IO[str]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            journal = (self.folder / _JOURNAL).open("a+", encoding="utf-8")
        except OSError as error:
            raise FilmError(
                f"cannot keep work in {self.folder}: {error.strerror}; choose another place with --out"
            ) from error
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            journal.close()
            raise FilmError(
                f"another process is making this film ({self.folder}); wait for it, or choose another --out"
            ) from None
        return journal

    def _read(self) -> list[dict[str, Any]]:
        """The lines of the journal, up to one that a crash has broken."""
        self._journal.seek(0)
        lines: list[dict[str, Any]] = []
        whole = 0
        for text in self._journal.read().splitlines(keepends=True):
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict) or not text.endswith("\n"):
                break
            lines.append(line)
            whole += len(text.encode())
        self._journal.truncate(whole)
        return lines

    def _append(self, line: Mapping[str, Any]) -> None:
        self._journal.write(json.dumps(line, sort_keys=True) + "\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _clear(self) -> None:
        """Removes our own files, and nothing else."""
        for pattern in ("speech-*", "pictures-*", f"{_MAKING}*"):
            for file in self.folder.glob(pattern):
                file.unlink()


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
