"""What both services are: a WebSocket route with a limit of connections, fair work on a few threads, health and metrics.

GET /v1/stream/… ─► Service.admit ─► Channel ◄─► session (speaking.py or listening.py) ─► Scheduler ─► voice or recogniser
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from aiohttp import WSCloseCode, web

from common import metrics
from common.config import SpeechInstance
from common.errors import BadRequest, Unavailable
from common.http import application
from common.ids import new_id
from common.log import log
from common.tasks import end_tasks
from speech_service.channel import CLOSE_S, Channel
from speech_service.endings import Broken, stopping
from speech_service.scheduler import Scheduler

_log = log("speech")

HEARTBEAT_S: Final = 20.0
"""A WebSocket ping goes to each client so often; one that does not answer within half of it is gone."""
RETRY_S: Final = 5.0

_CONNECTIONS = metrics.gauge("speech_connections", "Connections now", ("service",))
_LIMIT = metrics.gauge("speech_connections_limit", "Most connections of this instance", ("service",))
_REFUSED = metrics.counter("speech_refused_total", "Connections refused", ("service", "code"))
_ENDED = metrics.counter("speech_ended_total", "Connections that ended, by reason", ("service", "reason"))
_WAITING = metrics.gauge("speech_work_waiting", "Pieces of work that wait for a thread", ("service",))


class Session(Protocol):
    """What is done for one connection."""

    @property
    def busy(self) -> bool:
        """Whether something is being made for it."""

    async def handle(self, frame: str | bytes) -> None:
        """The next frame that came. Raises Broken."""

    async def work(self) -> None:
        """Does the work; returns after `finish`, when all is said. Raises Broken."""

    def close(self) -> None:
        """The connection has ended: so does its work."""


MakeSession = Callable[[Channel], Session]


def threads(settings: SpeechInstance) -> int:
    """Threads for heavy work: as configured, else half of the cores."""
    return settings.speech_threads or max(1, (os.cpu_count() or 2) // 2)


class Service:
    """One instance: `app` to be served. `facts` adds to /health what the service knows of its models; `also` is called at the end."""

    def __init__(
        self,
        name: str,
        settings: SpeechInstance,
        scheduler: Scheduler,
        make: MakeSession,
        facts: dict[str, Any],
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self._settings = settings
        self._make = make
        self._facts = facts
        self._also = also
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._open: dict[str, asyncio.Event] = {}
        self._stopping = False
        self.app = application(name, self.health)
        self.app.router.add_get(f"/v1/stream/{name}", self._stream)
        self.app.on_shutdown.append(self._shut)
        _LIMIT.labels(name).set(settings.speech_connections)
        _CONNECTIONS.labels(name).set_function(lambda: len(self._open))
        _WAITING.labels(name).set_function(lambda: scheduler.waiting)

    @property
    def active(self) -> int:
        """Connections now."""
        return len(self._open)

    def health(self) -> dict[str, Any]:
        """The members of /health."""
        return {
            "active_connections": self.active,
            "limit": self._settings.speech_connections,
            "up_since": self._since,
            "threads": self.scheduler.threads,
            "work_waiting": self.scheduler.waiting,
            "ready": not self._stopping,
            **self._facts,
        }

    async def close(self) -> None:
        """Ends all connections, then the work."""
        await self._shut(self.app)
        self.scheduler.close()
        self._also()

    async def _shut(self, _app: web.Application) -> None:
        """Before the listener closes: every client is told to come again elsewhere."""
        self._stopping = True
        for stop in self._open.values():
            stop.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S / 2):
                while self._open:  # noqa: ASYNC110 - within a second, at the end of the process
                    await asyncio.sleep(0.01)

    def _admit(self) -> None:
        """Raises Unavailable, before the upgrade, when there is no place."""
        limit = self._settings.speech_connections
        problem = None
        if self._stopping:
            problem = Unavailable(
                "this instance is being stopped", code="speech_stopping", retry_after_s=RETRY_S
            )
        elif len(self._open) >= limit:
            problem = Unavailable(
                f"this instance has the {limit} connections that it takes",
                code="speech_full",
                hint="come again, or take another instance: the front end chooses by itself",
                retry_after_s=RETRY_S,
            )
        if problem is not None:
            _REFUSED.labels(self.name, problem.code).inc()
            raise problem

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=1024 * 1024, compress=False, timeout=CLOSE_S
        )
        if not ws.can_prepare(request):
            raise BadRequest(
                "this address speaks WebSocket only",
                status=426,
                code="upgrade_required",
                headers={"Upgrade": "websocket", "Connection": "Upgrade"},
            )
        self._admit()
        connection = new_id(self.name)
        stop = self._open[connection] = asyncio.Event()
        reason = "failed"
        try:
            await ws.prepare(request)
            reason = await self._serve(ws, connection, stop)
        finally:
            del self._open[connection]
            _ENDED.labels(self.name, reason).inc()
        return ws

    async def _serve(self, ws: web.WebSocketResponse, connection: str, stop: asyncio.Event) -> str:
        """The life of a connection: reads, sends and works until one of them ends. Returns why it ended."""
        settings = self._settings
        channel = Channel(ws, connection, idle_s=settings.speech_idle_s, stall_s=settings.speech_stall_s)
        session = self._make(channel)

        async def read() -> None:
            async for frame in channel.messages(lambda: session.busy):
                await session.handle(frame)

        _log.info("connection:open", service=self.name, connection=connection, active=self.active)
        reading, sending, work, stopped = tasks = [
            asyncio.ensure_future(one) for one in (read(), channel.drain(), session.work(), stop.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            broken = self._why(connection, [one for one in (reading, sending, work) if one.done()])
            if broken is None and stopped.done():
                broken = stopping()
        finally:
            session.close()
            await end_tasks(*tasks)
        await channel.end(broken)
        reason = broken.code if broken else "left" if not work.done() or work.cancelled() else "finished"
        _log.info("connection:over", service=self.name, connection=connection, reason=reason)
        return reason

    def _why(self, connection: str, ended: list[asyncio.Future[Any]]) -> Broken | None:
        """What broke the connection, if something did."""
        for one in ended:
            error = one.exception()
            if isinstance(error, Broken):
                return error
            if error is not None and not isinstance(error, ConnectionError):
                _log.error("connection:failed", connection=connection, exc_info=error)
                return Broken(
                    "the service failed on this connection; it has been logged",
                    code="internal_error",
                    close=WSCloseCode.INTERNAL_ERROR,
                    hint="connect again",
                )
        return None
