"""A photo taken apart along its matte: the person's own colours, without what shone through at the edges, and the room behind them.

Colours near an edge are those of the nearest pure ones, corrected so that both layers together are the photo again (blur fusion, Forte
2021). Behind the person the room goes on smoothly from its edges: a margin of it is seen when the head moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from origin.portrait.matte import Floats, means

_REACHES: Final = (0.06, 0.008)
"""Within which pure colours are looked for, first roughly and then finely: parts of the picture's height."""
_LEAST: Final = 1e-3
_HIDES: Final = 8.0
"""Where an eighth of a coarse pixel's surroundings is the person's, the room is not taken from the photo."""
_COARSE: Final = 4
"""How much smaller the picture is in which they are looked for."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The pure colours near each place, in a coarse picture: the person's (`near`) and the room's (`far`), each (height, width, 3), 0-1;
    and where the room cannot be taken from the photo (`hidden`, (height, width), 0-1).
    """

    near: Floats
    far: Floats
    hidden: Floats

    def person(self, photo: Floats, cover: Floats) -> Floats:
        """The person's own colours in the photo (height, width, 3; 0-1), going on a little beyond the matte `cover`."""
        size = (photo.shape[1], photo.shape[0])
        edge = np.flatnonzero((_enlarged(self.hidden[..., None], size)[..., 0] > 0) & (cover < 1))
        near, far = (_enlarged(part, size).reshape(-1, 3)[edge] for part in (self.near, self.far))
        alpha, seen = cover.reshape(-1, 1)[edge], photo.reshape(-1, 3)[edge]
        whole = photo.reshape(-1, 3).copy()
        whole[edge] = np.clip(near + alpha * (seen - alpha * near - (1 - alpha) * far), 0, 1)
        return whole.reshape(photo.shape)

    def room(self, photo: Floats) -> Floats:
        """The photo, at any size, without the person."""
        size = (photo.shape[1], photo.shape[0])
        hidden = _enlarged(self.hidden[..., None], size)
        return np.asarray(photo + hidden * (_enlarged(self.far, size) - photo), np.float32)


def apart(photo: Floats, cover: Floats) -> Layers:
    """The layers of a photo (height, width, 3; 0-1) with a matte `cover` (height, width; 0-1). Sides are whole times 4."""
    small, share = _shrunk(photo), _shrunk(cover[..., None])
    person, room = small, small
    for reach in _REACHES:
        size = max(1, round(reach * len(small)))
        near = _pure(person, share, size)
        far = _pure(room, 1 - share, size)
        rest = small - share * near - (1 - share) * far
        person = np.clip(near + share * rest, 0, 1)
        room = np.clip(far + (1 - share) * rest, 0, 1)
    hidden = np.clip(_HIDES * means(share, 2), 0, 1)
    return Layers(near, _filled(room, 1 - hidden), hidden[..., 0])


def _shrunk(values: Floats, by: int = _COARSE) -> Floats:
    total = values[::by].copy()
    for k in range(1, by):
        total += values[k::by]
    across = total[:, ::by].copy()
    for k in range(1, by):
        across += total[:, k::by]
    return np.asarray(across / by**2, np.float32)


def _enlarged(values: Floats, size: tuple[int, int]) -> Floats:
    planes = [Image.fromarray(np.ascontiguousarray(values[..., k])) for k in range(values.shape[2])]
    return np.dstack([np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes])


def _pure(colours: Floats, weight: Floats, reach: int) -> Floats:
    """Means of the colours round each place, by weight; where there is none near, the colours themselves."""
    total = means(np.dstack([colours * weight, weight]), reach)
    share = np.clip(total[..., 3:] / _LEAST, 0, 1)
    return np.asarray(
        colours + (total[..., :3] / np.maximum(total[..., 3:], _LEAST) - colours) * share, np.float32
    )


def _filled(colours: Floats, weight: Floats) -> Floats:
    """Colours where they weigh; elsewhere those of what is round it, the smoother the further in (a pyramid, pulled and pushed)."""
    height, width = weight.shape[:2]
    if min(height, width) < 2:
        return np.asarray(
            (colours * weight).sum((0, 1)) / max(float(weight.sum()), _LEAST) + 0 * colours, np.float32
        )
    even = np.pad(
        np.dstack([colours * weight, weight]), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"
    )
    half = _shrunk(even, 2)
    lower = half[..., :3] / np.maximum(half[..., 3:], _LEAST)
    below = _filled(np.asarray(lower, np.float32), np.clip(2 * half[..., 3:], 0, 1))
    behind = _enlarged(below, (even.shape[1], even.shape[0]))[:height, :width]
    return np.asarray(colours * weight + behind * (1 - weight), np.float32)
