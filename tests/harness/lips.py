"""How far lips are from sound, measured from decoded pictures and samples alone: how open the mouth is against how loud it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOUTH = (slice(225, 305), slice(380, 470))
"""Rows and columns of the luma plane around ava's mouth at 854x480."""
_STEP_S = 0.005
_REACH_S = 0.3
_SMOOTH_S = 0.02
_AROUND_S = 0.5
"""Rest that counts, before and after what is said."""

Times = NDArray[np.float64]


def lag_s(
    opening_at: Times, darkness: NDArray[np.float64], sound_at: Times, power: NDArray[np.float64]
) -> tuple[float, float]:
    """Seconds by which the picture comes after the sound (negative: before), and how well one follows the other there (correlation).

    `darkness` of the mouth at the times `opening_at`, `power` of the sound at `sound_at`: seconds of one clock, growing.
    """
    loud = sound_at[power > power.max() / 100]
    begin = max(opening_at[0], sound_at[0], loud[0] - _AROUND_S)
    end = min(opening_at[-1], sound_at[-1], loud[-1] + _AROUND_S)
    at = np.arange(begin, end, _STEP_S)
    opening = np.interp(at, opening_at, darkness)
    width = max(1, round(_SMOOTH_S / float(np.median(np.diff(sound_at)))))
    loudness = np.sqrt(np.interp(at, sound_at, np.convolve(power, np.ones(width) / width, "same")))
    reach = round(_REACH_S / _STEP_S)
    inner = slice(reach, -reach)
    fit = [
        float(np.corrcoef(opening[inner], np.roll(loudness, shift)[inner])[0, 1])
        for shift in range(-reach, reach + 1)
    ]
    best = int(np.argmax(fit))
    return (best - reach) * _STEP_S, fit[best]
