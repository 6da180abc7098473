"""Placement: which node takes a viewer, a publisher or an avatar. Pure: nodes and a request in, a ranked list with reasons out.

    score = region's priority x (40 % nearness + 30 % load + 20 % performance + 10 % capacity)     (all in 0..1, higher is better)

    nearness     exp(-ms / 45) when the player has measured a round trip to the node, or to another of its region, else
                 exp(-km / 2500): the same town 1, 1,500 km (25 ms) 0.55, across an ocean < 0.2; 0.5 when either place is unknown
    load         1 - CPU use - pending / capacity: who is on the way to the node does not show in its CPU yet
    performance  what was measured of the node lately (probes, loss), 1 is flawless
    capacity     free places / all places

The node that the request had (`affinity`) goes before any score, as long as it can be chosen. A region may be limited to so many
viewers, and be put behind others by a priority below 1 (0: only when nobody else can).

What is known of a node is up to a heartbeat old, so in a storm of joins the best node is the best for everybody, at every
orchestrator. `choose()` therefore draws two of the nodes around the best as soon as that one has many viewers on the way, and takes
the emptier: "the power of two choices" (Mitzenmacher 2001), which needs no fresher knowledge.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from common.directory import Role
from orchestrator.geo import Place

EARTH_RADIUS_KM = 6371.0
NEARNESS_SCALE_KM = 2500.0
NEARNESS_SCALE_MS = 45.0
"""Round trips over the internet take about 1 ms for 55 km; so both scales say the same of the same way."""
MAX_RTT_MS = 10_000.0
MAX_RTTS = 8
"""Measured round trips that a request may have."""
UNKNOWN_NEARNESS = 0.5
AROUND = 4
"""Nodes around the best among which two are drawn,"""
MARGIN = 0.1
"""at most this much below its score,"""
STORM = 0.005
"""once this part of the best one's places (and no less than two) is on the way to it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the parts; they need not sum to 1, the score is divided by their sum."""

    nearness: float = 0.4
    load: float = 0.3
    performance: float = 0.2
    capacity: float = 0.1

    def __post_init__(self) -> None:
        if min(self.nearness, self.load, self.performance, self.capacity) < 0 or self.total <= 0:
            raise ValueError("placement weights are not negative, and one is above 0")

    @property
    def total(self) -> float:
        return self.nearness + self.load + self.performance + self.capacity


@dataclass(frozen=True, slots=True)
class Region:
    """What operators say of a region: `priority` 0..1 multiplies the scores of its nodes, `capacity` is how many viewers it may have."""

    priority: float = 1.0
    capacity: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.priority <= 1.0:
            raise ValueError("the priority of a region is 0 to 1")
        if self.capacity is not None and self.capacity < 0:
            raise ValueError("the capacity of a region is a number of viewers")


def parse_region(text: str) -> tuple[str, Region]:
    """A region as the settings write it: NAME=PRIORITY, or NAME=PRIORITY/VIEWERS. Raises ValueError that says so."""
    name, equals, facts = text.partition("=")
    priority, slash, capacity = facts.partition("/")
    try:
        if not name or not equals:
            raise ValueError
        return name.strip(), Region(float(priority), int(capacity) if slash else None)
    except ValueError:
        raise ValueError(
            f"{text!r} is not REGION=PRIORITY or REGION=PRIORITY/VIEWERS, such as eu-west-1=1/5000 (priority 0 to 1)"
        ) from None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node as placement sees it. `capacity`, `used` (with `pending`) in viewers or avatars; `cpu_ratio` of all cores."""

    id: str
    role: Role
    region: str = "local"
    place: Place | None = None
    capacity: int = 1000
    used: int = 0
    pending: int = 0
    """Of `used`: sent to it, and not in what it reported yet."""
    cpu_ratio: float = 0.0
    performance: float = 1.0
    draining: bool = False
    healthy: bool = True
    version: str = ""

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.used)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks: from where, which roles can serve, the node it had (`affinity`), nodes not to choose."""

    roles: frozenset[Role]
    place: Place | None = None
    affinity: str | None = None
    only: frozenset[str] | None = None
    """Nodes that can serve at all (such as the one origin of a broadcast); None is any."""
    exclude: frozenset[str] = frozenset()
    version: str | None = None
    """Only nodes of this version can be chosen; None: any."""
    rtts: tuple[tuple[str, float], ...] = ()
    """Round trips in ms that the player measured: node, 0..MAX_RTT_MS. At most MAX_RTTS."""

    def __post_init__(self) -> None:
        if len(self.rtts) > MAX_RTTS or not all(0.0 <= ms <= MAX_RTT_MS for _, ms in self.rtts):
            raise ValueError(f"at most {MAX_RTTS} round trips, each 0 to {MAX_RTT_MS:g} ms")


class WhyNot(enum.StrEnum):
    """Why a node cannot be chosen, in the order in which they are told."""

    ROLE = "wrong_role"
    NOT_SERVING = "does_not_have_the_stream"
    EXCLUDED = "excluded_by_request"
    VERSION = "other_version"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    FULL = "full"
    REGION_FULL = "region_full"


@dataclass(frozen=True, slots=True)
class Parts:
    """The four parts of a score, each in 0..1."""

    nearness: float
    load: float
    performance: float
    capacity: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A node that can take the request; `score` in 0..1 (`affinity` goes before any score)."""

    id: str
    region: str
    score: float
    parts: Parts
    affinity: bool = False
    priority: float = 1.0
    """Of its region."""
    rtt_ms: float | None = None
    """The round trip that nearness goes by; None: it goes by the distance."""
    filled: float = 0.0
    """Part of its places that are taken, with those on the way."""
    storm: bool = False
    """So many are on the way to it that two are drawn."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The best nodes first, and why each other one was not taken."""

    ranked: tuple[Choice, ...]
    rejected: tuple[tuple[str, WhyNot], ...] = ()
    version: str | None = None
    """The version that was asked for."""

    @property
    def best(self) -> Choice | None:
        return self.ranked[0] if self.ranked else None


def nearness(here: Place | None, there: Place | None) -> float:
    """How near two places are, 0..1 (see the module's text)."""
    if here is None or there is None:
        return UNKNOWN_NEARNESS
    cosine = sum(a * b for a, b in zip(here.vector(), there.vector(), strict=True))
    kilometres = EARTH_RADIUS_KM * math.acos(min(1.0, max(-1.0, cosine)))
    return math.exp(-kilometres / NEARNESS_SCALE_KM)


def measured_nearness(rtt_ms: float) -> float:
    """How near a node is whose round trip was measured, 0..1."""
    return math.exp(-rtt_ms / NEARNESS_SCALE_MS)


def why_not(candidate: Candidate, request: Request) -> WhyNot | None:
    """The first reason against a node by itself, None when it can be chosen. (`Field` knows of its region.)"""
    if candidate.role not in request.roles:
        return WhyNot.ROLE
    if request.only is not None and candidate.id not in request.only:
        return WhyNot.NOT_SERVING
    if candidate.id in request.exclude:
        return WhyNot.EXCLUDED
    if request.version is not None and candidate.version != request.version:
        return WhyNot.VERSION
    if not candidate.healthy:
        return WhyNot.UNHEALTHY
    if candidate.draining:
        return WhyNot.DRAINING
    return None if candidate.free > 0 else WhyNot.FULL


def fixed_parts(candidate: Candidate) -> tuple[float, float, float]:
    """Load, performance, capacity: what does not depend on who asks."""
    coming = candidate.pending / candidate.capacity if candidate.capacity > 0 else 0.0
    load = 1.0 - min(1.0, max(0.0, candidate.cpu_ratio + coming))
    performance = min(1.0, max(0.0, candidate.performance))
    capacity = candidate.free / candidate.capacity if candidate.capacity > 0 else 0.0
    return load, performance, min(1.0, capacity)
