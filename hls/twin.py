"""Two packagers of one broadcast: which of them leads, and the stream of frames from that one to the other.

Whoever starts asks its twin for the replica. A twin that leads gives it, and the newcomer reads along; a twin that does not says 404, or
409 when it has a replica and is about to lead. When the stream of frames breaks and cannot be had again, the reader leads. Nobody
else is asked: an orchestrator may be down just then."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import time
from collections.abc import Callable

import aiohttp
from aiohttp import web

from common.log import log
from hls.replica import BEAT, BadFrame, Replica, frames, recorded

_log = log("hls.twin")

_BEAT_S = 0.5
_SILENT_S = 2.0
"""Four beats: a twin that says nothing for so long is dead, or as good as."""
_CONNECT_S = 1.0
_PATIENCE_S = 3.0
"""So long the second of two that begin at once gives the first time to begin."""
_RETRY_S = 0.1
_MOST_BEHIND_BYTES = 64 << 20
"""A reader that is this far behind, beside what there was when it came, is let go; it asks again."""
_SHORT_S = 1.0
_LOST = (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError, BadFrame)


Follow = Callable[[Callable[[bytes], None]], Callable[[], None]]
"""Tells a function, on any thread, the journal of a recording (nothing, where nothing is recorded), until what it returns is called."""


async def tell(
    replica: Replica,
    request: web.Request,
    ended: asyncio.Event,
    follow: Follow | None = None,
    told: Callable[[], None] = lambda: None,
) -> web.StreamResponse:
    """Answers a twin with all that there is, then with every change, until either side ends; with `follow` also with the recording's
    journal, so that it stays one. `told` is called again and again while the twin has been sent all that there is."""
    response = web.StreamResponse(
        headers={"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
    )
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(BEAT)
    transport = request.transport

    most = float("inf")

    def write(told: bytes) -> None:
        # Straight to the kernel, chunked as the headers say: what players can see next has left this process, whatever happens to it.
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > most:
            _log.warning("twin_too_slow", stream=replica.stream)
            transport.abort()
            return
        transport.write(b"%x\r\n%b\r\n" % (len(told), told))

    _log.info("twin_reads_along", stream=replica.stream)
    stop = replica.read(write)
    loop = asyncio.get_running_loop()

    settled = follow is None

    def hear(lines: bytes) -> None:
        nonlocal settled
        settled = True
        if lines:
            write(recorded(lines))

    def write_recorded(lines: bytes) -> None:
        # A loop that has been closed meanwhile hears of nothing.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(hear, lines)

    unfollow = follow(write_recorded) if follow else None
    most = _MOST_BEHIND_BYTES + (transport.get_write_buffer_size() if transport is not None else 0)
    try:
        while transport is not None and not transport.is_closing() and not ended.is_set():
            if settled and transport.get_write_buffer_size() == 0:
                told()
            write(BEAT)
            try:
                await asyncio.wait_for(ended.wait(), _BEAT_S)
            except TimeoutError:
                continue
    finally:
        stop()
        if unfollow:
            unfollow()
    return response


class _Answer(enum.Enum):
    """What asking the twin came to."""

    HEARD = enum.auto()
    """It told us, and then no more."""
    ABOUT_TO_LEAD = enum.auto()
    NOTHING = enum.auto()
    """It does not lead, or is not there."""


class Reader:
    """Reads along with the twin at `url()` until that is gone, then calls `lead` once. `first`: begins at once when the twin has
    nothing."""

    def __init__(
        self,
        replica: Replica,
        url: Callable[[], str | None],
        first: bool,
        token: Callable[[], str],
        lead: Callable[[], None],
    ) -> None:
        self.replica = replica
        self._url = url
        self._first = first
        self._token = token
        self._lead = lead

    async def run(self) -> None:
        """Returns once this side leads."""
        began, ended = time.monotonic(), 0.0
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=_SILENT_S)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as http:
            while True:
                asked = time.monotonic()
                answer = await self._read(http)
                patient = asked - began < _PATIENCE_S
                if answer is _Answer.HEARD:
                    # A connection breaks for many reasons: the twin is asked once more before it is given up.
                    if time.monotonic() - asked < _SHORT_S:
                        await asyncio.sleep(_RETRY_S)
                    continue
                if self.replica.ended:
                    # The broadcast is over; our own directory says so in a moment. If not, it is ours from its beginning.
                    ended = ended or asked
                    if asked - ended > _PATIENCE_S:
                        self.replica.forget()
                        break
                elif self.replica.shows or not patient or (self._first and answer is _Answer.NOTHING):
                    break
                await asyncio.sleep(_RETRY_S)
        _log.info("leads", stream=self.replica.stream, goes_on=self.replica.shows)
        self._lead()

    async def _read(self, http: aiohttp.ClientSession) -> _Answer:
        heard = _Answer.NOTHING
        base = self._url()
        if base is None:
            return heard
        url = f"{base.rstrip('/')}/api/hls/replica/{self.replica.stream}"
        try:
            async with http.get(url, headers={"Authorization": f"Bearer {self._token()}"}) as answer:
                if answer.status == 409:
                    return _Answer.ABOUT_TO_LEAD
                if answer.status != 200:
                    return heard
                async for head, blobs in frames(answer.content):
                    heard = _Answer.HEARD
                    self.replica.apply(head, blobs)
        except _LOST as error:
            _log.info("twin_lost", stream=self.replica.stream, reason=repr(error))
        return heard
