"""A folder as a store. What is put there is moved into its place when it is whole; a segment that lies on the same disk is linked, not
copied."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from uuid import uuid4

from common.store.store import LIST_LIMIT, Body, NotStored, Store, Stored, StoreError, Stream, checked

_PIECE_BYTES = 1 << 20
_BEGUN = ".begun-"


class Folder(Store):
    """The folder `root`, made when it is not there. Content types and lifetimes follow from the names, so they are not kept."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, body: Body, *, content_type: str, cache_control: str) -> None:
        target = self.root / checked(name)
        begun = target.parent / f"{_BEGUN}{uuid4().hex}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write(begun, body)
                begun.replace(target)
            finally:
                begun.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error

    @staticmethod
    def _write(begun: Path, body: Body) -> None:
        match body:
            case Path():
                try:
                    os.link(body, begun)
                except OSError:
                    shutil.copyfile(body, begun)
            case Stream():
                with begun.open("xb") as file:
                    for chunk in body.chunks():
                        file.write(chunk)
                    file.flush()
                    os.fdatasync(file.fileno())
            case bytes():
                begun.write_bytes(body)

    def size(self, name: str) -> int:
        try:
            return (self.root / checked(name)).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise NotStored(name) from None
        except OSError as error:
            raise StoreError(f"{name} cannot be read: {error.strerror or error}") from error

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        path = self.root / checked(name)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotStored(name) from None
        except OSError as error:
            raise StoreError(f"{name} cannot be read: {error.strerror or error}") from error
        return _pieces(file, start, end)

    def link(self, name: str, seconds: int) -> str | None:
        return None

    def names(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[Stored]:
        top = prefix.rpartition("/")[0]
        if top:
            checked(top)
        found: list[Stored] = []
        try:
            for path in _walk(self.root / top, f"{top}/" if top else "", prefix, after):
                with contextlib.suppress(FileNotFoundError):  # another packager has just deleted it
                    found.append(Stored(path, (self.root / path).stat().st_size))
                if len(found) == limit:
                    break
        except OSError as error:
            raise StoreError(f"{self.root} cannot be listed: {error.strerror or error}") from error
        return found

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            path = self.root / checked(name)
            try:
                path.unlink(missing_ok=True)
            except NotADirectoryError:
                continue
            except OSError as error:
                raise StoreError(f"{path} cannot be deleted: {error.strerror or error}") from error
            for folder in path.parents:
                if folder == self.root or self.root not in folder.parents:
                    break
                with contextlib.suppress(OSError):  # not empty: others are in it
                    folder.rmdir()


def _walk(folder: Path, base: str, prefix: str, after: str) -> Iterator[str]:
    """Names below `folder`, in the order of their bytes (a folder sorts as its name with a slash), without those that cannot match."""
    try:
        rows = [(f"{one.name}/" if one.is_dir() else one.name, one) for one in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in sorted(rows, key=lambda row: row[0].encode()):
        path = base + name
        if entry.name.startswith("."):
            continue
        if not name.endswith("/"):
            if path.startswith(prefix) and path > after:
                yield path
        elif (path.startswith(prefix) or prefix.startswith(path)) and (
            path > after or after.startswith(path)
        ):
            yield from _walk(Path(entry.path), path, prefix, after)


def _pieces(file: BufferedReader, start: int, end: int | None) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = float("inf") if end is None else max(0, end - start)
        while left > 0 and (piece := file.read(int(min(_PIECE_BYTES, left)))):
            left -= len(piece)
            yield piece
