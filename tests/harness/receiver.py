"""A receiver of webhooks on loopback: takes, refuses, hangs or is slow, as the test tells it, and keeps what came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Came:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def taken(_request: web.Request) -> web.StreamResponse:
    """204."""
    return web.Response(status=204)


@dataclass
class Receiver:
    """`answer` says how the next requests are answered."""

    url: str = ""
    answer: Answer = taken
    came: list[Came] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def types(self) -> list[str]:
        """The kinds of events that came, in order."""
        return [one.event["type"] for one in self.came]

    async def until(self, true: Callable[[], Any], within_s: float = 20.0) -> None:
        """Waits until what came makes this true. Raises AssertionError that says what came instead."""
        try:
            async with asyncio.timeout(within_s), self.changed:
                await self.changed.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"came only: {self.types()}") from None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        async with self.changed:
            self.came.append(Came(request.path, headers, body))
            self.changed.notify_all()
        return await self.answer(request)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    running = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", running.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    running.url = f"http://127.0.0.1:{address[1]}"
    try:
        yield running
    finally:
        await runner.cleanup()
