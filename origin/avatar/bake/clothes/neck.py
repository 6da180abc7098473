"""The opening for head and neck: where cloth is cut away, and the line along its edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.clothes.cloth import smoothed_line
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.bake.surface import Surface

AXIS_Z = 0.20
"""Depth of the axis that necklines run round, decimetres."""


@dataclass(frozen=True, slots=True)
class Neck:
    """Where a garment is cut. Heights are relative to the eyes, decimetres."""

    back: float = -1.10  # height of the neckline behind the neck
    slope: float = 0.47  # how fast it falls towards the front
    opening_end: float = -1.84  # lowest point of the open front
    opening_slope: float = 0.60  # half width of the opening per height

    def height(self, z: Array) -> Array:
        """Height of the neckline above the eyes at depths (n,)."""
        return np.asarray(self.back - self.slope * (z + 0.2))

    def half(self, y: Array) -> Array:
        """Half width of the open front at heights above the eyes (n,)."""
        return np.asarray(np.maximum(y - self.opening_end, 0) * self.opening_slope)

    def covered(self, points: Array, eye: float) -> Array:
        """Positive where cloth is: below the neckline and outside the open front (n,)."""
        x, y, z = points[:, 0], points[:, 1] - eye, points[:, 2]
        open_ = (z > 0.15) & (y >= self.opening_end)
        return np.asarray(np.minimum(self.height(z) - y, np.where(open_, np.abs(x) - self.half(y), 1.0)))

    def ring(self, cloth: Surface, eye: float, end: float = 0.0) -> Array:
        """Points (60, 3) on the cloth along the neckline, from the back to the angle `end` beside the middle of the front."""
        angle = np.linspace(np.pi, end, 60)
        direction = np.stack([np.sin(angle), np.zeros(60), np.cos(angle)], 1)
        ring = np.zeros((60, 3))
        for _ in range(3):
            z = ring[:, 2] if ring.any() else AXIS_Z + 0.4 * direction[:, 2]
            origin = np.stack([np.zeros(60), eye + self.height(z) - 0.02, np.full(60, AXIS_Z)], 1)
            distance = cloth.hit(origin, direction)
            ring = origin + direction * np.where(distance > 0, distance, 0.5)[:, None]
        return ring

    def edge(self, cloth: Surface, eye: float, count: int, above: float = 0.13) -> Edge:
        """The whole edge: along the neckline and down the open front, to `above` its end."""
        ring = self.ring(cloth, eye, 0.30)
        ring = ring[(np.abs(ring[:, 0]) > self.half(ring[:, 1] - eye)) | (ring[:, 2] < 0.15)]
        y = np.linspace(ring[-1, 1] - eye, self.opening_end + above, 26)[1:]
        front = np.stack([self.half(y), y + eye, np.full(25, 3.0)], 1)
        front[:, 2] -= cloth.hit(front, np.tile([0.0, 0.0, -1.0], (25, 1)))
        half = spread(smoothed_line(np.concatenate([ring, front]), 6), count // 2)
        radial = half - np.array([0, 0, AXIS_Z]) * [1, 0, 1]
        radial[:, 1] = 0
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        along = np.linspace(0, 1, len(half))
        # towards the front ends the edge opens sideways
        blend = smoothstep(0.55, 0.95, along)[:, None]
        outward = radial * (1 - blend) + np.array([0.86, 0.0, 0.50]) * blend
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        return Edge(mirrored(half), mirrored(outward), np.concatenate([along[::-1], along[1:]]))


@dataclass(frozen=True, slots=True)
class Edge:
    """Points (n, 3) from the right front round the back to the left, outward directions, and 0 at the back to 1 at the ends."""

    points: Array
    outward: Array
    along: Array


def spread(line: Array, count: int) -> Array:
    """A polyline as `count` points at equal distances."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, line[:, k]) for k in range(3)], 1)


def mirrored(half: Array) -> Array:
    """The left half of a line (n, 3) that begins in the middle, as the whole (2n - 1, 3)."""
    return np.concatenate([half[::-1] * [-1.0, 1.0, 1.0], half[1:]])
