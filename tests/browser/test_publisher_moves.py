"""A camera whose origin is emptied: it sends to another one as well, viewers and relays follow, and then the first lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

import origin.app
from tests.harness.browser import ARGUMENTS, PROBE, executable
from tests.harness.chromium import story
from tests.harness.cluster import Running, admin, eventually, orchestrator
from tests.harness.served_origin import origin_of, publishing

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


@asynccontextmanager
async def pages(*urls: str) -> AsyncIterator[list[Page]]:
    """The first page is held to its Content-Security-Policy."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        try:
            found = []
            for index, url in enumerate(urls):
                page = await (await browser.new_context(bypass_csp=index > 0)).new_page()
                await page.add_init_script(path=PROBE)
                await page.goto(url)
                found.append(page)
            yield found
        finally:
            await browser.close()


@asynccontextmanager
async def on_air(data: Path, *others: str) -> AsyncIterator[tuple[Running, origin.app.Origin, list[Page]]]:
    """A cluster of one origin, `o1`, to which a camera sends: its page first, then those of the paths `others`."""
    async with orchestrator(data, pages=True) as hub, origin_of(hub, "o1", data) as node:
        made = await hub.ok("POST", "/api/broadcasts", json={"id": "booth", "public": True}, headers=admin())
        paths = (f"/camera#broadcast=booth&token={made['token']}", *others)
        async with pages(*(f"{hub.url}{path}" for path in paths)) as opened:
            await opened[0].get_by_role("button", name="Go live").click()
            await opened[0].get_by_text("On air").wait_for()
            yield hub, node, opened


def watching(node: origin.app.Origin) -> int:
    return int(node.worker.sfu.stats()["subscribers"])


async def drain_phase(hub: Running) -> str:
    return str((await hub.ok("GET", "/api/nodes/o1", headers=admin()))["drain"]["phase"])


@story
async def test_a_camera_goes_on_at_another_origin_while_it_is_watched(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        hub, first, (camera, viewer) = await closing.enter_async_context(on_air(tmp_path, "/watch/booth"))
        await viewer.wait_for_function("probe.frames > 20", timeout=30_000)
        assert publishing(first) == watching(first) == 1

        second = await closing.enter_async_context(origin_of(hub, "o2", tmp_path))
        await viewer.evaluate("probe.resetGap()")
        await hub.ok("POST", "/api/nodes/o1/drain", json={"deadline_s": 60}, headers=admin())
        await eventually(lambda: publishing(second) == 1, "the camera sends there too", 30)
        assert publishing(first) == 1, "before it leaves"
        await eventually(lambda: hub.role.hub.origin_of("booth").id == "o2", "who joins goes there", 30)
        await eventually(lambda: watching(second) == 1 and watching(first) == 0, "who watches, too", 60)
        await eventually(lambda: publishing(first) == 0, "then it is let go", 30)
        async with asyncio.timeout(20):
            while await drain_phase(hub) != "empty":  # noqa: ASYNC110 - only the API tells
                await asyncio.sleep(0.1)

        assert await camera.get_by_text("On air").is_visible()
        frames = await viewer.evaluate("probe.frames")
        await viewer.wait_for_function(f"probe.frames > {frames + 40}", timeout=30_000)
        gap_ms = await viewer.evaluate("probe.gapMs()")
        print(f"the viewer's longest time without a new picture: {gap_ms:.0f} ms")
        assert gap_ms < 5000, "no reconnecting after a loss, which takes longer"


@story
async def test_a_camera_stays_when_the_drain_is_taken_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as closing:
        hub, first, (camera,) = await closing.enter_async_context(on_air(tmp_path))
        await eventually(lambda: hub.role.hub.live("booth"), "it is live", 20)
        second = await closing.enter_async_context(origin_of(hub, "o2", tmp_path))
        # Nobody's offer gets through to the other origin, so the camera tries again and again.
        tried: list[str] = []
        await camera.route(
            "**/whip/**", lambda route, request: (tried.append(request.url), route.abort())[-1]
        )
        await hub.ok("POST", "/api/nodes/o1/drain", headers=admin())
        await eventually(lambda: len(tried) > 1, "the camera tries to come", 30)
        assert all(url == f"{hub.role.hub.nodes.find('o2').report.url}/whip/booth" for url in tried), (
            "the orchestrator names it"
        )
        await hub.ok("DELETE", "/api/nodes/o1/drain", headers=admin())
        await camera.unroute("**/whip/**")
        await eventually(lambda: not hub.role.hub.moves.handovers, "it is to stay", 10)
        bytes_before = first.worker.sfu.stats()["streams"]["booth"]["sources"][0]["bytes"]
        await eventually(
            lambda: (
                first.worker.sfu.stats()["streams"]["booth"]["sources"][0]["bytes"] > bytes_before + 50_000
            ),
            "media goes on",
            20,
        )
        assert publishing(second) == 0
        assert await camera.get_by_text("On air").is_visible()
