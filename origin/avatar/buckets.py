"""Which baked bucket of hair is shown: hysteresis, and a fade from one to the next, so that nothing pops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from origin.avatar.person import Floats

FADE_FRAMES: Final = 8
"""Frames over which a newly chosen bucket of hair fades in."""
HYSTERESIS: Final = 0.62
"""A bucket is left when the head is this part of the spacing away from it; one half would flutter."""


@dataclass(slots=True)
class BucketChoice:
    """Which baked bucket of hair is shown, and the one that fades in. `mix` is how far the fade is, 0 when none."""

    shown: int = -1
    coming: int = -1
    mix: float = 0.0

    def follow(self, yaw: float, pitch: float, yaws: Floats, pitches: Floats) -> None:
        """Moves on by one frame. A jump of more than a spacing (first frame, a cut) switches at once."""
        best, near, far = _distance(self.shown, yaw, pitch, yaws, pitches)
        if self.shown < 0 or far:
            self.shown, self.coming, self.mix = best, -1, 0.0
            return
        if self.coming >= 0:
            self.mix += 1.0 / FADE_FRAMES
            if self.mix >= 0.999:
                self.shown, self.coming, self.mix = self.coming, -1, 0.0
        elif not near:
            self.coming, self.mix = best, 1.0 / FADE_FRAMES


def _distance(shown: int, yaw: float, pitch: float, yaws: Floats, pitches: Floats) -> tuple[int, bool, bool]:
    """The nearest bucket; whether the shown one is still near enough; whether it is out of reach."""
    row = int(np.abs(yaws - yaw).argmin())
    column = int(np.abs(pitches - pitch).argmin())
    best = row * len(pitches) + column
    if shown < 0:
        return best, False, True
    at_yaw, at_pitch = float(yaws[shown // len(pitches)]), float(pitches[shown % len(pitches)])
    # beyond the outermost bucket nothing better exists
    inside_yaw = min(max(yaw, float(yaws[0])), float(yaws[-1]))
    inside_pitch = min(max(pitch, float(pitches[0])), float(pitches[-1]))
    off = max(
        abs(inside_yaw - at_yaw) / float(yaws[1] - yaws[0]),
        abs(inside_pitch - at_pitch) / float(pitches[1] - pitches[0]),
    )
    return best, off <= HYSTERESIS, off > 1.3
