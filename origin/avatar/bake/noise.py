"""Value noise in three dimensions, for skin, cloth and hair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def smoothstep(edge0: float, edge1: float, x: Array) -> Array:
    """0 at edge0, 1 at edge1; the edges may be in either order."""
    t = np.clip((x - edge0) / (edge1 - edge0), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def value_noise(points: Array, seed: int = 0) -> Array:
    """Smooth noise 0-1 at points (n, 3); features are one unit across."""
    cell = np.floor(points).astype(np.int64)
    f = points - cell
    f = f * f * (3 - 2 * f)
    total = np.zeros(len(points))
    for corner in range(8):
        offset = np.array([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        q = cell + offset
        h = (
            q[:, 0] * 374761393 + q[:, 1] * 668265263 + q[:, 2] * 2147483647 + seed * 1274126177
        ) & 0xFFFFFFFF
        h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
        value = ((h ^ (h >> 16)) & 0xFFFF) / 65535.0
        total += value * np.prod(np.where(offset, f, 1 - f), axis=1)
    return total


def fractal_noise(points: Array, octaves: int = 4, seed: int = 0) -> Array:
    """Value noise summed over octaves, 0-1."""
    total, amplitude, weight = np.zeros(len(points)), 1.0, 0.0
    for k in range(octaves):
        total += amplitude * value_noise(points * 2**k + 17 * k, seed + k)
        weight += amplitude
        amplitude *= 0.5
    return total / weight
