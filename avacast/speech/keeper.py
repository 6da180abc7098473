"""When a kept process is started again, looked at, or killed because it hangs. Pure: `now` is any clock's seconds.

DOWN ── its time has come: START ──► STARTING ── answers ──► UP ── two checks in a row fail: KILL
  ▲                                     │ too long: KILL      │
  └──────────────── exit ───────────────┴─────────────────────┘   each exit soon after a start doubles the wait
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

START_S: Final = 120.0
"""Longest start: a model from a slow disk."""
_AGAIN_S: Final = 5.0
"""After a check that failed, the next one comes sooner."""
_FAILURES: Final = 2
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A process that was up for so long had no bad start."""


class Phase(enum.StrEnum):
    DOWN = "down"
    STARTING = "starting"
    UP = "up"


class Action(enum.Enum):
    START = "start"
    CHECK = "check"
    KILL = "kill"


@dataclass(slots=True)
class Keeper:
    """The life of one process. `check_s` is the time between two checks of one that is up."""

    check_s: float = 30.0
    phase: Phase = Phase.DOWN
    starts: int = 0
    _deadline: float = 0.0
    _up_since: float = 0.0
    _failed: int = 0
    _wait_s: float = field(default=_FIRST_WAIT_S)

    @property
    def restarts(self) -> int:
        """Starts after the first."""
        return max(0, self.starts - 1)

    def poll_timeout(self) -> float:
        """When `handle_timeout` is due."""
        return self._deadline

    def handle_timeout(self, now: float) -> Action | None:
        """What is to be done now; tell with `started`, `checked` or `exited` how it went."""
        if now < self._deadline:
            return None
        match self.phase:
            case Phase.DOWN:
                self.phase = Phase.STARTING
                self.starts += 1
                self._deadline = now + START_S
                return Action.START
            case Phase.STARTING:
                return Action.KILL
            case Phase.UP:
                return Action.KILL if self._failed >= _FAILURES else Action.CHECK

    def started(self, now: float) -> None:
        """It answers."""
        self.phase, self._failed, self._up_since = Phase.UP, 0, now
        self._deadline = now + self.check_s

    def checked(self, now: float, *, well: bool) -> None:
        """A check's result."""
        self._failed = 0 if well else self._failed + 1
        self._deadline = now + (self.check_s if well else 0.0 if self._failed >= _FAILURES else _AGAIN_S)

    def exited(self, now: float) -> None:
        """It has ended, by itself or not."""
        if self.phase is Phase.UP and now - self._up_since >= _STEADY_S:
            self._wait_s = _FIRST_WAIT_S
        self.phase = Phase.DOWN
        self._deadline = now + self._wait_s
        self._wait_s = min(_LONGEST_WAIT_S, 2 * self._wait_s)
