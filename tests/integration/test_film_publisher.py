"""`avacast publish` while its origin is emptied, goes away, and does not come back: real origins, aiortc as the publisher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

import origin.app
import sfu.publish
from common.errors import Unavailable
from sfu.publish import publish_file
from tests.harness.clip import film_of
from tests.harness.cluster import Running, admin, eventually, orchestrator
from tests.harness.served_origin import origin_of, publishing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def received(node: origin.app.Origin) -> int:
    return int(node.worker.sfu.stats()["streams"]["show"]["sources"][0]["bytes"])


@asynccontextmanager
async def sent(hub: Running, data: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A film of ten seconds, over and over, to the broadcast `show`."""
    made = await hub.ok("POST", "/api/broadcasts", json={"id": "show", "public": True}, headers=admin())
    film = film_of(data / "film.mp4", seconds=10)
    sending = asyncio.create_task(publish_file(film, f"{hub.url}/whip/show", token=made["token"], loop=True))
    try:
        yield sending
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, Unavailable):
            await sending


async def test_a_film_goes_on_at_another_origin_and_leaves_the_first_when_that_is_let(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(tmp_path))
        first = await closing.enter_async_context(origin_of(hub, "o1", tmp_path))
        sending = await closing.enter_async_context(sent(hub, tmp_path))
        await eventually(lambda: hub.role.hub.live("show"), "it is live", 20)

        second = await closing.enter_async_context(origin_of(hub, "o2", tmp_path))
        await hub.ok("POST", "/api/nodes/o1/drain", json={"deadline_s": 60}, headers=admin())
        await eventually(lambda: publishing(second) == 1, "it is sent there too", 30)
        assert publishing(first) == 1, "before it leaves"
        await eventually(lambda: publishing(first) == 0, "then it is let go", 30)
        before = received(second)
        await eventually(lambda: received(second) > before + 50_000, "the film goes on", 20)
        assert not sending.done()


async def test_a_film_stays_when_the_drain_is_taken_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(tmp_path))
        first = await closing.enter_async_context(origin_of(hub, "o1", tmp_path))
        await closing.enter_async_context(sent(hub, tmp_path))
        await eventually(lambda: hub.role.hub.live("show"), "it is live", 20)

        second = await closing.enter_async_context(origin_of(hub, "o2", tmp_path))
        await hub.ok("POST", "/api/nodes/o1/drain", json={"deadline_s": 600}, headers=admin())
        await eventually(lambda: publishing(second) == 1, "it is sent there too", 30)
        await hub.ok("DELETE", "/api/nodes/o1/drain", headers=admin())
        await eventually(lambda: publishing(first) + publishing(second) == 1, "one of them is left", 30)
        stays = first if publishing(first) else second
        before = received(stays)
        await eventually(lambda: received(stays) > before + 50_000, "the film goes on", 20)


async def test_a_film_comes_back_when_its_origin_has_gone(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(tmp_path))
        first = AsyncExitStack()
        await first.enter_async_context(origin_of(hub, "o1", tmp_path))
        sending = await closing.enter_async_context(sent(hub, tmp_path))
        await eventually(lambda: hub.role.hub.live("show"), "it is live", 20)

        await first.aclose()
        second = await closing.enter_async_context(origin_of(hub, "o2", tmp_path))
        await eventually(lambda: publishing(second) == 1, "it is sent to the one that is there", 40)
        before = received(second)
        await eventually(lambda: received(second) > before + 50_000, "the film goes on", 20)
        assert not sending.done()


async def test_a_film_ends_with_the_reason_when_nobody_takes_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sfu.publish, "GIVES_UP_S", 3.0)
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(tmp_path))
        async with origin_of(hub, "o1", tmp_path):
            sending = await closing.enter_async_context(sent(hub, tmp_path))
            await eventually(lambda: hub.role.hub.live("show"), "it is live", 20)
        with pytest.raises(Unavailable, match="none after 3 s") as caught:
            await asyncio.wait_for(sending, 40)
        assert caught.value.hint
