"""A pose: all that the renderer needs to know of one moment of one person."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from origin.avatar.faceunits import UNIT_COUNT, Weights

YAW_LIMIT: Final = 0.40
PITCH_LIMIT: Final = 0.20
ROLL_LIMIT: Final = 0.20
GAZE_LIMIT: Final = 0.45
"""Radians; beyond them the light tier has no baked hair, or the iris would leave the eye."""


def _bounded(value: float, limit: float) -> float:
    return min(max(value, -limit), limit) if math.isfinite(value) else 0.0


@dataclass(frozen=True, slots=True)
class Pose:
    """Face unit weights (52, ARKit order, 0-1), head turn in radians, gaze and breath.

    head: yaw (+ to the viewer's right), pitch (+ nods down), roll.  gaze: radians right and up from the camera.
    breath: 0 (out) to 1 (in).
    """

    weights: Weights = field(default_factory=lambda: np.zeros(UNIT_COUNT, np.float32))
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    breath: float = 0.0

    def clamped(self) -> Pose:
        """The nearest pose that can be drawn: finite, weights within 0-1, angles within the limits.

        Raises ValueError when the weights are not a vector of 52.
        """
        weights = np.asarray(self.weights, np.float32)
        if weights.shape != (UNIT_COUNT,):
            raise ValueError(f"a pose has {UNIT_COUNT} face unit weights, not {weights.shape}")
        yaw, pitch, roll = self.head
        return Pose(
            np.clip(np.nan_to_num(weights, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0),
            (_bounded(yaw, YAW_LIMIT), _bounded(pitch, PITCH_LIMIT), _bounded(roll, ROLL_LIMIT)),
            (_bounded(self.gaze[0], GAZE_LIMIT), _bounded(self.gaze[1], GAZE_LIMIT)),
            min(max(self.breath, 0.0), 1.0) if math.isfinite(self.breath) else 0.0,
        )
