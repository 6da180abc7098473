"""The packager role on a real media core: it learns by the Directory what to package, pulls it, and serves it."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import av
import m3u8
import pytest

import hls.app
from common.auth import Audience
from common.config import HlsConfig
from common.directory import Broadcast, Delivery, Directory
from common.errors import Problem
from common.http import Site
from hls.app import HlsNode
from sfu.worker import Worker
from tests.harness.live_source import LiveSource
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import Publisher

SECRET = "0123456789abcdef0123456789abcdef"


class Packaging:
    """A running packager, as an orchestrator and a player see it."""

    def __init__(self, node: HlsNode, site: Site, http: aiohttp.ClientSession) -> None:
        self.node, self._site, self._http = node, site, http
        self._version = 0

    async def tell(self, *broadcasts: Broadcast) -> None:
        """Pushes a directory, as an orchestrator does."""
        self._version += 1
        directory = Directory(version=self._version, broadcasts={one.id: one for one in broadcasts})
        token = self.node.node.link.tokens.issue(Audience.NODE, "orchestrator", ttl_s=60)
        async with self._http.post(
            f"http://127.0.0.1:{self._site.port}/api/v1/node/directory",
            data=directory.model_dump_json(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        ) as reply:
            assert reply.status in (200, 204), await reply.text()

    async def read(self, path: str, status: int = 200) -> bytes:
        """One object of the HLS listener."""
        async with self._http.get(f"http://127.0.0.1:{self.node.hls_port}/hls/{path}") as reply:
            assert reply.status == status, f"{path}: {reply.status} {await reply.text()}"
            return await reply.read()

    async def playlist(self, path: str) -> m3u8.M3U8:
        return m3u8.loads((await self.read(path)).decode())

    async def follow(self, path: str, parts: int) -> m3u8.M3U8:
        """Reloads with blocking until `parts` more parts have come."""
        playlist = await self.playlist(path)
        for _ in range(parts):
            last = playlist.segments[-1]
            open_parts = len(last.parts) if not last.uri else 0
            msn = playlist.media_sequence + len(playlist.segments) - (0 if last.uri else 1)
            playlist = await self.playlist(f"{path}?_HLS_msn={msn}&_HLS_part={open_parts}")
        return playlist

    async def pictures(self, stream: str) -> int:
        """How many pictures FFmpeg decodes from the newest whole segment."""
        playlist = await self.playlist(f"{stream}/v0/plain.m3u8")
        segment = playlist.segments[-1]
        data = await self.read(f"{stream}/v0/{segment.init_section.uri}") + await self.read(
            f"{stream}/v0/{segment.uri}"
        )
        with av.open(io.BytesIO(data)) as container:
            return sum(1 for _ in container.decode(video=0))


@asynccontextmanager
async def packaging(data: Path, worker: Worker | None = None) -> AsyncIterator[Packaging]:
    config = HlsConfig(
        data=data,
        cluster_secret=SECRET,
        media_host="127.0.0.1",
        media_port=0,
        public_ip=["127.0.0.1"],
        workers=1,
        hls_host="127.0.0.1",
        hls_port=0,
        orchestrators=[],
    )
    node = await hls.app.start(config, worker=worker)
    site = Site(node.app, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Packaging(node, site, http)
    finally:
        await node.close()
        await site.close()


async def inject(server: MediaServer, stream: str, stop: asyncio.Event) -> None:
    """An origin's encoder: pictures and sound on the clock, key frames when asked."""
    loop = asyncio.get_running_loop()
    sfu = server.worker.sfu
    source = LiveSource(loop.time() * 1000, width=512, height=64)
    heard = server.worker.listen(
        lambda event: source.ask_key_frame() if event["type"] == "key_frame_wanted" else None
    )
    sfu.open(stream, video=True, audio=True)
    first: dict[str, int] = {}
    while not stop.is_set():
        for unit in source.until(loop.time() * 1000):
            zero = first.setdefault(unit.kind, unit.time)
            kind = "video" if unit.kind == "video" else "audio"
            sfu.inject(stream, kind, unit.data, unit.time - zero, unit.key_frame)  # type: ignore[arg-type]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.01)
    heard()
    sfu.end(stream)


@asynccontextmanager
async def encoder(server: MediaServer, stream: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(inject(server, stream, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_broadcast_of_the_same_process_is_tapped_and_served(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        parsed = await packager.playlist("live/index.m3u8")
        assert [one.uri for one in parsed.playlists] == ["v0/index.m3u8"] * 2
        playlist = await packager.follow("live/v0/index.m3u8", 9)
        assert playlist.segments[-2].uri
        assert await packager.pictures("live") >= 40
        figures = packager.node.edge.stats()
        assert figures["blocked"] >= 8 and figures["not_found"] == 0


async def test_a_published_stream_is_pulled_by_whep_and_packaged(tmp_path: Path) -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with Publisher(http, origin.whip("far")), packaging(tmp_path) as packager:
            await origin.until_live("far")
            await packager.tell(
                Broadcast(id="far", public=True, package=True, upstreams=[origin.whep("far")])
            )
            async with asyncio.timeout(15):
                parsed = await packager.playlist("far/index.m3u8")
            assert parsed.playlists[0].stream_info.codecs.endswith(",mp4a.40.2")
            await packager.follow("far/v0/index.m3u8", 8)
            assert await packager.pictures("far") >= 20
            assert origin.stats()["subscribers"] == 1, "one pull"


async def test_the_end_of_packaging_is_the_end_of_the_playlist(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        held = asyncio.create_task(packager.follow("live/v0/index.m3u8", 200))
        await asyncio.wait([held], timeout=1)
        await packager.tell(Broadcast(id="live", public=True, package=False))
        held.cancel()
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert text.endswith("#EXT-X-ENDLIST\n")
        # Asked for again, it begins anew, above all numbers of before.
        before = m3u8.loads(text)
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        after = await packager.playlist("live/v0/index.m3u8")
        assert after.media_sequence + 3 > before.media_sequence
        assert not after.is_endlist


async def test_a_publisher_that_returns_goes_on_in_the_same_playlist(tmp_path: Path) -> None:
    async with media_server() as origin, packaging(tmp_path, origin.worker) as packager:
        await packager.tell(Broadcast(id="live", public=True, package=True))
        async with encoder(origin, "live"):
            await packager.read("live/index.m3u8")
            first = await packager.follow("live/v0/index.m3u8", 4)
        await packager.follow("live/v0/index.m3u8", 6)
        async with encoder(origin, "live"):
            last = await packager.follow("live/v0/index.m3u8", 8)
        assert last.media_sequence == first.media_sequence
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert "GAP=YES" in text
        assert "#EXT-X-DISCONTINUITY\n" not in text, "the same parameter sets, the same timeline"
        assert not last.segments[-1].parts[-1].gap_tag


async def test_viewers_are_told_when_the_delivery_changes(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True, mode=Delivery.HLS))
        await packager.read("live/index.m3u8")
        await packager.tell(Broadcast(id="live", public=True, package=True, mode=Delivery.WEBRTC))
        await packager.follow("live/v0/index.m3u8", 2)
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert 'CLASS="avacast.mode"' in text and 'X-MODE="webrtc"' in text


async def test_a_taken_hls_port_is_named(tmp_path: Path) -> None:
    async with packaging(tmp_path) as packager:
        config = HlsConfig(data=tmp_path, media_port=0, hls_host="127.0.0.1", hls_port=packager.node.hls_port)
        with pytest.raises(Problem, match="HLS listener cannot start"):
            await hls.app.start(config)
