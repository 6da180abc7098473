"""The short form of `make soak`: viewers come and go, and the server counts as many as there are, and none when all have left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from bench.soak import Soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def until(done: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not await done():  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what) from None


async def test_viewers_who_come_and_go_leave_nothing_behind() -> None:
    soak = Soak(30, 0.3, vanish=0.0, every_s=2.0)
    try:
        before = soak.descriptors
        readings = await soak.run(8)
        async with aiohttp.ClientSession() as http:

            async def sessions() -> int:
                async with http.get(f"http://127.0.0.1:{soak.server.port}/sessions") as answer:
                    return int(await answer.text())

            async def as_many_as_watch() -> bool:
                return await sessions() == len(soak.seats)

            await until(as_many_as_watch, "a session for each viewer")
            assert soak.failed == 0
            assert soak.joined > 30, "some have left, others have come"
            assert readings[-1].packets > 0
            while soak.seats:
                await soak.leave(http)
            await until(as_many_as_watch, "no session when all have left")

        async def descriptors_as_before() -> bool:
            return soak.descriptors <= before

        await until(descriptors_as_before, "no descriptor is kept")
    finally:
        soak.server.close()
