"""A forecast of demand from the last hours: Holt's linear method with a damped trend, and what it got wrong lately on top. Pure.

    level_t = a x_t + (1 - a) (level + phi trend)        trend_t = b (level_t - level) + (1 - b) phi trend
    ahead_h = level + (phi + phi^2 + ... + phi^h) trend + z x (root mean square of the errors h ahead)

Damping keeps a ramp from being drawn on to the sky (Gardner & McKenzie 1985); the errors are those of this very forecast over the
window, so an audience that jumps gets more room than one that is calm.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

STEP_S = 60.0
"""One value a minute: the highest of it."""
WINDOW = 360
"""Six hours."""
_LEVEL, _TREND, _DAMPING = 0.6, 0.3, 0.9
_ROOM = 1.0
"""Standard errors of room."""
_HORIZON = 5
"""Steps ahead: a node is there after two to four minutes."""


@dataclass
class Forecast:
    """Demand of one pool. `observe` any time; values of the same minute count once, by the highest."""

    level: float = 0.0
    trend: float = 0.0
    values: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _errors: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _promised: deque[tuple[int, float]] = field(default_factory=deque)
    _minute: int | None = None
    _highest: float = 0.0

    def observe(self, now: float, value: float) -> None:
        """The demand now. Raises nothing: what is no number counts as none."""
        value = max(0.0, value) if math.isfinite(value) else 0.0
        minute = int(now // STEP_S)
        if self._minute is None:
            self._minute, self._highest, self.level = minute, value, value
        elif minute > self._minute:
            # A gap (this orchestrator slept) is filled with what was last seen, at most a window of it.
            for at in range(max(self._minute, minute - WINDOW), minute):
                self._close(at)
            self._minute, self._highest = minute, value
        else:
            self._highest = max(self._highest, value)

    def ahead(self, steps: int = _HORIZON) -> float:
        """The demand expected in so many minutes, with room for what the forecast got wrong lately."""
        errors = (
            math.sqrt(sum(one * one for one in self._errors) / len(self._errors)) if self._errors else 0.0
        )
        return max(0.0, self._bare(steps) + _ROOM * errors)

    def _bare(self, steps: int) -> float:
        damped = sum(_DAMPING**step for step in range(1, steps + 1))
        return self.level + damped * self.trend

    def _close(self, minute: int) -> None:
        value = self._highest
        before = self.level
        self.level = _LEVEL * value + (1 - _LEVEL) * (self.level + _DAMPING * self.trend)
        self.trend = _TREND * (self.level - before) + (1 - _TREND) * _DAMPING * self.trend
        self.values.append((minute * STEP_S, value))
        while self._promised and self._promised[0][0] <= minute:
            due, promised = self._promised.popleft()
            if due == minute:
                # Only what was too low needs room.
                self._errors.append(max(0.0, value - promised))
        self._promised.append((minute + _HORIZON, self._bare(_HORIZON)))
