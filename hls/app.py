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
from common.store.opening import open_store
from hls.captions import caption
from hls.feed import Feed, WallTime
from hls.grid import tier
from hls.replica import Replica
from hls.shelf import EdgeShelf, Shelf
from hls.standby import Standby
from hls.store.gate import Gate
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


@dataclass(slots=True)
class _Ended:
    """A finished broadcast that is still served, so that the slowest player reads its end."""

    packager: Standby
    until: float


@dataclass(slots=True)
class _Live:
    """A broadcast that is packaged: `reading` until this node leads, `over` for twins that read along."""

    packager: Standby
    feed: Feed
    replica: Replica
    reading: asyncio.Task[None]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    told: bool = False
    """A twin has been sent all that there is."""
    released: bool = False
    """Its twin is to make the playlists."""

    @property
    def leads(self) -> bool:
        return self.reading.done()

    @property
    def handed_over(self) -> bool:
        """A twin goes on where this node ends."""
        return self.replica.read_along


class HlsNode:
    """A running packager. `app` is its control side (health, metrics, directory); viewers talk to `hls_port`."""

    def __init__(self, config: HlsConfig, worker: Worker | None) -> None:
        self._config = config
        self._grid = tier(config.part_s)
        self._clock = WallTime()
        self._feeds: dict[str, _Live] = {}
        self._ended: dict[str, _Ended] = {}
        self._given_up: set[str] = set()
        """Broadcasts that a twin has taken over, as long as the Directory names them to this node too."""
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
        self.node.link.packages = lambda: list(self._feeds)
        self.node.holds = self._holds
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

    def packager(self, stream: str) -> Standby:
        """What packages a stream now. Raises KeyError when nothing does."""
        return self._feeds[stream].packager

    def start(self) -> None:
        """Begins to report to the orchestrators, and to package what they name."""
        if self.recorder:
            self.recorder.start()
        self.node.start()
        self._housekeeping = asyncio.create_task(self._keep_house(), name="hls housekeeping")

    async def leave(self, why: str) -> None:
        """The process is to end: takes no new broadcast, and returns once other packagers go on with all that are here, or when the time
        for that (`drain_s`) is over."""
        await self.node.leave(why)

    def _holds(self) -> int:
        """Broadcasts that no other packager has taken over yet, and objects of recordings on their way to the store."""
        return len(self._feeds) + (self.recorder.waiting if self.recorder else 0)

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
        self._given_up &= {name for name, one in directory.broadcasts.items() if one.released}
        wanted = {name: one for name, one in directory.broadcasts.items() if one.package}
        for stream in self._feeds.keys() - wanted.keys():
            self._finish(stream)
        for stream, broadcast in wanted.items():
            if stream in self._given_up:
                continue
            self.edge.guard(stream, private=not broadcast.public)
            if self.recorder:
                self.recorder.guard(stream, private=self._config.recordings_private or not broadcast.public)
            if stream not in self._feeds:
                self.package(stream, broadcast)
            self._tell_mode(broadcast)
            self._feeds[stream].released = broadcast.released
            self._give_up(stream)

    def package(self, stream: str, broadcast: Broadcast) -> None:
        """Begins to package a stream, whenever its media comes, or to stand by for the twin that does."""
        before = self._ended.pop(stream, None)
        if before:
            before.packager.discard()
        puller = self.node.puller
        shelf: Shelf = EdgeShelf(self.edge)
        if self.recorder:
            shelf = RecordedShelf(shelf, self.recorder, lambda: packager.led is not None)
        replica = Replica(stream, shelf)
        if self.recorder:
            replica.recorded = partial(self.recorder.heard, stream)
        packager = Standby(
            replica,
            self._grid,
            self._config.window_s,
            partial(self._ask_key_frame, stream),
            broadcast.speech,
            opus=self._config.hls_opus,
        )
        feed = Feed(
            packager,
            self.node.worker,
            self._clock,
            puller.ensure if puller else None,
            self._config.ladder,
        )
        reader = Reader(
            replica,
            lambda: self._twin_of(stream),
            broadcast.first,
            self.node.link.peer_token,
            lambda: packager.lead(self._clock.now_ms()),
        )
        reading = asyncio.create_task(reader.run(), name=f"twin of {stream}")
        self._feeds[stream] = _Live(packager, feed, replica, reading)
        feed.start()

    def _give_up(self, stream: str) -> None:
        """Leaves a broadcast to its twin, when it is to, and that can go on with the same playlists."""
        live = self._feeds.get(stream)
        if live is not None and live.released and ((live.handed_over and live.told) or not live.leads):
            _log.info("gives_up", stream=stream, twin=self._twin_of(stream))
            self._given_up.add(stream)
            self._finish(stream, hand_over=True)

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
        live.reading.cancel()
        if hand_over:
            if self.recorder:
                self.recorder.hand_over(stream)
        else:
            live.packager.end()
        live.over.set()
        if stream in self._given_up:
            # Not the playlists as they were when they were handed over: a cache that finds nothing here asks the twin.
            self.edge.close(stream)
        else:
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
        if live is None:
            raise NotFound(f"this node does not package {stream!r}", code="hls_no_replica")
        if not live.leads:
            if live.replica.shows:
                raise Conflict(
                    f"this node reads {stream!r} along and does not lead yet", code="hls_not_leading"
                )
            raise NotFound(f"this node has nothing of {stream!r} yet", code="hls_no_replica")
        live.told = False

        def told() -> None:
            live.told = True
            self._give_up(stream)

        follow = partial(self.recorder.follow, stream) if self.recorder else None
        return await tell(live.replica, request, live.over, follow, told)

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
