"""What a device carries, by predicted time: frames a second that its sessions ask for, times what a frame was measured to cost.

The cost is CPU (or device) time, not wall time, so a machine that is busy with other things for a moment is not taken for a slow one;
what those things do to the pictures is the Governor's business. Measured when the renderer is warmed, and corrected live. Sans-IO.
"""

from __future__ import annotations

import math
from typing import Final

FULL: Final = 0.9
"""Share of a device that avatars may take: the rest is for sound, voices and the media core."""
_WEIGHT: Final = 0.02
"""Of a new measurement: at 25 frames a second half of what is known is 1.4 s old."""


class Budget:
    """One device. `lanes`: how many frames it works on at once; `most`: sessions allowed by the operator, 0 for no limit."""

    def __init__(self, lanes: int, frame_rate: float, most: int = 0) -> None:
        self.lanes, self._frame_rate, self._most = lanes, frame_rate, most
        self._ceiling: int | None = None
        self.cost_s: float | None = None
        """Of a frame, drawn and encoded; None: not measured yet."""

    def measured(self, cost_s: float) -> None:
        """A frame took so long."""
        self.cost_s = cost_s if self.cost_s is None else self.cost_s + _WEIGHT * (cost_s - self.cost_s)

    def usage(self, frames_per_s: float) -> float:
        """Share of the device that so many frames a second take; 0 while nothing is known."""
        return frames_per_s * (self.cost_s or 0.0) / self.lanes

    def room(self, sessions: int, frames_per_s: float, cost_s: float | None = None) -> int:
        """How many more sessions fit at full rate whose frames cost `cost_s` (None: what is usual), beside `sessions` that ask for
        `frames_per_s` in all.

        The first one always fits, unless there is no memory for it: a slow machine shows fewer pictures, which is better than none.
        """
        limits = [10_000]
        if self._most:
            limits.append(self._most - sessions)
        if self._ceiling is not None:
            limits.append(self._ceiling - sessions)
        if self.cost_s:
            left_s = FULL * self.lanes - frames_per_s * self.cost_s
            by_time = math.floor(left_s / (self._frame_rate * (cost_s or self.cost_s)) + 1e-9)
            limits.append(max(by_time, 1 if sessions == 0 else 0))
        return max(0, min(limits))

    def out_of_memory(self, sessions: int) -> None:
        """The device had no memory left with so many sessions: it takes no more than one less."""
        lower = max(1, sessions - 1)
        self._ceiling = lower if self._ceiling is None else min(lower, self._ceiling)

    def session_ended(self) -> None:
        """One ended by itself and freed its memory: the ceiling is probed again, one session at a time."""
        if self._ceiling is not None:
            self._ceiling += 1
