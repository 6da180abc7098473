"""pion publishes and watches: an implementation of WebRTC that is neither ours nor a browser's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.harness.media_server import media_server
from tests.harness.peers import Publisher, Viewer
from tests.harness.pion import film, needs_pion, pion
from tests.harness.up import start_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), needs_pion]


@pytest.fixture(scope="module")
def film_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return film(tmp_path_factory.mktemp("film"))


async def test_pion_watches_what_pion_publishes(film_options: list[str]) -> None:
    async with media_server() as server:
        async with pion("publish", "-url", server.whip("go"), "-device", "lo", *film_options) as publisher:
            await publisher.event("connected")
            await server.until_live("go")
            async with pion("watch", "-url", server.whep("go"), "-device", "lo") as viewer:
                await viewer.until(
                    lambda: any(
                        line["pictures"] > 60 and line["audio_packets"] > 100
                        for line in viewer.said("second")
                    ),
                    "60 pictures and 2 s of sound",
                )
                last = await viewer.end()
            assert {line["codec"] for line in viewer.said("track")} == {"video/H264", "audio/opus"}
            assert last["delete_status"] == 200
            assert last["lost"] == 0
            ended = await publisher.end()
            assert ended["delete_status"] == 200
        await server.until(lambda stats: not stats["streams"] and not stats["sessions"], "all cleared")


async def test_pions_film_is_seen_by_another_viewer(film_options: list[str]) -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with pion("publish", "-url", server.whip("go"), "-device", "lo", *film_options):
            await server.until_live("go")
            async with Viewer(http, server.whep("go")) as viewer:
                pictures, sound = await asyncio.gather(viewer.frames("video", 30), viewer.frames("audio", 50))
    assert (pictures[-1].width, pictures[-1].height) == (640, 360)
    assert len(sound) == 50


async def test_pion_starts_at_once_on_a_stream_with_no_key_frame_due() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        # aiortc makes a key frame only when it is asked to: what pion shows first comes from the cache.
        async with Publisher(http, server.whip("still")):
            await server.until_deep("still")
            async with pion(
                "watch", "-url", server.whep("still"), "-viewers", "3", "-device", "lo"
            ) as viewer:
                firsts = [await viewer.event("first_key_frame", number) for number in range(3)]
            assert server.stats()["streams"]["still"]["layers"][0]["key_frames"] <= 2, (
                "the joins cost key frames"
            )
    assert all(first["ms"] > 0 for first in firsts)


async def test_a_relay_pulls_from_a_foreign_server(film_options: list[str]) -> None:
    async with pion("serve", "-device", "lo", *film_options) as foreign:
        whep = (await foreign.event("serving"))["url"]
        async with (
            media_server(name="relay", upstreams=lambda _: [whep], linger_s=0.5) as relay,
            aiohttp.ClientSession() as http,
        ):
            async with (
                Viewer(http, relay.whep("far")) as viewer,
                Viewer(http, relay.whep("far")) as second,
            ):
                pictures, sound, others = await asyncio.gather(
                    viewer.frames("video", 60), viewer.frames("audio", 100), second.frames("video", 30)
                )
                assert (pictures[-1].width, pictures[-1].height) == (640, 360)
                assert len(sound) == 100 and len(others) == 30
                asked = foreign.said("asked")
                assert [one["hops"] for one in asked] == ["relay"], "one pull for all"
            # Nobody watches any more: the pull lingers and is then ended, there too.
            await foreign.event("deleted")
        assert (await foreign.end())["left"] == 0


async def test_another_stream_of_a_foreign_server_beside_the_first(film_options: list[str]) -> None:
    async with pion("serve", "-device", "lo", *film_options) as foreign:
        whep = (await foreign.event("serving"))["url"]
        async with (
            media_server(name="relay", upstreams=lambda stream: [f"{whep}/{stream}"]) as relay,
            aiohttp.ClientSession() as http,
            Viewer(http, relay.whep("one")) as first,
            Viewer(http, relay.whep("two")) as second,
        ):
            seen = await asyncio.gather(first.frames("video", 30), second.frames("video", 30))
            assert [len(pictures) for pictures in seen] == [30, 30]
            assert len(foreign.said("asked")) == 2


async def test_pion_is_refused_with_the_servers_reason() -> None:
    async with media_server() as server, pion("watch", "-url", server.whep("nothing")) as viewer:
        refused = await viewer.event("failed")
        assert await viewer.process.wait() == 1
    assert "409" in refused["reason"]


async def test_pion_watches_the_avatar(tmp_path: Path) -> None:
    running = await asyncio.to_thread(start_up, tmp_path)
    try:
        async with (
            aiohttp.ClientSession(running.url) as http,
            http.get("/api/broadcasts/demo/play") as answer,
        ):
            play = await answer.json()
        whep = play["whep"] if "://" in play["whep"] else running.url + play["whep"]
        async with pion("watch", "-url", whep, "-token", play["token"] or "", "-device", "lo") as viewer:
            await viewer.until(
                lambda: any(
                    line["pictures"] > 50 and line["audio_packets"] > 50 for line in viewer.said("second")
                ),
                "50 pictures and 1 s of sound",
                60,
            )
            last = await viewer.end()
        assert last["lost"] == 0
    finally:
        await asyncio.to_thread(running.close)
