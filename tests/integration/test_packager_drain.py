"""Packagers that are drained, by SIGTERM and by ops: the same playlists go on at another one, and players do not hear of it."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from avacast.process import free_port
from common.directory import NodeReport, Role
from common.http import Site
from common.store.folder import Folder
from hls.store import catalogue
from orchestrator.directory import packagers_of
from orchestrator.nodes import Node
from sfu.node import MediaNode
from sfu.worker import Worker
from tests.harness.caches import cache
from tests.harness.cluster import SECRET, Running, admin, eventually, orchestrator
from tests.harness.hls_viewers import played
from tests.harness.media_server import media_config
from tests.harness.packager_process import PackagerProcess
from tests.harness.packaging import encoder

NAMES = ("p1", "p2")


@dataclass
class Cluster:
    """An orchestrator, an origin on which `live` is made, and two packagers that have not been started. `packagers[0]` is chosen when
    both are there."""

    hub: Running
    packagers: list[PackagerProcess]
    names: list[str]

    async def start(self, index: int) -> None:
        await self.packagers[index].start()
        await eventually(
            lambda: self.hub.role.hub.nodes.find(self.names[index]) is not None, "it registers", 30
        )

    def packages(self, index: int) -> bool:
        node = self.hub.role.hub.nodes.find(self.names[index])
        return node is not None and "live" in node.report.packages

    async def playlist(self, index: int, query: str = "") -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.packagers[index].hls_port}/hls/live/v0/index.m3u8{query}"
        async with self.hub.http.get(url) as reply:
            return reply.status, await reply.text()

    async def shown(self, index: int) -> str:
        """The playlist, once this packager shows it."""
        async with asyncio.timeout(60):
            while (found := await self.playlist(index))[0] != 200:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.05)
        return found[1]

    async def grown(self, index: int, parts: int) -> str:
        """The playlist after so many more parts."""
        text = await self.shown(index)
        for _ in range(parts):
            [(msn, part)] = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"', text)
            status, text = await self.playlist(index, f"?_HLS_msn={msn}&_HLS_part={part}")
            assert status == 200, text
        return text


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(folder / "hub", hls_packaging="always"))
        port = free_port()
        config = media_config(
            node_id="o1", cluster_secret=SECRET, url=f"http://127.0.0.1:{port}", orchestrators=[hub.url]
        )
        node = MediaNode(config, Role.ORIGIN, Worker.open(config))
        closing.push_async_callback(node.close)
        site = Site(node.app, "127.0.0.1", port)
        await site.start()
        closing.push_async_callback(site.close)
        node.start()
        await closing.enter_async_context(encoder(node, "live"))
        await hub.ok("POST", "/api/broadcasts", json={"id": "live", "public": True}, headers=admin())
        await eventually(lambda: hub.role.hub.live("live"), "it is live", 30)
        names = _ranked()
        packagers = [
            PackagerProcess(
                folder / name,
                free_port(),
                free_port(),
                AVACAST_NODE_ID=name,
                AVACAST_CLUSTER_SECRET=SECRET,
                AVACAST_ORCHESTRATORS=hub.url,
                AVACAST_STORE=(folder / "store").as_uri(),
                AVACAST_DRAIN_S="45",
                AVACAST_HEARTBEAT_S="0.5",
            )
            for name in names
        ]
        for one in packagers:
            closing.push_async_callback(one.kill)
        yield Cluster(hub, packagers, names)


def _ranked() -> list[str]:
    """The names in the order in which they are chosen."""
    nodes = [
        Node(NodeReport(id=name, role=Role.PACKAGER, url="http://unset", epoch=1), 0, 0) for name in NAMES
    ]
    return [one.id for one in packagers_of("live", nodes, 2)]


def _numbers(text: str) -> list[int]:
    return [int(name) for name in re.findall(r"^(\d+)\.m4s$", text, re.MULTILINE)]


@pytest.mark.timeout(240)  # several starts of programs, on a machine that others use too
async def test_sigterm_moves_a_packagers_playlists_and_no_player_hears_of_it(tmp_path: Path) -> None:
    async with cluster(tmp_path) as live:
        await live.start(0)
        await live.grown(0, 3)
        await live.start(1)
        assert not live.packages(1)
        ports = [one.hls_port for one in live.packagers]
        async with cache("nginx", tmp_path / "nginx", ports) as nginx:
            watching = asyncio.create_task(played(f"{nginx.url}/hls/live/index.m3u8", 10, 20))
            before = await live.grown(0, 4)
            assert await live.packagers[0].kill(signal.SIGTERM) == 0
            assert live.packages(1), "it ended when the other one went on, not at its deadline"
            met = await watching
        assert met["errors"] == [] and met["changed"] == []
        assert met["taken"] == 10 * 20 * 2, "every part, before and after"
        after = await live.grown(1, 1)
        numbers = _numbers(after)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[0] <= _numbers(before)[0] < numbers[-1]
        assert "#EXT-X-ENDLIST" not in after
        await live.hub.ok("DELETE", "/api/broadcasts/live", headers=admin())
        await _one_recording(tmp_path / "store", _numbers(before)[-1])


async def _one_recording(root: Path, before: int) -> None:
    """One, with this segment of before the hand-over and those after it."""
    store = Folder(root)
    async with asyncio.timeout(60):
        while not any(one.view.state == "finished" for one in catalogue.listed(store, "", 10)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    [entry] = catalogue.listed(store, "", 10)
    assert entry.view.lost_segments == 0
    playlist = (root / "recordings/live" / entry.view.id / "v0/index.m3u8").read_text()
    numbers = _numbers(playlist)
    assert numbers[0] <= before < numbers[-1]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.timeout(240)
async def test_ops_drain_a_packager_and_take_that_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as live:
        hub, (first, _) = live.hub, live.names
        await live.start(1)
        before = await live.grown(1, 3)
        await live.start(0)  # it is nearer to the broadcast, so the playlists come here, and go on
        await eventually(lambda: live.packages(0) and not live.packages(1), "it has them", 30)
        text = await live.grown(0, 3)
        assert _numbers(text)[0] <= _numbers(before)[0]
        assert (await live.playlist(1))[0] == 404, "a cache asks the other one"

        await hub.ok("POST", f"/api/nodes/{first}/drain", json={"deadline_s": 30}, headers=admin())
        await eventually(lambda: live.packages(1) and not live.packages(0), "the other has them", 30)
        text = await live.grown(1, 3)
        assert _numbers(text)[0] <= _numbers(before)[0]
        drain = (await hub.ok("GET", f"/api/nodes/{first}", headers=admin()))["drain"]
        assert (drain["phase"], drain["streams"]) == ("empty", 0)

        await hub.ok("DELETE", f"/api/nodes/{first}/drain", headers=admin())
        await eventually(lambda: live.packages(0) and not live.packages(1), "back again", 30)
        text = await live.grown(0, 3)
        assert _numbers(text)[0] <= _numbers(before)[0]
        assert "#EXT-X-ENDLIST" not in text


@pytest.mark.timeout(120)
async def test_without_another_packager_the_playlists_go_on_until_the_deadline(tmp_path: Path) -> None:
    async with cluster(tmp_path) as live:
        hub, first = live.hub, live.names[0]
        await live.start(0)
        await live.grown(0, 1)
        await hub.ok("POST", f"/api/nodes/{first}/drain", json={"deadline_s": 1}, headers=admin())
        with hub.role.hub.feed.reader(None) as changes:
            async with asyncio.timeout(30):
                while (event := await changes.get()) is None or event.data.get("change") != "overdue":
                    pass
        assert event.data["streams"] == 1
        assert "#EXT-X-ENDLIST" not in await live.grown(0, 3), "nobody is cut for want of another node"
