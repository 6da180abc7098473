"""Floods over HTTP: ten thousand offers that nobody uses, bodies without end. Nothing grows, and who watches loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from common._native import Swarm
from tests.harness.media_server import MediaServer, media_server

OFFERS = 10_000
MOST_UNUSED = 100
SDP = {"Content-Type": "application/sdp"}


def memory_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def picture(index: int) -> tuple[bytes, bool]:
    """A key frame or another one, in Annex-B form."""
    key = index % 50 == 0
    body = bytes((at ^ index) & 0xFF | 1 for at in range(250)) * (24 if key else 6)
    head = b"\0\0\0\1\x67" + b"\x42" * 20 + b"\0\0\0\1\x68" + b"\x42" * 4 if key else b""
    return head + b"\0\0\0\1" + (b"\x65" if key else b"\x41") + body, key


@contextlib.asynccontextmanager
async def broadcast(server: MediaServer, stream: str) -> AsyncIterator[None]:
    """Pictures and sound, every 20 ms."""
    server.worker.sfu.open(stream, video=True, audio=True)

    async def feed() -> None:
        for index in range(1 << 30):
            data, key = picture(index)
            server.worker.sfu.inject(stream, "video", data, index * 1800 & 0xFFFFFFFF, key)
            server.worker.sfu.inject(stream, "audio", bytes(80), index * 960 & 0xFFFFFFFF, False)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def join(http: aiohttp.ClientSession, server: MediaServer, swarm: Swarm) -> None:
    """One viewer of the swarm, who comes again when he is told to."""
    viewer, offer = swarm.offer()
    async with asyncio.timeout(30):
        while True:
            async with http.post(server.whep("live"), data=offer, headers=SDP) as answer:
                if answer.status == 201:
                    return swarm.accept(viewer, await answer.text())
                assert answer.status == 503, await answer.text()
            await asyncio.sleep(0.1)


async def packets(swarm: Swarm, count: int) -> None:
    """Waits until each viewer has `count` packets more."""
    before = {report["id"]: report["packets"] for report in swarm.reports()}
    async with asyncio.timeout(30):
        while True:
            if all(one["packets"] >= before[one["id"]] + count for one in swarm.reports()):
                return
            await asyncio.sleep(0.02)


async def flood(server: MediaServer, offer: str, count: int, answers: Counter[int]) -> None:
    """Posts an offer `count` times over one connection, and looks at each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.site.port)
    body = offer.encode()
    request = (
        f"POST /whep/live HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    try:
        for _ in range(count):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = int(head.split(" ", 2)[1])
            text = await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            answers[status] += 1
            if status != 201:
                assert json.loads(text)["code"] == "busy" and "retry-after: " in head
    finally:
        writer.close()


async def test_ten_thousand_offers_that_nobody_uses_are_bounded_and_cost_the_viewers_nothing() -> None:
    swarm, answers = Swarm(), Counter[int]()
    async with media_server(max_unused=MOST_UNUSED) as server, aiohttp.ClientSession() as http:
        async with broadcast(server, "live"):
            for _ in range(5):
                await join(http, server, swarm)
            await packets(swarm, 100)
            swarm.restart()
            _, offer = Swarm().offer()
            before = 0
            for _ in range(5):
                await asyncio.gather(*(flood(server, offer, OFFERS // 20, answers) for _ in range(4)))
                stats = await server.until(
                    lambda stats: stats["workers"][0]["unused"] <= MOST_UNUSED, "the bound holds"
                )
                assert stats["subscribers"] <= MOST_UNUSED + 5
                assert len(server.handlers.viewers) <= MOST_UNUSED + 10
                before = before or memory_bytes()
            assert memory_bytes() - before < 16 << 20, "memory grows with the offers"
            assert answers.total() == OFFERS and set(answers) == {201, 503}
            await packets(swarm, 50)
            assert sum(report["missing"] for report in swarm.reports()) == 0
            # Who comes after it gets in, and sees.
            await join(http, server, swarm)
            await packets(swarm, 50)
            assert server.stats()["workers"][0]["faults"] == 0


async def test_a_body_without_end_is_cut_off_at_the_limit() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1 << 12):
                sent += 1 << 14
                yield bytes(1 << 14)

        status = 0
        for path in ("/whep/live", "/whip/live"):
            sent = 0
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.post(server.url + path, data=endless(), headers=SDP) as answer:
                    status = answer.status
            assert status == 413 and sent < 8 << 20, f"{sent} bytes were taken"
