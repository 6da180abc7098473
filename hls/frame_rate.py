"""FRAME-RATE of a rendition: the highest that occurs, which is what players must be able to decode (RFC 8216bis 4.4.6.2)."""

from __future__ import annotations

from collections import deque

from hls.grid import VIDEO_RATE

_USUAL = (5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60)
_LIKE_USUAL = 0.04
_REMEMBERED = 30
"""Seconds for which a rate that was seen is told, so that a source that rests now and then does not rewrite the playlist."""
_FEWEST = 4


class FrameRate:
    """Pictures a second in the fastest second of the last half minute."""

    def __init__(self) -> None:
        self._times: deque[int] = deque()
        self._best: deque[tuple[int, float]] = deque()

    def saw(self, at: int) -> None:
        """A picture with time `at` (90 kHz), later than those before; one that is not is passed over."""
        times, best = self._times, self._best
        if times and at <= times[-1]:
            return
        times.append(at)
        while at - times[0] > VIDEO_RATE:
            times.popleft()
        if len(times) >= _FEWEST and at - times[0] >= VIDEO_RATE // 2:
            rate = (len(times) - 1) * VIDEO_RATE / (at - times[0])
            # Rates that are lower and older than this one will never be the best again.
            while best and best[-1][1] <= rate:
                best.pop()
            best.append((at, rate))
        while best and at - best[0][0] > _REMEMBERED * VIDEO_RATE:
            best.popleft()

    def value(self, otherwise: float) -> float:
        """The rate, or `otherwise` while none has been measured; one of the usual rates when it is near to one, so that jitter does
        not rewrite the multivariant playlist."""
        rate = self._best[0][1] if self._best else otherwise
        near = min(_USUAL, key=lambda one: abs(one - rate))
        return float(near) if abs(near - rate) <= _LIKE_USUAL * near else round(rate, 1)
