"""A UDP path of a given width between a peer and a node: a queue of 150 ms, and what does not fit is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

_QUEUE_S = 0.15

Address = tuple[str, int]


class _Side(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._received(data, addr)


class Pipe:
    """One direction. `bps` is its width; None is as wide as the machine. `loss` is the share that is dropped at random, 0..1."""

    def __init__(self) -> None:
        self.bps: int | None = None
        self.loss = 0.0
        self.dropped = 0
        self._free_at = 0.0

    def carry(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        """Delivers a datagram when its turn comes, or drops it."""
        if random.random() < self.loss:
            self.dropped += 1
            return
        if self.bps is None:
            deliver(data)
            return
        loop = asyncio.get_running_loop()
        begins = max(loop.time(), self._free_at)
        if begins - loop.time() > _QUEUE_S:
            self.dropped += 1
            return
        self._free_at = begins + len(data) * 8 / self.bps
        loop.call_at(self._free_at, deliver, data)


class NarrowPath:
    """One peer talks to `port` and reaches the node; `down` is the way to the peer."""

    def __init__(self) -> None:
        self.up, self.down = Pipe(), Pipe()
        self.port = 0
        self._peer: Address | None = None
        self._near: asyncio.DatagramTransport | None = None
        self._far: asyncio.DatagramTransport | None = None

    async def open(self, node_port: int) -> None:
        """Opens both sides on loopback."""
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self._from_peer), local_addr=("127.0.0.1", 0)
        )
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self._from_node), remote_addr=("127.0.0.1", node_port)
        )
        self.port = self._near.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Both sides are gone."""
        for side in (self._near, self._far):
            if side is not None:
                side.close()

    def _from_peer(self, data: bytes, peer: Address) -> None:
        self._peer = peer
        self.up.carry(data, self._to_node)

    def _from_node(self, data: bytes, _: Address) -> None:
        self.down.carry(data, self._to_peer)

    def _to_node(self, data: bytes) -> None:
        if self._far is not None and not self._far.is_closing():
            self._far.sendto(data)

    def _to_peer(self, data: bytes) -> None:
        if self._near is not None and self._peer is not None and not self._near.is_closing():
            self._near.sendto(data, self._peer)


@contextlib.asynccontextmanager
async def narrow_path(node_port: int) -> AsyncIterator[NarrowPath]:
    """A path to the node whose media port this is; wide at first."""
    path = NarrowPath()
    await path.open(node_port)
    try:
        yield path
    finally:
        path.close()
