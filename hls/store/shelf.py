"""A shelf that a recorder looks on to."""

from __future__ import annotations

from collections.abc import Callable

from hls.rendition import Snapshot
from hls.shelf import Shelf
from hls.store.recorder import Recorder


class RecordedShelf:
    """Puts on `shelf` first, then tells `recorder`. `leads` says whether it is this node's to record; what a twin reads along is not."""

    def __init__(self, shelf: Shelf, recorder: Recorder, leads: Callable[[], bool] = lambda: True) -> None:
        self._shelf = shelf
        self._recorder = recorder
        self._leads = leads

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        """Opens a stream, in place of one of that name."""
        self._shelf.open(stream, part_target_ms=part_target_ms, target_duration_s=target_duration_s)
        self._recorder.opened(stream, target_duration_s)

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        """Puts documents of the whole stream."""
        self._shelf.put_index(stream, documents)
        for name, text in documents:
            if name == "index.m3u8":
                self._recorder.indexed(stream, text)

    def put(self, stream: str, snapshot: Snapshot) -> None:
        """Puts the next state of a rendition."""
        self._shelf.put(stream, snapshot)
        self._recorder.shown(stream, snapshot, self._leads())

    def close(self, stream: str) -> bool:
        """Takes a stream away."""
        self._recorder.closed(stream)
        return self._shelf.close(stream)
