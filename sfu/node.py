"""A node that serves media: core, WHEP (and WHIP), viewers, pulls and the link to the orchestrators, put together once.

Origin, relay and packager are this with their own parts added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web

from common.config import Node
from common.directory import Broadcast, Directory, Role
from common.http import application
from common.urls import for_viewer
from sfu.admission import Source
from sfu.annotations import Annotations
from sfu.channels import PULLED, Channels
from sfu.drain import Drain
from sfu.emptying import Emptying
from sfu.ice_servers import IceServers
from sfu.link import DirectoryAdmission, Link
from sfu.publishers import Publishers
from sfu.room import RoomMeter
from sfu.stats import node_stats, stream_reports
from sfu.upstream import Puller
from sfu.viewers import CAPTIONS, Viewer, Viewers
from sfu.whep import Whep, health
from sfu.whip import Whip
from sfu.worker import Worker

_LOOK_S = 0.1


class MediaNode:
    """The node. `app` is to be served or mounted; `start` begins to report; `close` ends all of it but a borrowed core."""

    def __init__(
        self,
        config: Node,
        role: Role,
        worker: Worker,
        *,
        whip: bool = False,
        serves: bool = True,
        pulls: bool = False,
        linger_s: float = 30.0,
        fixed_upstream: str = "",
        wanted: Callable[[str], int] | None = None,
        avatar: bool = False,
        owns_worker: bool = True,
        drain: Drain | None = None,
    ) -> None:
        self.worker = worker
        self.viewers = Viewers()
        self._owns_worker = owns_worker
        self._fixed_upstream = fixed_upstream
        self._drain_s = config.drain_s
        self.link = Link(
            config,
            role,
            lambda: stream_reports(worker, self.viewers, self.puller, self.resting),
            stats=self._summary,
            workers=len(worker.sfu.stats()["workers"]) if owns_worker else 0,  # each core is counted once
            avatar=avatar,
        )
        self.resting: Callable[[str], bool | None] = lambda _stream: None
        """Whether the avatar that makes a stream here is silent; None where none makes it."""
        self.holds: Callable[[], int] = lambda: 0
        """What else than viewers must be gone before the process may end."""
        self.puller: Puller | None = None
        if pulls:
            self.puller = Puller(
                worker,
                self.link.node_id,
                self._upstreams,
                wanted or (lambda stream: len(self.viewers.of(stream))),
                token=self.link.peer_token,
                linger_s=linger_s,
                labels=PULLED if serves else (CAPTIONS,),
            )
        self.app = application(role.value, self._facts)
        admission = DirectoryAdmission(self.link)
        source: Source | None = self.puller
        self.ice = ice = IceServers.configured(config)
        room = RoomMeter(worker)
        self.whep = Whep(
            worker, admission=admission, source=source, viewers=self.viewers, ice=ice, refuses=room.refuses
        )
        if serves:
            self.whep.add_to(self.app)
            self.link.health = health
            self.link.room = room.read
        self.whip = Whip(worker, admission=admission, ice=ice)
        if whip:
            self.whip.add_to(self.app)
        if serves or pulls:
            # A node that shares its core with another leaves them to that one.
            self.channels = Channels(worker, self.viewers, puller=self.puller, whip=self.whip)
            if whip:
                self.publishers = Publishers(self.link, self.whip, self.channels)
        self.link.add_to(self.app)
        self.app.router.add_get("/api/sfu/stats", self._stats)
        self.link.listen(self._tell_viewers)
        self._annotations: Annotations | None = None
        if config.pod_annotations is not None:
            self._annotations = Annotations(config.pod_annotations, self._annotated)
        self.emptying = Emptying(self.link, self.viewers, self.whep.leave, drain=drain) if serves else None

    def start(self) -> None:
        """Begins to report to the orchestrators."""
        self.link.start()
        if self._annotations:
            self._annotations.start()

    async def close(self) -> None:
        """Ends the link, the pulls, and the core when it is this node's own."""
        if self._annotations:
            await self._annotations.close()
        if self.emptying:
            await self.emptying.close()
        await self.link.close()
        if self.puller:
            await self.puller.close()
        for viewer in self.viewers:
            viewer.put(None)
        if self._owns_worker:
            await self.worker.close()

    async def leave(self, why: str) -> None:
        """The process is to end: drains, and returns once nobody is here any more, or when the time for it (`drain_s`) is over."""
        drain_s = self._drain_s
        if drain_s <= 0 or (not self.viewers and not self.holds()):
            return
        await self.link.leave(drain_s, why)
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                # What is held can only go where an orchestrator says.
                while self.viewers or (self.link.connected and self.holds()):  # noqa: ASYNC110 - they end in threads
                    await asyncio.sleep(_LOOK_S)

    async def _annotated(self, drain: bool) -> None:
        await self.link.follow(self._drain_s, "annotation drain=true" if drain else None)

    def _upstreams(self, stream: str) -> list[str]:
        if self._fixed_upstream:
            return [f"{self._fixed_upstream.rstrip('/')}/whep/{stream}"]
        broadcast = self.link.directory.broadcasts.get(stream)
        return broadcast.upstreams if broadcast else []

    def _tell_viewers(self, directory: Directory) -> None:
        for broadcast in directory.broadcasts.values():
            self.viewers.tell(broadcast.id, "mode", partial(_mode, broadcast), keep=True)
            self.viewers.tell(broadcast.id, "viewercount", {"viewercount": broadcast.viewers}, keep=True)

    def _summary(self) -> dict[str, object]:
        stats = node_stats(self.worker, self.viewers, self.puller)
        return {key: stats[key] for key in ("transports", "subscribers", "joins", "pulls")} | {
            "workers": [
                {
                    key: worker[key]
                    for key in ("index", "send", "subscribers", "cpu_ms", "datagrams_out", "dropped")
                }
                for worker in stats["workers"]
            ]
        }

    def _facts(self) -> dict[str, Any]:
        figures = self.worker.sfu.stats()
        return {
            "node": self.link.node_id,
            "workers": len(figures["workers"]),
            "subscribers": figures["subscribers"],
            "ready": self.link.connected and not self.link.draining,
            "draining": self.link.draining,
        }

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.json_response(node_stats(self.worker, self.viewers, self.puller))


def _mode(broadcast: Broadcast, viewer: Viewer) -> dict[str, Any]:
    """How this passive viewer watches from now on: they move in batches, each is in or out of the share."""
    hls = for_viewer(broadcast.hls_url, viewer.host) if broadcast.hls_url else None
    mode = broadcast.mode_for(viewer.viewer or viewer.session)
    return {"mode": mode.value, "hls": hls, "whep": None, "reason": "delivery"}
