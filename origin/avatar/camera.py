"""The camera: a long lens at eye height, framing head and shoulders at any picture size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEAR: Final = 11.0
FAR: Final = 19.0
FRAME_HEIGHT: Final = 3.55
"""Height of the picture at the head's distance, decimetres."""
FRAME_WIDTH: Final = 2.45
"""Least width of it: the widest hair with a margin for turns. A narrow picture shows more above and below instead."""
TALLEST: Final = 4.0
"""Most of it in height: clothes end 2.5 under the eyes."""


def unit(vector: object) -> Array:
    """The vector scaled to length one."""
    v = np.asarray(vector, float)
    return np.asarray(v / np.linalg.norm(v))


@dataclass(frozen=True, slots=True)
class Camera:
    """Pinhole camera. Screen x right, y down, in pixels; depth 0 at FAR to 1 at NEAR, linear in 1/z."""

    position: Array
    forward: Array
    right: Array
    up: Array
    focal: float  # pixels
    width: int
    height: int

    def project(self, points: Array, samples: int = 1, origin: tuple[int, int] = (0, 0)) -> Array:
        """Screen x, y and depth (n, 3) of points; `samples` scales the picture, `origin` is its left top corner."""
        q = points - self.position
        z = q @ self.forward
        x = (self.width / 2 - origin[0]) + q @ self.right / z * self.focal
        y = (self.height / 2 - origin[1]) - q @ self.up / z * self.focal
        depth = (1 / z - 1 / FAR) / (1 / NEAR - 1 / FAR)
        return np.stack([x * samples, y * samples, depth], 1)


def frame_height(width: int, height: int) -> float:
    """How much a picture of this size shows from top to bottom at the head's distance, decimetres."""
    return max(FRAME_HEIGHT, min(TALLEST, FRAME_WIDTH * height / width))


def portrait_camera(eye_y: float, width: int, height: int) -> Camera:
    """The standard framing of a person whose eyes are at height `eye_y`: head and shoulders."""
    position = np.array([0.25, eye_y - 0.28, 15.5])
    target = np.array([0.0, eye_y - 0.42, 0.3])
    forward = unit(target - position)
    right = unit(np.cross(forward, [0.0, 1.0, 0.0]))
    focal = height / frame_height(width, height) * (position[2] - 0.9)
    return Camera(position, forward, right, np.cross(right, forward), float(focal), width, height)
