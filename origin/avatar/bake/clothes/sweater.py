"""A sweater with a round neck and a ribbed band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from origin.avatar.bake.clothes.cloth import (
    Colour,
    Garment,
    clip,
    garment,
    hemmed,
    smoothed_line,
    strip,
    thickened,
)
from origin.avatar.bake.clothes.neck import AXIS_Z, Neck, mirrored, spread
from origin.avatar.bake.clothes.shell import shell
from origin.avatar.bake.mesh import Index, Shape
from origin.avatar.bake.noise import Array
from origin.avatar.bake.surface import Surface

RIBS: Final = 70
ROUND: Final = Neck(back=-1.04, slope=0.44, opening_end=0.0)


@dataclass(frozen=True, slots=True)
class Sweater:
    """Fine knit, closed all round."""

    colour: Colour
    neck: Neck = ROUND
    ease: float = 0.060
    band: float = 0.11  # height of the ribbed band

    def pieces(self, shape: Shape) -> list[Garment]:
        """The shell and the band round the neck."""
        eye = shape.landmarks.eye_y
        points, triangles = shell(shape, self.ease, 0.7)
        body = clip(points, triangles, self.neck.covered(points, eye))
        band = self._band(Surface(points, triangles), eye)
        return [garment(*hemmed(*body, 0.03), self.colour), garment(*band, self.colour, 0.95)]

    def _band(self, cloth: Surface, eye: float) -> tuple[Array, Index]:
        base = mirrored(spread(smoothed_line(self.neck.ring(cloth, eye), 6), 2 * RIBS))[:-1]
        inward = np.array([0.0, 0.0, AXIS_Z]) - base * [1, 0, 1]
        inward /= np.linalg.norm(inward, axis=1, keepdims=True)
        rib = 0.010 * np.cos(np.arange(len(base)) * np.pi)[:, None]
        rows = []
        for t in np.linspace(-0.15, 1, 7):
            bulge = 0.030 * np.sqrt(max(0.0, 1 - (1.6 * t - 0.6) ** 2))
            rows.append(
                base
                + np.array([0.0, 1.0, 0.0]) * (t * self.band)
                + inward * (0.5 * t * self.band - 0.01 - bulge)
                - inward * rib
            )
        return thickened(*strip(np.stack(rows, 1), closed=True), 0.03)
