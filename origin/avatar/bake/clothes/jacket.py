"""A jacket over what is worn below: open in a deep V with lapels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from origin.avatar.bake.clothes.cloth import (
    Colour,
    Garment,
    Outfit,
    clip,
    garment,
    hemmed,
    strip,
    thickened,
)
from origin.avatar.bake.clothes.neck import Neck
from origin.avatar.bake.clothes.shell import shell
from origin.avatar.bake.mesh import Index, Shape
from origin.avatar.bake.noise import Array
from origin.avatar.bake.surface import Surface

TUCKED: Final = 0.22
"""How far under the jacket what is below is kept, decimetres."""
LAPEL = ((0.0, 0.22, 0.30, 0.40, 0.46, 0.50, 0.75, 1.0), (0.20, 0.26, 0.32, 0.34, 0.27, 0.46, 0.40, 0.10))
"""Width of collar and lapel along the edge, from the back to the end; the dip is the notch."""
DEEP: Final = Neck(back=-1.16, slope=0.40, opening_end=-2.75, opening_slope=0.42)


@dataclass(frozen=True, slots=True)
class Jacket:
    """A single-breasted jacket."""

    colour: Colour
    below: Outfit
    neck: Neck = DEEP
    ease: float = 0.115

    def pieces(self, shape: Shape) -> list[Garment]:
        """What is worn below, the shell and the lapels."""
        eye = shape.landmarks.eye_y
        points, triangles = shell(shape, self.ease, 0.55, seed=21)
        body = clip(points, triangles, self.neck.covered(points, eye))
        lapels = self._lapels(Surface(points, triangles), eye)
        below = [self._seen(piece, eye) for piece in self.below.pieces(shape)]
        return [
            *(piece for piece in below if len(piece.triangles)),
            garment(*hemmed(*body, 0.045), self.colour),
            garment(*lapels, self.colour, 1.06),
        ]

    def _seen(self, piece: Garment, eye: float) -> Garment:
        """What of a piece below lies in the opening, or just beside it."""
        covered = self.neck.covered(piece.points, eye) > TUCKED
        used, compact = np.unique(piece.triangles[~covered[piece.triangles].all(1)], return_inverse=True)
        return Garment(piece.points[used], compact.reshape(-1, 3), piece.uv[used], piece.colour[used])

    def _lapels(self, cloth: Surface, eye: float) -> tuple[Array, Index]:
        """A strip that rises a little at the neck, rolls over, and lies on the jacket."""
        edge = self.neck.edge(cloth, eye, 120, above=0.02)
        width = np.interp(edge.along, *LAPEL)[:, None]
        rise = np.interp(edge.along, [0, 0.3, 0.5, 1.0], [0.10, 0.09, 0.03, 0.0])[:, None]
        up = np.array([0.0, 1.0, 0.0])
        # beside the neck the strip falls outwards and down, on the chest it lies sideways
        chest = np.interp(edge.along, [0.25, 0.55], [0.0, 1.0])[:, None]
        away = edge.outward * (0.55 + 0.45 * chest) + up * (-0.85 * (1 - chest) + 0.18 * chest)
        fold = edge.points + up * rise
        rows = [edge.points, edge.points + up * rise * 0.5, fold]
        for t in np.linspace(0, 1, 9)[1:]:
            flat = fold + away * width * t
            found = cloth.nearest(flat)
            gap = 0.045 - 0.010 * t
            rows.append(flat + found.normals * (gap - found.distances)[:, None] * min(1.0, 2.5 * t))
        return thickened(*strip(np.stack(rows, 1)), 0.024)
