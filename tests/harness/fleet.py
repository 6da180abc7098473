"""A cluster of real processes on loopback: orchestrators, nodes, a publisher, viewers that watch and players that come; and what they saw
of a fault."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from avacast.process import free_port
from common._native import Swarm
from tests.harness import pion
from tests.harness.cluster import eventually

SECRET = "a secret of the fleet, thirty-two characters long"
ADMIN = {"Authorization": "Bearer the operators' token of the fleet"}
STARTS_S = 60.0
BROADCAST = "demo"


@dataclass
class Member:
    """A process of ours. `url` is where it serves."""

    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As a machine that is gone: no farewell."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """SIGTERM, and waits for its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill()


@dataclass
class Seen:
    """What was seen of a fault. Times in seconds; pauses are to a tenth."""

    fault: str
    longest_pause_s: float
    """For which a viewer that watched got no packet."""
    lost: int
    """Packets that viewers who watched never got."""
    joins: int
    refused: int
    """Of those, by every orchestrator that was asked."""
    slowest_s: float
    """The answer to a player that came took at most so long."""
    whole_s: float
    """From the fault's end until all was as before."""


class Watchers:
    """Viewers that watch by WebRTC, from `join` to `close`."""

    def __init__(self) -> None:
        self._swarm = Swarm()
        self._packets: dict[int, tuple[int, float]] = {}
        self._longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def join(self, http: aiohttp.ClientSession, url: str, count: int) -> None:
        """So many more, and all of them get pictures."""
        for _ in range(count):
            viewer, offer = self._swarm.offer()
            headers = {"Content-Type": "application/sdp"}
            async with http.post(f"{url}/whep/{BROADCAST}", data=offer, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                self._swarm.accept(viewer, await answer.text())
        await eventually(
            lambda: all(one["first_key_frame_ns"] for one in self._swarm.reports()),
            "all see pictures",
            STARTS_S,
        )
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for one in self._swarm.reports():
                packets, since = self._packets.get(one["id"], (-1, now))
                if one["packets"] != packets:
                    self._packets[one["id"]] = (one["packets"], now)
                self._longest = max(self._longest, now - since)
            await asyncio.sleep(0.1)

    def begin(self) -> None:
        """Counts anew."""
        self._swarm.restart()
        self._packets.clear()
        self._longest = 0.0

    def seen(self) -> tuple[float, int]:
        """The longest pause of any, and what was lost, since `begin`."""
        return self._longest, sum(one["missing"] for one in self._swarm.reports())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Joiners:
    """Players that come, five a second: each asks how to watch, at one orchestrator and then at the next, as behind a balancer."""

    def __init__(self, http: aiohttp.ClientSession, orchestrators: Callable[[], list[str]]) -> None:
        self._http = http
        self._orchestrators = orchestrators
        self._task = asyncio.create_task(self._come())
        self.begin()

    def begin(self) -> None:
        """Counts anew."""
        self.joins = self.refused = 0
        self.slowest_s = 0.0
        self.refusals: list[str] = []

    async def _come(self) -> None:
        while True:
            began = time.monotonic()
            told = await self._ask()
            self.joins += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if told:
                self.refused += 1
                self.refusals.append(told)
            await asyncio.sleep(0.2)

    async def _ask(self) -> str:
        """Empty when one answered, else what the last one said."""
        told = "there is no orchestrator"
        for url in self._orchestrators():
            try:
                async with self._http.get(
                    f"{url}/api/broadcasts/{BROADCAST}/play", timeout=aiohttp.ClientTimeout(total=5)
                ) as answer:
                    if answer.status == 200:
                        return ""
                    told = f"{answer.status} {await answer.text()}"
            except (aiohttp.ClientError, TimeoutError) as error:
                told = repr(error)
        return told

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@dataclass
class Fleet:
    """The cluster. Members end with it."""

    folder: Path
    redis_url: str
    database_url: str
    closing: AsyncExitStack
    http: aiohttp.ClientSession
    orchestrators: list[Member] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """Of the orchestrators that run."""
        return [one.url for one in self.orchestrators if one.process.poll() is None]

    async def start(self, role: str, name: str, **environment: str) -> Member:
        """A member of a role (`orchestrator`, `origin`, `relay`, `hls`), ready, in this process's environment with `environment`."""
        port = free_port()
        home = self.folder / name
        home.mkdir()
        settings = {
            "AVACAST_DATA": str(home),
            "AVACAST_CLUSTER_SECRET": SECRET,
            "AVACAST_HTTP_HOST": "127.0.0.1",
            "AVACAST_HTTP_PORT": str(port),
        }
        if role == "orchestrator":
            settings |= {
                "AVACAST_ADMIN_TOKEN": ADMIN["Authorization"].removeprefix("Bearer "),
                "REDIS_URL": self.redis_url,
                "DATABASE_URL": self.database_url,
            }
        else:
            settings |= {
                "AVACAST_NODE_ID": name,
                "AVACAST_URL": f"http://127.0.0.1:{port}",
                "AVACAST_ORCHESTRATORS": ",".join(self.urls),
                "AVACAST_MEDIA_HOST": "127.0.0.1",
                "AVACAST_MEDIA_PORT": "0",
                "AVACAST_PUBLIC_IP": "127.0.0.1",
                "AVACAST_HLS_PORT": "0",
                "AVACAST_HEARTBEAT_S": "0.5",
                "SFU_WORKERS": "1",
            }
        command = [sys.executable, "-m", "avacast", role]
        if role == "origin":
            command.append("--no-avatar")
        log = home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - it does not block, and outlives the loop's own kind
                command, env={**os.environ, **settings, **environment}, stdout=output, stderr=output
            )
        member = Member(name, f"http://127.0.0.1:{port}", log, process)
        self.closing.callback(member.stop)
        if role == "orchestrator":
            self.orchestrators.append(member)
        await self.until(lambda: self._ready(member), f"{name} is ready")
        return member

    async def publish(self, origin: Member) -> None:
        """Makes the broadcast and sends a film to it."""
        made = await self.ask("POST", "/api/broadcasts", json={"id": BROADCAST, "public": True})
        folder = self.folder / "film"
        folder.mkdir()
        film = await asyncio.to_thread(pion.film, folder)
        url = f"{origin.url}/whip/{BROADCAST}"
        publisher = await self.closing.enter_async_context(
            pion.pion("publish", "-url", url, "-token", made["token"], "-device", "lo", *film)
        )
        await publisher.event("connected", timeout_s=STARTS_S)

    async def ask(self, method: str, path: str, *, at: str = "", **options: Any) -> Any:
        """What an orchestrator (the first one that runs, or `at`) answers; it must be a success."""
        async with self.http.request(
            method, f"{at or self.urls[0]}{path}", headers=ADMIN, **options
        ) as answer:
            assert answer.status < 400, f"{method} {path}: {answer.status} {await answer.text()}"
            return await answer.json() if answer.status != 204 else None

    async def until(
        self, true: Callable[[], Awaitable[bool]], what: str, within_s: float = STARTS_S
    ) -> float:
        """Waits until it holds; an error is a no. Returns how long it took."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
                if await true():
                    return time.monotonic() - began
            await asyncio.sleep(0.1)
        logs = "\n".join(f"{log.parent.name}: {log.read_text()[-800:]}" for log in self.folder.glob("*/log"))
        raise AssertionError(f"not within {within_s:g} s: {what}\n{logs}")

    async def _ready(self, member: Member) -> bool:
        assert member.process.poll() is None, "it has ended"
        async with self.http.get(f"{member.url}/health") as answer:
            return answer.status == 200


@contextlib.asynccontextmanager
async def fleet(folder: Path, *, redis_url: str, database_url: str) -> AsyncIterator[Fleet]:
    """An empty one."""
    async with AsyncExitStack() as closing:
        http = await closing.enter_async_context(aiohttp.ClientSession())
        yield Fleet(folder, redis_url, database_url, closing, http)
