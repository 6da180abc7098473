"""From the media core to a packager: the tap of one broadcast, kept open for as long as the broadcast is packaged."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from common._native import SfuError, Tap
from common.errors import Problem
from common.log import log
from common.tasks import end_tasks
from hls.encoding import Encoding
from hls.ladder import Rung
from hls.sources import AccessUnit
from sfu.worker import Event, Worker

_log = log("hls.feed")

_TICK_S = 0.02
_RETRY_S = 0.5

Ensure = Callable[[str], Awaitable[None]]


class Packages(Protocol):
    """What is fed: a packager, or one that stands by."""

    @property
    def stream(self) -> str: ...

    def push(self, unit: AccessUnit, now_ms: float) -> None: ...

    def tick(self, now_ms: float) -> None: ...


class WallTime:
    """Milliseconds since 1970 that never jump: the wall clock once, then the monotonic one. NTP may step the system's clock; players'
    timelines must not hear of it."""

    def __init__(self) -> None:
        self._offset_ms = (time.time() - time.monotonic()) * 1000

    def now_ms(self) -> float:
        return time.monotonic() * 1000 + self._offset_ms


class Feed:
    """Feeds `packager` with the access units of its stream, and ticks it. `ensure` brings the stream here (a pull); None waits
    until it is published here. A stream that ends may come back; until then the packager's clock goes on. `ladder`: heights of smaller
    pictures to encode."""

    def __init__(
        self,
        packager: Packages,
        worker: Worker,
        clock: WallTime,
        ensure: Ensure | None,
        ladder: Sequence[int] = (),
    ) -> None:
        self.packager = packager
        self._worker = worker
        self._clock = clock
        self._ensure = ensure
        self._changed = asyncio.Event()
        self._tap: Tap | None = None
        self._ladder = tuple(ladder)
        self._encoding: Encoding | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stop_listening: Callable[[], None] | None = None

    def start(self) -> None:
        """Begins on the running loop."""
        self._stop_listening = self._worker.listen(self._heard)
        name = self.packager.stream
        self._tasks = [
            asyncio.create_task(self._follow(), name=f"tap of {name}"),
            asyncio.create_task(self._tick(), name=f"clock of {name}"),
        ]

    async def close(self) -> None:
        """Closes the tap. The packager stays as it is."""
        await end_tasks(*self._tasks)
        self._close_tap()
        if self._stop_listening:
            self._stop_listening()
            self._stop_listening = None

    def _heard(self, event: Event) -> None:
        if (
            event["type"] in ("stream_started", "stream_ended")
            and event.get("stream") == self.packager.stream
        ):
            self._changed.set()

    async def _follow(self) -> None:
        stream = self.packager.stream
        while True:
            self._changed.clear()
            try:
                if self._ensure:
                    await self._ensure(stream)
                self._open_tap()
            except (SfuError, Problem) as error:
                _log.debug("no_stream_yet", stream=stream, reason=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RETRY_S)
                continue
            _log.info("tapped", stream=stream)
            while self._tap is not None and not self._tap.closed:
                await self._changed.wait()
                self._changed.clear()
            self._close_tap()
            _log.info("tap_ended", stream=stream)

    def _open_tap(self) -> None:
        self._tap = tap = self._worker.sfu.tap(self.packager.stream)
        if self._ladder:
            self._encoding = Encoding(self._ladder, self._take_rungs)
        asyncio.get_running_loop().add_reader(tap.fd, self._drain)

    def _close_tap(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            asyncio.get_running_loop().remove_reader(tap.fd)
            tap.close()
        if self._encoding:
            self._encoding.close()
            self._encoding = None

    def _take_rungs(self, rungs: list[Rung]) -> None:
        now_ms = self._clock.now_ms()
        for rung in rungs:
            self.packager.push(rung, now_ms)

    def _drain(self) -> None:
        tap = self._tap
        if tap is None:
            return
        units = tap.drain()
        now_ms = self._clock.now_ms()
        for unit in units:
            self.packager.push(unit, now_ms)
            if self._encoding:
                self._encoding.push(unit)
        if tap.closed:
            asyncio.get_running_loop().remove_reader(tap.fd)
            self._changed.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            # First what has come: a loop that was held up must not take its own delay for a stall of the source.
            self._drain()
            self.packager.tick(self._clock.now_ms())
