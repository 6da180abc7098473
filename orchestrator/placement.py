"""Placement: which node takes a viewer, a publisher or an avatar. Pure: nodes and a request in, a ranked list with reasons out.

    score = 40 % nearness + 30 % load + 20 % performance + 10 % capacity        (each part in 0..1, higher is better)

    nearness     exp(-km / 2500): the same town 1, 1,500 km 0.55, across an ocean < 0.1; 0.5 when either place is unknown
    load         1 - CPU use
    performance  what was measured of the node lately (probes, loss), 1 is flawless
    capacity     free places / all places

A decision must cost microseconds with a thousand nodes (a flash crowd joins through it), so `Field` keeps the nodes as columns:
what does not depend on the request is summed once per change, nearness once per place, and a decision is one masked argmax.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.directory import Role
from orchestrator.geo import Place

EARTH_RADIUS_KM = 6371.0
NEARNESS_SCALE_KM = 2500.0
UNKNOWN_NEARNESS = 0.5
_CACHED_PLACES = 1024
"""Places whose nearness column is kept: all countries, and the busiest cities."""


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
class Candidate:
    """A node as placement sees it. `capacity` and `used` in viewers (or avatars); `cpu_ratio` of all cores."""

    id: str
    role: Role
    region: str = "local"
    place: Place | None = None
    capacity: int = 1000
    used: int = 0
    cpu_ratio: float = 0.0
    performance: float = 1.0
    draining: bool = False
    healthy: bool = True

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


class WhyNot(enum.StrEnum):
    """Why a node cannot be chosen, in the order in which they are told."""

    ROLE = "wrong_role"
    NOT_SERVING = "does_not_have_the_stream"
    EXCLUDED = "excluded_by_request"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    FULL = "full"


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


@dataclass(frozen=True, slots=True)
class Placement:
    """The best nodes first, and why each other one was not taken."""

    ranked: tuple[Choice, ...]
    rejected: tuple[tuple[str, WhyNot], ...] = ()

    @property
    def best(self) -> Choice | None:
        return self.ranked[0] if self.ranked else None


def nearness(here: Place | None, there: Place | None) -> float:
    """How near two places are, 0..1 (see the module's text)."""
    if here is None or there is None:
        return UNKNOWN_NEARNESS
    cosine = sum(a * b for a, b in zip(here.vector(), there.vector(), strict=True))
    kilometres = EARTH_RADIUS_KM * float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return float(np.exp(-kilometres / NEARNESS_SCALE_KM))


def why_not(candidate: Candidate, request: Request) -> WhyNot | None:
    """The first reason against a node, None when it can be chosen."""
    if candidate.role not in request.roles:
        return WhyNot.ROLE
    if request.only is not None and candidate.id not in request.only:
        return WhyNot.NOT_SERVING
    if candidate.id in request.exclude:
        return WhyNot.EXCLUDED
    if not candidate.healthy:
        return WhyNot.UNHEALTHY
    if candidate.draining:
        return WhyNot.DRAINING
    return None if candidate.free > 0 else WhyNot.FULL


class Field:
    """All nodes as columns, kept up to date one node at a time. `place()` is the quick way, `explain()` the whole truth."""

    def __init__(self, candidates: Iterable[Candidate] = (), weights: Weights | None = None) -> None:
        self.weights = weights or Weights()
        self._rows: list[Candidate] = []
        self._index: dict[str, int] = {}
        self._nearness: dict[Place | None, NDArray[np.float64]] = {}
        self._roles: dict[frozenset[Role], NDArray[np.bool_]] = {}
        self._vectors = np.zeros((0, 3))
        self._placed = np.zeros(0, np.bool_)
        self._open = np.zeros(0, np.bool_)
        self._fixed = np.zeros(0)
        for candidate in candidates:
            self.put(candidate)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, node: object) -> bool:
        return node in self._index

    def candidate(self, node: str) -> Candidate | None:
        """The node as last put."""
        row = self._index.get(node)
        return None if row is None else self._rows[row]

    def put(self, candidate: Candidate) -> None:
        """Adds a node or replaces what is known of it."""
        row = self._index.get(candidate.id)
        if row is None:
            row = len(self._rows)
            self._index[candidate.id] = row
            self._rows.append(candidate)
            if row >= len(self._open):
                self._grow(max(16, 2 * row))
            self._move(row, candidate)
        else:
            before = self._rows[row]
            self._rows[row] = candidate
            if (before.place, before.role) != (candidate.place, candidate.role):
                self._move(row, candidate)
        self._score(row, candidate)

    def remove(self, node: str) -> None:
        """Forgets a node; the last row takes its place."""
        row = self._index.pop(node, None)
        if row is None:
            return
        last = self._rows.pop()
        if row < len(self._rows):
            self._rows[row] = last
            self._index[last.id] = row
            self._move(row, last)
            self._score(row, last)
        self._open[len(self._rows)] = False
        self._nearness.clear()
        self._roles.clear()

    def _grow(self, size: int) -> None:
        extra = size - len(self._open)
        self._vectors = np.vstack([self._vectors, np.zeros((extra, 3))])
        self._placed = np.concatenate([self._placed, np.zeros(extra, np.bool_)])
        self._open = np.concatenate([self._open, np.zeros(extra, np.bool_)])
        self._fixed = np.concatenate([self._fixed, np.zeros(extra)])

    def _move(self, row: int, candidate: Candidate) -> None:
        self._placed[row] = candidate.place is not None
        if candidate.place is not None:
            self._vectors[row] = candidate.place.vector()
        self._nearness.clear()
        self._roles.clear()

    def _score(self, row: int, candidate: Candidate) -> None:
        parts = _fixed_parts(candidate)
        weights = self.weights
        self._fixed[row] = (
            weights.load * parts[0] + weights.performance * parts[1] + weights.capacity * parts[2]
        ) / weights.total
        self._open[row] = candidate.healthy and not candidate.draining and candidate.free > 0

    def place(self, request: Request, *, best: int = 3) -> Placement:
        """The `best` nodes for a request, without the reasons against the others."""
        affine = self.candidate(request.affinity) if request.affinity else None
        if affine is not None and why_not(affine, request) is None:
            rest = self._ranked(request, best)
            first = self._choice(affine, request, affinity=True)
            return Placement((first, *(one for one in rest if one.id != affine.id))[:best])
        return Placement(self._ranked(request, best))

    def explain(self, request: Request) -> Placement:
        """All nodes: those that can be chosen, ranked, and each other one with the reason against it."""
        placement = self.place(request, best=len(self._rows))
        rejected = ((one.id, why_not(one, request)) for one in self._rows)
        return Placement(placement.ranked, tuple((node, why) for node, why in rejected if why is not None))

    def _ranked(self, request: Request, best: int) -> tuple[Choice, ...]:
        if request.only is not None and len(request.only) <= 8:
            return self._ranked_few(request, best)
        count = len(self._rows)
        usable = self._open[:count] & self._role_mask(request.roles)
        if request.only is not None or request.exclude:
            usable = usable & self._named_mask(request.only, request.exclude)
        scores = np.where(usable, self._fixed[:count] + self._near(request.place), -1.0)
        if best == 1:
            rows = [int(np.argmax(scores))] if count else []
        elif best < count:
            top = np.argpartition(scores, count - best)[count - best :]
            rows = [int(row) for row in top[np.argsort(-scores[top], kind="stable")]]
        else:
            rows = [int(row) for row in np.argsort(-scores, kind="stable")]
        return tuple(self._choice(self._rows[row], request) for row in rows if scores[row] >= 0)

    def _ranked_few(self, request: Request, best: int) -> tuple[Choice, ...]:
        named = (self.candidate(node) for node in request.only or ())
        able = (
            self._choice(one, request) for one in named if one is not None and why_not(one, request) is None
        )
        return tuple(sorted(able, key=lambda choice: (-choice.score, choice.id))[:best])

    def _role_mask(self, roles: frozenset[Role]) -> NDArray[np.bool_]:
        mask = self._roles.get(roles)
        if mask is None or len(mask) != len(self._rows):
            mask = np.fromiter((one.role in roles for one in self._rows), np.bool_, len(self._rows))
            self._roles[roles] = mask
        return mask

    def _named_mask(self, only: Collection[str] | None, exclude: Collection[str]) -> NDArray[np.bool_]:
        mask = np.full(len(self._rows), only is None)
        for node in only or ():
            if node in self._index:
                mask[self._index[node]] = True
        for node in exclude:
            if node in self._index:
                mask[self._index[node]] = False
        return mask

    def _near(self, place: Place | None) -> NDArray[np.float64]:
        column = self._nearness.get(place)
        if column is None or len(column) != len(self._rows):
            count = len(self._rows)
            near = np.full(count, UNKNOWN_NEARNESS)
            if place is not None:
                cosines = np.clip(self._vectors[:count] @ np.array(place.vector()), -1.0, 1.0)
                kilometres = EARTH_RADIUS_KM * np.arccos(cosines)
                near = np.where(self._placed[:count], np.exp(-kilometres / NEARNESS_SCALE_KM), near)
            column = near * (self.weights.nearness / self.weights.total)
            if len(self._nearness) >= _CACHED_PLACES:
                self._nearness.pop(next(iter(self._nearness)))
            self._nearness[place] = column
        return column

    def _choice(self, candidate: Candidate, request: Request, *, affinity: bool = False) -> Choice:
        near = nearness(request.place, candidate.place)
        load, performance, capacity = _fixed_parts(candidate)
        weights = self.weights
        score = (
            weights.nearness * near
            + weights.load * load
            + weights.performance * performance
            + weights.capacity * capacity
        ) / weights.total
        return Choice(
            candidate.id, candidate.region, score, Parts(near, load, performance, capacity), affinity
        )


def _fixed_parts(candidate: Candidate) -> tuple[float, float, float]:
    """Load, performance, capacity: what does not depend on who asks."""
    load = 1.0 - min(1.0, max(0.0, candidate.cpu_ratio))
    performance = min(1.0, max(0.0, candidate.performance))
    capacity = candidate.free / candidate.capacity if candidate.capacity > 0 else 0.0
    return load, performance, min(1.0, capacity)
