"""Two packagers of one broadcast behind one cache: one is killed, and players do not hear of it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import av
import m3u8
import pytest

from avacast.process import free_port
from common.directory import Broadcast, Directory
from common.store.folder import Folder
from hls.store import catalogue
from tests.harness.caches import cache
from tests.harness.hls_viewers import played
from tests.harness.media_server import MediaServer, media_server
from tests.harness.packager_process import START_S, PackagerProcess
from tests.harness.packaging import encoder


class Pair:
    """Two packagers of the broadcast `live`, the media core that they pull from, and an HTTP client."""

    def __init__(
        self, origin: MediaServer, http: aiohttp.ClientSession, packagers: list[PackagerProcess]
    ) -> None:
        self.origin, self.http, self.packagers = origin, http, packagers
        self._version = 0

    async def tell(self, *indexes: int, ended: bool = False) -> None:
        """Pushes the directory, as an orchestrator does; `ended`: without the broadcast."""
        self._version += 1
        for index in indexes:
            own, other = self.packagers[index], self.packagers[1 - index]
            broadcast = Broadcast(
                id="live",
                public=True,
                package=True,
                twin=other.url,
                first=index == 0,
                upstreams=[self.origin.whep("live")],
            )
            broadcasts = {} if ended else {"live": broadcast}
            directory = Directory(version=self._version, broadcasts=broadcasts)
            async with self.http.post(
                f"{own.url}/api/v1/node/directory",
                data=directory.model_dump_json(),
                headers={**own.order, "Content-Type": "application/json"},
            ) as reply:
                assert reply.status in (200, 204), await reply.text()

    async def read(self, index: int, path: str) -> tuple[int, bytes]:
        """Status and body of an HLS object of one packager."""
        async with self.http.get(f"http://127.0.0.1:{self.packagers[index].hls_port}/hls/{path}") as reply:
            return reply.status, await reply.read()

    async def until_shown(self, index: int) -> None:
        """Waits until this packager shows the broadcast."""
        async with asyncio.timeout(START_S):
            while (await self.read(index, "live/index.m3u8"))[0] != 200:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.05)

    async def until_same(self) -> None:
        """Waits until both show a playlist of the same segments and parts."""

        async def names(index: int) -> list[str]:
            status, text = await self.read(index, "live/v0/index.m3u8")
            return re.findall(r"[^\"\n]+\.m4s", text.decode()) if status == 200 else [str(index)]

        async with asyncio.timeout(START_S):
            while await names(0) != await names(1):  # noqa: ASYNC110 - in other processes
                await asyncio.sleep(0.05)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as closing:
        origin = await closing.enter_async_context(media_server(name="origin"))
        http = await closing.enter_async_context(aiohttp.ClientSession())
        packagers = [
            PackagerProcess(
                folder / f"packager-{index}",
                free_port(),
                free_port(),
                AVACAST_STORE=(folder / "store").as_uri(),
            )
            for index in range(2)
        ]
        for one in packagers:
            closing.push_async_callback(one.kill)
        await asyncio.gather(*(one.start() for one in packagers))
        await closing.enter_async_context(encoder(origin, "live"))
        yield Pair(origin, http, packagers)


@pytest.mark.timeout(240)  # five starts of programs, on a machine that others use too
async def test_a_killed_packager_is_an_error_to_no_player(tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        await two.tell(0, 1)
        await two.until_shown(0)
        await two.until_shown(1)
        await two.until_same()
        ports = [one.hls_port for one in two.packagers]
        async with (
            cache("nginx", tmp_path / "nginx", ports) as nginx,
            cache("varnish", tmp_path / "varnish", ports) as varnish,
        ):
            watching = [
                asyncio.create_task(played(f"{one.url}/hls/live/index.m3u8", 10, 14))
                for one in (nginx, varnish)
            ]
            # In the middle of what the players take.
            for _ in range(6):
                await _next_part(two, 0)
            await two.packagers[0].kill()
            mets = await asyncio.gather(*watching)
        for met in mets:
            assert met["errors"] == [] and met["changed"] == []
            assert met["taken"] == 10 * 14 * 2, "every part, before and after"
            # What the first one had made, and the cache or the second one gave, is what the second one has.
            for target, digest in met["digests"].items():
                if target.endswith((".m4s", ".mp4")):
                    status, data = await two.read(1, target.removeprefix("/hls/"))
                    assert (status, hashlib.sha256(data).hexdigest()) == (200, digest), target
        # The first one comes back: it reads along, and has the same again.
        await two.packagers[0].start()
        await two.tell(0)
        await two.until_shown(0)
        await two.until_same()
        _, text = await two.read(1, "live/v0/index.m3u8")
        segments = re.findall(r"^(\d+)\.m4s$", text.decode(), re.MULTILINE)
        numbers = [int(name) for name in segments]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for number in numbers:
            path = f"live/v0/{number}.m4s"
            assert await two.read(0, path) == await two.read(1, path), path
        await two.tell(1, 0, ended=True)
        await _one_recording(tmp_path / "store")


async def _one_recording(root: Path) -> None:
    """Both packagers have made one, with all that was shown."""
    store = Folder(root)
    async with asyncio.timeout(START_S):
        while not any(one.view.state == "finished" for one in catalogue.listed(store, "", 10)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    [entry] = catalogue.listed(store, "", 10)
    assert entry.view.lost_segments == 0
    folder = root / "recordings/live" / entry.view.id
    assert [path.name for path in folder.parent.iterdir()] == [entry.view.id]
    for rendition in ("v0", "a128", "a64"):
        parsed = m3u8.loads((folder / rendition / "index.m3u8").read_text())
        assert parsed.is_endlist
        for row in parsed.segments:
            assert (folder / rendition / row.uri).exists() is not bool(row.gap_tag)
        assert len([row for row in parsed.segments if not row.gap_tag]) >= 4
    with av.open(str(folder / "recording.mp4")) as container:
        assert (container.duration or 0) / av.time_base == pytest.approx(entry.view.duration_s, abs=1.0)


async def _next_part(two: Pair, index: int) -> None:
    """Waits for the part after the newest one."""
    _, text = await two.read(index, "live/v0/index.m3u8")
    [(msn, part)] = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"', text.decode())
    await two.read(index, f"live/v0/index.m3u8?_HLS_msn={msn}&_HLS_part={part}")
