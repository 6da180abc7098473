"""The packager role on a real media core, as an orchestrator and a player see it, and a source that it can tap."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import av
import m3u8

import hls.app
from common.auth import Audience
from common.config import HlsConfig
from common.directory import Broadcast, Directory
from common.http import Site
from hls.app import HlsNode
from sfu.node import MediaNode
from sfu.worker import Worker
from tests.harness.live_source import LiveSource
from tests.harness.media_server import MediaServer

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
        async with self._http.post(
            f"{self.url}/api/v1/node/directory",
            data=directory.model_dump_json(),
            headers={"Authorization": self.node_token, "Content-Type": "application/json"},
        ) as reply:
            assert reply.status in (200, 204), await reply.text()

    @property
    def url(self) -> str:
        """Its control side."""
        return f"http://127.0.0.1:{self._site.port}"

    async def ask(
        self, path: str, status: int = 200, *, method: str = "GET", **headers: str
    ) -> tuple[bytes, Mapping[str, str]]:
        """A request to the control side: body and headers of the answer. `headers` with '_' for '-'."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.request(method, self.url + path, headers=sent, allow_redirects=False) as reply:
            body = await reply.read()
            assert reply.status == status, f"{path}: {reply.status} {body[:500]!r}"
            return body, reply.headers

    @property
    def node_token(self) -> str:
        """What an orchestrator shows."""
        link = self.node.node.link
        token = link.tokens.issue(Audience.ORDER, link.node_id, ttl_s=60)
        return f"Bearer {token}"

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

    def stats(self, stream: str) -> dict[str, Any]:
        """The packager's counters of a broadcast."""
        return self.node.packager(stream).stats()

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
async def packaging(
    data: Path, worker: Worker | None = None, *, ladder: list[int] | None = None, **settings: Any
) -> AsyncIterator[Packaging]:
    told: dict[str, Any] = {
        "ladder": ladder or [],
        "data": data,
        "cluster_secret": SECRET,
        "hs256": "all",
        "media_host": "127.0.0.1",
        "media_port": 0,
        "public_ip": ["127.0.0.1"],
        "workers": 1,
        "hls_host": "127.0.0.1",
        "hls_port": 0,
        "http_port": 0,
        "orchestrators": [],
        **settings,
    }
    config = HlsConfig(**told)
    node = await hls.app.start(config, worker=worker)
    site = Site(node.app, "127.0.0.1", config.http_port)
    await site.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Packaging(node, site, http)
    finally:
        await node.close()
        await site.close()


async def inject(server: MediaServer | MediaNode, stream: str, stop: asyncio.Event) -> None:
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
async def encoder(server: MediaServer | MediaNode, stream: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(inject(server, stream, stop))
    try:
        yield
    finally:
        stop.set()
        await task
