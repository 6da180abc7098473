"""Audiences in virtual time, and how delivery.py carries them: one look a second, as the hub does it.

    wanted (a trace) ──► viewers come and go ──► where placement and the share put them ──► what nodes and players report, late
                                   ▲                                                                │
                                   └────────────── delivery.step: relays, HLS, share ◄──────────────┘

Nodes tell of their viewers at their heartbeats (every 2.5 s), players by HLS by their reports: who leaves the page counts on for 30 s,
who goes back to WebRTC says so at once. A
passive viewer that is moved has its HLS picture before it leaves WebRTC.
"""

from __future__ import annotations

import enum
import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from common.directory import Delivery, Role, in_hls_share
from orchestrator.delivery import Audience, Policy, State, step
from orchestrator.field import Field
from orchestrator.placement import Candidate, Request
from orchestrator.viewers import REPORT_TTL_S

HEARTBEAT_S = 2.5
READY_S = 4
"""From the order to package until the packager has the stream."""
SWITCH_S = (1, 3)
"""How long a viewer takes to have its picture by the other way."""
_TELL_S = 5
"""A move is heard within this: by the event at once, by a report in the worst case."""

Trace = tuple[tuple[int, int], ...]
"""Viewers wanted at moments: (second, viewers), straight lines between."""


def oscillation(around: int, swing: int, period_s: int, seconds: int) -> Trace:
    """An audience that swings around a threshold."""
    sides = itertools.cycle((around + swing, around - swing))
    return ((0, around - swing), *((at, next(sides)) for at in range(period_s, seconds + 1, period_s)))


TRACES: Mapping[str, Trace] = {
    "ramp": ((0, 0), (240, 400), (300, 400), (540, 0), (660, 0)),
    "spike": ((0, 60), (60, 60), (75, 260), (90, 60), (300, 60)),
    "flash crowd": ((0, 20), (30, 20), (45, 600), (240, 600), (250, 120), (420, 30), (500, 30)),
    "around the threshold": oscillation(100, 12, 20, 600),
}
"""The audiences of the page in docs/orchestrator.md."""


class Way(enum.StrEnum):
    """How a viewer watches."""

    ORIGIN = "origin"
    RELAY = "relay"
    HLS = "hls"


@dataclass(slots=True)
class Viewer:
    """One viewer. `moves_at`: when it has its picture by the other way."""

    id: str
    interactive: bool
    way: Way
    node: str
    moves_at: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One second: who watches how, and what the machine said."""

    at_s: int
    origin: int
    relay: int
    hls: int
    refused: int
    moved: int
    state: State

    @property
    def total(self) -> int:
        return self.origin + self.relay + self.hls


@dataclass
class Carried:
    """What became of an audience."""

    samples: list[Sample] = field(default_factory=list)
    switches: dict[str, list[int]] = field(default_factory=lambda: {"hls": [], "relays": []})
    """Seconds at which each switch changed."""
    interactive_moved: int = 0
    """Viewers that take part and were sent to HLS: none."""
    before_ready: int = 0
    """Viewers that were sent to HLS while the packager did not have the stream: none."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What carries them: places of the origin and of each relay, the part of viewers that take part."""

    policy: Policy = field(default_factory=Policy)
    origin: int = 250
    relays: tuple[int, ...] = (150, 150, 150)
    interactive: float = 0.1
    seed: int = 1


def wanted(trace: Trace, at_s: int) -> int:
    """Viewers that a trace wants at a moment."""
    index = bisect_right([at for at, _ in trace], at_s)
    if index >= len(trace):
        return trace[-1][1]
    (start, low), (end, high) = trace[max(0, index - 1)], trace[index]
    return round(low + (high - low) * (at_s - start) / max(1, end - start))


class Broadcast:
    """One broadcast and its viewers."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage = stage
        self.state = State()
        self.viewers: dict[str, Viewer] = {}
        self.carried = Carried()
        self._chance = chance
        self._names = (f"v_{number}" for number in itertools.count())
        self._places = {"o": stage.origin, **{f"r{at}": places for at, places in enumerate(stage.relays)}}
        self._used = dict.fromkeys(self._places, 0)
        self._field = Field()
        for node in self._places:
            self._put(node)
        self._reported = Audience()
        self._silent: list[int] = []
        """When viewers by HLS that have left fall out of the count."""
        self._packaged_s = 0

    @property
    def ready(self) -> bool:
        """The packager has the stream."""
        return self._packaged_s >= READY_S

    def look(self, now: int, want: int) -> Sample:
        """One second."""
        refused = self._come_and_go(now, want)
        moved = self._move(now)
        if now % HEARTBEAT_S < 1:
            self._reported = self._counted()
        self._silent = [until for until in self._silent if until > now]
        hls = sum(one.way is Way.HLS for one in self.viewers.values()) + len(self._silent)
        before = self.state
        self.state = step(
            before,
            self.stage.policy,
            replace(self._reported, hls=hls),
            now,
            hls_ready=self.ready,
            jitter=self._chance.random,
        )
        self._packaged_s = self._packaged_s + 1 if self.state.package else 0
        for name, was, this in (
            ("hls", before.hls.on, self.state.hls.on),
            ("relays", before.relays.on, self.state.relays.on),
        ):
            if was != this:
                self.carried.switches[name].append(now)
        if self.state.hls_share != before.hls_share or self.state.hls.on != before.hls.on:
            self._tell(now)
        ways = [one.way for one in self.viewers.values()]
        sample = Sample(
            now,
            ways.count(Way.ORIGIN),
            ways.count(Way.RELAY),
            ways.count(Way.HLS),
            refused,
            moved,
            self.state,
        )
        self.carried.samples.append(sample)
        return sample

    def _counted(self) -> Audience:
        webrtc = [one for one in self.viewers.values() if one.way is not Way.HLS]
        interactive = sum(one.interactive for one in webrtc)
        return Audience(interactive, len(webrtc) - interactive)

    def _come_and_go(self, now: int, want: int) -> int:
        refused = 0
        while len(self.viewers) > want:
            name = self._chance.choice(list(self.viewers))
            gone = self.viewers.pop(name)
            self._leave(gone)
            if gone.way is Way.HLS:
                self._silent.append(now + int(REPORT_TTL_S))
        for _ in range(want - len(self.viewers)):
            refused += not self._join()
        return refused

    def _join(self) -> bool:
        name, interactive = next(self._names), self._chance.random() < self.stage.interactive
        mode = Delivery.WEBRTC
        if not interactive and self.ready:
            mode = in_hls_share(name, self.state.hls_share)
        node = None if mode is Delivery.HLS else self._place()
        if node is None and (interactive or not self.ready):
            return False  # it comes again: the trace still wants it
        if node is None:
            self.viewers[name] = Viewer(name, interactive, Way.HLS, "")
            self._check(self.viewers[name])
        else:
            self.viewers[name] = Viewer(name, interactive, Way.ORIGIN if node == "o" else Way.RELAY, node)
        return True

    def _place(self) -> str | None:
        """As joining.py does: relays first once they are on."""
        kinds = [Role.RELAY, Role.ORIGIN] if self.state.relays.on else [Role.ORIGIN, Role.RELAY]
        for role in kinds:
            best = self._field.place(Request(frozenset({role})), best=1).best
            if best is not None:
                self._used[best.id] += 1
                self._put(best.id)
                return best.id
        return None

    def _tell(self, now: int) -> None:
        """A batch is named: those whom it concerns begin to open the other way."""
        for one in self.viewers.values():
            if one.interactive:
                continue
            way = in_hls_share(one.id, self.state.hls_share)
            if (way is Delivery.HLS) == (one.way is Way.HLS):
                one.moves_at = None
            elif one.moves_at is None:
                one.moves_at = now + self._chance.randint(*SWITCH_S) + self._chance.randrange(_TELL_S)

    def _move(self, now: int) -> int:
        moved = 0
        for one in self.viewers.values():
            if one.moves_at is None or one.moves_at > now:
                continue
            if one.way is Way.HLS:
                node = self._place()
                if node is None:
                    one.moves_at = now + _TELL_S  # no room yet: it stays where its picture is
                    continue
                one.way, one.node = (Way.ORIGIN if node == "o" else Way.RELAY), node
            elif self.ready:
                self._leave(one)
                one.way, one.node = Way.HLS, ""
                self._check(one)
            one.moves_at = None
            moved += 1
        return moved

    def _check(self, viewer: Viewer) -> None:
        self.carried.interactive_moved += viewer.interactive
        self.carried.before_ready += not self.ready

    def _leave(self, viewer: Viewer) -> None:
        if viewer.node:
            self._used[viewer.node] -= 1
            self._put(viewer.node)

    def _put(self, node: str) -> None:
        role = Role.ORIGIN if node == "o" else Role.RELAY
        used, places = self._used[node], self._places[node]
        self._field.put(
            Candidate(node, role, capacity=places, used=used, cpu_ratio=0.7 * used / max(1, places))
        )


def carry(trace: Trace, stage: Stage | None = None, *, ready: Callable[[int], bool] | None = None) -> Carried:
    """Plays a trace to its end. `ready` may take the stream from the packager at some seconds."""
    stage = stage or Stage()
    broadcast = Broadcast(stage, random.Random(stage.seed))
    for now in _seconds(trace):
        if ready is not None and not ready(now):
            broadcast._packaged_s = 0
        broadcast.look(now, wanted(trace, now))
    return broadcast.carried


def _seconds(trace: Trace) -> Iterator[int]:
    return iter(range(trace[-1][0] + 1))
