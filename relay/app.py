"""A relay: a media node that pulls on demand from the upstreams that the Directory names (or a fixed one)."""

from __future__ import annotations

from common.config import RelayConfig
from common.directory import Role
from sfu.node import MediaNode
from sfu.worker import Worker


async def start(config: RelayConfig) -> MediaNode:
    """Starts a relay; serve or mount its `app`. One pull a stream however many watch, which lingers `linger_s` after the last."""
    node = MediaNode(
        config,
        Role.RELAY,
        Worker.open(config),
        pulls=True,
        linger_s=config.linger_s,
        fixed_upstream=config.upstream,
    )
    node.start()
    return node
