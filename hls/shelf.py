"""Where a packager puts what players shall see."""

from __future__ import annotations

from typing import Protocol

from common._native import Edge
from hls.rendition import Snapshot


class Shelf(Protocol):
    """What players see of streams, rendition by rendition."""

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        """Opens a stream, in place of one of that name."""
        ...

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        """Puts documents of the whole stream."""
        ...

    def put(self, stream: str, snapshot: Snapshot) -> None:
        """Puts the next state of a rendition."""
        ...

    def close(self, stream: str) -> bool:
        """Takes a stream away; whether there was one."""
        ...


class EdgeShelf:
    """The edge as a shelf."""

    def __init__(self, edge: Edge) -> None:
        self.open = edge.open
        self.put_index = edge.put_index
        self.close = edge.close
        self._edge = edge

    def put(self, stream: str, snapshot: Snapshot) -> None:
        """Puts the next state of a rendition, and releases who waits for it."""
        self._edge.put(
            stream,
            snapshot.rendition,
            msn=snapshot.msn,
            part=snapshot.part,
            live=snapshot.live,
            delta=snapshot.delta,
            plain=snapshot.plain,
            media=snapshot.media,
            joined=snapshot.joined,
            dropped=snapshot.dropped,
            hint=snapshot.hint,
            ended=snapshot.ended,
        )
