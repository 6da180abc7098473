"""A relay: a media node that pulls on demand from the upstreams that the Directory names (or a fixed one), and can be drained."""

from __future__ import annotations

import asyncio
import time

from common.config import RelayConfig
from common.directory import Directory, Role
from common.log import log
from common.urls import for_viewer
from relay.drain import Drain, Phase
from sfu.node import MediaNode
from sfu.viewers import Viewer, ViewerRole
from sfu.worker import Worker

_log = log("relay")
_TICK_S = 0.25


class Relay(MediaNode):
    """The node, with its drain."""

    def __init__(self, config: RelayConfig, *, drain: Drain | None = None) -> None:
        super().__init__(
            config,
            Role.RELAY,
            Worker.open(config),
            pulls=True,
            linger_s=config.linger_s,
            fixed_upstream=config.upstream,
        )
        self.drain = drain or Drain()
        self._told: set[str] = set()
        self._emptying: asyncio.Task[None] | None = None
        self.link.listen(self._follow)

    async def close(self) -> None:
        """Ends all of it."""
        if self._emptying:
            self._emptying.cancel()
            await asyncio.gather(self._emptying, return_exceptions=True)
        await super().close()

    def _follow(self, directory: Directory) -> None:
        if not self.drain.follow(directory.draining, time.monotonic(), len(self.viewers)):
            return
        _log.info("drain" if directory.draining else "drain_undone", sessions=len(self.viewers))
        self._told.clear()
        if self._emptying:
            self._emptying.cancel()
            self._emptying = None
        if directory.draining:
            self._emptying = asyncio.get_running_loop().create_task(self._empty(), name="drain")

    async def _empty(self) -> None:
        while self.drain.phase(time.monotonic(), len(self.viewers)) is not Phase.EMPTY:
            now = time.monotonic()
            here = list(self.viewers)
            waiting = [one for one in here if one.session not in self._told]
            for viewer in waiting[: max(0, self.drain.told_by(now) - len(self._told))]:
                self._told.add(viewer.session)
                self._send_away(viewer)
            for viewer in here[: self.drain.end_now(now, len(here))]:
                self.whep.leave(viewer.session)
            await asyncio.sleep(_TICK_S)
        _log.info("drained")

    def _send_away(self, viewer: Viewer) -> None:
        """Tells a viewer to join by the orchestrator, which names another node. A node finds its next upstream by itself."""
        broadcast = self.link.directory.broadcasts.get(viewer.stream)
        if viewer.role is ViewerRole.NODE or broadcast is None or not broadcast.play_url:
            return
        entrance = for_viewer(broadcast.play_url.partition("/api/")[0], viewer.host)
        whep = f"{entrance}/whep/{viewer.stream}"
        viewer.tell("mode", {"mode": "webrtc", "hls": None, "whep": whep, "reason": "drain"})
        viewer.tell("reconnect", {"url": whep})  # the same for players that know WHEP's events only


async def start(config: RelayConfig) -> Relay:
    """Starts a relay; serve or mount its `app`. One pull a stream however many watch, which lingers `linger_s` after the last."""
    node = Relay(config)
    node.start()
    return node
