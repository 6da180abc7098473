"""Teeth: two arches of modelled crowns with gums, made from nothing but the size of the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.mesh import Index
from origin.avatar.bake.noise import Array, smoothstep

# Widths of the crowns from the middle outwards, relative: incisors, canine, premolars, molar.
UPPER = (0.088, 0.070, 0.080, 0.074, 0.072, 0.096)
LOWER = (0.056, 0.061, 0.071, 0.074, 0.074, 0.100)
ACROSS, DOWN = 6, 6
ENAMEL = (0.60, 0.555, 0.47)
GUM = (0.38, 0.125, 0.115)


@dataclass(frozen=True, slots=True)
class Arch:
    """One row of teeth: vertices, triangles, whether each vertex is gum, and depth in the mouth (0 front, 1 back)."""

    points: Array
    triangles: Index
    gum: Array
    depth: Array


def arch(
    widths: tuple[float, ...], front: Array, half_width: float, reach: float, crown: float, upper: bool
) -> Arch:
    """An arch whose middle incisors' edge is at `front` (x, y, z), `half_width` at the molars, `reach` deep."""
    total = sum(widths)
    sign = -1.0 if upper else 1.0  # crowns of the upper arch point down
    # the arch as a half ellipse by arc length
    angle = np.linspace(0, np.pi / 2, 400)
    ring = np.stack([half_width * np.sin(angle), reach * (np.cos(angle) - 1)], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    scale = min(1.0, length[-1] / total)

    def on_arch(s: Array) -> tuple[Array, Array]:
        side = np.sign(s)
        x = np.interp(np.abs(s), length, ring[:, 0]) * side
        z = np.interp(np.abs(s), length, ring[:, 1])
        e = 1e-3
        x2 = np.interp(np.abs(s) + e, length, ring[:, 0]) * side
        z2 = np.interp(np.abs(s) + e, length, ring[:, 1])
        tangent = np.stack([(x2 - x) * side, (z2 - z) * side], -1)
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-12
        return np.stack([x, z], -1), np.stack([-tangent[..., 1], tangent[..., 0]], -1)

    points: list[Array] = []
    triangles: list[Index] = []
    gums: list[Array] = []
    count = 0

    def grid(surface: Array, gum: bool) -> None:
        nonlocal count
        rows, columns, _ = surface.shape
        i = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel() + count
        quads = np.concatenate(
            [np.stack([i, i + columns, i + 1], 1), np.stack([i + 1, i + columns, i + columns + 1], 1)]
        )
        triangles.append(quads if upper else quads[:, ::-1])
        points.append(surface.reshape(-1, 3))
        gums.append(np.full(rows * columns, gum))
        count += rows * columns

    for side in (-1.0, 1.0):
        start = 0.0
        for number, width in enumerate(widths):
            middle = (start + width * scale / 2) * side
            half = width * scale / 2 * 0.97
            start += width * scale
            u = np.linspace(-1, 1, ACROSS)[None]
            v = np.linspace(0, 1, DOWN)[:, None]
            tall = crown * (1.0, 0.90, 0.98, 0.84, 0.80, 0.72)[number]
            # crowns narrow towards the gum; canines are pointed; corners are rounded
            narrow = 0.80 + 0.20 * smoothstep(0.0, 0.55, v + 0 * u)
            s = middle + u * half * narrow
            centre, outward = on_arch(s)
            bulge = (
                0.040
                * np.sqrt(np.clip(1 - 0.72 * u**4, 0, 1))
                * (0.60 + 0.40 * np.sin(np.pi * (0.15 + 0.75 * v)))
            )
            curl = 0.045 * smoothstep(0.80, 1.0, v + 0 * u)
            ground = centre + outward * (bulge - curl)[..., None]
            edge = 0.12 * np.abs(u) ** 3 + (0.22 * np.abs(u) if number == 2 else 0.0)
            fall = tall * (v - 1 - edge * smoothstep(0.5, 1.0, v + 0 * u) + 0.02)
            y = sign * fall
            x, z = ground[..., 0], ground[..., 1]
            grid(np.stack([x, y, z], -1), False)
    s = np.linspace(-total * scale, total * scale, 41)[None]
    t = np.linspace(0, 1, 5)[:, None]
    centre, outward = on_arch(s + 0 * t)
    swell = 0.020 + 0.035 * np.sin(np.pi * np.clip(t * 0.8 + 0.15, 0, 1))
    # the gum's edge is scalloped between the teeth
    scallop = 0.016 * np.abs(np.sin(s / 0.078 * np.pi))
    y = sign * (-crown * 0.86 - 0.10 * t + scallop * (1 - t))
    ground = centre + outward * (swell + 0 * s)[..., None]
    grid(np.stack([ground[..., 0], y + 0 * s, ground[..., 1]], -1)[::-1], True)

    all_points = np.concatenate(points)
    depth = smoothstep(0.0, reach * 0.8, -all_points[:, 2])
    return Arch(all_points + front, np.concatenate(triangles), np.concatenate(gums), depth)


def affine_fit(rest: Array, offset: Array, points: Array) -> Array:
    """Offsets (n, 3) of points under the affine map that best explains `offset` (m, 3) at `rest` (m, 3)."""
    centre = rest.mean(0)
    basis = np.concatenate([rest - centre, np.ones((len(rest), 1))], 1)
    solution, *_ = np.linalg.lstsq(basis, offset, rcond=None)
    return np.asarray(np.concatenate([points - centre, np.ones((len(points), 1))], 1) @ solution)
