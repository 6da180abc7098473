"""The nodes that placement chooses from, as columns: a decision costs microseconds with a thousand of them, since a flash crowd
joins through it.

What does not depend on the request is summed once per change of a node, nearness once per place, and a decision is one masked
argmax. `place()` and `choose()` are the quick ways, `explain()` the whole truth. The rules themselves are in placement.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.directory import Role
from orchestrator.geo import Place
from orchestrator.placement import (
    AROUND,
    EARTH_RADIUS_KM,
    MARGIN,
    NEARNESS_SCALE_KM,
    STORM,
    UNKNOWN_NEARNESS,
    Candidate,
    Choice,
    Parts,
    Placement,
    Region,
    Request,
    Weights,
    WhyNot,
    fixed_parts,
    measured_nearness,
    nearness,
    why_not,
)

_CACHED = 1024
"""Places whose nearness column is kept (all countries, and the busiest cities), and regions whose rows are."""
_FEW = 8
"""Up to so many nodes are looked at one by one."""
_PLAIN = Region()


@dataclass(frozen=True, slots=True)
class _Measured:
    """Round trips in ms that one player measured: of nodes, and of the regions that these are in."""

    nodes: Mapping[str, float]
    regions: Mapping[str, float]

    def of(self, candidate: Candidate) -> float | None:
        return self.nodes.get(candidate.id, self.regions.get(candidate.region))


class Field:
    """All nodes as columns, kept up to date one node at a time. `place()` is the quick way, `explain()` the whole truth."""

    def __init__(
        self,
        candidates: Iterable[Candidate] = (),
        weights: Weights | None = None,
        regions: Mapping[str, Region] | None = None,
    ) -> None:
        self.weights = weights or Weights()
        self.regions = dict(regions or {})
        self._limits = {name: one.capacity for name, one in self.regions.items() if one.capacity is not None}
        self._region_used: Counter[str] = Counter()
        self._region_rows: dict[str, NDArray[np.bool_]] = {}
        self._rows: list[Candidate] = []
        self._parts: list[tuple[float, float, float]] = []
        self._index: dict[str, int] = {}
        self._nearness: dict[Place | None, NDArray[np.float64]] = {}
        self._roles: dict[frozenset[Role], NDArray[np.bool_]] = {}
        self._versions: dict[str, NDArray[np.bool_]] = {}
        self._vectors = np.zeros((0, 3))
        self._placed = np.zeros(0, np.bool_)
        self._open = np.zeros(0, np.bool_)
        self._fixed = np.zeros(0)
        self._priority = np.ones(0)
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
            self._parts.append(fixed_parts(candidate))
            if row >= len(self._open):
                self._grow(max(16, 2 * row))
            self._move(row, candidate)
        else:
            before = self._rows[row]
            self._rows[row] = candidate
            self._region_used[before.region] -= before.used
            if (before.place, before.role, before.region, before.version) != (
                candidate.place,
                candidate.role,
                candidate.region,
                candidate.version,
            ):
                self._move(row, candidate)
        self._region_used[candidate.region] += candidate.used
        self._score(row, candidate)

    def remove(self, node: str) -> None:
        """Forgets a node; the last row takes its place."""
        row = self._index.pop(node, None)
        if row is None:
            return
        gone = self._rows[row]
        self._region_used[gone.region] -= gone.used
        last, _ = self._rows.pop(), self._parts.pop()
        if row < len(self._rows):
            self._rows[row] = last
            self._index[last.id] = row
            self._move(row, last)
            self._score(row, last)
        self._open[len(self._rows)] = False
        self._forget_columns()

    def _grow(self, size: int) -> None:
        extra = size - len(self._open)
        self._vectors = np.vstack([self._vectors, np.zeros((extra, 3))])
        self._placed = np.concatenate([self._placed, np.zeros(extra, np.bool_)])
        self._open = np.concatenate([self._open, np.zeros(extra, np.bool_)])
        self._fixed = np.concatenate([self._fixed, np.zeros(extra)])
        self._priority = np.concatenate([self._priority, np.ones(extra)])

    def _move(self, row: int, candidate: Candidate) -> None:
        self._placed[row] = candidate.place is not None
        if candidate.place is not None:
            self._vectors[row] = candidate.place.vector()
        self._priority[row] = self._region(candidate).priority
        self._forget_columns()

    def _forget_columns(self) -> None:
        self._nearness.clear()
        self._roles.clear()
        self._versions.clear()
        self._region_rows.clear()

    def _region(self, candidate: Candidate) -> Region:
        return self.regions.get(candidate.region, _PLAIN)

    def _region_full(self, region: str) -> bool:
        return region in self._limits and self._region_used[region] >= self._limits[region]

    def why_not(self, candidate: Candidate, request: Request) -> WhyNot | None:
        """The first reason against a node, its region included."""
        reason = why_not(candidate, request)
        if reason is None and self._region_full(candidate.region):
            return WhyNot.REGION_FULL
        return reason

    def _score(self, row: int, candidate: Candidate) -> None:
        parts, weights = fixed_parts(candidate), self.weights
        self._parts[row] = parts
        self._fixed[row] = (
            weights.load * parts[0] + weights.performance * parts[1] + weights.capacity * parts[2]
        ) / weights.total
        self._open[row] = candidate.healthy and not candidate.draining and candidate.free > 0

    def place(self, request: Request, *, best: int = 3) -> Placement:
        """The `best` nodes for a request, without the reasons against the others."""
        measured = self._measured(request)
        affine = self._index.get(request.affinity) if request.affinity else None
        if affine is not None and self.why_not(self._rows[affine], request) is None:
            rest = self._ranked(request, measured, best)
            first = self._choice_of(affine, request, measured, affinity=True)
            return Placement((first, *(one for one in rest if one.id != first.id))[:best])
        return Placement(self._ranked(request, measured, best))

    def choose(self, request: Request, dice: Callable[[], float], *, best: int = 3) -> Placement:
        """As `place`, but under load two of the nodes around the best are drawn and the emptier goes first. `dice` gives 0..1."""
        ranked = self.place(request, best=max(best, AROUND)).ranked
        if ranked and ranked[0].storm and not ranked[0].affinity:
            around = sum(one.score >= ranked[0].score - MARGIN for one in ranked[:AROUND])
            if around > 1:
                one = int(dice() * around) % around
                other = (one + 1 + int(dice() * (around - 1)) % (around - 1)) % around
                first, second = sorted((ranked[one], ranked[other]), key=lambda at: (at.filled, -at.score))
                rest = (at for at in ranked if at.id not in (first.id, second.id))
                ranked = (first, second, *rest)
        return Placement(ranked[:best])

    def explain(self, request: Request) -> Placement:
        """All nodes: those that can be chosen, ranked, and each other one with the reason against it."""
        placement = self.place(request, best=len(self._rows))
        rejected = ((one.id, self.why_not(one, request)) for one in self._rows)
        told = tuple((node, why) for node, why in rejected if why is not None)
        return Placement(placement.ranked, told, request.version)

    def _ranked(self, request: Request, measured: _Measured | None, best: int) -> tuple[Choice, ...]:
        if request.only is not None and len(request.only) <= _FEW:
            return self._ranked_few(request, measured, best)
        count = len(self._rows)
        usable = self._open[:count] & self._role_mask(request.roles)
        if request.version is not None:
            usable = usable & self._version_mask(request.version)
        if request.only is not None or request.exclude:
            usable = usable & self._named_mask(request.only, request.exclude)
        for region in self._limits:
            if self._region_full(region):
                usable = usable & ~self._region_mask(region)
        near = self._near(request.place)
        if measured is not None:
            near = self._with_measured(near, measured)
        scores = self._fixed[:count] + near * (self.weights.nearness / self.weights.total)
        if self.regions:
            scores = scores * self._priority[:count]
        scores[~usable] = -1.0
        return tuple(
            self._choice(row, float(near[row]), self._rtt_ms(row, measured)) for row in _highest(scores, best)
        )

    def _ranked_few(self, request: Request, measured: _Measured | None, best: int) -> tuple[Choice, ...]:
        rows = (self._index[node] for node in request.only or () if node in self._index)
        able = (
            self._choice_of(row, request, measured)
            for row in rows
            if self.why_not(self._rows[row], request) is None
        )
        return tuple(sorted(able, key=lambda choice: (-choice.score, choice.id))[:best])

    def _role_mask(self, roles: frozenset[Role]) -> NDArray[np.bool_]:
        mask = self._roles.get(roles)
        if mask is None or len(mask) != len(self._rows):
            mask = np.fromiter((one.role in roles for one in self._rows), np.bool_, len(self._rows))
            self._roles[roles] = mask
        return mask

    def _version_mask(self, version: str) -> NDArray[np.bool_]:
        mask = self._versions.get(version)
        if mask is None or len(mask) != len(self._rows):
            mask = np.fromiter((one.version == version for one in self._rows), np.bool_, len(self._rows))
            if len(self._versions) >= _CACHED:
                self._versions.pop(next(iter(self._versions)))
            self._versions[version] = mask
        return mask

    def _region_mask(self, region: str) -> NDArray[np.bool_]:
        mask = self._region_rows.get(region)
        if mask is None or len(mask) != len(self._rows):
            mask = np.fromiter((one.region == region for one in self._rows), np.bool_, len(self._rows))
            if len(self._region_rows) >= _CACHED:
                self._region_rows.pop(next(iter(self._region_rows)))
            self._region_rows[region] = mask
        return mask

    def _measured(self, request: Request) -> _Measured | None:
        """What the player measured of nodes that are known, and the shortest of each region."""
        nodes = {node: ms for node, ms in request.rtts if node in self._index}
        regions: dict[str, float] = {}
        for node, ms in nodes.items():
            region = self._rows[self._index[node]].region
            regions[region] = min(ms, regions.get(region, ms))
        return _Measured(nodes, regions) if nodes else None

    def _with_measured(self, near: NDArray[np.float64], measured: _Measured) -> NDArray[np.float64]:
        near = near.copy()
        for region, ms in measured.regions.items():
            near[self._region_mask(region)] = measured_nearness(ms)
        for node, ms in measured.nodes.items():
            near[self._index[node]] = measured_nearness(ms)
        return near

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
            if len(self._nearness) >= _CACHED:
                self._nearness.pop(next(iter(self._nearness)))
            self._nearness[place] = column = near
        return column

    def _rtt_ms(self, row: int, measured: _Measured | None) -> float | None:
        return None if measured is None else measured.of(self._rows[row])

    def _choice_of(
        self, row: int, request: Request, measured: _Measured | None, *, affinity: bool = False
    ) -> Choice:
        rtt_ms = self._rtt_ms(row, measured)
        place = self._rows[row].place
        near = nearness(request.place, place) if rtt_ms is None else measured_nearness(rtt_ms)
        return self._choice(row, near, rtt_ms, affinity=affinity)

    def _choice(self, row: int, near: float, rtt_ms: float | None, *, affinity: bool = False) -> Choice:
        candidate, weights = self._rows[row], self.weights
        priority = self._region(candidate).priority
        load, performance, capacity = self._parts[row]
        score = (
            priority
            * (
                weights.nearness * near
                + weights.load * load
                + weights.performance * performance
                + weights.capacity * capacity
            )
            / weights.total
        )
        return Choice(
            candidate.id,
            candidate.region,
            score,
            Parts(near, load, performance, capacity),
            affinity,
            priority,
            rtt_ms,
            candidate.used / candidate.capacity if candidate.capacity > 0 else 1.0,
            candidate.pending > max(1.0, STORM * candidate.capacity),
        )


def _highest(scores: NDArray[np.float64], best: int) -> list[int]:
    """The rows of the `best` scores that are not below 0, highest first, of equal ones the lower row. Takes `scores` for its own."""
    if best > _FEW:
        return [int(row) for row in np.argsort(-scores, kind="stable")[:best] if scores[row] >= 0]
    rows: list[int] = []
    while len(rows) < min(best, len(scores)):
        row = int(scores.argmax())
        if scores[row] < 0:
            break
        rows.append(row)
        scores[row] = -1.0
    return rows
