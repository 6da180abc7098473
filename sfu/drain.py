"""How a node gets empty: viewers are told, a few at a time, to join elsewhere; who has not gone in the end is ended.

SERVING ──drain──► MOVING ──deadline - ending_s──► ENDING ──nobody left──► EMPTY
   ▲                  │                              │                      │
   └──────────────────┴──────────── undone ──────────┴──────────────────────┘
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

_MOVED_S = 1.0
"""A deadline that is told again differs by the way of the message; one that was moved differs by more."""


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
    """A draining node is empty after this, where nobody says until when."""
    telling_s: float = 20.0
    """All viewers have been told after this, or after a third of the time: at once, they would arrive elsewhere as a storm."""
    ending_s: float = 10.0
    """Length of the last phase, at most a sixth of the time."""
    since: float | None = None
    until: float = math.inf
    at_first: int = 0
    """Sessions when the drain began."""
    at_end: int = 0
    """Sessions when the last phase began."""

    def follow(self, left_s: float | None, now: float, sessions: int) -> bool:
        """Takes what is wanted: to be empty in `left_s`, or (None) no drain. True when a drain begins or ends by it."""
        if left_s is None:
            began = self.since is not None
            self.since, self.until = None, math.inf
            return began
        if self.since is None:
            self.since, self.until = now, now + left_s
            self.at_first, self.at_end = sessions, 0
            return True
        if abs(now + left_s - self.until) > _MOVED_S:
            self.until, self.at_end = now + left_s, 0
        return False

    def phase(self, now: float, sessions: int) -> Phase:
        """Where the drain is, with so many sessions left."""
        if self.since is None:
            return Phase.SERVING
        if sessions == 0:
            return Phase.EMPTY
        return Phase.MOVING if now < self.until - self._ending_s else Phase.ENDING

    def told_by(self, now: float) -> int:
        """How many of the sessions that were here at first must have been told by now."""
        if self.since is None:
            return 0
        telling_s = min(self.telling_s, (self.until - self.since) / 3)
        share = 1.0 if telling_s <= 0 else min(1.0, (now - self.since) / telling_s)
        return math.ceil(self.at_first * share)

    def end_now(self, now: float, sessions: int) -> int:
        """How many sessions to end now, so that none is left when the last phase is over."""
        if self.phase(now, sessions) is not Phase.ENDING:
            return 0
        self.at_end = max(self.at_end, sessions)
        left_s = max(0.0, self.until - now)
        share = left_s / self._ending_s if self._ending_s > 0 else 0.0
        return max(0, sessions - math.floor(self.at_end * min(1.0, share)))

    @property
    def _ending_s(self) -> float:
        return 0.0 if self.since is None else min(self.ending_s, (self.until - self.since) / 6)
