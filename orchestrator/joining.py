"""How a viewer watches, and which node takes it: the answer to /play, to a player's report, and to a redirect.

    passive      HLS when it is in the share that has moved (delivery.py) and the packager has the stream, else WebRTC
    interactive  WebRTC

By WebRTC: the origin while the relays are off, else the relay that placement ranks first. The other kind steps in when the first
has no room, and a node that fails its probes is better than none.

A place is booked before the viewer is told: the best three go to the registry in one call, which books the first that has room, so
that orchestrators that see the same best node do not fill it twice over; who loses the race for all three is ranked again. An address
has few places booked at once (`bookings_of_address`): one that asks and never comes must not keep others out.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace

from common.directory import Delivery, Role
from common.errors import Unavailable
from common.ids import new_id
from common.metrics import counter, histogram
from common.registry import RegistryDown
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import Force
from orchestrator.geo import Place
from orchestrator.hub import Hub
from orchestrator.nodes import BOOKING_S, Node
from orchestrator.placement import Choice, Placement, Request, WhyNot
from orchestrator.viewers import ViewerRole, in_share

_DECISION = histogram(
    "avacast_placement_seconds", "Time of a placement decision", (0.00002, 0.0001, 0.0005, 0.002, 0.01)
)
_JOINS = counter("avacast_joins_total", "Viewers that asked how to watch", ("delivery", "outcome"))

_RETRY_S = 2.0
SCOUTS = 3
"""Nodes that a player is asked to measure its round trip to."""


_ROUNDS = 4
"""Times that the next best nodes are tried when others were quicker."""
_CANDIDATES = 3
"""Nodes that are asked for at once."""


ADDRESS_BOOKINGS = 64
ADDRESS_SHARE = 4


def bookings_of_address(free: int) -> int:
    """How many places one address may have booked at once, of so many that are free at the nodes which it asks for: a quarter, up to 64.
    Whose booking ends early may come all the same, since the node takes whom it has room for."""
    return max(1, min(ADDRESS_BOOKINGS, free // ADDRESS_SHARE))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a viewer says of itself: where it is, the node that it had (`affinity`), nodes that just failed it, round trips in ms."""

    place: Place | None = None
    affinity: str | None = None
    exclude: frozenset[str] = frozenset()
    rtts: tuple[tuple[str, float], ...] = ()
    user: str = ""
    """Whose bucket counts while a new version is rolled out; the viewer's own when empty."""
    address: str = ""
    """What its bookings are counted by; empty: by nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one viewer watches. `node` is None when only HLS is left."""

    mode: Delivery
    node: Node | None
    hls_url: str | None


async def join(hub: Hub, broadcast: Broadcast, role: ViewerRole, viewer: str, asked: Asked) -> Plan:
    """Decides for one viewer, and books its place. Raises Unavailable with the reasons when nobody can take it."""
    state = hub.delivery(broadcast.id)
    hls_url = hub.hls_url(broadcast.id) if hub.hls_ready(broadcast.id) else None
    asked = asked if asked.user else replace(asked, user=viewer)
    mode = Delivery.WEBRTC
    if role is ViewerRole.PASSIVE and hls_url is not None:
        mode = in_share(viewer, state)
    if mode is Delivery.HLS:
        node = next(iter(rank(hub, broadcast, asked)), None)  # its way back, should HLS fail it
    else:
        node = await webrtc_node(hub, broadcast, viewer, asked)
    if node is None and hls_url is not None and role is ViewerRole.PASSIVE:
        mode = Delivery.HLS
    elif node is None and mode is Delivery.WEBRTC:
        _JOINS.labels(mode, "refused").inc()
        raise no_node(hub, broadcast, asked)
    _JOINS.labels(mode, "placed").inc()
    return Plan(mode, node, hls_url)


async def webrtc_node(hub: Hub, broadcast: Broadcast, viewer: str, asked: Asked) -> Node | None:
    """The node that takes a viewer by WebRTC, with a place booked there; None when none can."""
    lost: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        nodes = rank(hub, broadcast, replace(asked, exclude=asked.exclude | lost))
        if not nodes:
            break
        booked = await _book(hub, viewer, asked.address, nodes)
        if booked is not None:
            return booked
        lost |= {one.id for one in nodes}
    node = _last_resort(hub, broadcast, asked, lost)
    return None if node is None else await _book(hub, viewer, asked.address, [node])


def rank(hub: Hub, broadcast: Broadcast, asked: Asked) -> list[Node]:
    """The best nodes for a viewer by WebRTC, best first; the node that it had goes before all."""
    with _DECISION.time():
        choices: list[Choice] = []
        for request in _requests(hub, broadcast, asked):
            known = {one.id for one in choices}
            ranked = hub.nodes.field.choose(request, random.random, best=_CANDIDATES).ranked
            choices += [one for one in ranked if one.id not in known]
            if len(choices) >= _CANDIDATES and asked.affinity is None:
                break
        choices.sort(key=lambda one: not one.affinity)
        found = (hub.nodes.find(one.id) for one in choices[:_CANDIDATES])
        return [one for one in found if one is not None]


async def _book(hub: Hub, viewer: str, address: str, nodes: list[Node]) -> Node | None:
    """A place at the first of the nodes that has one. While the registry is away this orchestrator books by itself, by the same rules."""
    rooms = [(one.id, one.capacity(time.monotonic()) - one.viewers) for one in nodes]
    most = bookings_of_address(sum(max(0, room) for _, room in rooms))
    viewer = viewer or new_id("v")
    try:
        reservation = await hub.registry.reserve(
            viewer, rooms, ttl_ms=int(BOOKING_S * 1000), address=address, most=most
        )
        alone, now = False, time.monotonic()
    except RegistryDown:
        alone, now = True, time.monotonic()
        reservation = hub.bookings.reserve(viewer, rooms, now, address, most)
    for node, count in zip(nodes, reservation.booked, strict=False):
        hub.nodes.booked(node.id, count, now, alone=alone)
    return None if reservation.at is None else nodes[reservation.at]


def scouts(hub: Hub, broadcast: Broadcast, asked: Asked) -> list[Node]:
    """The best node of each of the regions that come first, for the player to measure; none when there is only one."""
    if asked.rtts or not hub.policy.relays_enabled:
        return []
    request = Request(frozenset({Role.RELAY}), asked.place, exclude=asked.exclude)
    found: dict[str, str] = {}
    for choice in hub.nodes.field.place(request, best=4 * SCOUTS).ranked:
        found.setdefault(choice.region, choice.id)
    if len(found) < 2:
        return []
    nodes = (hub.nodes.find(one) for one in list(found.values())[:SCOUTS])
    return [one for one in nodes if one is not None]


def explain(hub: Hub, broadcast: Broadcast, asked: Asked) -> list[Placement]:
    """The whole truth of a decision: one placement for each kind of node, in the order in which they are tried."""
    return [hub.nodes.field.explain(request) for request in _requests(hub, broadcast, asked)]


def no_node(hub: Hub, broadcast: Broadcast, asked: Asked) -> Unavailable:
    """The refusal, with the reason against each node that was looked at."""
    reasons = {
        node: why
        for placement in explain(hub, broadcast, asked)
        for node, why in placement.rejected
        if why not in (WhyNot.ROLE, WhyNot.NOT_SERVING, WhyNot.VERSION)
    }
    told = ", ".join(f"{node} is {why}" for node, why in sorted(reasons.items())[:8])
    return Unavailable(
        f"no node can take a viewer of {broadcast.id!r}: {told or 'none is registered'}",
        code="no_node",
        retry_after_s=_RETRY_S,
    )


def _relays_on(hub: Hub, name: str) -> bool:
    """The switch of the relays as it will be with this viewer: the tick need not have seen it."""
    switch, policy = hub.delivery(name).relays, hub.policy
    if not policy.relays_enabled:
        return False
    if switch.force is not Force.AUTO or not policy.scaling_enabled:
        return switch.on
    return switch.on or hub.audience(name).webrtc + 1 > policy.relay_above


def _requests(hub: Hub, broadcast: Broadcast, asked: Asked) -> list[Request]:
    origin = hub.origin_of(broadcast.id)
    relayed = Request(
        frozenset({Role.RELAY}), asked.place, asked.affinity, exclude=asked.exclude, rtts=asked.rtts
    )
    own = frozenset({origin.id}) if origin is not None else frozenset[str]()
    direct = replace(relayed, roles=frozenset({Role.ORIGIN}), only=own)
    if origin is None or not hub.policy.relays_enabled:
        return [direct]
    relays, version = [relayed], hub.wanted_version(Role.RELAY, asked.user)
    if version is not None:
        # Any other version is better than none; but it is no reason to prefer a node that one was on it.
        relays = [replace(relayed, version=version), replace(relayed, affinity=None)]
    return [*relays, direct] if _relays_on(hub, broadcast.id) else [direct, *relays]


def _last_resort(hub: Hub, broadcast: Broadcast, asked: Asked, lost: frozenset[str]) -> Node | None:
    """A node that is there and has room (it is not among the `lost`), but failed its probes, or has just failed this viewer."""
    for request in _requests(hub, broadcast, replace(asked, exclude=lost)):
        ranked = hub.nodes.field.place(request, best=1).best
        if ranked is not None:
            return hub.nodes.find(ranked.id)
    for request in _requests(hub, broadcast, replace(asked, exclude=asked.exclude | lost)):
        for name, why in hub.nodes.field.explain(request).rejected:
            candidate = hub.nodes.field.candidate(name)
            if (
                why is WhyNot.UNHEALTHY
                and candidate is not None
                and not candidate.draining
                and candidate.free
            ):
                return hub.nodes.find(name)
    return None
