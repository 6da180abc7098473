"""A shirt: its collar stands up from the neckline, folds over and lies on the shoulders; a placket with buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from origin.avatar.bake.clothes.cloth import Colour, Garment, clip, garment, hemmed, strip, thickened
from origin.avatar.bake.clothes.neck import Neck
from origin.avatar.bake.clothes.shell import shell
from origin.avatar.bake.mesh import Index, Shape
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.bake.surface import Surface

BUTTON = ((0.040, 0.0), (0.040, 0.014), (0.034, 0.020), (0.024, 0.016))
"""Radius and height of the rings of a button, outside in."""
BUTTON_COLOUR = (0.34, 0.35, 0.36)
OPEN: Final = Neck()


@dataclass(frozen=True, slots=True)
class Shirt:
    """A shirt with an open collar."""

    colour: Colour
    neck: Neck = OPEN
    ease: float = 0.055  # distance of the cloth from the body
    hem: float = 0.030

    def pieces(self, shape: Shape) -> list[Garment]:
        """The shell with its hem, the collar, the placket and its buttons."""
        return _Tailor(shape, self).pieces()


class _Tailor:
    """Cuts one shirt to one person."""

    def __init__(self, shape: Shape, shirt: Shirt) -> None:
        self.shirt, self.neck, self.eye = shirt, shirt.neck, shape.landmarks.eye_y
        points, triangles = shell(shape, shirt.ease)
        self.cloth = Surface(points, triangles)
        self.front = clip(points, triangles, shirt.neck.covered(points, self.eye))

    def pieces(self) -> list[Garment]:
        colour = self.shirt.colour
        top = self.eye + self.neck.opening_end - 0.09
        return [
            garment(*hemmed(*self.front, self.shirt.hem), colour),
            garment(*self._collar(), colour, 1.04),
            garment(*self._placket(), colour, 1.03),
            *(garment(*self._button(top - 0.28 * k), BUTTON_COLOUR) for k in range(2)),
        ]

    def _placket(self) -> tuple[Array, Index]:
        """The strip that closes the front below the opening."""
        x, y = np.meshgrid(
            np.linspace(-0.082, 0.082, 7), np.linspace(self.neck.opening_end + 0.05, -2.6, 16) + self.eye
        )
        flat = np.stack([x.ravel(), y.ravel(), np.full(x.size, 3.0)], 1)
        distance = self.cloth.hit(flat, np.tile([0.0, 0.0, -1.0], (x.size, 1)))
        flat[:, 2] += 0.020 - distance
        i = (np.arange(15)[:, None] * 7 + np.arange(6)[None]).ravel()
        faces = np.concatenate([np.stack([i, i + 7, i + 1], 1), np.stack([i + 1, i + 7, i + 8], 1)])
        return thickened(flat, faces, 0.03)

    def _button(self, height: float) -> tuple[Array, Index]:
        """A rounded disc on the placket."""
        distance = self.cloth.hit(np.array([[0.0, height, 3.0]]), np.array([[0.0, 0.0, -1.0]]))
        angle = np.linspace(0, 2 * np.pi, 18)[:-1]
        rings = [np.stack([np.cos(angle) * r, np.sin(angle) * r, np.full(17, z)], 1) for r, z in BUTTON]
        points = np.concatenate([*rings, [[0.0, 0.0, BUTTON[-1][1] - 0.004]]])
        faces = []
        for ring in range(len(BUTTON) - 1):
            for k in range(17):
                a, b = ring * 17 + k, ring * 17 + (k + 1) % 17
                faces += [[a, b, a + 17], [b, b + 17, a + 17]]
        last = (len(BUTTON) - 1) * 17
        faces += [[last + k, last + (k + 1) % 17, len(points) - 1] for k in range(17)]
        return points + np.array([0.0, height, 3.02 - float(distance[0])]), np.array(faces)

    def _collar(self) -> tuple[Array, Index]:
        """A strip of columns along the neckline; rows run from the inner base over the fold to the outer edge."""
        edge_line = self.neck.edge(self.cloth, self.eye, 66)
        base, outward, along = edge_line.points, edge_line.outward, edge_line.along
        count = len(base)
        rise = np.interp(along, [0, 0.25, 0.6, 1.0], [0.165, 0.15, 0.07, 0.012])
        width = np.interp(along, [0, 0.3, 0.7, 1.0], [0.29, 0.31, 0.38, 0.40])
        up = np.array([0.0, 1.0, 0.0]) - 0.20 * outward
        fold = base + up * rise[:, None]
        down = np.stack([np.zeros(count), np.ones(count), np.zeros(count)], 1)
        drop = np.interp(along, [0, 0.5, 0.85, 1.0], [1.05, 1.0, 0.72, 0.62])[:, None]
        spread = np.interp(along, [0, 0.5, 0.85, 1.0], [0.50, 0.62, 0.85, 1.0])[:, None]
        edge = fold + (outward * spread - down * drop) * width[:, None]
        stand = [
            base + (fold - base) * t + outward * (0.012 * np.sin(np.pi * t))
            for t in np.linspace(0, 1, 4)[:-1]
        ]
        roll = np.linspace(0, 1, 10)
        bulge = [np.sin(np.pi * t) ** 0.7 * 0.035 for t in roll]
        fall = [
            fold + (edge - fold) * t + (outward * 0.8 + down * 0.6) * b
            for t, b in zip(roll, bulge, strict=True)
        ]
        grid = np.stack(stand + fall, 1)
        flat = grid.reshape(-1, 3)
        rows = grid.shape[1]
        lies = np.tile(np.arange(rows) >= len(stand) + 2, count)
        found = self.cloth.nearest(flat)
        gap = np.interp(np.tile(np.arange(rows), count), [len(stand), rows - 1], [0.055, 0.040])
        away = np.maximum(gap - found.distances, 0) * lies
        flat = flat + found.normals * away[:, None]
        # the free edge lies on the shoulder instead of floating over it
        float_ = (
            np.maximum(found.distances - gap, 0)
            * lies
            * smoothstep(rows * 0.45, rows - 1.0, np.tile(np.arange(rows), count).astype(float))
        )
        flat = flat - found.normals * (float_ * 0.8)[:, None]
        return thickened(*strip(flat.reshape(count, rows, 3)), 0.022)
