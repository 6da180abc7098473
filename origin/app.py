"""The origin: a media node that publishers and viewers come to, with the avatars whose broadcasts it runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable

from aiohttp import web

from common.config import OriginConfig
from common.directory import AVATAR_LANGUAGE, Health, Role
from common.errors import Problem
from origin import api
from origin.avatars import Avatars
from origin.clock import FRAME_SAMPLES
from origin.health import health
from origin.hearing.ears import Ears
from origin.jobs.maker import Maker
from origin.outlet import SfuOutlet
from origin.packages.library import FOLDER
from origin.performer import Caption
from sfu.link import Carries
from sfu.node import MediaNode
from sfu.worker import Event, Worker
from speech.marks import SAMPLE_RATE

_MS = FRAME_SAMPLES // 40
_SENTENCE_S = 15.0
"""So long before a drain is over nobody waits for the end of a sentence any more."""


class Origin:
    """A started origin. `app` is to be served or mounted; `worker` is its media core."""

    def __init__(self, config: OriginConfig, report: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.worker = Worker.open(config)
        self._node = MediaNode(config, Role.ORIGIN, self.worker, whip=True, avatar=config.avatar)
        self.avatars: Avatars | None = None
        self.ears: Ears | None = None
        if config.avatar:
            self.avatars = Avatars(
                config, SfuOutlet(self.worker), on_caption=self._caption, report=self._threadsafe(report)
            )
            self.app.add_routes(api.routes(self.avatars, self._node.link.require_orchestrator))
            self._node.link.listen(self.avatars.apply)
            self._node.link.carries = self._carries
            self._node.resting = self.avatars.resting
            self._node.link.health = self._health
            self._node.holds = self._holds
            self.worker.listen(self._heard)
            self.ears = Ears(
                config,
                self.worker,
                self.avatars,
                self._node.link.tokens,
                self._node.ice,
                draining=lambda: self._node.link.draining,
            )
            self.ears.add_to(self.app)
            self._node.link.listen(self.ears.apply)

        self.maker: Maker | None = None
        if config.jobs:
            self.maker = Maker(self._node.link, config.data, config.data / FOLDER, most=config.jobs)

        if self._node.emptying:
            self._node.emptying.may_leave = self._may_leave

    @property
    def app(self) -> web.Application:
        return self._node.app

    def start(self) -> None:
        """Begins to report to the orchestrators and to prepare voice and renderer."""
        self._node.start()
        if self.avatars:
            self.avatars.start()
        if self.maker:
            self.maker.start()

    async def register(self) -> None:
        """Tells an orchestrator that it is there, now that it is served; by itself it would within a second."""
        await self._node.link.announce()

    async def leave(self, why: str) -> None:
        """The process is to end: returns once others have taken over what runs here, or when the time for that is over."""
        await self._node.leave(why)

    async def end_films(self) -> None:
        """Gives the jobs back whose films are being made here."""
        if self.maker:
            await self.maker.close()

    async def close(self) -> None:
        """Ends films, avatars, sessions and the core."""
        await self.end_films()
        if self.ears:
            await self.ears.close()
        if self.avatars:
            await self.avatars.close()
        await self._node.close()

    def _holds(self) -> int:
        """Avatars that no other origin has taken over yet, and publishers."""
        directory, stats = self._node.link.directory, self.worker.sfu.stats()["streams"]
        here = [one for one in directory.broadcasts.values() if not one.released]
        return sum(1 for one in here if one.id in stats and stats[one.id]["live"])

    def _may_leave(self, stream: str) -> bool:
        """Viewers of an avatar stay until another origin has it, and until it has ended its sentence, unless time runs out. Those of a
        publisher may go to a relay at once, but wait for the publisher when that is to move."""
        broadcast = self._node.link.directory.broadcasts.get(stream)
        emptying = self._node.emptying
        hurry = emptying is not None and emptying.drain.until - time.monotonic() < _SENTENCE_S
        if broadcast is None or not broadcast.avatar or self.avatars is None:
            return hurry or broadcast is None or not broadcast.moving
        return broadcast.released and (hurry or self.avatars.resting(stream) is not False)

    def _health(self) -> Health:
        return health(len(self.avatars.live) if self.avatars else 0)

    def _carries(self) -> Carries:
        if self.avatars is None:
            return Carries()
        return Carries(self.avatars.room, self.avatars.refused, _gpu_memory_ratio())

    def _heard(self, event: Event) -> None:
        if event["type"] == "key_frame_wanted" and self.avatars:
            try:
                self.avatars.avatar(event["stream"]).stage.request_key_frame()
            except Problem:  # the stream is a publisher's, or its avatar has just ended
                return

    def _caption(self, broadcast: str, caption: Caption, due_ns: int) -> None:
        """From the pacer's thread, in the tick in which it begins to be heard: tells the viewers of this node. `due_ns`: when that is, by
        the monotonic clock; the pacer may be late."""
        start_ms = (time.time_ns() + due_ns - time.monotonic_ns()) // 1_000_000
        data = {
            "text": caption.text,
            "start_ms": start_ms,
            "end_ms": start_ms + (caption.end - caption.start) // _MS,
            "language": AVATAR_LANGUAGE,
        }
        with contextlib.suppress(RuntimeError):  # the loop has ended before the stage
            self._loop.call_soon_threadsafe(self._node.viewers.tell, broadcast, "caption", data)
            if self.ears:
                seconds = (caption.end - caption.start) / SAMPLE_RATE
                self._loop.call_soon_threadsafe(self.ears.avatar_says, broadcast, caption.text, seconds)

    def _threadsafe(self, report: Callable[[str], None]) -> Callable[[str], None]:
        """`report` for the threads that prepare: they may outlive the loop."""

        def told(line: str) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(report, line)

        return told


async def start(config: OriginConfig, *, report: Callable[[str], None] = lambda _line: None) -> Origin:
    """Starts an origin. It serves at once; its avatars begin when the Directory names them and they are prepared.

    `report` hears lines of progress. Raises Problem when the media port is taken.
    """
    origin = Origin(config, report)
    origin.start()
    return origin


def _gpu_memory_ratio() -> float | None:
    """How full the memory of the GPU is; None while nothing is drawn on one. (Who draws has loaded warp: it is not loaded for this.)"""
    warp = sys.modules.get("warp")
    if warp is None or not warp.is_cuda_available():
        return None
    device = warp.get_device("cuda:0")
    free, total = int(device.free_memory), int(device.total_memory)
    return min(1.0, max(0.0, 1.0 - free / max(1, total)))
