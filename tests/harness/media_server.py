"""A bare media server for tests: one core with WHIP and WHEP on a free loopback port, and what its figures should come back to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.config import RelayConfig
from common.http import Site, application
from sfu.admission import Admission
from sfu.channels import PULLED, Channels
from sfu.ice_servers import IceServers
from sfu.upstream import Puller
from sfu.viewers import Viewers
from sfu.whep import Whep
from sfu.whip import Whip
from sfu.worker import Worker

if TYPE_CHECKING:
    from common._native import Stats


def media_config(**more: Any) -> RelayConfig:
    """Settings of a core on loopback with a free port."""
    return RelayConfig(
        **{"media_host": "127.0.0.1", "media_port": 0, "workers": 1, "public_ip": ["127.0.0.1"], **more}
    )


@dataclass
class MediaServer:
    """A running one. `whip` and `whep` are base URLs."""

    worker: Worker
    site: Site
    handlers: Whep
    puller: Puller | None
    http_host: str

    @property
    def url(self) -> str:
        return f"http://{self.http_host}:{self.site.port}"

    def whip(self, stream: str) -> str:
        return f"{self.url}/whip/{stream}"

    def whep(self, stream: str) -> str:
        return f"{self.url}/whep/{stream}"

    def stats(self, *, sessions: bool = False) -> Stats:
        return self.worker.sfu.stats(sessions=sessions)

    async def until(self, done: Callable[[Stats], bool], what: str, timeout_s: float = 10.0) -> Stats:
        """Waits until the core's figures say so; fails with `what` and the figures otherwise."""
        stats = self.stats(sessions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not done(stats):
                    await asyncio.sleep(0.02)
                    stats = self.stats(sessions=True)
                return stats
        raise AssertionError(f"{what}: not within {timeout_s} s; the core says {stats}")

    async def until_live(self, stream: str) -> Stats:
        """Waits until media of `stream` has come."""
        return await self.until(lambda stats: stream in stats["streams"], f"{stream} live")

    async def until_deep(self, stream: str) -> Stats:
        """Waits until more than 20 packets have come since the last key frame of `stream`."""
        return await self.until(
            lambda stats: any(
                layer["gop_packets"] > 20 for layer in stats["streams"].get(stream, {"layers": []})["layers"]
            ),
            "20 packets since the key frame",
        )


@contextlib.asynccontextmanager
async def media_server(
    *,
    admission: Admission | None = None,
    upstreams: Callable[[str], list[str]] | None = None,
    linger_s: float = 30.0,
    name: str = "test-node",
    ice: IceServers | None = None,
    http_host: str = "127.0.0.1",
    **settings: Any,
) -> AsyncIterator[MediaServer]:
    """Starts one, and ends it. With `upstreams` (WHEP URLs of a stream) it pulls what it is asked for."""
    worker = Worker.open(media_config(**settings))
    app = application("media")
    viewers = Viewers()
    puller = upstreams and Puller(
        worker,
        name,
        upstreams,
        lambda stream: len(viewers.of(stream)),
        linger_s=linger_s,
        labels=PULLED,
    )
    whep = Whep(worker, ice=ice, admission=admission, source=puller, viewers=viewers)
    whep.add_to(app)
    whip = Whip(worker, ice=ice, admission=admission)
    whip.add_to(app)
    Channels(worker, viewers, puller=puller, whip=whip)
    site = Site(app, http_host, 0)
    await site.start()
    try:
        yield MediaServer(worker, site, whep, puller, http_host)
    finally:
        await site.close()
        if puller:
            await puller.close()
        await worker.close()
