"""The inside of the mouth, which a photo does not show: two rows of teeth, gums, tongue and the dark behind, in the photo's own light.

Made in millimetres: x right, y down from the line where the lips meet. The upper teeth belong to the skull, the lower ones and the
tongue to the jaw. A row of teeth lies on an arch that is seen from the front, so teeth grow narrower and darker to the sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.portrait import topology as top
from origin.portrait.landmarks import Points

Floats = NDArray[np.float32]

HALF_WIDE: Final = 30.0
HALF_TALL: Final = 15.0
"""What the pictures of teeth reach, from the middle of the row's edge, mm."""
UPPER_EDGE: Final = 3.3
LOWER_EDGE: Final = -0.3
"""Where the rows' edges are while the mouth is shut."""
INTEROCULAR_MM: Final = 63.0
_UPPER: Final = (8.6, 6.7, 7.8, 7.1, 6.8, 9.5)
_LOWER: Final = (5.4, 6.0, 6.9, 7.1, 7.1, 10.5)
"""Widths of the teeth along the arch from the middle, mm (Wheeler's Dental Anatomy)."""
_TALL: Final = ((10.4, 8.9, 9.9, 8.4, 7.6, 7.0), (8.8, 9.2, 10.2, 8.6, 8.0, 7.2))
_RADIUS: Final = (25.5, 22.0)


@dataclass(frozen=True, slots=True)
class Mouth:
    """Pictures of both rows (h, w, 4), colour times coverage and coverage, `scale` pixels a mm; colours as display values 0-1."""

    upper: Floats
    lower: Floats
    scale: float
    tongue: Floats
    cavity: Floats
    seam: Floats
    """Of the shadow between lips that nearly meet."""


def colours(texture: Floats, mesh: Points) -> tuple[Floats, ...]:
    """Enamel, gum, tongue, cavity and seam (3,) as this photo's light and skin would show them: display values 0-1."""
    cheeks = _around(texture, mesh, (50, 280, 205, 425, 117, 346))
    lips = _around(texture, mesh, (17, 84, 314, 16))
    bright = np.percentile(cheeks, 75, axis=0)
    grey = np.array([0.299, 0.587, 0.114], np.float32)
    luma = float(bright @ grey)
    # how warm the light is, as far as skin tells: its red is 1.4 times its blue in white light
    warm = float(np.clip(np.log(max(bright[0], 1e-3) / max(bright[2], 1e-3) / 1.4), -0.4, 0.4))
    tint = np.array([1 + 0.12 * warm, 1.0, 1 - 0.16 * warm], np.float32)
    enamel = np.clip(max(luma * 1.18, 0.64), 0.0, 0.92) * np.array([1.03, 1.0, 0.91], np.float32) * tint
    lip = np.median(lips, 0)
    lip_luma = float(lip @ grey)
    gum = np.clip(0.62 * lip + 0.38 * np.array([0.62, 0.33, 0.32]) * lip_luma * 2.0, 0, 1)
    tongue = np.clip(0.45 * lip + 0.55 * np.array([0.66, 0.36, 0.35]) * max(luma, 0.35) * 1.42, 0, 1)
    cavity = np.array([0.22, 0.085, 0.075]) * (0.5 + luma)
    seam = lip * np.array([0.56, 0.46, 0.46])
    return tuple(np.asarray(c, np.float32) for c in (enamel, gum, tongue, cavity, seam))


def _around(texture: Floats, mesh: Points, points: tuple[int, ...]) -> Floats:
    radius = max(1, round(0.012 * float(np.ptp(mesh[:, 1]))))
    rows = []
    for x, y in mesh[list(points), :2].round().astype(int):
        part = texture[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        rows.append(part.reshape(-1, 3))
    return np.concatenate(rows)


def prepare(texture: Floats, mesh: Points, scale: float) -> Mouth:
    """The mouth for a face in a texture of display values (h, w, 3), at `scale` pixels a millimetre."""
    enamel, gum, tongue, cavity, seam = colours(texture, mesh)
    fine = max(scale, 4.0)
    rows = [_row(enamel * shade, gum * shade, fine, lower=k == 1) for k, shade in enumerate((1.0, 0.86))]
    return Mouth(rows[0], rows[1], fine, tongue, cavity, seam)


def _row(enamel: Floats, gum: Floats, scale: float, *, lower: bool) -> Floats:
    """One row as seen from the front, three times as fine and then averaged. The lower row is made upside down and turned."""
    over = 3
    wide, high = round(2 * HALF_WIDE * scale), round(2 * HALF_TALL * scale)
    y, x = np.mgrid[0 : high * over, 0 : wide * over].astype(np.float32)
    x = (x + 0.5) / (scale * over) - HALF_WIDE
    y = (y + 0.5) / (scale * over) - HALF_TALL
    radius = _RADIUS[lower]
    angle = np.arcsin(np.clip(np.abs(x) / radius, 0, 0.9999))
    arc = angle * radius
    edges = np.concatenate([[0.0], np.cumsum(_LOWER if lower else _UPPER)])
    index = np.clip(np.searchsorted(edges, arc, "right") - 1, 0, 5)
    left, width = edges[index], np.diff(edges)[index]
    u = (arc - left) / width  # 0 at the side towards the middle
    tall = np.array(_TALL[lower])[index]
    # edges: the smile's arc, canines pointed, corners rounded, laterals a little shorter
    rise = np.array([0.0, 0.6, 0.1, 0.5, 0.6, 0.9] if not lower else [0.0, 0.1, -0.1, 0.35, 0.7, 1.0])[index]
    corner = np.array([0.35, 0.6, 1.0, 0.7, 0.5, 0.5] if not lower else [0.15, 0.2, 0.7, 0.5, 0.4, 0.4])[
        index
    ]
    rounded = np.abs(2 * u - 1) ** 3 * corner
    rounded = np.where(index == 2, np.abs(2 * u - 0.95) * 1.1, rounded)
    edge = -(rise + rounded + 0.004 * x * x)
    top_of = edge - tall + rounded
    inside = np.clip((edge - y) / 0.10, 0, 1)  # soft by a tenth of a millimetre
    gumline = top_of + 1.5 * np.abs(2 * u - 1) ** 2.2
    is_gum = np.clip((gumline - y) / 0.18 + 0.5, 0, 1)
    seam = np.minimum(u, 1 - u) * width * np.cos(angle)
    facing = np.cos(angle)
    # light: each crown is round in both directions; the neck is warmer, the cutting edge a little translucent
    crown = 1 - 0.20 * np.abs(2 * u - 1) ** 2.6
    down = np.clip((y - top_of) / np.maximum(tall, 1e-3), 0, 1)
    light = crown * (0.90 + 0.12 * np.sin(np.pi * np.clip(down, 0, 1) * 0.9)) * (0.42 + 0.58 * facing**1.3)
    light *= 1 - 0.62 * np.exp(-((seam / 0.17) ** 2)) * np.clip(1.15 - 0.4 * (edge - y < 0.8), 0, 1)
    light *= 1 - 0.07 * np.clip(1 - (edge - y) / 0.9, 0, 1)
    warmth = np.stack([np.ones_like(down), 1 - 0.05 * (1 - down), 1 - 0.14 * (1 - down)], 2)
    tooth = enamel * warmth * light[..., None]
    flesh = gum * (0.72 + 0.22 * np.cos((u - 0.5) * 2.4))[..., None] * (0.45 + 0.55 * facing)[..., None]
    colour = tooth * (1 - is_gum[..., None]) + flesh * is_gum[..., None]
    shown = inside * (np.abs(x) < radius * 0.985) * (y > top_of - 7)
    whole = np.dstack([colour * shown[..., None], shown]).astype(np.float32)
    small = whole.reshape(high, over, wide, over, 4).mean((1, 3))
    return np.ascontiguousarray(small[::-1] if lower else small)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the mouth is on the face: origin (3,) where the lips meet, and its axes (2, 3), pixels a millimetre."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]


def anchor(face: NDArray[np.float64], apart: float) -> Anchor:
    """Of a face at rest whose lips meet (468, 3); `apart` is its interocular distance in pixels."""
    left, right = (face[p] for p in top.MOUTH_CORNERS)
    middle = (face[13] + face[14]) / 2
    along = right - left
    along[2] = 0.0
    along /= np.linalg.norm(along)
    origin = np.array([(left[0] + right[0]) / 2, middle[1], middle[2]])
    down = np.array([-along[1], along[0], 0.0])
    return Anchor(origin, np.stack([along, down]) * (apart / INTEROCULAR_MM))
