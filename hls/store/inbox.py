"""What packagers show a recorder and what the store has taken, in the order in which it came. Who puts something in never waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hls.rendition import Snapshot
from hls.store.outbox import Item

_MOST_BYTES: Final = 64 << 20
"""What waits for the disk; what comes beyond it is a gap in the recording."""
_MOST: Final = 4096
"""Most snapshots that wait for the disk."""
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """A packager begins."""

    stream: str
    target_s: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """Its multivariant playlist is another."""

    stream: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """It has shown more. Not `leads`: it is another one's, and recorded there."""

    stream: str
    snapshot: Snapshot
    leads: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """It is over, whether it has said so or not."""

    stream: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The store has this, or never will."""

    item: Item


@dataclass(frozen=True, slots=True)
class Flush:
    """Sets `done` when all that came before is in the spool."""

    done: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Heard:
    """The twin's journal of the recording of a stream goes on like this."""

    stream: str
    lines: bytes


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A twin goes on with a stream, and with its recording."""

    stream: str


@dataclass(frozen=True, slots=True)
class Followed:
    """A twin wants the journal of a stream's recordings, from its beginning; `reader` is called on the recorder's thread."""

    stream: str
    reader: Callable[[bytes], None]
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says of a recording that an earlier process left: whether another packager has gone on with it; None when it does
    not answer."""

    path: str
    elsewhere: bool | None


@dataclass(frozen=True, slots=True)
class Leave:
    """The process ends, not the broadcasts: no recording ends any more."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing comes after this."""


Message = (
    Opened | Indexed | Shown | Closed | Sent | Heard | HandedOver | Followed | Known | Flush | Leave | Close
)


class Inbox:
    """A queue that many threads fill and one empties; bounded by leaving media out, never by waiting."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()
        self._taken = 0

    def put(self, message: Message) -> None:
        """Puts in anything but what a packager shows."""
        self._queue.put(message)

    def show(self, stream: str, snapshot: Snapshot, leads: bool) -> None:
        """Puts in what a packager shows; without its media when too much waits: the lists still say what is missing."""
        if self._queue.qsize() > _MOST and not snapshot.ended:
            return  # a disk that hangs: the next playlist that is looked at tells what is missing
        size = _media_bytes(snapshot)
        with self._lock:
            if self._bytes + size > _MOST_BYTES:
                media = [one for one in snapshot.media if one[0].startswith("init-")]
                snapshot = replace(snapshot, media=media)
                size = _media_bytes(snapshot)
            self._bytes += size
        self._queue.put(Shown(stream, snapshot, leads))

    def take(self, wait_s: float) -> list[Message]:
        """The next messages, a bounded number; none when nothing came for `wait_s`. Those of the call before are done with."""
        with self._lock:
            self._bytes -= self._taken
        self._taken = 0
        try:
            batch = [self._queue.get(timeout=wait_s)]
        except queue.Empty:
            return []
        while len(batch) < _BATCH and not self._queue.empty():
            batch.append(self._queue.get())
        self._taken = sum(_media_bytes(one.snapshot) for one in batch if isinstance(one, Shown))
        return batch


def _media_bytes(snapshot: Snapshot) -> int:
    return sum(len(data) for _, data in snapshot.media)
