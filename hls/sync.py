"""From a track's own clock to the timeline: the line between RTP time and wall clock that sender reports draw, followed slowly, so
that neither lips nor the date of a picture run away and nothing jumps at a new report."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

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
_SET_MS = 150
"""A line between media time and wall clock that moves by more than this at one report was moved by a clock that was set: no crystal
runs away so fast, and no report is that inexact."""
_DRAWN_MS = 0.05
"""A line that moves by more than this was drawn anew by a report."""
_UNTOLD_MS = 30_000
"""So long after a track began its first report has come, even if it said what had been taken for granted until then."""
_WILD_UNITS = 150
"""So many access units in a row (two seconds) must say that the publisher's clock has changed: one held-up burst is not a new clock."""


@dataclass(slots=True)
class _Heard:
    """The last unit of a track by three clocks, and how far the publisher's has been set since its first. `told`: a report has drawn its
    line; the first one may move it far, away from what its arrival had made of it."""

    ntp_ms: float
    media_ms: float
    now_ms: float
    set_ms: float = 0.0
    told: bool = False
    began_ms: float = field(init=False)

    def __post_init__(self) -> None:
        self.began_ms = self.now_ms

    def hear(self, ntp_ms: float, media_ms: float, now_ms: float) -> None:
        told, media, came = ntp_ms - self.ntp_ms, media_ms - self.media_ms, now_ms - self.now_ms
        steady = 0 < media < _FOREIGN_MS and abs(came - media) < _FOREIGN_MS / 2
        if steady and abs(told - media) > (_SET_MS if self.told else _FOREIGN_MS):
            # Media and arrival went on, only the wall clock jumped: somebody has set it.
            self.set_ms += told - media
        self.told = self.told or abs(told - media) > _DRAWN_MS or now_ms - self.began_ms > _UNTOLD_MS
        self.ntp_ms, self.media_ms, self.now_ms = ntp_ms, media_ms, now_ms


class WallClock:
    """The publisher's wall clock against ours: one correction for all tracks of a stream, so that it never moves them apart. A clock
    that is set in the middle (NTP) is taken as if it had not been, for each track when its own reports tell."""

    def __init__(self) -> None:
        self.correction_ms: float | None = None
        self._wild = 0
        self._heard: dict[Hashable, _Heard] = {}

    @property
    def shift_ms(self) -> float:
        """From the publisher's clock as it is now to ours."""
        set_ms = [one.set_ms for one in self._heard.values()]
        return (self.correction_ms or 0.0) - (max(set_ms, key=abs) if set_ms else 0.0)

    def of(self, track: Hashable, ntp_ms: float, media_ms: float, now_ms: float) -> float:
        """When a unit of `track` was captured, by our clock. `media_ms`: its place on the track's own clock."""
        heard = self._heard.get(track)
        if heard is None:
            # One that begins after the clock was set knows it as it is now.
            known = [0.0, *(one.set_ms for one in self._heard.values())]
            shift_ms = now_ms - ntp_ms - (self.correction_ms or 0.0)
            set_ms = min(known, key=lambda one: abs(shift_ms + one))
            heard = self._heard[track] = _Heard(ntp_ms, media_ms, now_ms, set_ms)
        heard.hear(ntp_ms, media_ms, now_ms)
        return self.corrected(ntp_ms - heard.set_ms, now_ms)

    def corrected(self, ntp_ms: float, now_ms: float) -> float:
        """`ntp_ms` by our clock."""
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
