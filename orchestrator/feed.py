"""Live feed: what changed, for the console (all of it) and for whoever watches one broadcast. Bounded queues, slow readers lose."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

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


class Feed:
    """Readers and what they wait for."""

    def __init__(self) -> None:
        self._readers: dict[asyncio.Queue[Event | None], str | None] = {}

    def publish(self, name: str, data: dict[str, Any], *, broadcast: str | None = None) -> None:
        """Tells all whom it concerns."""
        event = Event(name, broadcast, {**data, "at_ms": int(time.time() * 1000)})
        for queue, wanted in self._readers.items():
            if wanted is not None and wanted != broadcast:
                continue
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    @contextmanager
    def reader(self, broadcast: str | None) -> Iterator[asyncio.Queue[Event | None]]:
        """A queue of the events of one broadcast, or (None) of all. None in the queue is the end."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUED)
        self._readers[queue] = broadcast
        try:
            yield queue
        finally:
            del self._readers[queue]

    def close(self) -> None:
        """Ends all readers."""
        for queue in self._readers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)


async def stream(
    request: web.Request,
    feed: Feed,
    broadcast: str | None,
    first: Event,
    wants: Callable[[Event], bool] = lambda _event: True,
) -> web.StreamResponse:
    """Answers with `first` and then what the feed has and this reader `wants`, a comment each 15 s, until the reader or the feed ends."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    # A page that is closed takes its stream with it: no error of ours.
    with feed.reader(broadcast) as queue, suppress(ConnectionResetError):
        await response.prepare(request)
        await response.write(first.encode())
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    event = await queue.get()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if event is None:
                return response
            if wants(event):
                await response.write(event.encode())
    return response
