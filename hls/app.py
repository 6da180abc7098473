"""The packager role: makes HLS of the broadcasts that the Directory names, and serves it by the edge on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from aiohttp import web

from common._native import Edge, SfuError
from common.auth import PathTokens
from common.config import HlsConfig
from common.directory import Broadcast, Delivery, Directory, Role
from common.errors import Conflict, NotFound, Problem
from common.log import log
from common.metrics import gauge
from hls.captions import caption
from hls.feed import Feed, WallTime
from hls.grid import tier
from hls.packager import Packager
from hls.replica import Replica
from hls.shelf import EdgeShelf, Shelf
from hls.standby import Standby
from hls.store.gate import Gate
from hls.store.opening import open_store
from hls.store.recorder import Recorder
from hls.store.serving import Serving
from hls.store.shelf import RecordedShelf
from hls.twin import Reader, tell
from sfu.channels import caption_of
from sfu.node import MediaNode
from sfu.viewers import CAPTIONS
from sfu.worker import Event, Worker

_log = log("hls")

_EDGE = gauge("hls_edge", "Counters of the HLS listener", ("what",))
_STATS_S = 5.0

Packaged = Packager | Standby


@dataclass(slots=True)
class _Ended:
    """A finished broadcast that is still served, so that the slowest player reads its end."""

    packager: Packaged
    until: float


@dataclass(slots=True)
class _Live:
    """A broadcast that is packaged. With a twin: `replica`, `reading` while the twin leads, `over` for twins that read along."""

    packager: Packaged
    feed: Feed
    replica: Replica | None = None
    reading: asyncio.Task[None] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def handed_over(self) -> bool:
        """A twin goes on where this node ends."""
        return self.replica is not None and self.replica.read_along


class HlsNode:
    """A running packager. `app` is its control side (health, metrics, directory); viewers talk to `hls_port`."""

    def __init__(self, config: HlsConfig, worker: Worker | None) -> None:
        self._config = config
        self._grid = tier(config.part_s)
        self._clock = WallTime()
        self._feeds: dict[str, _Live] = {}
        self._ended: dict[str, _Ended] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._path_tokens = PathTokens(config.node_secret(), key=config.path_key)
        self._housekeeping: asyncio.Task[None] | None = None
        try:
            self.edge = Edge(
                host=config.hls_host,
                port=config.hls_port,
                certificate=str(config.tls_cert) if config.tls_cert else None,
                private_key=str(config.tls_key) if config.tls_key else None,
                path_key=self._path_tokens.key.encode(),
            )
        except (OSError, ValueError) as error:
            raise Problem(
                f"the HLS listener cannot start on port {config.hls_port}: {error}",
                code="hls_listener_failed",
                hint="another program may have the port: choose one with --hls-port",
            ) from None
        try:
            self.recorder = _recorder(config)
            core = worker or Worker.open(config)
        except Problem:
            self.edge.stop()
            raise
        self.node = MediaNode(
            config,
            Role.PACKAGER,
            core,
            serves=False,
            pulls=worker is None,
            wanted=lambda stream: int(stream in self._feeds),
            owns_worker=worker is None,
        )
        self.app = self.node.app
        self.app.router.add_get("/api/hls/stats", self._stats)
        self.app.router.add_get("/api/hls/replica/{stream}", self._tell_twin)
        if self.recorder:
            gate = Gate(
                self.node.link.tokens, self._path_tokens, self._public, all_private=config.recordings_private
            )
            Serving(self.recorder, gate, self.node.link.require_orchestrator).add_to(self.app)
        self.node.link.listen(self.apply)
        self._stop_listening = core.listen(self._heard)

    @property
    def hls_port(self) -> int:
        """The port of the HLS listener."""
        return self.edge.port

    def packager(self, stream: str) -> Packaged:
        """What packages a stream now. Raises KeyError when nothing does."""
        return self._feeds[stream].packager

    def start(self) -> None:
        """Begins to report to the orchestrators, and to package what they name."""
        if self.recorder:
            self.recorder.start()
        self.node.start()
        self._housekeeping = asyncio.create_task(self._keep_house(), name="hls housekeeping")

    async def close(self) -> None:
        """Ends every playlist, then the listener."""
        self._stop_listening()
        if self._housekeeping:
            self._housekeeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._housekeeping
        if self.recorder:
            self.recorder.leave()
        for stream, live in list(self._feeds.items()):
            self._finish(stream, hand_over=live.handed_over)
        if self._closing:
            await asyncio.wait(self._closing, timeout=0.5)
        await self.node.close()
        if self.recorder:
            await asyncio.to_thread(self.recorder.close)
        await asyncio.to_thread(self.edge.stop)

    def apply(self, directory: Directory) -> None:
        """Packages exactly the broadcasts that are to be packaged, and tells their viewers of a change of mode."""
        wanted = {name: one for name, one in directory.broadcasts.items() if one.package}
        for stream in self._feeds.keys() - wanted.keys():
            self._finish(stream, hand_over=directory.draining and self._feeds[stream].handed_over)
        for stream, broadcast in wanted.items():
            self.edge.guard(stream, private=not broadcast.public)
            if self.recorder:
                self.recorder.guard(stream, private=self._config.recordings_private or not broadcast.public)
            if stream not in self._feeds:
                self.package(stream, broadcast)
            self._tell_mode(broadcast)

    def package(self, stream: str, broadcast: Broadcast) -> None:
        """Begins to package a stream, whenever its media comes, or to stand by for the twin that does."""
        before = self._ended.pop(stream, None)
        if before:
            before.packager.discard()
        puller = self.node.puller
        packager, replica = self._packager(stream, broadcast)
        feed = Feed(
            packager,
            self.node.worker,
            self._clock,
            puller.ensure if puller else None,
            self._config.ladder,
        )
        live = self._feeds[stream] = _Live(packager, feed, replica)
        if isinstance(packager, Standby) and replica is not None:
            reader = Reader(
                replica,
                lambda: self._twin_of(stream),
                broadcast.first,
                self.node.link.peer_token,
                packager.lead,
            )
            live.reading = asyncio.create_task(reader.run(), name=f"twin of {stream}")
        feed.start()

    def _packager(self, stream: str, broadcast: Broadcast) -> tuple[Packaged, Replica | None]:
        window_s = self._config.window_s

        def ask() -> None:
            self._ask_key_frame(stream)

        shelf: Shelf = EdgeShelf(self.edge)
        if broadcast.twinned or broadcast.twin:
            if self.recorder:
                shelf = RecordedShelf(shelf, self.recorder, lambda: standby.led is not None)
            replica = Replica(stream, shelf)
            if self.recorder:
                replica.recorded = partial(self.recorder.heard, stream)
            standby = Standby(
                replica, self._grid, window_s, ask, broadcast.speech, opus=self._config.hls_opus
            )
            return standby, replica
        if self.recorder:
            shelf = RecordedShelf(shelf, self.recorder)
        now_ms = self._clock.now_ms()
        packager = Packager(
            stream,
            self._grid,
            window_s,
            shelf,
            ask,
            now_ms,
            language=broadcast.speech,
            opus=self._config.hls_opus,
        )
        return packager, None

    def _heard(self, event: Event) -> None:
        """Captions come on the data channels of the core, from its own avatars and publishers or from upstream."""
        if event["type"] == "told" and event["label"] == CAPTIONS:
            live, fields = self._feeds.get(event["stream"]), caption_of(event["text"])
            if live is not None and fields is not None:
                live.packager.caption(caption(fields), self._clock.now_ms())

    def _twin_of(self, stream: str) -> str | None:
        broadcast = self.node.link.directory.broadcasts.get(stream)
        return broadcast.twin if broadcast else None

    def _finish(self, stream: str, *, hand_over: bool = False) -> None:
        live = self._feeds.pop(stream)
        if live.reading:
            live.reading.cancel()
        if not hand_over:
            live.packager.end()
        elif self.recorder:
            self.recorder.hand_over(stream)
        live.over.set()
        keep_s = self._config.window_s + 6 * self._grid.target_duration_s
        self._ended[stream] = _Ended(live.packager, time.monotonic() + keep_s)
        task = asyncio.create_task(live.feed.close(), name=f"end of {stream}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _public(self, stream: str) -> bool | None:
        broadcast = self.node.link.directory.broadcasts.get(stream)
        return broadcast.public if broadcast else None

    async def _tell_twin(self, request: web.Request) -> web.StreamResponse:
        self.node.link.require_node(request)
        stream = request.match_info["stream"]
        live = self._feeds.get(stream)
        if live is None or live.replica is None:
            raise NotFound(f"this node does not package {stream!r} with a twin", code="hls_no_replica")
        if live.reading is not None and not live.reading.done():
            if live.replica.shows:
                raise Conflict(
                    f"this node reads {stream!r} along and does not lead yet", code="hls_not_leading"
                )
            raise NotFound(f"this node has nothing of {stream!r} yet", code="hls_no_replica")
        follow = partial(self.recorder.follow, stream) if self.recorder else None
        return await tell(live.replica, request, live.over, follow)

    def _tell_mode(self, broadcast: Broadcast) -> None:
        packager = self._feeds[broadcast.id].packager
        # HLS viewers are told to go back to WebRTC when the broadcast's passive viewers do, and only then.
        mode = "hls" if broadcast.mode is Delivery.HLS else "webrtc"
        packager.set_mode(mode, self._clock.now_ms())

    def _ask_key_frame(self, stream: str) -> None:
        # Not here, or not any more: then there is nobody to ask.
        with contextlib.suppress(SfuError):
            self.node.worker.sfu.request_key_frame(stream)

    async def _keep_house(self) -> None:
        while True:
            now = time.monotonic()
            for stream, ended in list(self._ended.items()):
                if now >= ended.until:
                    del self._ended[stream]
                    ended.packager.discard()
            for what, value in cast(dict[str, int], self.edge.stats()).items():
                _EDGE.labels(what).set(value)
            await asyncio.sleep(_STATS_S)

    async def _stats(self, _request: web.Request) -> web.Response:
        broadcasts: dict[str, Any] = {stream: live.packager.stats() for stream, live in self._feeds.items()}
        return web.json_response({"broadcasts": broadcasts, "edge": self.edge.stats()})


def _recorder(config: HlsConfig) -> Recorder | None:
    """What records, when there is a store to record into or a list that goes back."""
    if not config.store and not config.dvr_s:
        return None
    return Recorder(
        config.data / "spool",
        open_store(config.store) if config.store else None,
        bound_bytes=config.spool_mb << 20,
        dvr_s=config.dvr_s,
        film=config.mp4,
    )


async def start(config: HlsConfig, *, worker: Worker | None = None) -> HlsNode:
    """Starts a packager; serve or mount its `app`. With `worker` (the origin's, in one process) it taps that core, else it has
    one of its own and pulls what it packages. Raises Problem when a port is taken."""
    node = HlsNode(config, worker)
    node.start()
    return node
