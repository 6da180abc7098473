"""A publisher that goes and comes back: its viewers see the picture stand still, and then the new one."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.harness.media_server import media_server
from tests.harness.peers import Publisher, Viewer


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.parametrize("ssrcs", [(4242, 4242), (4242, 777)], ids=["same", "other"])
async def test_a_publisher_comes_back_with_another_size(codec: str, ssrcs: tuple[int, int]) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        first = Publisher(http, server.whip("again"), audio=False, codec=codec, ssrc=ssrcs[0])
        async with first:
            await server.until_live("again")
            async with Viewer(http, server.whep("again"), audio=False) as viewer:
                frames = await viewer.frames("video", 10)
                assert (frames[-1].width, frames[-1].height) == (320, 240)
                await first.vanish()
                second = Publisher(
                    http, server.whip("again"), audio=False, codec=codec, size=(160, 128), ssrc=ssrcs[1]
                )
                async with second:
                    times = [frame.pts for frame in frames]
                    async with asyncio.timeout(30.0):
                        while frames[-1].width != 160:
                            frames = await viewer.frames("video", 1, 30.0)
                            times.append(frames[-1].pts)
                    frames = await viewer.frames("video", 30, 30.0)
                    times += [frame.pts for frame in frames]
                    assert all((frame.width, frame.height) == (160, 128) for frame in frames)
                    assert times == sorted(set(times)), "times go on"
                    assert viewer.peer.connectionState == "connected"
                    (session,) = server.stats(sessions=True)["sessions"]
                    assert session["connected"]
