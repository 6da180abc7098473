"""What is behind a person: the set, one colour, or nothing (a matte beside the picture)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matte = NDArray[np.uint8]
"""How much of each pixel the person covers, (height, width), 0-255."""


class Behind(Enum):
    SET = "keep"
    NOTHING = "transparent"


@dataclass(frozen=True, slots=True)
class Colour:
    """A plain colour behind the person, sRGB, each 0-255."""

    red: int
    green: int
    blue: int

    @property
    def values(self) -> NDArray[np.float32]:
        """As display values, 0-1."""
        return np.array([self.red, self.green, self.blue], np.float32) / np.float32(255)


Background = Behind | Colour
_HEX: Final = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def parse(text: str) -> Background:
    """`keep`, `transparent` or `#RRGGBB`. Raises ValueError for anything else."""
    if found := _HEX.fullmatch(text):
        return Colour(*(int(part, 16) for part in found.groups()))
    try:
        return Behind(text)
    except ValueError:
        raise ValueError(f"no background {text!r}: say keep, transparent, or a colour as #RRGGBB") from None


def unmultiplied(picture: NDArray[np.uint8], matte: Matte) -> NDArray[np.uint8]:
    """An I420 picture over black as the colours of the person alone ("straight alpha"): what video files with alpha hold.

    Where the matte is empty the result is black.
    """
    height, width = matte.shape
    out = np.empty_like(picture)
    share = np.maximum(matte, 1).astype(np.float32) / 255
    luma = (picture[:height].astype(np.float32) - 16) / share + 16
    out[:height] = np.where(matte > 0, np.clip(np.round(luma), 16, 235), 16)
    small = matte.reshape(height // 2, 2, width // 2, 2).astype(np.float32).mean((1, 3)) / 255
    chroma = picture[height:].reshape(2, height // 2, width // 2).astype(np.float32) - 128
    whole = np.clip(np.round(chroma / np.maximum(small, 1 / 255) + 128), 16, 240)
    out[height:] = np.where(small > 0, whole, 128).astype(np.uint8).reshape(height // 2, width)
    return out
