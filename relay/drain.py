"""How a relay gets empty: viewers are sent elsewhere first, and what is left after a while is ended. It can be undone."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DRAIN_S = 60.0
"""A draining node is empty after this."""

ENDING_S = 10.0
"""The last part of it, in which sessions that did not move are ended, a few at a time."""


class Phase(enum.StrEnum):
    SERVING = "serving"
    MOVING = "moving"
    """No new viewers; those here have been told where to go."""
    ENDING = "ending"
    """Who is still here is ended, bit by bit."""
    EMPTY = "empty"


@dataclass
class Drain:
    """Pure: time in seconds is an argument, on any clock that never goes back."""

    drain_s: float = DRAIN_S
    ending_s: float = ENDING_S
    since: float | None = None

    def phase(self, now: float, sessions: int) -> Phase:
        """Where the drain is."""
        if self.since is None:
            return Phase.SERVING
        if sessions == 0:
            return Phase.EMPTY
        return Phase.MOVING if now - self.since < self.drain_s - self.ending_s else Phase.ENDING

    def follow(self, draining: bool, now: float) -> bool:
        """Takes what the orchestrator wants; True when that is news."""
        if draining == (self.since is not None):
            return False
        self.since = now if draining else None
        return True

    def due(self, now: float, sessions: int, left_before: int) -> int:
        """How many sessions to end now, so that none is left at the end; `left_before` is how many there were when ending began."""
        if self.since is None or self.phase(now, sessions) is not Phase.ENDING:
            return 0
        began = self.since + self.drain_s - self.ending_s
        share = 1.0 if self.ending_s <= 0 else min(1.0, (now - began) / self.ending_s)
        may_stay = round(left_before * (1.0 - share))
        return max(0, sessions - may_stay)
