"""A script with times: which line is due, which is to be prepared. Pure; its clock is the stage's, seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from common.desk import Cue, ScriptState

PREPARE_S: Final = 12.0
"""A line's speech is made so long before it is due, so that it begins on time."""

CLEAR_S: Final = 3.0
"""Before a line begins, none is prepared: a clause takes a slow voice so long."""


class Script:
    """One that is played from `began_s` on; `begun` of its lines were given out before, at another origin."""

    def __init__(self, cues: Sequence[Cue], began_s: float, begun: int = 0) -> None:
        self.cues = list(cues)
        self._began_s = began_s
        self._begun = self._prepared = min(begun, len(self.cues))
        self.behind_s = 0.0
        """How late the latest line began."""

    @property
    def over(self) -> bool:
        """Whether all lines have been given out."""
        return self._begun == len(self.cues)

    def next_in_s(self, now_s: float) -> float:
        """Seconds until its next line is due; infinite after the last."""
        return math.inf if self.over else self._began_s + self.cues[self._begun].at_s - now_s

    def due(self, now_s: float) -> list[tuple[Cue, float]]:
        """The lines that are due now and were not given out before, each with when it was due on the stage's clock."""
        found = []
        while not self.over and (at_s := self._began_s + self.cues[self._begun].at_s) <= now_s:
            found.append((self.cues[self._begun], at_s))
            self._begun += 1
        self._prepared = max(self._prepared, self._begun)
        return found

    def to_prepare(self, now_s: float) -> Cue | None:
        """A line that will soon be due; each once. None while one that is prepared is about to begin: the voice is kept free for it."""
        if self._prepared > self._begun and self._began_s + self.cues[self._begun].at_s - now_s < CLEAR_S:
            return None
        if self._prepared < len(self.cues):
            cue = self.cues[self._prepared]
            if self._began_s + cue.at_s - PREPARE_S <= now_s:
                self._prepared += 1
                return cue
        return None

    def state(self, now_s: float) -> ScriptState:
        """How far it is."""
        return ScriptState(
            cues=len(self.cues),
            begun=self._begun,
            position_s=round(max(0.0, now_s - self._began_s), 2),
            next_at_s=None if self.over else self.cues[self._begun].at_s,
            behind_s=round(self.behind_s, 2),
        )
