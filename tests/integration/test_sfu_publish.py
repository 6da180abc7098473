"""WHIP in, WHEP out, against aiortc: an independent publisher and an independent viewer that decodes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.harness.media_server import media_server
from tests.harness.peers import TONE_HZ, AllViewers, Publisher, Viewer, brightness, pitch_hz


def nothing_left(stats: object) -> bool:
    assert isinstance(stats, dict)
    return (
        not stats["subscribers"] and not stats["streams"] and not stats["pending"] and not stats["sessions"]
    )


async def test_a_viewer_sees_and_hears_what_is_published() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("studio")):
            await server.until_live("studio")
            async with Viewer(http, server.whep("studio")) as viewer:
                pictures, sound = await asyncio.gather(viewer.frames("video", 40), viewer.frames("audio", 60))
                assert (pictures[-1].width, pictures[-1].height) == (320, 240)
                shades = {round(brightness(picture) / 7) for picture in pictures[-10:]}
                assert len(shades) >= 5, "the picture does not move"
                assert pitch_hz(sound[20:]) == pytest.approx(TONE_HZ, abs=15)
            stats = await server.until(lambda stats: stats["subscribers"] == 0, "the viewer gone")
            assert stats["workers"][0]["faults"] == 0
        await server.until(nothing_left, "everything cleared after the publisher's DELETE")


@pytest.mark.parametrize(("video", "audio"), [(True, False), (False, True)], ids=["video only", "audio only"])
async def test_one_kind_of_media_alone(video: bool, audio: bool) -> None:
    kind = "video" if video else "audio"
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("half"), video=video, audio=audio):
            await server.until_live("half")
            # The viewer asks for both, as players do that know nothing of the stream.
            async with Viewer(http, server.whep("half")) as viewer:
                assert len(await viewer.frames(kind, 20)) == 20
            stats = server.stats()["streams"]["half"]
            assert (stats["video"], stats["audio"]) == (video, audio)


async def test_a_late_viewer_starts_at_once_from_the_cache() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("late")):
            # Far into a group of pictures: aiortc makes a key frame only when it is asked to, or after 3,000 pictures.
            await server.until_deep("late")
            async with Viewer(http, server.whep("late")) as viewer:
                await viewer.frames("video", 5)
            stats = await server.until(lambda stats: stats["first_frame"]["count"] == 1, "a first frame")
            assert stats["streams"]["late"]["replays"] + stats["first_frame"]["count"] >= 1
            assert stats["streams"]["late"]["layers"][0]["key_frames"] <= 2, "the join cost a key frame"


async def test_twenty_viewers_join_on_at_most_one_key_frame_request() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("many"), audio=False):
            await server.until_live("many")
            before = server.stats()["streams"]["many"]["sources"][0]["plis_sent"]
            viewers = [Viewer(http, server.whep("many"), audio=False) for _ in range(20)]
            async with AllViewers(viewers):
                await asyncio.gather(*(viewer.frames("video", 3, 30.0) for viewer in viewers))
                stats = await server.until(
                    lambda stats: sum(one["connected"] for one in stats["sessions"]) == 20, "20 connected"
                )
                assert stats["streams"]["many"]["sources"][0]["plis_sent"] - before <= 1
            await server.until(lambda stats: stats["subscribers"] == 0, "all gone")


async def test_a_publisher_that_comes_back_takes_its_stream_over() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        first = Publisher(http, server.whip("again"), audio=False)
        async with first:
            await server.until_live("again")
            async with Viewer(http, server.whep("again"), audio=False) as viewer:
                await viewer.frames("video", 5)
                async with Publisher(http, server.whip("again"), audio=False):
                    await server.until(
                        lambda stats: (
                            len(stats["streams"]["again"]["sources"]) == 1
                            and first.resource is not None
                            and stats["streams"]["again"]["sources"][0]["session"]
                            != str(first.resource.url).rpartition("/")[2]
                        ),
                        "the second publisher alone",
                    )
                    assert len(await viewer.frames("video", 30)) == 30
                    assert viewer.peer.connectionState == "connected"


async def test_viewers_are_told_when_the_stream_ends() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        publisher = Publisher(http, server.whip("short"), audio=False)
        async with publisher:
            await server.until_live("short")
            viewer = Viewer(http, server.whep("short"), audio=False)
            await viewer.__aenter__()
            await viewer.frames("video", 3)
        closed = asyncio.Event()
        viewer.peer.on("connectionstatechange", closed.set)
        async with asyncio.timeout(10):
            while viewer.peer.connectionState not in ("closed", "failed"):
                closed.clear()
                await closed.wait()
        await server.until(nothing_left, "everything cleared")
        await viewer.peer.close()


async def test_two_workers_serve_one_stream() -> None:
    async with media_server(workers=2) as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("wide")):
            await server.until_live("wide")
            viewers = [Viewer(http, server.whep("wide")) for _ in range(6)]
            async with AllViewers(viewers):
                await asyncio.gather(*(viewer.frames("video", 10, 20.0) for viewer in viewers))
                await server.until(
                    lambda stats: [worker["subscribers"] for worker in stats["workers"]] == [3, 3],
                    "three viewers on each worker",
                )
            await server.until(lambda stats: stats["subscribers"] == 0, "all gone")
            assert sum(worker["faults"] for worker in server.stats()["workers"]) == 0
