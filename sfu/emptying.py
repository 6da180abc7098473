"""Gets a node empty while it drains, or while another takes over one of its streams: the shell of sfu/drain.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from common.directory import Delivery, Directory
from common.log import log
from common.tasks import end_tasks
from common.urls import entrance, for_viewer
from sfu.drain import Drain, Phase
from sfu.link import Link
from sfu.viewers import Viewer, ViewerRole, Viewers

_log = log("drain")
_TICK_S = 0.25


class Emptying:
    """`may_leave(stream)`: whether its viewers have somewhere to go yet; `leave(session)` ends a session."""

    def __init__(
        self,
        link: Link,
        viewers: Viewers,
        leave: Callable[[str], object],
        *,
        drain: Drain | None = None,
    ) -> None:
        self.drain = drain or Drain()
        self.may_leave: Callable[[str], bool] = lambda _stream: True
        self._link = link
        self._viewers = viewers
        self._leave = leave
        self._told: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        link.listen(self._follow)

    async def close(self) -> None:
        """Stops telling."""
        await end_tasks(self._task)

    def _follow(self, directory: Directory) -> None:
        now, left_s = time.monotonic(), self._link.drain_left_s
        if left_s is None and (
            self._link.draining or any(one.released for one in directory.broadcasts.values())
        ):
            left_s = self.drain.drain_s if self.drain.since is None else max(0.0, self.drain.until - now)
        if not self.drain.follow(left_s, now, len(self._viewers)):
            return
        _log.info(
            "drain" if left_s is not None else "drain_undone", sessions=len(self._viewers), left_s=left_s
        )
        self._told.clear()
        if self._task:
            self._task.cancel()
            self._task = None
        if left_s is not None:
            self._task = asyncio.get_running_loop().create_task(self._empty(), name="drain")

    async def _empty(self) -> None:
        drained = False
        while True:
            now = time.monotonic()
            here = list(self._viewers)
            if not drained and self.drain.phase(now, len(here)) is Phase.EMPTY:
                drained = True
                _log.info("drained")
            able = [one for one in here if self.may_leave(one.stream)]
            waiting = [one for one in able if one.session not in self._told]
            told_by = self.drain.told_by(now)
            # Once all that were here have had their turn, who comes (it was on its way) is told at once.
            due = len(waiting) if told_by >= self.drain.at_first else max(0, told_by - len(self._told))
            for viewer in waiting[:due]:
                self._told.add(viewer.session)
                self._send_away(viewer)
            for viewer in able[: self.drain.end_now(now, len(able))]:
                self._leave(viewer.session)
            await asyncio.sleep(_TICK_S)

    def _send_away(self, viewer: Viewer) -> None:
        """Tells a viewer to join by the orchestrator, which names another node. A node finds its next upstream by itself."""
        broadcast = self._link.directory.broadcasts.get(viewer.stream)
        if viewer.role is ViewerRole.NODE or broadcast is None or not broadcast.play_url:
            return
        whep = f"{entrance(broadcast.play_url, viewer.host)}/whep/{viewer.stream}"
        hls = None
        if viewer.role is ViewerRole.PASSIVE and broadcast.hls_url:
            hls = for_viewer(broadcast.hls_url, viewer.host)
        mode = broadcast.mode_for(viewer.viewer or viewer.session) if hls else Delivery.WEBRTC
        viewer.tell("mode", {"mode": mode.value, "hls": hls, "whep": whep, "reason": "drain"})
        viewer.tell("reconnect", {"url": whep})  # the same for players that know WHEP's events only
