"""Codecs that only pass through: Chromium sends VP9 or AV1, Chromium watches, and a late viewer starts at once."""

from __future__ import annotations

import pytest

from tests.harness.chromium import chromium, story
from tests.harness.media_server import media_server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
@story
async def test_a_codec_passes_through(codec: str) -> None:
    async with media_server() as server, chromium(f"{server.url}/", 2) as (publisher, viewer):
        answer = await publisher.publish(server.whip("live"), codec=codec, width=320, height=180, audio=False)
        assert f" {codec}/90000" in answer
        await server.until(
            lambda stats: (
                (live := stats["streams"].get("live")) is not None
                and any(one["key_frames"] > 0 for one in live["layers"])
            ),
            f"a key frame of {codec}",
            30.0,
        )
        await viewer.watch(server.whep("live"))
        await viewer.until("rtc.views[0].frames > 40")
        assert await viewer.call("codecOf", 0) == f"video/{codec}"
        assert await viewer.page.evaluate("rtc.views[0].video.videoHeight") == 180
        keys = server.stats()["streams"]["live"]["layers"][0]["key_frames"]
        await viewer.watch(server.whep("live"))
        await viewer.until("rtc.views[1].frames > 10")
        late = server.stats()["streams"]["live"]["layers"][0]
        print(
            f"{codec}: {late['packets']} packets, key frames {keys} before a late viewer, {late['key_frames']} after"
        )
