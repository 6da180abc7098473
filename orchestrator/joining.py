"""How a viewer watches, and which node takes it: the answer to /play, to a player's report, and to a redirect.

    passive      HLS when it is in the share that has moved (delivery.py) and the packager has the stream, else WebRTC
    interactive  WebRTC

By WebRTC: the origin while the relays are off, else the relay that placement ranks first. The other kind steps in when the first
has no room, and a node that fails its probes is better than none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from common.directory import Delivery, Role
from common.errors import Unavailable
from common.metrics import counter, histogram
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import Force
from orchestrator.geo import Place
from orchestrator.hub import Hub
from orchestrator.nodes import Node
from orchestrator.placement import Placement, Request, WhyNot
from orchestrator.viewers import ViewerRole, in_share

_DECISION = histogram(
    "avacast_placement_seconds", "Time of a placement decision", (0.00002, 0.0001, 0.0005, 0.002, 0.01)
)
_JOINS = counter("avacast_joins_total", "Viewers that asked how to watch", ("delivery", "outcome"))

_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How one viewer watches. `node` is None when only HLS is left."""

    mode: Delivery
    node: Node | None
    hls_url: str | None


def plan(
    hub: Hub,
    broadcast: Broadcast,
    role: ViewerRole,
    viewer: str,
    place: Place | None,
    *,
    exclude: frozenset[str] = frozenset(),
) -> Plan:
    """Decides for one viewer. Raises Unavailable with the reasons when nobody can take it."""
    state = hub.delivery(broadcast.id)
    hls_url = hub.hls_url(broadcast.id) if hub.hls_ready(broadcast.id) else None
    mode = Delivery.WEBRTC
    if role is ViewerRole.PASSIVE and hls_url is not None:
        mode = in_share(viewer, state)
    node = webrtc_node(hub, broadcast, place, exclude=exclude)
    if node is None and hls_url is not None and role is ViewerRole.PASSIVE:
        mode = Delivery.HLS
    elif node is None and mode is Delivery.WEBRTC:
        _JOINS.labels(mode, "refused").inc()
        raise no_node(hub, broadcast, place)
    if node is not None and mode is Delivery.WEBRTC:
        hub.nodes.placed(node.id, time.monotonic())
    _JOINS.labels(mode, "placed").inc()
    return Plan(mode, node, hls_url)


def webrtc_node(
    hub: Hub, broadcast: Broadcast, place: Place | None, *, exclude: frozenset[str] = frozenset()
) -> Node | None:
    """The node that takes a viewer by WebRTC, None when none can."""
    with _DECISION.time():
        for request in _requests(hub, broadcast, place, exclude):
            best = hub.nodes.field.place(request, best=1).best
            if best is not None:
                return hub.nodes.find(best.id)
        return _last_resort(hub, broadcast, place, exclude)


def explain(hub: Hub, broadcast: Broadcast, place: Place | None) -> list[Placement]:
    """The whole truth of a decision: one placement for each kind of node, in the order in which they are tried."""
    return [hub.nodes.field.explain(request) for request in _requests(hub, broadcast, place, frozenset())]


def no_node(hub: Hub, broadcast: Broadcast, place: Place | None) -> Unavailable:
    """The refusal, with the reason against each node that was looked at."""
    reasons = {
        node: why
        for placement in explain(hub, broadcast, place)
        for node, why in placement.rejected
        if why not in (WhyNot.ROLE, WhyNot.NOT_SERVING)
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


def _requests(hub: Hub, broadcast: Broadcast, place: Place | None, exclude: frozenset[str]) -> list[Request]:
    origin = hub.origin_of(broadcast.id)
    direct = Request(
        frozenset({Role.ORIGIN}),
        place,
        only=frozenset({origin.id}) if origin is not None else frozenset(),
        exclude=exclude,
    )
    relayed = Request(frozenset({Role.RELAY}), place, exclude=exclude)
    if origin is None or not hub.policy.relays_enabled:
        return [direct]
    return [relayed, direct] if _relays_on(hub, broadcast.id) else [direct, relayed]


def _last_resort(hub: Hub, broadcast: Broadcast, place: Place | None, exclude: frozenset[str]) -> Node | None:
    """A node that is there and has room, but failed its probes, or has just failed this viewer (`exclude`)."""
    for request in _requests(hub, broadcast, place, frozenset()):
        ranked = hub.nodes.field.place(request, best=1).best
        if ranked is not None:
            return hub.nodes.find(ranked.id)
    for request in _requests(hub, broadcast, place, exclude):
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
