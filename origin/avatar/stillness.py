"""How far a picture moves between two poses, at most: what moves less than a quarter of a pixel need not be drawn again."""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.avatar.camera import frame_height
from origin.avatar.headstate import BREATH_LIFT
from origin.avatar.person import Avatar
from origin.avatar.pose import Pose

SEEN_PX: Final = 0.25
"""Moved less than that, two pictures differ by no more than an encoder changes them; clothes breathe in steps of half of it."""
_HEAD_REACH: Final = 1.2
"""From the neck's pivot to the outermost hair, decimetres."""
_EYE_RADIUS: Final = 0.125


class Stillness:
    """For pictures of one person at one size."""

    def __init__(self, avatar: Avatar, width: int, height: int) -> None:
        self._pixels = height / frame_height(width, height)
        """A decimetre."""
        lengths = np.linalg.norm(avatar.units.offset, axis=1)
        self._units = np.zeros(Pose().weights.shape, np.float32)
        np.maximum.at(self._units, avatar.units.unit, lengths)

    def travel_px(self, one: Pose, other: Pose) -> float:
        """The most pixels that anything moves between two poses."""
        turned = float(np.linalg.norm(np.subtract(one.head, other.head)))
        looked = float(np.linalg.norm(np.subtract(one.gaze, other.gaze)))
        moved = float(np.abs(one.weights - other.weights) @ self._units)
        lifted = abs(one.breath - other.breath) * BREATH_LIFT
        return (_HEAD_REACH * turned + _EYE_RADIUS * looked + moved + lifted) * self._pixels
