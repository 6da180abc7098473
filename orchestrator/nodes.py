"""Nodes: who is there, how well, how full. Pure: reports, probes and the time in, candidates for placement out.

    state      lease   probe            placed        why
    UP         valid   answers          yes
    SUSPECT    valid   fails            last resort   it heartbeats, but does not serve (or its HTTP is overloaded)
    LAPSED     over    answers          yes           it serves; heartbeats or the registry are what is broken
    (gone)     over    fails            -             forgotten

A node is declared dead by two witnesses only, so that an outage of Redis, or of the path to one orchestrator, kills nobody.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from common.directory import NodeReport, Role, StreamReport
from common.errors import Conflict
from orchestrator.draining import Drain
from orchestrator.field import Field
from orchestrator.geo import region_place
from orchestrator.headroom import Headroom
from orchestrator.placement import Candidate, Region, Weights

LEASE_S = 10.0
"""A node that has not been heard of for this long has lost its lease: four heartbeats."""
PROBE_FAILURES = 2
"""Probes that fail in a row before they count."""
PROBE_FRESH_S = 30.0
"""How long a probe that was answered keeps a lapsed node."""
BOOKING_S = 5.0
"""How long a viewer on its way has its place: two heartbeats, by then the node reports it."""
_LOSS_WEIGHT = 5.0
"""Loss of 20 % among a node's viewers makes its performance 0."""
_SMOOTHING = 0.3
"""Weight of the newest heartbeat in the moving mean of performance."""


class NodeState(enum.StrEnum):
    """See the module's text."""

    UP = "up"
    SUSPECT = "suspect"
    LAPSED = "lapsed"


@dataclass(slots=True)
class Node:
    """One node. Times are the caller's monotonic seconds."""

    report: NodeReport
    leased_until: float
    heard_at: float
    here: bool = True
    """Its last heartbeat came to this orchestrator, which therefore pushes to it."""
    probe_failures: int = 0
    probed_at: float = float("-inf")
    performance: float = 1.0
    headroom: Headroom = field(default_factory=Headroom)
    drain: Drain | None = None
    """Ops want it drained."""
    booked: int = 0
    """Viewers that all orchestrators sent to it lately, as the registry said,"""
    booked_until: float = float("-inf")
    """which holds until then."""
    placed: int = 0
    """Viewers that this orchestrator sent to it lately, while the registry was away,"""
    placed_until: float = float("-inf")
    """which holds until then."""

    @property
    def id(self) -> str:
        return self.report.id

    @property
    def viewers(self) -> int:
        """Viewers by WebRTC that it reported."""
        return sum(one.subscribers_interactive + one.subscribers_passive for one in self.report.streams)

    def capacity(self, now: float) -> int:
        """Viewers that placement may give it: what it says, corrected by what is measured of it."""
        return self.headroom.capacity(self.report, now)

    @property
    def draining(self) -> bool:
        return self.drain is not None or self.report.draining

    def pending(self, now: float) -> int:
        """Viewers on the way to it: those that were booked a moment ago, at the registry or without it by this orchestrator."""
        return max(
            self.booked if now < self.booked_until else 0, self.placed if now < self.placed_until else 0
        )

    def state(self, now: float) -> NodeState | None:
        """Its state, None once it is gone."""
        failing = self.probe_failures >= PROBE_FAILURES
        if now < self.leased_until:
            return NodeState.SUSPECT if failing else NodeState.UP
        if not failing and now - self.probed_at < PROBE_FRESH_S:
            return NodeState.LAPSED
        return None

    def stream(self, name: str) -> StreamReport | None:
        """What it reported of a stream."""
        return next((one for one in self.report.streams if one.stream == name), None)


class Nodes:
    """All nodes that this orchestrator knows, and the columns that placement works on."""

    def __init__(
        self,
        weights: Weights | None = None,
        regions: Mapping[str, Region] | None = None,
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._nodes: dict[str, Node] = {}
        self._lease_s = lease_s
        self.field = Field(weights=weights, regions=regions)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def find(self, node: str) -> Node | None:
        """The node with this id."""
        return self._nodes.get(node)

    def of_role(self, role: Role) -> list[Node]:
        """The nodes of a role, in the order of their ids."""
        return sorted((one for one in self if one.report.role is role), key=lambda one: one.id)

    def heartbeat(self, report: NodeReport, now: float) -> bool:
        """A report that came to this orchestrator renews the lease; True when the node is new, or was started again.

        Raises Conflict when a later start of the same node has been heard of.
        """
        node = self._nodes.get(report.id)
        if node is not None and node.report.epoch > report.epoch:
            raise Conflict(
                f"node {report.id!r} was started again (epoch {node.report.epoch}, this is {report.epoch})",
                code="node_replaced",
                hint="two processes use the same node id; give each its own AVACAST_NODE_ID",
            )
        return self._take(report, now, now + self._lease_s, here=True)

    def learn(self, report: NodeReport, now: float, remaining_s: float) -> bool:
        """A report that came to another orchestrator; True when the node is new here. An older one changes nothing."""
        node = self._nodes.get(report.id)
        until = now + min(remaining_s, self._lease_s)
        if node is not None and (node.report.epoch > report.epoch or node.leased_until >= until):
            return False
        if node is None and remaining_s <= 0:
            return False
        return self._take(report, now, until, here=False)

    def _take(self, report: NodeReport, now: float, until: float, *, here: bool) -> bool:
        node = self._nodes.get(report.id)
        new = node is None or node.report.epoch != report.epoch or node.report.url != report.url
        if node is None or new:
            node = Node(report, until, now, here, drain=node.drain if node is not None else None)
            self._nodes[report.id] = node
        else:
            node.report, node.leased_until, node.heard_at, node.here = report, until, now, here
        node.headroom.heard(report, node.viewers, now)
        node.performance += _SMOOTHING * (_performance(report) - node.performance)
        self._put(node, now)
        return new

    def probed(self, node_id: str, answered: bool, now: float) -> bool:
        """The outcome of a probe; True when the state changed."""
        node = self._nodes.get(node_id)
        if node is None:
            return False
        before = node.state(now)
        if answered:
            node.probe_failures, node.probed_at = 0, now
        else:
            node.probe_failures += 1
        if node.state(now) == before:
            return False
        self._put(node, now)
        return True

    def drain(self, node_id: str, order: Drain | None, now: float) -> bool:
        """Ops want a node drained, or (None) no longer; True when that changed something."""
        node = self._nodes.get(node_id)
        if node is None or node.drain == order:
            return False
        node.drain = order
        self._put(node, now)
        return True

    def booked(self, node_id: str, count: int, now: float, *, alone: bool = False) -> None:
        """So many viewers are on the way to a node: from all orchestrators, or from this one `alone`, as the registry is away."""
        node = self._nodes.get(node_id)
        if node is None:
            return
        before = node.pending(now)
        if alone:
            node.placed, node.placed_until = count, now + BOOKING_S
        else:
            node.booked, node.booked_until = count, now + BOOKING_S
        if node.pending(now) != before:
            self._put(node, now)

    def expire(self, now: float) -> list[Node]:
        """Forgets the nodes that are gone, and returns them."""
        gone = [one for one in self if one.state(now) is None]
        for node in gone:
            del self._nodes[node.id]
            self.field.remove(node.id)
        return gone

    def _put(self, node: Node, now: float) -> None:
        state = node.state(now)
        if state is None:
            self.field.remove(node.id)
            return
        report, pending = node.report, node.pending(now)
        self.field.put(
            Candidate(
                id=report.id,
                role=report.role,
                region=report.region,
                place=region_place(report.region),
                capacity=node.capacity(now),
                used=node.viewers + pending,
                pending=pending,
                cpu_ratio=report.cpu_ratio,
                performance=node.performance,
                draining=node.draining,
                healthy=state is not NodeState.SUSPECT,
                version=report.version,
            )
        )


def _performance(report: NodeReport) -> float:
    """How well its viewers fared since the last report, 0..1: loss, weighted by viewers."""
    watched = [one for one in report.streams if one.subscribers_interactive + one.subscribers_passive > 0]
    viewers = sum(one.subscribers_interactive + one.subscribers_passive for one in watched)
    if not viewers:
        return 1.0
    lost = sum((one.subscribers_interactive + one.subscribers_passive) * one.loss_ratio for one in watched)
    return max(0.0, 1.0 - _LOSS_WEIGHT * lost / viewers)
