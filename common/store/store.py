"""What a store is: bytes under names, with a content type and a lifetime for caches. All calls block: they are for threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_WORD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LONGEST_NAME = 512
LIST_LIMIT = 1000
"""Most names of one page."""

IMMUTABLE = "public, max-age=86400, immutable"
"""Of what never changes under its name."""
BRIEF = "public, max-age=1"
"""Of what changes while a broadcast runs."""
FINAL = "public, max-age=60"
"""Of a finished recording's playlists: they change only when it is deleted."""


class StoreError(Exception):
    """The store did not do it; the message says what and why. It may do it later."""


class NotStored(StoreError):
    """There is nothing under this name."""


class BadName(ValueError):
    """No name of ours: it is too long, or has other characters."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A name in a store, and how many bytes are under it."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes that are made while they are stored. `chunks` is called for each attempt and makes them from the beginning."""

    chunks: Callable[[], Iterator[bytes]]


Body = bytes | Path | Stream


class Store(Protocol):
    """Names are words of A-Z a-z 0-9 . _ - with slashes between, none beginning with a dot: see `checked`."""

    def put(self, name: str, body: Body, *, content_type: str, cache_control: str) -> None:
        """Keeps `body` under `name`, in place of what was there; readers see the whole of the one or of the other. Raises StoreError."""
        ...

    def size(self, name: str) -> int:
        """Bytes under `name`. Raises NotStored, StoreError."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) in pieces of at most 1 MiB. Raises NotStored, StoreError."""
        ...

    def link(self, name: str, seconds: int) -> str | None:
        """A URL at which the store itself gives what is under `name`, to whoever has it, for so long; None when it serves nobody."""
        ...

    def names(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[Stored]:
        """The first `limit` names that begin with `prefix` and come after `after`, in the order of their bytes. Raises StoreError."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Takes names away; those that are not there are no error. Raises StoreError."""
        ...


def is_word(text: str) -> bool:
    """Whether this may stand between two slashes of a name: it cannot be hidden, climb, or mean anything to a shell."""
    return _WORD.fullmatch(text) is not None


def checked(name: str) -> str:
    """`name`, if it is one of ours. Raises BadName."""
    if len(name) > _LONGEST_NAME or not all(map(is_word, name.split("/"))):
        raise BadName(f"{name[:80]!r} is no name of a stored object")
    return name


def content_type(name: str, rendition: str = "") -> str:
    """What a file is, as the edge says it of its own."""
    ending = name.rpartition(".")[2]
    if ending in ("m4s", "mp4") and rendition.startswith("a"):
        return "audio/mp4"
    return {
        "m3u8": "application/vnd.apple.mpegurl",
        "m4s": "video/mp4",
        "mp4": "video/mp4",
        "json": "application/json",
        "vtt": "text/vtt; charset=utf-8",
        "jpg": "image/jpeg",
    }.get(ending, "application/octet-stream")


def whole(store: Store, name: str, limit: int) -> bytes:
    """All bytes under `name`. Raises NotStored, and StoreError when they are more than `limit`."""
    parts, size = [], 0
    for part in store.read(name):
        size += len(part)
        if size > limit:
            raise StoreError(f"{name} has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
