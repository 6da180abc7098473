"""What is given up when a device is overloaded, and in which order. Sans-IO; judged once a second.

    1. who is not watched rests at once, not after half a minute
    2. 12.5 pictures a second instead of 25, session by session: first who is silent, then who has the fewest viewers
    3. the encoder works less for each picture, for all
    -  sound is never touched

One step is taken after `UP_AFTER` bad seconds in a row; it is taken back after `DOWN_AFTER` good ones, if by the budget the device can
carry what was given up. Between good and bad nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BAD: Final = 0.10
"""Part of a second's frames that were late or left out above which it is a bad one."""
GOOD: Final = 0.02
UP_AFTER: Final = 2
DOWN_AFTER: Final = 8
HALVED: Final = 2
"""Of a session at half its rate one frame in two is drawn."""
SPARE: Final = 0.8
"""Share of the device that may be in use once a step has been taken back."""
STEPS: Final = 8
"""Into so many steps the sessions are divided at most, so that seventy of them do not take a minute."""


@dataclass(frozen=True, slots=True, order=True)
class Priority:
    """Who gives up first: the least of all."""

    talking: bool
    viewers: int


@dataclass(frozen=True, slots=True)
class Measures:
    """What a session does without."""

    rest: bool = False
    """It rests at once when nobody watches."""
    every: int = 1
    """One frame in so many is drawn."""
    thrifty: bool = False
    """Its encoder is quick rather than good."""


NOTHING: Final = Measures()


class Governor:
    """One device's level: 0 when nothing is given up."""

    def __init__(self) -> None:
        self.level = 0
        self._bad = self._good = 0

    def judge(self, frames: int, late: int, usage_below: float, sessions: int) -> int:
        """A second with `frames` frames due, `late` of them late or left out. Returns the level from now on.

        `usage_below`: the share of the device that would be in use one level lower.
        """
        share = late / frames if frames else 0.0
        self._bad = self._bad + 1 if share > BAD else 0
        self._good = self._good + 1 if share < GOOD else 0
        if self._bad >= UP_AFTER:
            self.level, self._bad = min(self.level + 1, last_level(sessions)), 0
        elif self.level and self._good >= DOWN_AFTER and usage_below <= SPARE:
            self.level, self._good = self.level - 1, 0
        self.level = min(self.level, last_level(sessions))
        return self.level


def last_level(sessions: int) -> int:
    """The level at which everything is given up."""
    return 2 + min(sessions, STEPS)


def plan(level: int, sessions: Mapping[int, Priority]) -> dict[int, Measures]:
    """What each session does without at a level."""
    steps = min(len(sessions), STEPS)
    halved = -(-len(sessions) * min(max(level - 1, 0), steps) // steps) if steps else 0
    order = sorted(sessions, key=lambda session: (sessions[session], session))
    return {
        session: Measures(
            rest=level >= 1, every=HALVED if place < halved else 1, thrifty=level >= last_level(len(sessions))
        )
        for place, session in enumerate(order)
    }
