"""A storm of joins in virtual time: thousands of viewers a second, nodes that die and come back, several orchestrators that each know a
little less than the truth.

    viewer ── asks one orchestrator ──► rank, book (one registry) ──► on its way 0.2 to 1.5 s ──► at the node, or turned away (full, dead)
    node ──── reports every 2.5 s to one orchestrator; the others learn of it at their next tick, up to a second later
    failure ─ its probes fail after 2 s; its viewers ask again after 2 s of silence, spread over 0.25 s, and exclude it

The nodes' truth is kept apart from what the orchestrators believe; only the truth is judged.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from common.directory import NodeReport, Role, StreamReport
from orchestrator.bookings import Bookings
from orchestrator.geo import Place, country_codes, country_place, region_names, region_place
from orchestrator.nodes import BOOKING_S, Nodes
from orchestrator.placement import Request, nearness

HEARTBEAT_S = 2.5
TICK_S = 1.0
PROBED_S = 2.0
_ROUNDS = 4
_PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True)
class Storm:
    """What comes: `joins` viewers within `storm_s`, spread over three orchestrators; `failures` nodes die and are back after `gone_s`."""

    nodes: int = 1000
    joins: int = 100_000
    storm_s: float = 40.0
    calm_s: float = 20.0
    capacity: tuple[int, int] = (100, 300)
    failures: int = 50
    gone_s: float = 15.0
    orchestrators: int = 3
    stay_s: float = 120.0
    seed: int = 1
    two_choices: bool = True


@dataclass
class Outcome:
    """What became of it."""

    asked: int = 0
    placed: int = 0
    refused: int = 0
    turned_away: int = 0
    """At a node that was full or dead when they came; they asked again."""
    failures: int = 0
    fell: int = 0
    """Viewers whose node died."""
    back: int = 0
    """Of these, those that watched again."""
    back_s: list[float] = field(default_factory=list)
    over_capacity: int = 0
    """Nodes that ever had more viewers than they take."""
    over_booked: int = 0
    """Nodes that were ever sent more than they take (the node turned the rest away)."""
    watching: int = 0
    fullest: float = 0.0
    lost_races: int = 0
    herd: float = 0.0
    """The largest part of one node's places that was sent to it between two of its heartbeats."""
    near: float = 0.0
    """Mean nearness of the viewers that were placed."""
    decided_s: list[float] = field(default_factory=list)
    """CPU time of each decision: ranking, and what the booking changes; the registry's own time is not in it."""

    def quantile(self, share: float) -> float:
        """Of the times of decisions, in seconds."""
        ordered = sorted(self.decided_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def decisions_a_second(self) -> float:
        """Of CPU."""
        return len(self.decided_s) / max(1e-9, sum(self.decided_s))


@dataclass(slots=True)
class _Truth:
    id: str
    region: str
    place: Place | None
    capacity: int
    epoch: int = 1
    alive: bool = True
    viewers: set[int] = field(default_factory=set)
    sent: int = 0
    coming: int = 0

    def report(self, chance: random.Random) -> NodeReport:
        cpu = 0.75 * len(self.viewers) / self.capacity + 0.1 * chance.random()
        return NodeReport(
            id=self.id,
            role=Role.RELAY,
            region=self.region,
            url=f"http://{self.id}:8082",
            epoch=self.epoch,
            capacity=self.capacity,
            cpu_ratio=cpu,
            streams=[StreamReport(stream="s", live=True, subscribers_passive=len(self.viewers))],
        )


class Simulation:
    """One storm. `run()` plays it to its end."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.outcome = Outcome()
        self.now = 0.0
        self._chance = random.Random(storm.seed)
        regions = region_names()
        self._nodes = [
            _Truth(
                f"r{index}",
                regions[index % len(regions)],
                region_place(regions[index % len(regions)]),
                self._chance.randint(*storm.capacity),
            )
            for index in range(storm.nodes)
        ]
        self._by_id = {one.id: one for one in self._nodes}
        self._hubs = [Nodes() for _ in range(storm.orchestrators)]
        self._bookings = Bookings(BOOKING_S)
        self._places = [country_place(code) for code in country_codes()]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._excluded: dict[int, frozenset[str]] = {}
        self._fell_at: dict[int, float] = {}
        self._nearness = 0.0
        self._in_registry_s = 0.0

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Something happens."""
        heapq.heappush(self._events, (when, next(self._order), what))

    def run(self, progress: Callable[[float, Outcome], None] | None = None) -> Outcome:
        """Plays it; `progress` hears the virtual time about each second of real time."""
        storm, chance = self.storm, self._chance
        for node in self._nodes:
            self._report(node, first=True)
        for viewer in range(storm.joins):
            # A crowd: most come soon after the beginning.
            self.at(storm.storm_s * chance.random() ** 1.6, lambda viewer=viewer: self._ask(viewer))  # type: ignore[misc]
        for node in chance.sample(self._nodes, min(storm.failures, len(self._nodes))):
            self.at(storm.storm_s * chance.random(), lambda node=node: self._fail(node))  # type: ignore[misc]
        until, told = storm.storm_s + storm.calm_s, time.monotonic()
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
            if progress is not None and time.monotonic() - told > _PROGRESS_S:
                told = time.monotonic()
                progress(self.now, self.outcome)
        self.outcome.watching = sum(len(one.viewers) for one in self._nodes)
        self.outcome.fullest = max(len(one.viewers) / one.capacity for one in self._nodes)
        self.outcome.near = self._nearness / max(1, self.outcome.placed)
        return self.outcome

    # viewers ----------------------------------------------------------------------------------------------------------

    def _ask(self, viewer: int) -> None:
        place = self._places[(viewer * 7919) % len(self._places)]
        hub = self._hubs[self._chance.randrange(len(self._hubs))]
        began, self._in_registry_s = time.thread_time(), 0.0
        node = self._decide(hub, viewer, place)
        self.outcome.decided_s.append(time.thread_time() - began - self._in_registry_s)
        self.outcome.asked += 1
        if node is None:
            self.outcome.refused += 1
            self.at(self.now + 2.0 + self._chance.random(), lambda: self._ask(viewer))
            return
        self.outcome.placed += 1
        self._nearness += nearness(place, node.place)
        node.sent += 1
        self.outcome.herd = max(self.outcome.herd, node.sent / node.capacity)
        self.at(self.now + 0.2 + 1.3 * self._chance.random(), lambda: self._arrive(viewer, node))

    def _decide(self, hub: Nodes, viewer: int, place: Place | None) -> _Truth | None:
        """As joining.py does: the best three, one booking, the next best on a lost race."""
        excluded = self._excluded.get(viewer, frozenset())
        for _ in range(_ROUNDS):
            request = Request(frozenset({Role.RELAY}), place, exclude=excluded)
            if self.storm.two_choices:
                ranked = hub.field.choose(request, self._chance.random).ranked
            else:
                ranked = hub.field.place(request).ranked
            if not ranked:
                return None
            found = [one for one in (hub.find(choice.id) for choice in ranked) if one is not None]
            rooms = [(one.id, one.report.capacity - one.viewers) for one in found]
            began = time.thread_time()
            reservation = self._bookings.reserve(str(viewer), rooms, self.now)
            self._in_registry_s += time.thread_time() - began
            for one, count in zip(found, reservation.booked, strict=True):
                hub.booked(one.id, count, self.now)
            if reservation.at is not None:
                return self._by_id[found[reservation.at].id]
            self.outcome.lost_races += 1
            excluded |= {one.id for one in found}
        return None

    def _arrive(self, viewer: int, node: _Truth) -> None:
        if not node.alive or len(node.viewers) >= node.capacity:
            self.outcome.turned_away += 1
            self.outcome.over_booked += node.alive
            self._excluded[viewer] = self._excluded.get(viewer, frozenset()) | {node.id}
            self.at(self.now + 0.1 + 0.2 * self._chance.random(), lambda: self._ask(viewer))
            return
        node.viewers.add(viewer)
        self.outcome.over_capacity += len(node.viewers) > node.capacity
        if viewer in self._fell_at:
            self.outcome.back += 1
            self.outcome.back_s.append(self.now - self._fell_at.pop(viewer))
        self.at(
            self.now + self._chance.expovariate(1 / self.storm.stay_s), lambda: node.viewers.discard(viewer)
        )

    # nodes ------------------------------------------------------------------------------------------------------------

    def _report(self, node: _Truth, *, first: bool = False) -> None:
        if not node.alive:
            return
        report, node.sent = node.report(self._chance), 0
        hears = self._chance.randrange(len(self._hubs))
        self._hubs[hears].heartbeat(report, self.now)
        for index, hub in enumerate(self._hubs):
            if index != hears:
                late = 0.0 if first else TICK_S * self._chance.random()
                self.at(self.now + late, lambda hub=hub: self._learn(hub, report))  # type: ignore[misc]
        beat = HEARTBEAT_S * (self._chance.random() if first else 1.0)
        epoch = node.epoch
        self.at(self.now + beat, lambda: self._report(node) if node.epoch == epoch else None)

    def _learn(self, hub: Nodes, report: NodeReport) -> None:
        hub.learn(report, self.now, 10.0)

    def _fail(self, node: _Truth) -> None:
        self.outcome.failures += 1
        node.alive = False
        fallen, node.viewers = sorted(node.viewers), set()
        self.outcome.fell += len(fallen)
        for viewer in fallen:
            self._fell_at[viewer] = self.now
            self._excluded[viewer] = frozenset({node.id})
            self.at(self.now + 2.0 + 0.25 * self._chance.random(), lambda viewer=viewer: self._ask(viewer))  # type: ignore[misc]
        self.at(self.now + PROBED_S, lambda: self._probed(node))
        self.at(self.now + self.storm.gone_s, lambda: self._return(node))

    def _probed(self, node: _Truth) -> None:
        for hub in self._hubs:
            hub.probed(node.id, False, self.now)
            hub.probed(node.id, False, self.now)

    def _return(self, node: _Truth) -> None:
        node.alive, node.epoch = True, node.epoch + 1
        for hub in self._hubs:
            hub.probed(node.id, True, self.now)
        self._report(node)
