"""Breath: clothes rise and sink by about a pixel, as pictures made once, one for each phase.

Moving the clothes' picture instead of their geometry costs a copy of a few rows when the phase changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.camera import FRAME_HEIGHT, frame_height
from origin.avatar.fullpicture import to_i420
from origin.avatar.layers import NODE, Layers
from origin.avatar.person import Floats

PHASES: Final = 10
"""Pictures between breathed out and in: steps of about an eighth of a pixel, too small to see."""
RISE: Final = 1.25 / 480
"""How far a full breath lifts the clothes, parts of the picture's height."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The fixed picture from `top` down: Y rows, U and V rows, and the same within the head box as RGB."""

    top: int
    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]  # (2, rows / 2, width / 2)
    boxed: NDArray[np.uint8]  # (rows within the box, box width, 3)
    matte: NDArray[np.uint8] | None = None  # coverage from `top` down, when nothing is behind the person


def phases(layers: Layers, noise: Floats, cover: Floats | None = None) -> list[Phase]:
    """All phases, from out to in. `noise` is the picture's grain (height, width), `cover` the coverage of the fixed picture."""
    height, width, _ = layers.fixed.shape
    lift = np.repeat(np.repeat(layers.lift, NODE, 0), NODE, 1)
    lift = np.pad(lift, ((0, height - lift.shape[0]), (0, width - lift.shape[1])), mode="edge")
    moves = np.nonzero(lift.max(1) > 0)[0]
    top = int(moves[0]) // 2 * 2 if len(moves) else height
    lift, picture = _softened(lift[top:]), layers.fixed.astype(np.float32) / 255
    rows = np.arange(top, height, dtype=np.float32)[:, None]
    columns = np.arange(width)[None]
    box = layers.box
    inside = slice(max(top - box.y, 0), box.height)
    rise = RISE * height * FRAME_HEIGHT / frame_height(width, height)
    if cover is not None:
        picture = np.dstack([picture, cover])
    made = []
    for k in range(PHASES):
        source = np.minimum(rows + lift * (rise * k / (PHASES - 1)), height - 1)
        upper = np.minimum(source.astype(int), height - 2)
        part = (source - upper)[..., None]
        moved = picture[upper, columns] * (1 - part) + picture[upper + 1, columns] * part
        matte = None if cover is None else np.round(moved[..., 3] * 255).astype(np.uint8)
        moved = moved[..., :3]
        i420 = to_i420(moved.astype(np.float32), noise[top:])
        count = height - top
        first = box.y + inside.start - top
        boxed = moved[first : first + box.height - inside.start, box.x : box.x + box.width]
        made.append(
            Phase(
                top,
                i420[:count],
                i420[count:].reshape(2, count // 2, width // 2),
                np.round(boxed * 255).astype(np.uint8),
                matte,
            )
        )
    return made


def _softened(cells: Floats) -> Floats:
    """Blurs the steps between cells of 8 pixels."""
    for axis in (0, 1):
        pad = [(4, 4) if a == axis else (0, 0) for a in (0, 1)]
        total = np.pad(cells, pad, mode="edge").cumsum(axis)
        n = cells.shape[axis]
        cells = (np.take(total, range(8, n + 8), axis) - np.take(total, range(n), axis)) / 8
    return np.asarray(np.clip(cells, 0, 1), np.float32)
