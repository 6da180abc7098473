"""How many viewers a node really carries: what it says of itself, corrected by what is measured of it. Pure.

    a media worker is busy     viewers x 0.8 / busy: where it would be at 80 % of its core (packets grow with viewers, and cost less each)
    it refuses joins           no more than it has, for half a minute
    neither                    what was measured is forgotten, a tenth a heartbeat

A node that says too much is corrected within a heartbeat or two; one that says too little is believed, for that is an operator's wish.
"""

from __future__ import annotations

from common.directory import NodeReport

BUSY = 0.8
"""Of its core a worker may use this much: beyond it pictures come late."""
LEAST_BUSY = 0.2
LEAST_VIEWERS = 20
"""Below these what a viewer costs is not known: idle workers and the first viewers cost most."""
REFUSED_S = 30.0
_SMOOTHING = 0.5
_FORGETS = 1.1


class Headroom:
    """Of one node, from its start to its end. Times are the caller's monotonic seconds."""

    def __init__(self) -> None:
        self._carries: float | None = None
        self._refused: int | None = None
        self._held = 0
        self._held_until = float("-inf")

    def heard(self, report: NodeReport, viewers: int, now: float) -> None:
        """A heartbeat; `viewers` are those that it reported."""
        if self._refused is not None and report.refused > self._refused:
            self._held, self._held_until = viewers, now + REFUSED_S
        self._refused = report.refused
        if viewers >= LEAST_VIEWERS and report.busiest_ratio >= LEAST_BUSY:
            measured = viewers * BUSY / report.busiest_ratio
            before = measured if self._carries is None else self._carries
            self._carries = before + _SMOOTHING * (measured - before)
        elif self._carries is not None:
            self._carries *= _FORGETS
            if self._carries > report.capacity:
                self._carries = None

    def capacity(self, report: NodeReport, now: float) -> int:
        """Viewers that placement may give it."""
        least = report.capacity
        if self._carries is not None:
            least = min(least, int(self._carries))
        if now < self._held_until:
            least = min(least, self._held)
        return least
