"""The animator: what a person's face and head do at any sample of the 48 kHz master clock.

Pure and deterministic: `pose` depends on the seed and on what was told (speak, cut, state), never on a clock or on
what was asked before. Layers, in order: attitude (idle, listening, thinking, speaking; eased), idle life, the mouth
from visemes, beats (nods and brows on stressed words), blinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

import numpy as np

from origin.avatar import idle
from origin.avatar.articulation import MouthTrack, smooth
from origin.avatar.faceunits import UNIT, UNIT_COUNT
from origin.avatar.pose import Pose
from speech.marks import SAMPLE_RATE, VisemeMark

_MS: Final = SAMPLE_RATE // 1000
MEMORY: Final = 4 * SAMPLE_RATE
"""How far back a pose can still be asked for after newer speech was added, samples."""


class Presence(StrEnum):
    """What the person is doing in the conversation."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Attitude:
    """The posture that goes with a presence. Angles in radians; face units 0-1."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    wander: float = 0.035
    sway: float = 1.0
    smile: float = 0.0
    brow_up: float = 0.0
    brow_down: float = 0.0
    squint: float = 0.0
    nods: float = 0.0

    def toward(self, other: Attitude, t: float) -> Attitude:
        """This attitude, a part t (0-1) of the way to the other."""
        mixed = (
            getattr(self, f.name) + (getattr(other, f.name) - getattr(self, f.name)) * t for f in fields(self)
        )
        return Attitude(*mixed)


ATTITUDES: Final[dict[Presence, Attitude]] = {
    Presence.IDLE: Attitude(smile=0.05, wander=0.045),
    Presence.LISTENING: Attitude(
        pitch=0.015, roll=0.030, wander=0.020, sway=0.8, smile=0.10, brow_up=0.14, nods=1.0
    ),
    Presence.THINKING: Attitude(
        yaw=0.055,
        pitch=-0.030,
        roll=-0.020,
        gaze_x=0.17,
        gaze_y=0.13,
        wander=0.045,
        brow_down=0.12,
        squint=0.10,
    ),
    Presence.SPEAKING: Attitude(wander=0.030, sway=1.5, smile=0.06, brow_up=0.06),
}
EASE: Final[dict[Presence, int]] = {
    Presence.IDLE: 600 * _MS,
    Presence.LISTENING: 350 * _MS,
    Presence.THINKING: 400 * _MS,
    Presence.SPEAKING: 240 * _MS,
}

BEAT_RISE: Final = 130 * _MS
BEAT_FALL: Final = 320 * _MS
_WEIGHTY: Final = 1.5
"""A beat on a word that the text stresses, against the strongest of the others."""
NOD_CELL: Final = 2600 * _MS
NOD_TIME: Final = 620 * _MS


class Animator:
    """One person's motion. `seed` gives it its own blinks, glances and sway."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._mouth = MouthTrack()
        self._stress: list[int] = []
        self._weight: set[int] = set()
        self._presence: list[tuple[int, Presence]] = [(-(1 << 60), Presence.IDLE)]

    @property
    def presence(self) -> Presence:
        """The latest presence told."""
        return self._presence[-1][1]

    def speak(
        self,
        marks: Sequence[VisemeMark],
        at_sample: int,
        stress: Sequence[int] = (),
        weight: Sequence[int] = (),
    ) -> None:
        """Plans speech: marks, stressed syllables and those that the text puts weight on (samples), relative to `at_sample`. Replaces
        what was planned after it."""
        self._forget(at_sample)
        self._mouth.add(marks, at_sample)
        self._stress = [s for s in self._stress if s < at_sample] + sorted(s + at_sample for s in stress)
        self._weight = {s for s in self._weight if s < at_sample} | {s + at_sample for s in weight}

    def cut(self, at_sample: int) -> None:
        """Drops all speech after this sample; the mouth eases shut within about 120 ms."""
        self._mouth.cut(at_sample)
        self._stress = [s for s in self._stress if s < at_sample]
        self._weight = {s for s in self._weight if s < at_sample}

    def state(self, presence: Presence, at_sample: int) -> None:
        """From this sample on the person listens, thinks, speaks or idles; eased over 240-600 ms."""
        kept = [entry for entry in self._presence if entry[0] < at_sample]
        self._presence = [*kept[-6:], (at_sample, presence)]

    def pose(self, sample: int) -> Pose:
        """The pose at this sample. Cheap: tens of microseconds."""
        seed = self._seed
        attitude = self._attitude(sample)
        talking = self._mouth.activity(sample, 240 * _MS)
        beat = self._beat(sample)
        weights = np.zeros(UNIT_COUNT, np.float32)
        weights += self._mouth.weights_at(sample)

        sway = attitude.sway * (1.0 + 0.25 * talking)
        yaw = attitude.yaw + 0.022 * sway * idle.drift(seed, 1, sample)
        pitch = attitude.pitch + 0.011 * sway * idle.drift(seed, 2, sample)
        roll = attitude.roll + 0.010 * sway * idle.drift(seed, 3, sample)
        pitch += 0.034 * beat + 0.040 * attitude.nods * self._nod(sample)
        breath = idle.breath(seed, sample)
        pitch -= 0.004 * breath

        gaze_x, gaze_y = idle.gaze(seed, sample, attitude.wander)
        gaze_x += attitude.gaze_x
        gaze_y += attitude.gaze_y
        closed = max(idle.blink(seed, sample), self._phrase_blink(sample))

        self._lids(weights, gaze_y, closed)
        brow = 0.05 * max(0.0, idle.drift(seed, 4, sample)) + attitude.brow_up + 0.26 * beat
        weights[UNIT["browInnerUp"]] += brow
        weights[UNIT["browOuterUpLeft"]] += brow * 0.7
        weights[UNIT["browOuterUpRight"]] += brow * 0.7
        weights[UNIT["browDownLeft"]] += attitude.brow_down
        weights[UNIT["browDownRight"]] += attitude.brow_down
        smile = attitude.smile * (1.0 - 0.5 * talking)
        for side in ("Left", "Right"):
            weights[UNIT[f"mouthSmile{side}"]] += smile
            weights[UNIT[f"eyeSquint{side}"]] += attitude.squint + 0.4 * smile
        return Pose(weights, (yaw, pitch, roll), (gaze_x, gaze_y), breath).clamped()

    def _forget(self, sample: int) -> None:
        self._mouth.forget(sample - MEMORY)
        self._stress = [s for s in self._stress if s >= sample - MEMORY]
        self._weight = {s for s in self._weight if s >= sample - MEMORY}

    def _attitude(self, sample: int) -> Attitude:
        past = [entry for entry in self._presence if entry[0] <= sample]
        attitude = ATTITUDES[past[0][1]] if past else ATTITUDES[self._presence[0][1]]
        for start, presence in past[1:]:
            attitude = attitude.toward(ATTITUDES[presence], smooth(start, start + EASE[presence], sample))
        return attitude

    def _beat(self, sample: int) -> float:
        """A nod with raised brows that peaks at each stressed word."""
        return max(
            (
                smooth(s - BEAT_RISE, s + 20 * _MS, sample)
                * (1.0 - smooth(s + 20 * _MS, s + BEAT_FALL, sample))
                * (_WEIGHTY if s in self._weight else 0.55 + 0.45 * idle.chance(self._seed, 51, s))
                for s in self._stress
                if s - BEAT_RISE < sample < s + BEAT_FALL
            ),
            default=0.0,
        )

    def _nod(self, sample: int) -> float:
        """A listener's small nod every few seconds."""
        cell = sample // NOD_CELL
        if idle.chance(self._seed, 61, cell) > 0.5:
            return 0.0
        start = cell * NOD_CELL + int(idle.chance(self._seed, 62, cell) * (NOD_CELL - NOD_TIME))
        half = start + NOD_TIME // 2
        return smooth(start, half, sample) * (1.0 - smooth(half, start + NOD_TIME, sample))

    def _phrase_blink(self, sample: int) -> float:
        """People blink where a phrase ends: after speech, before a pause."""
        marks = [m for m in self._mouth.near(sample, 700 * _MS) if m.viseme != "sil"]
        closed = 0.0
        for index, mark in enumerate(marks):
            last = index + 1 == len(marks)
            pause = last or marks[index + 1].start - mark.end > 220 * _MS
            if pause and idle.chance(self._seed, 71, mark.end) < 0.6:
                closed = max(closed, idle.lid(sample - mark.end - 60 * _MS))
        return closed

    @staticmethod
    def _lids(weights: np.ndarray, gaze_y: float, closed: float) -> None:
        """Upper lids follow the gaze; a blink overrules them."""
        down, up = max(-gaze_y, 0.0) * 2.2, max(gaze_y, 0.0) * 2.0
        for side in ("Left", "Right"):
            weights[UNIT[f"eyeBlink{side}"]] = closed
            weights[UNIT[f"eyeLookDown{side}"]] = down * (1.0 - closed)
            weights[UNIT[f"eyeLookUp{side}"]] = up * (1.0 - closed)
