"""Two sizes of one publisher as HLS: hls.js in Chromium goes from one to the other, and stays when one is switched off."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from common.directory import Broadcast
from tests.harness.broadcast import player_page
from tests.harness.chromium import chromium, story
from tests.harness.media_server import media_server
from tests.harness.packaging import Packaging, packaging

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

TWO: list[dict[str, Any]] = [
    {"rid": "h", "maxBitrate": 900_000},
    {"rid": "l", "scaleResolutionDownBy": 2, "maxBitrate": 150_000},
]


async def variants(packager: Packaging, folders: set[str], timeout_s: float = 60.0) -> None:
    """Waits until the multivariant playlist offers just these."""
    found: set[str] = set()
    try:
        async with asyncio.timeout(timeout_s):
            while found != folders:
                await asyncio.sleep(0.1)
                index = await packager.playlist("live/index.m3u8")
                found = {one.uri.split("/")[0] for one in index.playlists}
    except TimeoutError:
        raise AssertionError(f"{found}, not {folders}; {packager.stats('live')}") from None


async def until(page: Page, condition: str, timeout_s: float = 60.0) -> None:
    """Waits until a condition of the player's page holds."""
    with contextlib.suppress(PlaywrightTimeout):
        await page.wait_for_function(f"state.fatal || ({condition})", timeout=timeout_s * 1000)
    told = await page.evaluate(
        """condition => ({
            holds: new Function(`return ${condition}`)(), fatal: state.fatal, errors: state.errors.slice(-30),
            frames: state.mediaTimes.length, height: video.videoHeight, at: video.currentTime, ready: video.readyState,
            levels: hls.levels.map((one) => one.height), level: hls.currentLevel, next: hls.nextLevel,
            buffered: [...Array(video.buffered.length).keys()].map((n) => [video.buffered.start(n), video.buffered.end(n)]),
        })""",
        condition,
    )
    assert told["holds"] and told["fatal"] is None, f"{condition}: {told}"


async def shown(page: Page, height: int) -> None:
    """Waits until the picture has this height, and goes on."""
    await until(page, f"video.videoHeight === {height}")
    frames = await page.evaluate("state.mediaTimes.length")
    await until(page, f"state.mediaTimes.length > {frames + 20} && video.videoHeight === {height}")


async def choose(page: Page, height: int) -> None:
    """Asks for this height until it is shown: on a busy machine Chromium pauses a layer, and hls.js forgets a choice that met a gap."""
    await page.evaluate(
        """height => {
            clearInterval(window.choosing);
            const ask = () => {
                if (video.videoHeight === height) clearInterval(window.choosing);
                else hls.nextLevel = hls.levels.findIndex((level) => level.height === height);
            };
            window.choosing = setInterval(ask, 5000);
            ask();
        }""",
        height,
    )


@story
async def test_hls_js_goes_from_one_layer_to_the_other(tmp_path: Path) -> None:
    with player_page() as player:
        await _story(player, tmp_path)


async def _story(player: str, tmp_path: Path) -> None:
    async with (
        media_server() as server,
        packaging(tmp_path, server.worker) as packager,
        chromium(f"{server.url}/", 2) as (publisher, viewer),
    ):
        await publisher.publish(server.whip("live"), codec="H264", encodings=TWO, width=640, height=360)
        await server.until_live("live")
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await variants(packager, {"v0", "v1"})
        index = await packager.playlist("live/index.m3u8")
        assert {one.stream_info.resolution for one in index.playlists} == {(640, 360), (320, 180)}
        page = viewer.page
        source = f"http://127.0.0.1:{packager.node.hls_port}/hls/live/index.m3u8"
        await page.goto(f"{player}?{urlencode({'src': source})}")
        await until(page, "hls.levels.length >= 2 && video.videoHeight > 0")
        for height in (180, 360, 180, 360):
            await choose(page, height)
            await shown(page, height)

        # The publisher switches the larger one off: its viewers are shown the other one.
        await page.evaluate("clearInterval(window.choosing); hls.nextLevel = -1")
        await publisher.page.evaluate("""async () => {
            const [sender] = rtc.sending.connection.getSenders().filter((one) => one.track.kind === "video");
            const parameters = sender.getParameters();
            parameters.encodings[0].active = false;
            await sender.setParameters(parameters);
        }""")
        try:
            await shown(page, 180)
        except AssertionError as error:
            lists = [
                (await packager.read(f"live/{name}/index.m3u8")).decode()[-1500:] for name in ("v0", "v1")
            ]
            raise AssertionError(f"{error}\n{packager.stats('live')}\n{lists[0]}\n{lists[1]}") from None
        await variants(packager, {"v1"})
        print(packager.stats("live"))
