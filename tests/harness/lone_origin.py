"""An origin alone, as the orchestrator uses it: a test pushes directories and lines over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

import origin.app
from common.auth import Audience, Tokens
from common.config import OriginConfig
from common.http import Site

SECRET = "a secret of more than thirty-two characters"
DEMO = {"id": "demo", "public": True, "avatar": "ava", "persona": "ava", "viewers": 1}


@dataclass
class Running:
    """An origin that is served. `node` is the header of a node."""

    base: str
    http: aiohttp.ClientSession
    started: origin.app.Origin
    node: dict[str, str]
    version: int = 0

    async def direct(self, *broadcasts: dict[str, Any]) -> int:
        """Pushes a directory with these broadcasts."""
        self.version += 1
        body = {"version": self.version, "broadcasts": {b["id"]: b for b in broadcasts}}
        url = f"{self.base}/api/v1/node/directory"
        async with self.http.post(url, json=body, headers=self.node) as answer:
            return answer.status

    async def line(self, verb: str, text: str, broadcast: str = "demo") -> tuple[int, dict[str, Any]]:
        url = f"{self.base}/api/v1/node/{verb}"
        async with self.http.post(
            url, json={"broadcast": broadcast, "text": text}, headers=self.node
        ) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def running_origin(data: Path, **settings: Any) -> AsyncIterator[Running]:
    """An origin with the light voice and avatars, on free ports of the loopback."""
    config = OriginConfig(
        node_id="origin",
        data=data,
        cluster_secret=SECRET,
        hs256="all",
        media_host="127.0.0.1",
        media_port=0,
        voice="piper",
        orchestrators=[],
        **settings,
    )
    started = await origin.app.start(config)
    site = Site(started.app, "127.0.0.1", 0)
    await site.start()
    token = Tokens(SECRET).issue(Audience.ORDER, config.node_id, ttl_s=600)
    async with aiohttp.ClientSession() as http:
        yield Running(f"http://127.0.0.1:{site.port}", http, started, {"Authorization": f"Bearer {token}"})
    await site.close()
    await started.close()


async def until(reached: Callable[[], Awaitable[bool]], limit_s: float = 20.0) -> None:
    """Asks again and again until it is so: what is asked lives behind HTTP or in threads."""
    async with asyncio.timeout(limit_s):
        while not await reached():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def live(running: Running, **facts: Any) -> None:
    """Waits until the avatar takes lines. `facts` of the broadcast are beside those of DEMO."""
    assert await running.direct({**DEMO, **facts}) == 204

    async def takes_lines() -> bool:
        return (await running.line("interrupt", "-"))[0] == 202

    await until(takes_lines, 150)  # layers of another size are baked first
