"""A real origin of a cluster, in this process, with a listener of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import origin.app
from avacast.process import free_port
from common.config import OriginConfig
from common.http import Site
from tests.harness.cluster import SECRET, Running, eventually


@asynccontextmanager
async def served_origin(
    hub: Running, name: str, data: Path, *, registers_s: float, **settings: Any
) -> AsyncIterator[origin.app.Origin]:
    """Yields it when it has registered at `hub`, which takes `registers_s` at most."""
    port = free_port()
    config = OriginConfig(
        node_id=name,
        data=data,
        cluster_secret=SECRET,
        url=f"http://127.0.0.1:{port}",
        orchestrators=[hub.url],
        media_host="127.0.0.1",
        media_port=0,
        workers=1,
        heartbeat_s=0.5,
        **settings,
    )
    started = await origin.app.start(config)
    site = Site(started.app, "127.0.0.1", port)
    await site.start()
    try:
        await eventually(lambda: hub.role.hub.nodes.find(name) is not None, f"{name} registers", registers_s)
        yield started
    finally:
        await site.close()
        await started.close()


def origin_of(hub: Running, name: str, data: Path) -> AbstractAsyncContextManager[origin.app.Origin]:
    """An origin without avatars."""
    return served_origin(hub, name, data / name, registers_s=20, avatar=False)


def publishing(node: origin.app.Origin) -> int:
    """How many publishers send to it."""
    return sum(len(one["sources"]) for one in node.worker.sfu.stats()["streams"].values())
