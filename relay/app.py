"""A relay: a media node that pulls on demand from the upstreams that the Directory names (or a fixed one), and can be drained."""

from __future__ import annotations

from common.config import RelayConfig
from common.directory import Role
from sfu.drain import Drain
from sfu.node import MediaNode
from sfu.worker import Worker


class Relay(MediaNode):
    """The node."""

    def __init__(self, config: RelayConfig, *, drain: Drain | None = None) -> None:
        super().__init__(
            config,
            Role.RELAY,
            Worker.open(config),
            pulls=True,
            linger_s=config.linger_s,
            fixed_upstream=config.upstream,
            drain=drain,
        )


async def start(config: RelayConfig) -> Relay:
    """Starts a relay; serve or mount its `app`. One pull a stream however many watch, which lingers `linger_s` after the last."""
    node = Relay(config)
    node.start()
    return node
