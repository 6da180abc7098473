"""Live feed: what changed, for the console (all of it) and for whoever watches one broadcast. Bounded queues, slow readers lose.

A stream outlives the request that opened it, and so what its reader may: who takes something away calls `doubt`, and each reader
asks again before it is told anything more. One that may no longer is told why by a last event, `refused`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from common.errors import Problem

KEEP_ALIVE_S = 15.0
_QUEUED = 64
"""Events that wait for one reader; above it the oldest is dropped: the next snapshot says the same and more."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change. `broadcast` is None for what concerns nodes."""

    name: str
    broadcast: str | None
    data: dict[str, Any]

    def encode(self) -> bytes:
        """As text/event-stream."""
        return f"event: {self.name}\ndata: {json.dumps(self.data, separators=(',', ':'))}\n\n".encode()


_LOOK = Event("look", None, {})
"""Wakes a reader that has nothing to read; told nobody."""


class Reader(asyncio.Queue[Event | None]):
    """What waits for a reader of one broadcast, or (None) of all. None in it is the end."""

    def __init__(self, broadcast: str | None) -> None:
        super().__init__(_QUEUED)
        self.broadcast = broadcast
        self.doubted = False
        """It may see less than before, perhaps."""

    def tell(self, event: Event | None) -> None:
        """Adds one, in the place of the oldest when it is full."""
        if self.full():
            self.get_nowait()
        self.put_nowait(event)

    def doubt(self) -> None:
        """It is to ask again what it may see."""
        self.doubted = True
        if self.empty():
            self.put_nowait(_LOOK)


class Feed:
    """Readers and what they wait for."""

    def __init__(self) -> None:
        self._readers: set[Reader] = set()

    def publish(self, name: str, data: dict[str, Any], *, broadcast: str | None = None) -> None:
        """Tells all whom it concerns."""
        event = Event(name, broadcast, {**data, "at_ms": int(time.time() * 1000)})
        for reader in self._readers:
            if reader.broadcast is None or reader.broadcast == broadcast:
                reader.tell(event)

    def doubt(self) -> None:
        """Somebody may see less than before: all readers ask again."""
        for reader in self._readers:
            reader.doubt()

    @contextmanager
    def reader(self, broadcast: str | None) -> Iterator[Reader]:
        """A reader of the events of one broadcast, or (None) of all."""
        reader = Reader(broadcast)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.remove(reader)

    def close(self) -> None:
        """Ends all readers."""
        for reader in self._readers:
            reader.tell(None)


async def stream(
    request: web.Request,
    feed: Feed,
    broadcast: str | None,
    first: Event,
    admit: Callable[[], float],
    wants: Callable[[Event], bool] = lambda _event: True,
) -> web.StreamResponse:
    """Answers with `first` and then what the feed has and this reader `wants`, a comment each 15 s, until the reader or the feed ends.

    `admit` says until when (seconds since the epoch) the reader may read if nobody doubts it, or raises the Problem that ends it."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    clock = asyncio.get_running_loop().time
    # A page that is closed takes its stream with it: no error of ours.
    with feed.reader(broadcast) as reader, suppress(ConnectionResetError):
        until = clock() + admit() - time.time()
        await response.prepare(request)
        await response.write(first.encode())
        while True:
            silent_at = clock() + KEEP_ALIVE_S
            event: Event | None = _LOOK
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(silent_at, until)):
                    event = await reader.get()
            if event is None:
                return response
            if reader.doubted or clock() >= until:
                reader.doubted = False
                try:
                    until = clock() + admit() - time.time()
                except Problem as refusal:
                    await response.write(Event("refused", broadcast, refusal.body()).encode())
                    return response
            if event is not _LOOK and wants(event):
                await response.write(event.encode())
            elif clock() >= silent_at:
                await response.write(b": still here\n\n")
    return response
