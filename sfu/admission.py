"""Who may watch and publish here: asked by the WHIP and WHEP handlers, answered by the node."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web


class Admission(Protocol):
    """Raises the Problem that the peer is to be answered with, or lets it pass."""

    async def admit_viewer(self, request: web.Request, stream: str) -> None:
        """A WHEP offer for `stream`."""
        ...

    async def admit_publisher(self, request: web.Request, stream: str) -> None:
        """A WHIP offer for `stream`."""
        ...

    def is_node(self, request: web.Request) -> bool:
        """Whether it comes from a node of ours."""
        ...


class Everybody:
    """Lets all pass: the core alone, on a machine of one's own."""

    async def admit_viewer(self, request: web.Request, stream: str) -> None:
        """Passes."""

    async def admit_publisher(self, request: web.Request, stream: str) -> None:
        """Passes."""

    def is_node(self, request: web.Request) -> bool:
        """Says so of everyone."""
        return True


class Source(Protocol):
    """Brings a stream here when somebody wants it."""

    async def ensure(self, stream: str, hops: tuple[str, ...]) -> None:
        """Returns once `stream` is live here. Raises Unavailable or NotFound. `hops` are the nodes that already wait for it."""
        ...


class Here:
    """Streams are here or they are not."""

    async def ensure(self, stream: str, hops: tuple[str, ...]) -> None:
        """Returns: the core knows."""
