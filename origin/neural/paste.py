"""Puts a drawn patch into a picture: what the mask says of it, softly, so that no edge is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from origin.avatar.renderer import Box

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def feathered(width: int, height: int, *, top: float, edge: float = 0.12) -> Floats:
    """A mask (height, width) 0-1: full inside, nothing at the edges; above `top` (0-1 of the height) nothing either."""

    def rise(at: NDArray[np.float64], start: float) -> NDArray[np.float64]:
        t = np.clip((at - start) / edge, 0, 1)
        return t * t * (3 - 2 * t)

    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    down = rise(y, top) * rise(1 - y, 0.0)
    across = rise(x, 0.0) * rise(1 - x, 0.0)
    return np.asarray(down[:, None] * across, np.float32)


def halved(mask: Floats) -> Floats:
    """A mask for colours, which have half the size."""
    height, width = mask.shape
    return np.asarray(mask.reshape(height // 2, 2, width // 2, 2).mean((1, 3)), np.float32)


class Paste:
    """Blends patches of one box size into I420 pictures. `mask` (height, width) 0-1, even sides."""

    def __init__(self, mask: Floats) -> None:
        self._luma = np.round(mask * 256).astype(np.int32)
        self._chroma = np.round(halved(mask) * 256).astype(np.int32)

    def __call__(self, picture: Bytes, patch: Bytes, box: Box, strength: float = 1.0) -> None:
        """Blends `patch`, I420 of the box's size, into `picture` in place; `strength` 0-1 of it."""
        share = round(min(max(strength, 0.0), 1.0) * 256)
        height, width = picture.shape[0] * 2 // 3, picture.shape[1]
        h, w = box.height, box.width
        _mix(picture[box.y : box.y + h, box.x : box.x + w], patch[:h], self._luma, share)
        planes = picture[height:].reshape(2, height // 2, width // 2)
        colours = patch[h:].reshape(2, h // 2, w // 2)
        y, x = box.y // 2, box.x // 2
        for plane, colour in zip(planes, colours, strict=True):
            _mix(plane[y : y + h // 2, x : x + w // 2], colour, self._chroma, share)


def _mix(below: Bytes, above: Bytes, mask: NDArray[np.int32], share: int) -> None:
    part = mask if share == 256 else (mask * share) >> 8
    below[:] = below + (((above.astype(np.int32) - below) * part + 128) >> 8)
