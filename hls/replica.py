"""What players see of one broadcast, told to a second packager as well, so that either may go on when the other dies.

The packager that leads makes the bytes; its twin gets every snapshot before players can, and puts the same bytes under the same names on
its own edge. Over the wire a snapshot is a frame: four bytes of length, a JSON head of that length, and the blobs that it names."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from hls.rendition import Snapshot
from hls.shelf import Shelf

_LENGTH = struct.Struct(">I")
_MOST_HEAD_BYTES = 4 << 20
_MOST_BLOB_BYTES = 1 << 30

Reader = Callable[[bytes], None]


class BadFrame(Exception):
    """The twin sent what no packager sends."""


class Source(Protocol):
    """Where frames are read from: aiohttp's StreamReader."""

    async def readexactly(self, n: int, /) -> bytes: ...


def frame(head: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """One frame. `head` must have "op"; the lengths of the blobs are added to it."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *blobs))


BEAT = frame({"op": "beat"})


async def frames(source: Source) -> AsyncIterator[tuple[dict[str, Any], list[bytes]]]:
    """Reads frames until the source ends, which raises what its `readexactly` raises. Raises BadFrame."""
    while True:
        (length,) = _LENGTH.unpack(await source.readexactly(_LENGTH.size))
        if length > _MOST_HEAD_BYTES:
            raise BadFrame(f"a head of {length} bytes")
        try:
            head = json.loads(await source.readexactly(length))
            sizes = [int(size) for size in head["blobs"]]
        except (ValueError, TypeError, KeyError) as error:
            raise BadFrame(f"no head: {error}") from None
        if any(size < 0 for size in sizes) or sum(sizes) > _MOST_BLOB_BYTES:
            raise BadFrame(f"blobs of {sum(sizes)} bytes")
        yield head, [await source.readexactly(size) for size in sizes]


@dataclass(slots=True)
class Shown:
    """What players see of one rendition now, and what they may still fetch."""

    newest: Snapshot
    plain: bytes | None = None
    media: dict[str, bytes] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)

    def take(self, snapshot: Snapshot) -> None:
        """The next state."""
        self.newest = snapshot
        self.plain = snapshot.plain or self.plain
        self.media.update(snapshot.media)
        self.joined.update(snapshot.joined)
        for name in snapshot.dropped:
            self.media.pop(name, None)
            self.joined.pop(name, None)

    def whole(self) -> Snapshot:
        """All of it as one state, for who has seen none before."""
        return replace(
            self.newest,
            plain=self.plain,
            media=list(self.media.items()),
            joined=list(self.joined.items()),
            dropped=[],
        )


class Replica:
    """A shelf before the edge of this node: it remembers what is on it, and tells readers of each change first."""

    def __init__(self, stream: str, edge: Shelf) -> None:
        self.stream = stream
        self.indexes: dict[str, bytes] = {}
        self.renditions: dict[str, Shown] = {}
        self._edge = edge
        self._grid: tuple[int, int] | None = None
        self._readers: set[Reader] = set()
        self.recorded: Callable[[bytes], None] | None = None
        """Hears what the twin that leads writes into the journal of its recording."""

    @property
    def shows(self) -> bool:
        """Players have been told of something."""
        return bool(self.indexes) and bool(self.renditions)

    @property
    def ended(self) -> bool:
        """Players have been told of the end."""
        return self.shows and all(shown.newest.ended for shown in self.renditions.values())

    def forget(self) -> None:
        """What comes next begins anew."""
        self.indexes.clear()
        self.renditions.clear()

    @property
    def read_along(self) -> bool:
        """A twin has all of it, and could go on."""
        return bool(self._readers)

    # --- the shelf ---

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        self._grid = (part_target_ms, target_duration_s)
        self.forget()
        self._tell(self._opened)
        self._edge.open(stream, part_target_ms=part_target_ms, target_duration_s=target_duration_s)

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        self.indexes.update(documents)
        self._tell(lambda: _index(documents))
        self._edge.put_index(stream, documents)

    def put(self, stream: str, snapshot: Snapshot) -> None:
        shown = self.renditions.setdefault(snapshot.rendition, Shown(snapshot))
        shown.take(snapshot)
        self._tell(lambda: _put(snapshot))
        self._edge.put(stream, snapshot)

    def close(self, stream: str) -> bool:
        self._tell(lambda: frame({"op": "close"}))
        return self._edge.close(stream)

    # --- those who read along ---

    def _tell(self, made: Callable[[], bytes]) -> None:
        if not self._readers:
            return
        told = made()
        for reader in list(self._readers):
            reader(told)

    def read(self, reader: Reader) -> Callable[[], None]:
        """Tells `reader` all that there is, then each change before players see it. Returns what ends that."""
        if self._grid:
            reader(self._opened())
        for shown in self.renditions.values():
            reader(_put(shown.whole()))
        if self.indexes:
            reader(_index(list(self.indexes.items())))
        self._readers.add(reader)
        return lambda: self._readers.discard(reader)

    def apply(self, head: dict[str, Any], blobs: list[bytes]) -> None:
        """Does what a frame of the twin says. Raises BadFrame."""
        try:
            self._apply(head, iter(blobs))
        except (KeyError, ValueError, TypeError, StopIteration) as error:
            raise BadFrame(f"{head.get('op')!r}: {error!r}") from None

    def _apply(self, head: dict[str, Any], blobs: Any) -> None:
        match head["op"]:
            case "open":
                part_target_ms, target_duration_s = map(int, head["grid"])
                self.open(self.stream, part_target_ms=part_target_ms, target_duration_s=target_duration_s)
            case "index":
                self.put_index(self.stream, [(str(name), next(blobs)) for name in head["names"]])
            case "put":
                snapshot = Snapshot(
                    str(head["rendition"]),
                    msn=int(head["msn"]),
                    part=int(head["part"]),
                    live=next(blobs),
                    delta=next(blobs) if head["delta"] else None,
                    plain=next(blobs) if head["plain"] else None,
                    media=[(str(name), next(blobs)) for name in head["media"]],
                    joined=[(str(name), [str(part) for part in parts]) for name, parts in head["joined"]],
                    dropped=[str(name) for name in head["dropped"]],
                    hint=None if head["hint"] is None else str(head["hint"]),
                    ended=bool(head["ended"]),
                )
                self.put(self.stream, snapshot)
            case "recorded":
                lines = next(blobs)
                if self.recorded:
                    self.recorded(lines)
            case "close":
                self.close(self.stream)
            case _:
                pass  # a beat, or what a newer version says

    def _opened(self) -> bytes:
        return frame({"op": "open", "grid": self._grid})


def recorded(lines: bytes) -> bytes:
    """The frame of lines of a recording's journal."""
    return frame({"op": "recorded"}, [lines])


def _index(documents: Sequence[tuple[str, bytes]]) -> bytes:
    return frame(
        {"op": "index", "names": [name for name, _ in documents]}, [document for _, document in documents]
    )


def _put(snapshot: Snapshot) -> bytes:
    head = {
        "op": "put",
        "rendition": snapshot.rendition,
        "msn": snapshot.msn,
        "part": snapshot.part,
        "delta": snapshot.delta is not None,
        "plain": snapshot.plain is not None,
        "media": [name for name, _ in snapshot.media],
        "joined": snapshot.joined,
        "dropped": snapshot.dropped,
        "hint": snapshot.hint,
        "ended": snapshot.ended,
    }
    texts = [text for text in (snapshot.live, snapshot.delta, snapshot.plain) if text is not None]
    return frame(head, [*texts, *(data for _, data in snapshot.media)])
