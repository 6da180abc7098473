"""Layers over HTTP: where to ask, what is taken, what is refused."""

from __future__ import annotations

import aiohttp

from sfu.layers import EXTENSION
from tests.harness.media_server import media_server
from tests.harness.peers import Publisher, Viewer


async def test_a_viewer_asks_for_a_layer() -> None:
    async with (
        media_server() as server,
        aiohttp.ClientSession() as http,
        Publisher(http, server.whip("live"), audio=False),
    ):
        await server.until_live("live")
        async with Viewer(http, server.whep("live"), audio=False) as viewer:
            await viewer.frames("video", 2)
            assert viewer.resource is not None
            (link,) = [one for one in viewer.resource.links if EXTENSION in one]
            url = f"{server.url}{link[1 : link.index('>')]}"
            assert url == f"{viewer.resource.url}/layer"

            (layer,) = server.stats()["streams"]["live"]["layers"]
            assert layer["alive"] and (layer["width"], layer["height"]) == (320, 240), layer
            cases: list[tuple[bytes, int]] = [
                (b"{}", 200),
                (b'{"encodingId": "0"}', 200),
                (b'{"encodingId": "best"}', 404),
                (b'{"mediaId": "nine"}', 400),
                (b"[1]", 400),
                (b"{" * 5000, 413),
            ]
            for body, status in cases:
                async with http.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                    assert answer.status == status, (body[:40], await answer.text())
            await viewer.frames("video", 5)
        async with http.post(url, data=b"{}") as answer:
            assert answer.status == 404, "the session is over"


async def test_vp8_goes_through_and_starts_at_once() -> None:
    async with (
        media_server() as server,
        aiohttp.ClientSession() as http,
        Publisher(http, server.whip("live"), audio=False, codec="VP8"),
    ):
        await server.until(
            lambda stats: (
                (live := stats["streams"].get("live")) is not None
                and any(one["key_frames"] for one in live["layers"])
            ),
            "a key frame of VP8",
        )
        (layer,) = server.stats()["streams"]["live"]["layers"]
        assert layer["width"] == 320, layer
        async with Viewer(http, server.whep("live"), audio=False) as viewer:
            frames = await viewer.frames("video", 10)
            assert all((frame.width, frame.height) == (320, 240) for frame in frames)
