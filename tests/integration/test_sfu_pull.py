"""A node that pulls from another one: on demand, once, with a linger, from the next upstream when one is lost."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from sfu.resource import Refused
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import AllViewers, Publisher, Viewer


def pull_of(server: MediaServer) -> dict[str, object]:
    assert server.puller is not None
    (one,) = server.puller.figures()
    return one


async def test_a_viewer_behind_a_relay_sees_and_hears() -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with media_server(name="relay", upstreams=lambda stream: [origin.whep(stream)]) as relay:
            async with Publisher(http, origin.whip("far")):
                await origin.until_live("far")
                async with Viewer(http, relay.whep("far")) as viewer:
                    pictures, sound = await asyncio.gather(
                        viewer.frames("video", 30), viewer.frames("audio", 40)
                    )
                    assert (pictures[-1].width, len(sound)) == (320, 40)
                    assert pull_of(relay)["upstream"] == origin.whep("far")


async def test_many_viewers_are_one_pull() -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with media_server(name="relay", upstreams=lambda stream: [origin.whep(stream)]) as relay:
            async with Publisher(http, origin.whip("far"), audio=False):
                await origin.until_live("far")
                viewers = [Viewer(http, relay.whep("far"), audio=False) for _ in range(8)]
                async with AllViewers(viewers):
                    await asyncio.gather(*(viewer.frames("video", 3, 20.0) for viewer in viewers))
                    assert origin.stats()["subscribers"] == 1
                    assert pull_of(relay)["viewers"] == 8


async def test_a_pull_lingers_after_its_last_viewer_and_then_ends() -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with media_server(
            name="relay", upstreams=lambda stream: [origin.whep(stream)], linger_s=1.5
        ) as relay:
            async with Publisher(http, origin.whip("far"), audio=False):
                await origin.until_live("far")
                async with Viewer(http, relay.whep("far"), audio=False) as viewer:
                    await viewer.frames("video", 3)
                left = time.monotonic()
                await relay.until(lambda _: pull_of(relay)["state"] == "lingering", "lingering")
                # Back within the linger: the same pull goes on.
                async with Viewer(http, relay.whep("far"), audio=False) as viewer:
                    await viewer.frames("video", 3)
                    assert pull_of(relay)["linger_s"] is None
                    assert origin.stats()["joins"] == 1
                await origin.until(lambda stats: stats["subscribers"] == 0, "the pull ended upstream")
                assert time.monotonic() - left > 1.5
                await relay.until(
                    lambda _: relay.puller is not None and not relay.puller.figures(), "no pull left"
                )


async def test_the_next_upstream_takes_over_and_the_viewer_stays_connected() -> None:
    async with media_server(name="second") as second, aiohttp.ClientSession() as http:
        first_context = media_server(name="first")
        first = await first_context.__aenter__()
        async with media_server(
            name="relay", upstreams=lambda stream: [first.whep(stream), second.whep(stream)]
        ) as relay:
            async with Publisher(http, second.whip("far"), audio=False):
                publisher = Publisher(http, first.whip("far"), audio=False)
                async with publisher:
                    await first.until_live("far")
                    await second.until_live("far")
                    async with Viewer(http, relay.whep("far"), audio=False) as viewer:
                        await viewer.frames("video", 10)
                        assert pull_of(relay)["upstream"] == first.whep("far")
                        await publisher.vanish()
                        await first_context.__aexit__(None, None, None)
                        await relay.until(
                            lambda _: pull_of(relay)["upstream"] == second.whep("far"), "the second upstream"
                        )
                        assert len(await viewer.frames("video", 40)) == 40
                        assert viewer.peer.connectionState == "connected"


async def test_an_upstream_that_is_not_named_any_more_is_left_while_it_still_sends() -> None:
    named: list[str] = []
    async with (
        media_server(name="first") as first,
        media_server(name="second") as second,
        aiohttp.ClientSession() as http,
        media_server(name="relay", upstreams=lambda _stream: named) as relay,
    ):
        named.append(first.whep("far"))
        async with (
            Publisher(http, first.whip("far"), audio=False),
            Publisher(http, second.whip("far"), audio=False),
        ):
            await first.until_live("far")
            await second.until_live("far")
            async with Viewer(http, relay.whep("far"), audio=False) as viewer:
                await viewer.frames("video", 5)
                named[:] = [second.whep("far")]
                await relay.until(lambda _: pull_of(relay)["upstream"] == second.whep("far"), "it has moved")
                assert len(await viewer.frames("video", 20)) == 20
                assert viewer.peer.connectionState == "connected"


async def test_a_stream_that_no_upstream_has_is_refused() -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with media_server(name="relay", upstreams=lambda stream: [origin.whep(stream)]) as relay:
            with pytest.raises(Refused) as refused:
                await Viewer(http, relay.whep("nothing")).__aenter__()
            assert refused.value.status == 503
            await relay.until(lambda stats: not stats["pending"], "no pull left")


async def test_a_loop_of_relays_is_refused() -> None:
    urls: list[str] = []
    async with aiohttp.ClientSession() as http:
        async with media_server(name="a", upstreams=lambda stream: [f"{urls[1]}/whep/{stream}"]) as a:
            async with media_server(name="b", upstreams=lambda stream: [f"{urls[0]}/whep/{stream}"]) as b:
                urls[:] = [a.url, b.url]
                with pytest.raises(Refused) as refused:
                    await Viewer(http, a.whep("round")).__aenter__()
                assert refused.value.status == 503
                for server in (a, b):
                    await server.until(lambda stats: not stats["pending"], "no pull left")
