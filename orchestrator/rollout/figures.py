"""What a version of a pool does, measured from what its nodes report, and what is too bad. Pure.

A node reports counters that only grow (`common.directory.Health`). What counts is what they grew by within a window, summed over the
nodes of a version: a node that was started again begins a new count, one that has just come brings nothing of its past.

    trigger         too much                                    when it may speak
    errors          more than 1 % of requests                   least_requests requests, and not by chance (Wilson's bound, 95 %)
    latency         mean 50 % above the stable version's        least_requests of each
    underruns       more than 10 a session                      least_sessions sessions
    gpu_memory      any                                         always
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from common.directory import Health

WINDOW_S = 1800.0
"""What is judged is what happened within so long."""
SAMPLE_S = 15.0
_Z = 1.645
"""One side, 95 %."""
_NODES = 10_000
_KEPT = 120
"""Readings of a node in a window; closer ones replace each other."""


class RolloutLimits(BaseModel):
    """What takes a version back. Defaults are requirement P7's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error_ratio: float = Field(0.01, gt=0, le=1, allow_inf_nan=False, description="Errors of all requests.")
    latency_growth: float = Field(
        0.5, gt=0, le=100, allow_inf_nan=False, description="Mean latency above the stable version's."
    )
    underruns_a_session: float = Field(10, gt=0, le=1e6, allow_inf_nan=False)
    gpu_memory_errors: int = Field(1, ge=1, le=1_000_000, description="So many are too many.")
    least_requests: int = Field(
        200, ge=1, le=10_000_000, description="Fewer say nothing, neither for nor against a version."
    )
    least_sessions: int = Field(10, ge=1, le=10_000_000)
    window_s: float = Field(
        WINDOW_S, ge=60, le=86_400, allow_inf_nan=False, description="What is judged happened within so long."
    )


class VersionFigures(BaseModel):
    """What one version did within the window."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    nodes: int = Field(0, description="That report now.")
    requests: int = 0
    errors: int = 0
    latency_total_ms: float = 0.0
    latency_count: int = 0
    sessions: int = Field(0, description="That began within the window, or ran when it began.")
    underruns: int = 0
    gpu_memory_errors: int = 0

    @property
    def error_ratio(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def latency_ms(self) -> float | None:
        return self.latency_total_ms / self.latency_count if self.latency_count else None

    @property
    def underruns_a_session(self) -> float | None:
        return self.underruns / self.sessions if self.sessions else None


class Cause(enum.StrEnum):
    """See the module's text."""

    ERRORS = "errors"
    LATENCY = "latency"
    UNDERRUNS = "underruns"
    GPU_MEMORY = "gpu_memory"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One that spoke, with the figure."""

    cause: Cause
    told: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.told}"


def judge(
    candidate: VersionFigures, stable_latency_ms: float | None, limits: RolloutLimits
) -> Trigger | None:
    """The first trigger that speaks against a version; None: nothing is known against it."""
    if candidate.gpu_memory_errors >= limits.gpu_memory_errors:
        return Trigger(Cause.GPU_MEMORY, f"{candidate.gpu_memory_errors} GPU memory errors")
    if (
        candidate.requests >= limits.least_requests
        and surely(candidate.errors, candidate.requests) > limits.error_ratio
    ):
        share = candidate.errors / candidate.requests
        return Trigger(
            Cause.ERRORS,
            f"{share:.1%} of {candidate.requests} requests failed, {limits.error_ratio:.1%} may",
        )
    latency_ms = candidate.latency_ms
    if (
        latency_ms is not None
        and stable_latency_ms
        and candidate.latency_count >= limits.least_requests
        and latency_ms > stable_latency_ms * (1 + limits.latency_growth)
    ):
        told = f"{latency_ms:.0f} ms in the mean, {stable_latency_ms:.0f} ms with the stable version"
        return Trigger(Cause.LATENCY, told)
    underruns = candidate.underruns_a_session
    if (
        underruns is not None
        and candidate.sessions >= limits.least_sessions
        and underruns > limits.underruns_a_session
    ):
        return Trigger(Cause.UNDERRUNS, f"{underruns:.1f} a session, {limits.underruns_a_session:g} may be")
    return None


def surely(errors: int, requests: int) -> float:
    """The least share of errors that is behind what was seen, with 95 % certainty: the lower bound of Wilson's interval."""
    if requests <= 0:
        return 0.0
    share, z2 = errors / requests, _Z * _Z
    middle = share + z2 / (2 * requests)
    spread = _Z * math.sqrt(share * (1 - share) / requests + z2 / (4 * requests * requests))
    return max(0.0, (middle - spread) / (1 + z2 / requests))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a node reports: its version, its start (`epoch`) and its counters."""

    version: str
    epoch: int
    health: Health


@dataclass
class _Track:
    """One start of one node: its readings within the window, and the one before."""

    version: str
    epoch: int
    readings: deque[tuple[float, Health]] = field(default_factory=deque)


class Window:
    """The readings of the nodes of one pool. Times in seconds, on a clock that never goes back."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._tracks: dict[str, _Track] = {}
        self._past: deque[tuple[float, str, VersionFigures]] = deque()
        """What starts that are over did since they were heard of: until when, version."""

    def take(self, readings: Mapping[str, Reading], now: float) -> dict[str, int]:
        """One look at all nodes. Returns by how much each version's requests grew since the look before."""
        grown: dict[str, int] = {}
        for node in [name for name in self._tracks if name not in readings]:
            self._retire(self._tracks.pop(node), now)
        for node, one in readings.items():
            track = self._tracks.get(node)
            if track is not None and (track.epoch, track.version) != (one.epoch, one.version):
                self._retire(self._tracks.pop(node), now)
                track = None
            if track is None:
                if len(self._tracks) >= _NODES:
                    continue
                track = self._tracks[node] = _Track(one.version, one.epoch)
            if track.readings:
                before = track.readings[-1][1]
                grown[one.version] = grown.get(one.version, 0) + max(0, one.health.requests - before.requests)
            if (
                len(track.readings) > 2
                and track.readings[-1][0] - track.readings[-2][0] < self._window_s / _KEPT
            ):
                track.readings.pop()
            track.readings.append((now, one.health))
            while len(track.readings) > 2 and track.readings[1][0] <= now - self._window_s:
                track.readings.popleft()
        while self._past and self._past[0][0] <= now - self._window_s:
            self._past.popleft()
        return grown

    def figures(self) -> dict[str, VersionFigures]:
        """By version, what was done within the window."""
        parts: dict[str, list[VersionFigures]] = {}
        for _, version, figures in self._past:
            parts.setdefault(version, []).append(figures)
        for track in self._tracks.values():
            parts.setdefault(track.version, []).append(_did(track, 1))
        return {version: _sum(found) for version, found in parts.items()}

    def _retire(self, track: _Track, now: float) -> None:
        self._past.append((now, track.version, _did(track, 0)))


def _did(track: _Track, nodes: int) -> VersionFigures:
    first, last = track.readings[0][1], track.readings[-1][1]
    return VersionFigures(
        nodes=nodes,
        requests=max(0, last.requests - first.requests),
        errors=max(0, last.errors - first.errors),
        latency_total_ms=max(0.0, last.latency_total_ms - first.latency_total_ms),
        latency_count=max(0, last.latency_count - first.latency_count),
        sessions=max(0, last.sessions - first.sessions) + first.sessions_live,
        underruns=max(0, last.underruns - first.underruns),
        gpu_memory_errors=max(0, last.gpu_memory_errors - first.gpu_memory_errors),
    )


def _sum(parts: Iterable[VersionFigures]) -> VersionFigures:
    total: dict[str, float] = {}
    for one in parts:
        for name, value in one.model_dump().items():
            total[name] = total.get(name, 0) + value
    return VersionFigures(**total)
