"""When to begin a line, so that the listener hears no gap: a voice that is slower than its listener needs a head start.

Clause k must be made before what comes before it has been heard. With `ratio` seconds of work per second of speech, the head start is
the most by which the work on clauses 1..k exceeds the speech of clauses 0..k-1. Pure; times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_PER_CHARACTER_S: Final = 0.066
_PAUSE_S: Final = 0.2
"""Speech lasts about so long: 31 characters 2.1 s, 44 characters 2.9 s (Kokoro and Piper alike)."""
_MEMORY: Final = 0.7
"""Weight of the past in the running ratio."""
_AT_ONCE: Final = 0.05
"""A clause made at less than this ratio was remembered, not made."""
MOST_S: Final = 1.5
"""Longest head start: a listener who waits longer thinks that nobody is there. A gap between clauses is the lesser evil then."""


class Pace:
    """How fast a voice works on this machine now, and the head start that it needs."""

    def __init__(self, ratio: float = 0.6) -> None:
        self.ratio = ratio

    def made(self, duration_s: float, took_s: float) -> None:
        """A clause of `duration_s` took `took_s` to make."""
        if duration_s > 0 and took_s > _AT_ONCE * duration_s:
            self.ratio = _MEMORY * self.ratio + (1 - _MEMORY) * took_s / duration_s

    def head_start_s(self, ready_s: float, upcoming: Sequence[str]) -> float:
        """How long to wait before `ready_s` of speech begins to be heard when `upcoming` clauses are still to be made."""
        work, heard, needed = 0.0, ready_s, 0.0
        for clause in upcoming:
            duration = len(clause) * _PER_CHARACTER_S + _PAUSE_S
            work += self.ratio * duration
            needed = max(needed, work - heard)
            heard += duration
        return min(needed, MOST_S)
