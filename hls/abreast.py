"""Pictures do not run away from their sound: a part of them is shown when sound has come as far as that part begins.

A player begins PART-HOLD-BACK (three parts) before the end of the pictures. Where sound, which comes later, ends before that point, hls.js
1.7 waits for sound to get there, moves the point on with the pictures, and never begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hls.grid import AUDIO_RATE, scaled
from hls.rendition import Change
from hls.track import Part

MOST_MS = 2000
"""Longer than sound may be late before silence takes its place (`Sound.tick`): what has waited so long waits for nothing."""


class Abreast:
    """What has been packaged and not been shown yet, in its order."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, int, Change]] = deque()

    def push(self, changes: Iterable[Change], now_ms: float) -> None:
        """Takes what pictures have come to."""
        for rendition, events in changes:
            starts = [event.start for event in events if isinstance(event, Part)]
            begins = scaled(max(starts, default=0), rendition.rate, AUDIO_RATE)
            self._waiting.append((now_ms, begins, (rendition, events)))

    def due(self, sound: int, now_ms: float) -> list[Change]:
        """What may be shown. `sound`: how far it has come (48 kHz), 0 before it begins: then pictures wait for none."""
        found = []
        while self._waiting:
            since_ms, begins, change = self._waiting[0]
            if 0 < sound < begins and now_ms < since_ms + MOST_MS:
                break
            self._waiting.popleft()
            found.append(change)
        return found
