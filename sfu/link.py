"""A node's link to the orchestrators: it reports itself, and keeps the Directory that it is answered with.

All orchestrators are tried; any of them will do. A node that reaches none goes on with the directory that it has.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.metadata
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
from aiohttp import web

from common.auth import Audience, Believed, Tokens, bearer
from common.config import Node
from common.directory import (
    TOKEN_HEADER,
    Broadcast,
    Directory,
    Health,
    NodeReport,
    OwnDrain,
    Role,
    StreamReport,
)
from common.errors import Conflict, Forbidden, NotFound, Problem, Unavailable
from common.http import read_model
from common.log import log
from common.tasks import end_tasks
from sfu.room import Room

_log = log("link")

_QUICK_S = 0.2
"""Time to the next attempt while no orchestrator has answered yet."""
_TIMEOUT_S = 2.0
_SILENT_S = 5.0
"""Without an answer for so long it is said, once: a whole cluster that starts together takes a moment."""
_REFRESH_S = 1.0
"""Least time between two heartbeats that an unknown broadcast asks for: a flood of them costs no more."""
_TOKEN_TTL_S = 120.0
_PEER_TOKEN_LEFT_S = 12 * 3600.0
"""With less than this left another token for peers is asked for: orchestrators may be away for hours."""


@dataclass(frozen=True, slots=True)
class _Own:
    """A drain that the node has begun by itself. Times are monotonic seconds."""

    why: str
    until: float
    drain_s: float
    ends: bool


Listener = Callable[[Directory], None]
Streams = Callable[[], list[StreamReport]]
Figures = Callable[[], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Carries:
    """The avatars of a node: how many more it carries (None: not known yet), broadcasts that it refused, and how full the memory
    of the GPU is that draws them (None: there is none)."""

    free: int | None = None
    refused: list[str] = field(default_factory=list)
    gpu_memory_ratio: float | None = None


class Link:
    """Registers the node, heartbeats, applies directories. `directory` is the newest one."""

    def __init__(
        self,
        config: Node,
        role: Role,
        streams: Streams,
        *,
        stats: Figures = dict,
        workers: int = 0,
        avatar: bool = False,
    ) -> None:
        self.node_id = config.node_id or f"{role.value}-{secrets.token_hex(4)}"
        self.role = role
        self.tokens = Tokens(config.node_secret(), Believed(config.hs256))
        self._peer_token, self._peer_token_ends = "", float("-inf")
        self.directory = Directory()
        self.draining = False
        self._until: float | None = None
        """When an orchestrator wants it to be empty; monotonic seconds."""
        self._own: _Own | None = None
        self._config = config
        self._streams = streams
        self._stats = stats
        self._workers = workers
        self._avatar = avatar
        self.carries: Callable[[], Carries] = Carries
        """What is told of the avatars that the node carries."""
        self.health: Callable[[], Health | None] = lambda: None
        """What is told of how the node fares."""
        self.packages: Callable[[], list[str]] = list
        """The broadcasts that it makes HLS of."""
        self.room: Callable[[], Room] = Room
        """And of its media core."""
        self._epoch = time.time_ns() // 1_000_000
        self._listeners: list[Listener] = []
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._http: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._beat_lock = asyncio.Lock()
        self._heard_at = float("-inf")
        self._first = 0

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to report."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        self._task = asyncio.create_task(self._run(), name=f"link of {self.node_id}")

    async def close(self) -> None:
        """Stops reporting; the lease runs out."""
        await end_tasks(self._task)
        if self._http:
            await self._http.close()

    def listen(self, listener: Listener) -> None:
        """Has `listener` called with each directory, and with the present one at once when there is one."""
        self._listeners.append(listener)
        if self.connected:
            listener(self.directory)

    def add_to(self, app: web.Application) -> None:
        """Adds the route by which an orchestrator pushes a changed directory."""
        app.router.add_post("/api/v1/node/directory", self._pushed)

    @property
    def connected(self) -> bool:
        """True once an orchestrator has answered."""
        return self._heard_at > float("-inf")

    # --- what the node must know --------------------------------------------------------------------

    async def broadcast(self, broadcast: str) -> Broadcast:
        """The broadcast; an unknown one is asked for once. Raises NotFound, or Unavailable before the first directory."""
        found = self.directory.broadcasts.get(broadcast)
        if found is None:
            await self.refresh()
            found = self.directory.broadcasts.get(broadcast)
        if found is None and not self.connected:
            raise Unavailable(
                "this node has not heard of an orchestrator yet", code="node_starting", retry_after_s=1
            )
        if found is None:
            raise NotFound(
                f"there is no live broadcast {broadcast!r} here",
                code="broadcast_unknown",
                hint="list them: GET /api/broadcasts",
            )
        return found

    async def refresh(self) -> None:
        """A heartbeat now, unless one was just answered."""
        async with self._beat_lock:
            if time.monotonic() - self._heard_at > _REFRESH_S:
                await self._beat()

    async def announce(self) -> None:
        """A heartbeat now: something changed that the orchestrator should know at once."""
        async with self._beat_lock:
            await self._beat()

    async def leave(self, drain_s: float, why: str) -> None:
        """The process is to end in `drain_s`: the node drains from now on, whatever an orchestrator says, and reports that at once."""
        await self._drain(_Own(why[:200], time.monotonic() + drain_s, drain_s, ends=True))

    async def follow(self, drain_s: float, why: str | None) -> None:
        """The node is to drain, for this reason, though its process goes on; or (None) no longer. A process that is to end drains on."""
        if self._own is None or not self._own.ends:
            until = time.monotonic() + drain_s
            await self._drain(None if why is None else _Own(why[:200], until, drain_s, ends=False))

    async def _drain(self, own: _Own | None) -> None:
        self._own = own
        self._apply(self.directory, heard=False)
        await self.announce()

    @property
    def drain_left_s(self) -> float | None:
        """Seconds until the node is to be empty; None when it does not drain, or nobody has said until when."""
        if self._own is not None:
            return max(0.0, self._own.until - time.monotonic())
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def require_orchestrator(self, request: web.Request) -> None:
        """Passes for a token by which an orchestrator speaks to this node only."""
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.node_id)

    def require_node(self, request: web.Request) -> None:
        """Passes for a node's token only."""
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.NODE, also=Audience.PEER)

    def peer_token(self) -> str:
        """What this node shows to other nodes: handed to it by an orchestrator, else signed with the cluster's secret; empty when it
        has neither yet."""
        if self._peer_token and time.time() < self._peer_token_ends:
            return self._peer_token
        if self.tokens.can_issue:
            return self.tokens.issue(Audience.NODE, self.node_id, ttl_s=_TOKEN_TTL_S)
        return self._peer_token

    async def _pushed(self, request: web.Request) -> web.Response:
        self.require_orchestrator(request)
        directory = await read_model(request, Directory)
        if directory.version < self.directory.version:
            raise Conflict(f"directory {self.directory.version} is here already", code="directory_old")
        self._apply(directory)
        return web.Response(status=204)

    def _apply(self, directory: Directory, *, heard: bool = True) -> None:
        if heard:
            self._heard_at = time.monotonic()
            order = directory.drain if directory.draining else None
            self._until = None if order is None else time.monotonic() + order.left_s
        self.directory = directory
        if directory.keys and self.tokens.learn(directory.keys):
            self._take_token(self._peer_token)  # its key may have been ended
        self.draining = directory.draining or self._own is not None
        for listener in self._listeners:
            try:
                listener(directory)
            except Exception as error:  # one part that fails must not keep the others from knowing
                _log.error("directory_not_applied", exc_info=error)

    # --- reporting ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, *, silence_s: float = _TIMEOUT_S, **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request of this node's own to the orchestrator that answered last; it may take as long as bytes move every `silence_s`.
        Raises aiohttp.ClientError, TimeoutError, ValueError before the link has begun."""
        if self._http is None:
            raise ValueError("the link has not begun")
        url = self._config.orchestrators[self._first].rstrip("/") + path
        async with self._http.request(
            method,
            url,
            headers={"Authorization": f"Bearer {self._credential()}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_S, sock_read=silence_s),
            **body,
        ) as answer:
            yield answer

    def report(self) -> NodeReport:
        """The node as it is now."""
        cores = psutil.cpu_count() or 1
        carries, room = self.carries(), self.room()
        return NodeReport(
            id=self.node_id,
            role=self.role,
            region=self._config.region,
            zone=self._config.zone,
            url=self._config.url,
            epoch=self._epoch,
            version=self._config.version or _version(),
            draining=self.draining,
            leaving=self._leaving(),
            capacity=min(self._config.capacity, room.most),
            busiest_ratio=room.busiest_ratio,
            refused=room.refused,
            cpu_ratio=self._process.cpu_percent() / 100 / cores,
            memory_bytes=self._process.memory_info().rss,
            memory_ratio=psutil.virtual_memory().percent / 100,
            gpu_memory_ratio=carries.gpu_memory_ratio,
            workers=self._workers,
            avatar=self._avatar,
            avatars_free=carries.free,
            avatars_refused=carries.refused,
            packages=self.packages(),
            health=self.health(),
            streams=self._streams(),
            stats=self._stats(),
        )

    def _leaving(self) -> OwnDrain | None:
        if self._own is None:
            return None
        own = self._own
        return OwnDrain(why=own.why, left_s=self.drain_left_s or 0.0, drain_s=own.drain_s, ends=own.ends)

    async def _run(self) -> None:
        silent, started = False, time.monotonic()
        while True:
            try:
                async with self._beat_lock:
                    answered = await self._beat()
            except Exception as error:
                _log.error("report_failed", exc_info=error)
                answered = False
            if answered and silent:
                silent = False
                _log.info("orchestrator_answers")
            elif not answered and not silent and time.monotonic() - max(self._heard_at, started) > _SILENT_S:
                silent = True
                _log.warning("orchestrators_silent", tried=self._config.orchestrators)
            wait = self._config.heartbeat_s if self.connected else _QUICK_S
            await asyncio.sleep(wait * random.uniform(0.9, 1.1))

    async def _beat(self) -> bool:
        """Reports to the first orchestrator that answers, beginning with the one that did last."""
        if self._http is None:
            return False
        body = self.report().model_dump_json().encode()
        urls = self._config.orchestrators
        path = "heartbeat" if self.connected else "register"
        for step in range(len(urls)):
            at = (self._first + step) % len(urls)
            headers = {"Authorization": f"Bearer {self._credential()}", "Content-Type": "application/json"}
            if time.time() > self._peer_token_ends - _PEER_TOKEN_LEFT_S:
                headers[TOKEN_HEADER] = "wanted"
            try:
                async with self._http.post(
                    f"{urls[at].rstrip('/')}/api/v1/worker/{path}", data=body, headers=headers
                ) as answer:
                    if answer.status == 200:
                        self._apply(Directory.model_validate_json(await answer.read()))
                        self._take_token(answer.headers.get(TOKEN_HEADER, ""))
                        self._first = at
                        return True
                    _log.warning(
                        "report_refused",
                        orchestrator=urls[at],
                        status=answer.status,
                        said=(await answer.text())[:300],
                    )
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                _log.debug("orchestrator_unreachable", orchestrator=urls[at], error=str(error))
        return False

    def _credential(self) -> str:
        """What this node registers with."""
        return self._config.node_key or self.tokens.issue(Audience.NODE, self.node_id, ttl_s=_TOKEN_TTL_S)

    def _take_token(self, token: str) -> None:
        """Keeps a token for peers that holds, and lets go of one that does not."""
        if not token:
            return
        try:
            claims = self.tokens.verify(token, Audience.PEER, self.node_id)
            self._peer_token, self._peer_token_ends = token, claims.expires_at
        except Problem as error:
            _log.warning("peer_token_refused", error=error.detail)
            self._peer_token, self._peer_token_ends = "", float("-inf")


@functools.cache
def _version() -> str:
    """The program's own version; empty where it is not installed."""
    try:
        return importlib.metadata.version("avacast")
    except importlib.metadata.PackageNotFoundError:
        return ""


class DirectoryAdmission:
    """Admits by what the Directory says: a public broadcast to all, others to those with a token; publishers by theirs."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def admit_viewer(self, request: web.Request, stream: str) -> None:
        """Passes for a public broadcast, else with a viewer's token for it, or a node's. Raises NotFound, Unauthorized, ..."""
        if self._link.draining:
            raise Unavailable("this node is being emptied", code="node_draining", retry_after_s=1)
        broadcast = await self._link.broadcast(stream)
        if broadcast.released:
            raise Unavailable(
                f"another node has taken {stream!r} over", code="node_draining", retry_after_s=1
            )
        if broadcast.public:
            return
        token = bearer(request.headers.get("Authorization"))
        try:
            self._link.tokens.verify(token, Audience.VIEWER, stream, also=Audience.PEER)
        except Forbidden:
            self._link.tokens.verify(token, Audience.NODE)

    async def admit_publisher(self, request: web.Request, stream: str) -> None:
        """Passes with the broadcast's publisher token, for a broadcast that no avatar feeds."""
        self._link.tokens.verify(bearer(request.headers.get("Authorization")), Audience.PUBLISHER, stream)
        broadcast = await self._link.broadcast(stream)
        if broadcast.avatar:
            raise Conflict(
                f"{stream!r} is an avatar's broadcast",
                code="stream_taken",
                hint="make a broadcast without an avatar to publish to",
            )

    def is_node(self, request: web.Request) -> bool:
        """Whether the request has a node's token."""
        try:
            self._link.require_node(request)
        except Problem:
            return False
        return True
