"""Articulation: timed visemes to mouth weights, with coarticulation.

Every mark has a dominance that rises before it and falls after it (Cohen and Massaro); at any moment the mouth is
the dominance-weighted mean of the shapes near it, so neighbours colour each other. Three articulators have their own
times and strengths: the jaw is slow, lips are quick, rounding spreads furthest. Closures are not negotiable: p b m
meet and f v touch the teeth whatever the neighbours want, so they are mixed in last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from origin.avatar.faceunits import FACE_UNITS, UNIT_COUNT, Weights, weights
from speech.marks import SAMPLE_RATE, VisemeMark

LEAD: Final = SAMPLE_RATE * 40 // 1000
"""Lips lead the sound by 40 ms: at this moment a mouth shows what is heard 1,920 samples later."""


class Articulator(IntEnum):
    JAW = 0
    LIPS = 1
    ROUNDING = 2


@dataclass(frozen=True, slots=True)
class Reach:
    """How long before its start and after its end a mark still pulls, in samples."""

    attack: int
    release: int


_MS: Final = SAMPLE_RATE // 1000
REACH: Final[dict[Articulator, Reach]] = {
    Articulator.JAW: Reach(110 * _MS, 150 * _MS),
    Articulator.LIPS: Reach(80 * _MS, 110 * _MS),
    Articulator.ROUNDING: Reach(120 * _MS, 140 * _MS),
}
REACH_MAX: Final = 200 * _MS

# Closures: (attack, least hold, release). The hold spans more than one video frame (40 ms), so each is seen.
CLOSURES: Final[dict[str, tuple[int, int, int]]] = {
    "PP": (60 * _MS, 50 * _MS, 65 * _MS),
    "FF": (70 * _MS, 50 * _MS, 75 * _MS),
}

_ROUND: Final = {"mouthFunnel", "mouthPucker"}
_JAW: Final = {"jawOpen", "jawForward", "mouthClose"}


def _articulator(unit: str) -> Articulator:
    if unit in _JAW:
        return Articulator.JAW
    return Articulator.ROUNDING if unit in _ROUND else Articulator.LIPS


ARTICULATOR_OF_UNIT: Final = np.array([_articulator(unit) for unit in FACE_UNITS])

REST: Final = weights(mouthSmile=0.15, mouthPress=0.05)
"""The mouth that says nothing: closed, a trace of a smile."""

# Set by eye at 854x480 (docs/pictures/contact.jpg shows them all).
SHAPES: Final[dict[str, Weights]] = {
    "sil": REST,
    "PP": weights(mouthPress=0.30, mouthRollLower=0.18, mouthRollUpper=0.14, mouthSmile=0.06),
    "FF": weights(mouthRollLower=0.45, mouthUpperUp=0.34, jawOpen=0.05, mouthSmile=0.18, cheekSquint=0.06),
    "TH": weights(jawOpen=0.14, mouthLowerDown=0.18, mouthUpperUp=0.14, tongueOut=0.22, mouthSmile=0.05),
    "DD": weights(jawOpen=0.11, mouthLowerDown=0.22, mouthUpperUp=0.12, mouthSmile=0.10),
    "kk": weights(jawOpen=0.16, mouthLowerDown=0.16, mouthUpperUp=0.12, mouthSmile=0.06),
    "CH": weights(mouthFunnel=0.42, mouthPucker=0.20, jawOpen=0.08, mouthLowerDown=0.16, mouthUpperUp=0.14),
    "SS": weights(jawOpen=0.04, mouthStretch=0.18, mouthSmile=0.22, mouthLowerDown=0.26, mouthUpperUp=0.18),
    "nn": weights(jawOpen=0.10, mouthLowerDown=0.16, mouthUpperUp=0.10, mouthSmile=0.08),
    "RR": weights(mouthFunnel=0.26, mouthPucker=0.20, jawOpen=0.12, mouthLowerDown=0.10),
    "aa": weights(jawOpen=0.42, mouthLowerDown=0.22, mouthUpperUp=0.22, mouthSmile=0.10),
    "E": weights(jawOpen=0.24, mouthStretch=0.16, mouthSmile=0.18, mouthLowerDown=0.26, mouthUpperUp=0.20),
    "I": weights(jawOpen=0.12, mouthStretch=0.24, mouthSmile=0.28, mouthLowerDown=0.26, mouthUpperUp=0.22),
    "O": weights(mouthFunnel=0.42, mouthPucker=0.24, jawOpen=0.26),
    "U": weights(mouthFunnel=0.34, mouthPucker=0.54, jawOpen=0.10),
}

# How strongly each viseme insists on its jaw, lips and rounding when neighbours disagree.
_DOMINANCE: Final[dict[str, tuple[float, float, float]]] = {
    "sil": (0.35, 0.35, 0.35),
    "PP": (0.9, 1.6, 0.4),
    "FF": (0.9, 1.6, 0.5),
    "TH": (0.6, 1.0, 0.3),
    "DD": (0.5, 0.6, 0.2),
    "kk": (0.4, 0.35, 0.2),
    "CH": (0.8, 1.0, 1.1),
    "SS": (1.0, 0.9, 0.6),
    "nn": (0.5, 0.55, 0.2),
    "RR": (0.5, 0.6, 0.8),
    "aa": (1.0, 0.9, 0.8),
    "E": (0.9, 0.9, 0.8),
    "I": (0.9, 0.9, 0.9),
    "O": (1.0, 1.0, 1.3),
    "U": (1.0, 1.0, 1.5),
}


def smooth(edge0: float, edge1: float, x: float) -> float:
    """Smoothstep: 0 at edge0, 1 at edge1."""
    t = min(max((x - edge0) / (edge1 - edge0), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


class MouthTrack:
    """The visemes of what is and will be said, in absolute samples; `weights_at` is pure in them."""

    def __init__(self) -> None:
        self._marks: list[VisemeMark] = []
        self._starts: list[int] = []

    @property
    def marks(self) -> Sequence[VisemeMark]:
        return self._marks

    def add(self, marks: Sequence[VisemeMark], at_sample: int) -> None:
        """Appends marks whose times are relative to `at_sample`; whatever was planned after that gives way."""
        self.cut(at_sample)
        moved = [VisemeMark(m.start + at_sample, m.end + at_sample, m.viseme, m.weight) for m in marks]
        self._marks += sorted(moved, key=lambda m: m.start)
        self._starts = [m.start for m in self._marks]

    def cut(self, at_sample: int) -> None:
        """Says nothing after `at_sample`; a mark that spans it ends there."""
        kept = [m for m in self._marks if m.start < at_sample]
        self._marks = [
            m if m.end <= at_sample else VisemeMark(m.start, at_sample, m.viseme, m.weight) for m in kept
        ]
        self._starts = [m.start for m in self._marks]

    def forget(self, before: int) -> None:
        """Drops marks that ended before this sample: they can no longer be seen."""
        self._marks = [m for m in self._marks if m.end >= before]
        self._starts = [m.start for m in self._marks]

    def near(self, sample: int, reach: int) -> Sequence[VisemeMark]:
        """Marks that pull at this sample, at most `reach` samples away. Marks are no longer than a second."""
        first = bisect_left(self._starts, sample - reach - SAMPLE_RATE)
        last = bisect_left(self._starts, sample + reach)
        return [m for m in self._marks[first:last] if m.end > sample - reach]

    def activity(self, sample: int, ease: int) -> float:
        """0 in silence, 1 while speaking, eased over `ease` samples."""
        return max(
            (
                smooth(m.start - ease, m.start, sample) * (1.0 - smooth(m.end, m.end + ease, sample))
                for m in self.near(sample, ease)
                if m.viseme != "sil"
            ),
            default=0.0,
        )

    def weights_at(self, sample: int) -> Weights:
        """Mouth weights (52,) at this sample of the master clock, the lead of the lips included."""
        heard = sample + LEAD
        total = np.full(3, 0.02)  # a little of the resting mouth, which wins as soon as nothing else pulls
        mixed = total[ARTICULATOR_OF_UNIT] * REST
        near = self.near(heard, REACH_MAX)
        for mark in near:
            shape = SHAPES[mark.viseme]
            strength = np.zeros(3)
            for articulator, reach in REACH.items():
                rise = smooth(mark.start - reach.attack, mark.start + reach.attack // 3, heard)
                fall = 1.0 - smooth(mark.end - reach.release // 3, mark.end + reach.release, heard)
                strength[articulator] = rise * fall * _DOMINANCE[mark.viseme][articulator]
            gain = 0.45 + 0.55 * mark.weight
            mixed = mixed + strength[ARTICULATOR_OF_UNIT] * (REST + (shape - REST) * gain)
            total = total + strength
        result = mixed / total[ARTICULATOR_OF_UNIT]
        for mark in near:
            if (times := CLOSURES.get(mark.viseme)) is not None:
                closed = _closure(mark, times, heard)
                result = result + (SHAPES[mark.viseme] - result) * closed
        return np.asarray(result, np.float32).reshape(UNIT_COUNT)


def _closure(mark: VisemeMark, times: tuple[int, int, int], sample: int) -> float:
    attack, hold, release = times
    centre = (mark.start + mark.end) / 2
    half = max(mark.end - mark.start, hold) / 2
    return smooth(centre - half - attack, centre - half, sample) * (
        1.0 - smooth(centre + half, centre + half + release, sample)
    )
