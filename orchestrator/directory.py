"""What each node must know: the broadcasts that concern it, computed from the whole view. Pure.

An origin learns the broadcasts that it runs, a relay all of them (any viewer may be sent to it), a packager those that it makes
HLS of. The packager of a broadcast is chosen by rendezvous hashing: all orchestrators agree, and few broadcasts move when one
packager comes or goes. One that makes the playlists and is no longer chosen is told who is (`twin`), and that it is to give them up
(`released`) once that one reads along: so the same playlists go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from common import directory
from common.dialogue import Said
from common.directory import DrainOrder, Role
from common.signing import PublicKey
from orchestrator import delivery
from orchestrator.broadcasts import Broadcast
from orchestrator.handover import Handover, Stage
from orchestrator.nodes import Node


@dataclass(frozen=True)
class View:
    """What an orchestrator knows, as far as nodes must know of it."""

    version: int
    broadcasts: Iterable[Broadcast]
    deliveries: Mapping[str, delivery.State]
    origins: Mapping[str, Node]
    """Broadcast -> the origin that runs it."""
    packagers: Iterable[Node]
    viewers: Callable[[str], int]
    hls_url: Callable[[str], str | None]
    """Broadcast -> its multivariant playlist, None when nobody packages it."""
    play_url: Callable[[str], str | None]
    dialogue: Callable[[str], Sequence[Said]] = lambda _name: ()
    """Broadcast -> what was said in it, when it is a session."""
    hls_packagers: int = 1
    """How many packagers make HLS of a broadcast: 1, or 2."""
    handovers: Mapping[str, Handover] = field(default_factory=dict)
    """Broadcasts that one origin hands over to another."""
    order: Callable[[Node], DrainOrder | None] = lambda _node: None
    """What a node is told of its drain."""
    keys: Sequence[PublicKey] = ()
    """What verifies tokens."""


def packagers_of(broadcast: str, packagers: Iterable[Node], count: int) -> list[Node]:
    """The packagers of a broadcast among those that take work, at most `count`, the first one first. Where there is none, it stays where
    it is."""
    known = list(packagers)
    able = [one for one in known if not one.draining] or _having(broadcast, known)
    able.sort(key=lambda one: hashlib.sha1(f"{broadcast}\n{one.id}".encode()).digest(), reverse=True)
    return able[:count]


def _having(broadcast: str, packagers: Iterable[Node]) -> list[Node]:
    return [one for one in packagers if broadcast in one.report.packages]


def _live(node: Node, broadcast: str) -> bool:
    stream = node.stream(broadcast)
    return stream is not None and stream.live


def _twin(node: Node, chosen: Sequence[Node], having: Sequence[Node]) -> Node | None:
    """Whom a chosen packager reads along: the other one; the first one who has the playlists now, as long as the second has not."""
    other = next((one for one in chosen if one.id != node.id), None)
    if node.id != chosen[0].id or other in having:
        return other
    return next((one for one in having if one.id != node.id), other)


def packager_of(broadcast: str, packagers: Iterable[Node]) -> Node | None:
    """The first of them."""
    return next(iter(packagers_of(broadcast, packagers, 1)), None)


def directory_of(node: Node, view: View) -> directory.Directory:
    """What `node` must know."""
    packagers = list(view.packagers)
    found: dict[str, directory.Broadcast] = {}
    for broadcast in view.broadcasts:
        entry = _entry(node, broadcast, view, packagers)
        if entry is not None:
            found[broadcast.id] = entry
    order = view.order(node)
    return directory.Directory(
        version=view.version,
        broadcasts=found,
        draining=node.drain is not None,
        drain=order,
        keys=list(view.keys),
    )


def _entry(node: Node, broadcast: Broadcast, view: View, packagers: list[Node]) -> directory.Broadcast | None:
    role = node.report.role
    origin = view.origins.get(broadcast.id)
    state = view.deliveries.get(broadcast.id, delivery.State())
    own = origin is not None and origin.id == node.id
    live = _live(node, broadcast.id)
    package, twin, first = False, None, True
    move = view.handovers.get(broadcast.id)
    takes_over = move is not None and move.target == node.id
    released = move is not None and move.stage is Stage.MOVED and move.source == node.id and not own
    moving = move is not None and move.stage is Stage.OPENING and broadcast.avatar is None and own
    runs = own or takes_over or released
    if role is Role.ORIGIN and not runs:
        return None
    if role is Role.PACKAGER:
        chosen = packagers_of(broadcast.id, packagers, view.hls_packagers) if state.package else []
        having = _having(broadcast.id, packagers)
        package = node.id in [one.id for one in chosen]
        if package:
            twin = _twin(node, chosen, having)
            first = chosen[0].id == node.id and twin not in having
        elif chosen and node.id in [one.id for one in having]:
            # Where there is media the other one must have it too, or it could only show gaps.
            package, twin, first, released = (
                True,
                chosen[0],
                False,
                not live or _live(chosen[0], broadcast.id),
            )
        else:
            return None
    said: Sequence[Said] = ()
    if move is not None and takes_over:
        said = move.said
    elif own and not live:
        said = view.dialogue(broadcast.id)
    upstreams = [] if origin is None or runs else [f"{origin.report.url.rstrip('/')}/whep/{broadcast.id}"]
    return directory.Broadcast(
        id=broadcast.id,
        public=broadcast.public,
        avatar=broadcast.avatar if runs else None,
        persona=broadcast.persona if runs else None,
        dialogue=list(said),
        released=released,
        moving=moving,
        moderated=broadcast.moderated,
        speech=directory.AVATAR_LANGUAGE if broadcast.avatar else None,
        upstreams=upstreams,
        package=package,
        twin=twin.report.url if twin is not None else None,
        first=first,
        mode=state.mode,
        hls_share=state.hls_share,
        hls_url=view.hls_url(broadcast.id),
        play_url=view.play_url(broadcast.id),
        viewers=view.viewers(broadcast.id),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A directory ready to be sent. `essence` is all of it but the counts: only when that changes it must be pushed at once."""

    body: bytes
    essence: bytes


def told(found: directory.Directory) -> Told:
    """The directory as JSON, and the digest of what must not wait for the next heartbeat."""
    kept = found.model_dump_json(
        exclude={"version": True, "broadcasts": {"__all__": {"viewers"}}, "drain": {"left_s"}}
    )
    return Told(found.model_dump_json().encode(), hashlib.sha1(kept.encode()).digest())
