"""Idle life: blinks, gaze, sway and breath as pure functions of a seed and the sample clock.

Nothing here remembers: time is cut into cells, and what happens in a cell follows from a hash of (seed, cell). So any
moment can be asked for at any time, in any order, and the answer is the same on every machine.
"""

from __future__ import annotations

import math
from typing import Final

from origin.avatar.articulation import smooth
from speech.marks import SAMPLE_RATE

_MASK: Final = (1 << 64) - 1
_MS: Final = SAMPLE_RATE // 1000


def chance(*key: int) -> float:
    """A number in 0-1 that depends on the key only (splitmix64)."""
    state = 0x9E3779B97F4A7C15
    for part in key:
        state = (state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return (state >> 11) / (1 << 53)


# ---- blinks: about 17 a minute, 240 ms each, one in six double

BLINK_CELL: Final = 3600 * _MS
BLINK_CLOSE: Final = 75 * _MS
BLINK_HOLD: Final = 45 * _MS
BLINK_OPEN: Final = 150 * _MS
BLINK_TIME: Final = BLINK_CLOSE + BLINK_HOLD + BLINK_OPEN


def lid(since: int) -> float:
    """How closed the lids are `since` samples after a blink began, 0-1. Closing is quicker than opening."""
    if since <= 0 or since >= BLINK_TIME:
        return 0.0
    opening = BLINK_CLOSE + BLINK_HOLD
    return smooth(0, BLINK_CLOSE, since) * (1.0 - smooth(opening, BLINK_TIME, since))


def blink(seed: int, sample: int) -> float:
    """Lid closure of the unprompted blinks, 0-1."""
    closed = 0.0
    cell = sample // BLINK_CELL
    for c in (cell - 1, cell):
        start = c * BLINK_CELL + int(BLINK_CELL * (0.05 + 0.85 * chance(seed, 11, c)))
        closed = max(closed, lid(sample - start))
        if chance(seed, 12, c) < 0.17:
            closed = max(closed, lid(sample - start - 300 * _MS))
    return closed


# ---- gaze: fixations of 0.5 to 2 s, saccades of 40 ms

GAZE_CELL: Final = 850 * _MS
SACCADE: Final = 45 * _MS


def _fixation(seed: int, cell: int, wander: float) -> tuple[float, float]:
    """Where the eyes rest in this cell, radians from the camera; some fixations span several cells."""
    while chance(seed, 21, cell) < 0.42:
        cell -= 1
    away = chance(seed, 22, cell) < 0.10
    spread = wander * (4.5 if away else 1.0)
    return (
        (chance(seed, 23, cell) * 2 - 1) * spread,
        (chance(seed, 24, cell) * 2 - 1) * spread * 0.55,
    )


def gaze(seed: int, sample: int, wander: float = 0.035) -> tuple[float, float]:
    """Gaze (right, up) in radians; `wander` is the usual spread of fixations."""
    cell = sample // GAZE_CELL
    start = cell * GAZE_CELL + int(chance(seed, 25, cell) * (GAZE_CELL - SACCADE))
    before, after = _fixation(seed, cell - 1, wander), _fixation(seed, cell, wander)
    t = smooth(start, start + SACCADE, sample)
    return (before[0] + (after[0] - before[0]) * t, before[1] + (after[1] - before[1]) * t)


# ---- sway: slow, aperiodic, less of the quick than of the slow (1/f)

_OCTAVES: Final = tuple(0.071 * 1.83**k for k in range(6))  # Hz


def drift(seed: int, axis: int, sample: int) -> float:
    """A smooth wandering number, about -1 to 1, with a 1/f spectrum from 0.07 to 1.5 Hz."""
    t = sample / SAMPLE_RATE
    total = 0.0
    for k, f in enumerate(_OCTAVES):
        amplitude = (_OCTAVES[0] / f) ** 0.85
        total += amplitude * math.sin(
            2 * math.pi * (f * (0.93 + 0.14 * chance(seed, axis, k)) * t + chance(seed, axis, 40 + k))
        )
    return total * 0.62


# ---- breath: in for two fifths, out for three

BREATH_TIME: Final = 4000 * _MS


def breath(seed: int, sample: int) -> float:
    """Fullness of the lungs, 0-1, about a quarter hertz with a little drift."""
    phase = (
        sample / BREATH_TIME + chance(seed, 31) + 0.05 * math.sin(2 * math.pi * sample / (SAMPLE_RATE * 23.0))
    )
    part = phase % 1.0
    return smooth(0.0, 0.42, part) * (1.0 - smooth(0.42, 1.0, part))
