"""A relay as a process of the cluster: it learns by the Directory what it may serve and where from, and is drained by it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from common.auth import Audience, Tokens
from common.directory import Broadcast, Directory
from common.http import Site
from relay.app import Relay
from sfu.drain import Drain
from sfu.resource import Refused
from tests.harness.media_server import MediaServer, media_config, media_server
from tests.harness.peers import AllViewers, Publisher, Viewer

SECRET = "0123456789abcdef0123456789abcdef"
PLAY = "http://127.0.0.1:1/api/broadcasts/far/play"


@dataclass
class RunningRelay:
    """A relay whose orchestrator is the test: `tell` pushes a Directory."""

    relay: Relay
    url: str
    http: aiohttp.ClientSession
    version: int = 0

    async def tell(self, *broadcasts: Broadcast, draining: bool = False) -> int:
        self.version += 1
        directory = Directory(
            version=self.version, broadcasts={one.id: one for one in broadcasts}, draining=draining
        )
        token = Tokens(SECRET).issue(Audience.ORDER, self.relay.link.node_id, ttl_s=60)
        async with self.http.post(
            f"{self.url}/api/v1/node/directory",
            data=directory.model_dump_json(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        ) as answer:
            return answer.status

    async def stats(self) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/api/sfu/stats") as answer:
            found: dict[str, Any] = await answer.json()
            return found


@contextlib.asynccontextmanager
async def running_relay(
    tmp_path: Path, http: aiohttp.ClientSession, *, drain: Drain | None = None, **settings: Any
) -> AsyncIterator[RunningRelay]:
    relay = Relay(
        media_config(
            cluster_secret=SECRET,
            hs256="all",  # no orchestrator hands it keys
            data=tmp_path,
            orchestrators=["http://127.0.0.1:1"],
            **settings,
        ),
        drain=drain,
    )
    relay.start()
    site = Site(relay.app, "127.0.0.1", 0)
    await site.start()
    try:
        yield RunningRelay(relay, f"http://127.0.0.1:{site.port}", http)
    finally:
        await site.close()
        await relay.close()


def broadcast(origin: MediaServer, **more: Any) -> Broadcast:
    return Broadcast(id="far", upstreams=[origin.whep("far")], play_url=PLAY, **{"public": True, **more})


async def test_a_relay_pulls_what_the_directory_names_and_says_so(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        aiohttp.ClientSession() as http,
        running_relay(tmp_path, http) as relay,
    ):
        async with Publisher(http, origin.whip("far")):
            await origin.until_live("far")
            with pytest.raises(Refused) as early:
                await Viewer(http, f"{relay.url}/whep/far").__aenter__()
            assert (early.value.status, early.value.code) == (503, "node_starting")
            assert await relay.tell(broadcast(origin)) == 204
            with pytest.raises(Refused) as unknown:
                await Viewer(http, f"{relay.url}/whep/other").__aenter__()
            assert (unknown.value.status, unknown.value.code) == (404, "broadcast_unknown")
            viewers = [Viewer(http, f"{relay.url}/whep/far") for _ in range(3)]
            async with AllViewers(viewers):
                await asyncio.gather(*(viewer.frames("video", 5) for viewer in viewers))
                (pull,) = (await relay.stats())["pulls"]
                assert (pull["upstream"], pull["viewers"], pull["state"]) == (origin.whep("far"), 3, "live")
                report = relay.relay.link.report()
                assert report.streams[0].upstream == origin.whep("far")
                assert report.streams[0].subscribers_interactive == 3
                assert origin.stats()["subscribers"] == 1


async def test_a_private_broadcast_needs_its_viewers_token(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        aiohttp.ClientSession() as http,
        running_relay(tmp_path, http) as relay,
    ):
        await relay.tell(broadcast(origin, public=False))
        async with Publisher(http, origin.whip("far"), audio=False):
            await origin.until_live("far")
            tokens = Tokens(SECRET)
            for token, expected in (
                (None, 401),
                ("nonsense", 401),
                (tokens.issue(Audience.VIEWER, "other", ttl_s=60), 403),
                (tokens.issue(Audience.PUBLISHER, "far", ttl_s=60), 403),
                (tokens.issue(Audience.VIEWER, "far", ttl_s=-1), 401),
            ):
                with pytest.raises(Refused) as refused:
                    await Viewer(http, f"{relay.url}/whep/far", token=token).__aenter__()
                assert refused.value.status == expected, token
            good = tokens.issue(Audience.VIEWER, "far", ttl_s=60)
            async with Viewer(http, f"{relay.url}/whep/far", audio=False, token=good) as viewer:
                assert await viewer.frames("video", 3)


async def test_a_directory_is_believed_of_an_orchestrator_that_speaks_to_this_node(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http, running_relay(tmp_path, http) as relay:
        body = Directory(version=9, draining=True).model_dump_json()
        tokens, node = Tokens(SECRET), relay.relay.link.node_id
        for token, expected in (
            (None, 401),
            (tokens.issue(Audience.VIEWER, "far", ttl_s=60), 403),
            (tokens.issue(Audience.NODE, node, ttl_s=60), 403),
            (tokens.issue(Audience.ORDER, "another", ttl_s=60), 403),
        ):
            headers = {"Content-Type": "application/json"}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            async with http.post(f"{relay.url}/api/v1/node/directory", data=body, headers=headers) as answer:
                assert answer.status == expected
        assert not relay.relay.link.draining


async def test_a_drained_relay_sends_its_viewers_away_and_gets_empty(tmp_path: Path) -> None:
    drain = Drain(drain_s=3.0, telling_s=0.5, ending_s=0.5)
    async with media_server() as origin, aiohttp.ClientSession() as http:
        async with running_relay(tmp_path, http, drain=drain) as relay:
            await relay.tell(broadcast(origin))
            async with Publisher(http, origin.whip("far"), audio=False):
                await origin.until_live("far")
                async with Viewer(http, f"{relay.url}/whep/far", audio=False) as viewer:
                    await viewer.frames("video", 3)
                    assert viewer.resource is not None
                    async with http.get(f"{viewer.resource.url}/events") as events:
                        await relay.tell(broadcast(origin), draining=True)
                        with pytest.raises(Refused) as refused:
                            await Viewer(http, f"{relay.url}/whep/far").__aenter__()
                        assert (refused.value.status, refused.value.code) == (503, "node_draining")
                        async with asyncio.timeout(5):
                            told = await next_event(events, "mode", "drain")
                        assert told["whep"] == "http://127.0.0.1:1/whep/far"
                        # This viewer does not heed it. Its pictures go on until it is ended.
                        assert await viewer.frames("video", 3)
                        closed = asyncio.Event()
                        viewer.peer.on("connectionstatechange", closed.set)
                        async with asyncio.timeout(6):
                            await closed.wait()
                        assert len(relay.relay.viewers) == 0


async def test_a_drain_that_is_undone_leaves_the_viewers_alone(tmp_path: Path) -> None:
    drain = Drain(drain_s=1.0, telling_s=0.2, ending_s=0.5)
    async with media_server() as origin, aiohttp.ClientSession() as http:
        async with running_relay(tmp_path, http, drain=drain) as relay:
            await relay.tell(broadcast(origin))
            async with Publisher(http, origin.whip("far"), audio=False):
                await origin.until_live("far")
                async with Viewer(http, f"{relay.url}/whep/far", audio=False) as viewer:
                    await viewer.frames("video", 3)
                    await relay.tell(broadcast(origin), draining=True)
                    await relay.tell(broadcast(origin), draining=False)
                    # Longer than the drain would have taken.
                    assert len(await viewer.frames("video", 40)) == 40
                    async with Viewer(http, f"{relay.url}/whep/far", audio=False) as second:
                        assert await second.frames("video", 1)


async def next_event(events: aiohttp.ClientResponse, name: str, reason: str) -> dict[str, Any]:
    """The data of the next event of this name and reason."""
    wanted = False
    async for line in events.content:
        text = line.decode().strip()
        if text.startswith("event:"):
            wanted = text.removeprefix("event:").strip() == name
        elif text.startswith("data:") and wanted:
            data: dict[str, Any] = json.loads(text.removeprefix("data:"))
            if data.get("reason") == reason:
                return data
    raise AssertionError(f"the events ended without {name}")
