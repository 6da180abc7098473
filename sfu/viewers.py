"""Who watches a stream from this node: each WHEP session with its role, and the events that wait for it."""

from __future__ import annotations

import asyncio
import enum
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_WAITING_EVENTS = 64
"""A viewer that reads no events loses the oldest."""


EVENTS, CAPTIONS, CHAT = "events", "captions", "chat"
"""Labels of data channels."""
LABELS = {
    "mode": EVENTS,
    "viewercount": EVENTS,
    "layers": EVENTS,
    "move": EVENTS,
    "caption": CAPTIONS,
    "chat": CHAT,
}
"""The data channel on which each event is told."""


def words(name: str, data: Mapping[str, Any]) -> str:
    """An event as its data channel carries it: the data of the server-sent event; `events` has several and names each."""
    told = {"event": name, "data": data} if LABELS.get(name) == EVENTS else data
    return json.dumps(told, separators=(",", ":"))


def sse(name: str, data: Mapping[str, Any]) -> bytes:
    """An event as an event stream carries it."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class ViewerRole(enum.StrEnum):
    """What a WHEP session is for."""

    INTERACTIVE = "interactive"
    PASSIVE = "passive"
    NODE = "node"


@dataclass(eq=False)
class Viewer:
    """One WHEP session on this node."""

    session: str
    stream: str
    role: ViewerRole
    viewer: str = ""
    etag: str = ""
    connected: bool = False
    joined_at: float = field(default_factory=time.monotonic)
    host: str | None = None
    """The Host header that it came with: the name by which it reaches this machine."""
    media_id: str = "0"
    """The `mid` of its video section."""
    selected: str | None = None
    """The layer that it asked for, by name."""
    layer: int | None = None
    """The layer that it gets now; None before the start, and while the path has room for sound only."""
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING_EVENTS))
    heard: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The last of what was told to each viewer in its own words, by event."""
    trusted: bool = False
    """It has shown a node's token."""
    offered: bool = False
    """The offer was ours: a PATCH brings its answer."""
    choices: dict[str, frozenset[str]] = field(default_factory=dict)
    """Event streams that it has made, each with the events that it wants there."""
    channels: dict[str, Callable[[str], None]] = field(default_factory=dict)
    """Data channels that it has opened, by label: how to say something on each."""

    def tell(self, name: str, data: Mapping[str, Any]) -> None:
        """Queues an event for the viewer's event stream, and says it on the data channel for it if that is open."""
        if say := self.channels.get(LABELS.get(name, "")):
            say(words(name, data))
        self.put(sse(name, data))

    def hear(self, name: str, data: Mapping[str, Any]) -> None:
        """As `tell`, unless it is what the viewer heard last under this name."""
        if self.heard.get(name) != data:
            self.heard[name] = data
            self.tell(name, data)

    def put(self, message: bytes | None) -> None:
        """Queues a ready message; None ends the event stream."""
        if self.waiting.full():
            self.waiting.get_nowait()
        self.waiting.put_nowait(message)


Words = Mapping[str, Any] | Callable[[Viewer], Mapping[str, Any]]
"""The data of an event, the same for all or made for each viewer."""


class Viewers:
    """All WHEP sessions of this node. What a stream has told stays known, so that who joins later hears the last of it."""

    def __init__(self) -> None:
        self._sessions: dict[str, Viewer] = {}
        self._streams: dict[str, dict[str, Viewer]] = {}
        self._said: dict[str, dict[str, Words]] = {}
        self.spread: Callable[[str, str, str, str | None], None] = lambda _stream, _label, _text, _without: (
            None
        )
        """Says a text on a data channel of everyone who takes a stream, less one session: stream, label, text, session."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(list(self._sessions.values()))

    def find(self, session: str) -> Viewer | None:
        """The session with this name."""
        return self._sessions.get(session)

    def of(self, stream: str) -> list[Viewer]:
        """The sessions that take a stream."""
        return list(self._streams.get(stream, {}).values())

    def count(self, stream: str, role: ViewerRole) -> int:
        """How many of a role take a stream."""
        return sum(one.role is role for one in self._streams.get(stream, {}).values())

    def add(self, viewer: Viewer) -> None:
        """A session that has begun. It hears the last mode and count of its stream."""
        self._sessions[viewer.session] = viewer
        self._streams.setdefault(viewer.stream, {})[viewer.session] = viewer
        for name, data in self.kept(viewer):
            viewer.hear(name, data)

    def kept(self, viewer: Viewer) -> list[tuple[str, Mapping[str, Any]]]:
        """What its stream has said that a viewer must know who comes now, and of which layers it has the choice."""
        said = [
            (name, data(viewer) if callable(data) else data)
            for name, data in self._said.get(viewer.stream, {}).items()
            if name != "mode" or viewer.role is ViewerRole.PASSIVE
        ]
        return said + [(name, data) for name, data in viewer.heard.items() if name == "layers"]

    def remove(self, session: str) -> Viewer | None:
        """A session that has ended; its event stream ends too."""
        viewer = self._sessions.pop(session, None)
        if viewer is not None:
            sessions = self._streams[viewer.stream]
            del sessions[session]
            if not sessions:
                del self._streams[viewer.stream]
            viewer.put(None)
        return viewer

    def tell(
        self, stream: str, name: str, data: Words, *, keep: bool = False, without: str | None = None
    ) -> None:
        """Tells all viewers of a stream. A `mode` goes to the passive ones only; with `keep` late comers hear it too. `without` is a
        session that does not hear it on its data channel: what it said itself.

        Words that are made for each viewer reach only those for whom they have changed.
        """
        if keep:
            if not callable(data) and self._said.setdefault(stream, {}).get(name) == data:
                return
            self._said.setdefault(stream, {})[name] = data
        concerned = (
            viewer
            for viewer in self._streams.get(stream, {}).values()
            if viewer.role is not ViewerRole.NODE and (name != "mode" or viewer.role is ViewerRole.PASSIVE)
        )
        if callable(data):
            for viewer in concerned:
                viewer.hear(name, data(viewer))
            return
        if name == "mode":
            for viewer in concerned:
                viewer.tell(name, data)
            return
        self.spread(stream, LABELS.get(name, EVENTS), words(name, data), without)
        message = sse(name, data)
        for viewer in concerned:
            viewer.put(message)

    def forget(self, stream: str) -> None:
        """The stream is over: nothing is kept of what it told."""
        self._said.pop(stream, None)
