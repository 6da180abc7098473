"""From a track's own clock to the timeline: the line between RTP time and wall clock that sender reports draw, followed slowly, so
that neither lips nor the date of a picture run away and nothing jumps at a new report."""

from __future__ import annotations

import statistics
from collections import deque

from hls.grid import ticks

_WINDOW = 15
_STEP_MS = 300
"""A larger error is another source or clock: take it over at once."""
_DEAD_MS = 8.0
"""Errors below this are jitter of arrival."""
_CLOSE_MS = 0.5
_SLEW_MS = 0.5
"""Most correction per access unit: below what eye or ear notice."""
_FOREIGN_MS = 1000
"""A publisher whose clock is further off than this is put on ours."""
_WILD_UNITS = 150
"""So many access units in a row (two seconds) must say that the publisher's clock has changed: one held-up burst is not a new clock."""


class WallClock:
    """The publisher's wall clock against ours: one correction for all tracks of a stream, so that it never moves them apart."""

    def __init__(self) -> None:
        self.correction_ms: float | None = None
        self._wild = 0

    def corrected(self, ntp_ms: float, now_ms: float) -> float:
        error = now_ms - ntp_ms
        if self.correction_ms is not None:
            self._wild = self._wild + 1 if abs(error - self.correction_ms) > 2 * _FOREIGN_MS else 0
        if self.correction_ms is None or self._wild >= _WILD_UNITS:
            self.correction_ms = error if abs(error) > _FOREIGN_MS else 0.0
            self._wild = 0
        return ntp_ms + self.correction_ms


class TrackClock:
    """Maps the times of one track to the timeline, both in ticks of its clock rate."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset: int | None = None
        self._errors: deque[float] = deque(maxlen=_WINDOW)
        self._slewing = False
        self.steps = -1
        """How often the mapping was taken over anew after the first time."""

    def map(self, time: int, wall_ms: float) -> int:
        """Place of media time `time` (unwrapped ticks), which was captured at `wall_ms`."""
        target = ticks(wall_ms, self._rate)
        if self._offset is None:
            return self._take(time, target)
        error_ms = (target - time - self._offset) * 1000 / self._rate
        self._errors.append(error_ms)
        middle = statistics.median(self._errors)
        if abs(error_ms) > _STEP_MS and (abs(middle) > _STEP_MS or abs(error_ms) > 10 * _STEP_MS):
            return self._take(time, target)
        self._slewing = abs(middle) > (_CLOSE_MS if self._slewing else _DEAD_MS)
        if self._slewing:
            step_ms = max(-_SLEW_MS, min(_SLEW_MS, middle))
            step = round(step_ms * self._rate / 1000)
            self._offset += step
            moved_ms = step * 1000 / self._rate
            self._errors = deque((error - moved_ms for error in self._errors), maxlen=_WINDOW)
        return time + self._offset

    def place(self, time: int) -> int | None:
        """Where `map` would put `time`, without learning from it; None before it has mapped anything."""
        return None if self._offset is None else time + self._offset

    def _take(self, time: int, target: int) -> int:
        self._offset = target - time
        self._errors.clear()
        self._slewing = False
        self.steps += 1
        return target
