"""How a relay gets empty: viewers are told, a few at a time, to join elsewhere; who has not gone in the end is ended.

SERVING ──drain──► MOVING ──drain_s - ending_s──► ENDING ──nobody left──► EMPTY
   ▲                  │                              │                      │
   └──────────────────┴──────────── undone ──────────┴──────────────────────┘
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Phase(enum.StrEnum):
    SERVING = "serving"
    MOVING = "moving"
    """No new viewers; those here are told where to go."""
    ENDING = "ending"
    """Who is still here is ended, bit by bit."""
    EMPTY = "empty"


@dataclass
class Drain:
    """Pure: time in seconds is an argument, on any clock that never goes back."""

    drain_s: float = 60.0
    """A draining node is empty after this."""
    telling_s: float = 20.0
    """All viewers have been told after this: at once, they would arrive elsewhere as a storm."""
    ending_s: float = 10.0
    """Length of the last phase."""
    since: float | None = None
    at_first: int = 0
    """Sessions when the drain began."""
    at_end: int = 0
    """Sessions when the last phase began."""

    def follow(self, draining: bool, now: float, sessions: int) -> bool:
        """Takes what the orchestrator wants; True when that is news."""
        if draining == (self.since is not None):
            return False
        self.since = now if draining else None
        self.at_first, self.at_end = sessions, 0
        return True

    def phase(self, now: float, sessions: int) -> Phase:
        """Where the drain is, with so many sessions left."""
        if self.since is None:
            return Phase.SERVING
        if sessions == 0:
            return Phase.EMPTY
        return Phase.MOVING if now < self._ending_from else Phase.ENDING

    def told_by(self, now: float) -> int:
        """How many of the sessions that were here at first must have been told by now."""
        if self.since is None:
            return 0
        share = 1.0 if self.telling_s <= 0 else min(1.0, (now - self.since) / self.telling_s)
        return math.ceil(self.at_first * share)

    def end_now(self, now: float, sessions: int) -> int:
        """How many sessions to end now, so that none is left when the last phase is over."""
        if self.phase(now, sessions) is not Phase.ENDING:
            return 0
        self.at_end = max(self.at_end, sessions)
        share = 1.0 if self.ending_s <= 0 else min(1.0, (now - self._ending_from) / self.ending_s)
        return max(0, sessions - math.floor(self.at_end * (1.0 - share)))

    @property
    def _ending_from(self) -> float:
        return math.inf if self.since is None else self.since + self.drain_s - self.ending_s
