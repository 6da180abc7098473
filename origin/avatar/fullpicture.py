"""The full tier as a picture source: samples resolved, grain added, converted to I420."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from origin.avatar.background import Background, Behind, Colour, Matte
from origin.avatar.full import FullTier
from origin.avatar.person import Avatar, Floats
from origin.avatar.pose import Pose
from origin.avatar.renderer import Box, Picture, Progress


def grain(width: int, height: int) -> Floats:
    """Fixed film grain (height, width) in levels of Y; fixed on purpose, so that an encoder can skip the set."""
    i = np.arange(width * height, dtype=np.uint32) * np.uint32(265443577)
    i = (i ^ (i >> np.uint32(15))) * np.uint32(224682251)
    i = i ^ (i >> np.uint32(13))
    noise = (i & np.uint32(65535)).astype(np.float32) / 65535
    return np.asarray(((noise - 0.5) * 2.6).reshape(height, width), np.float32)


def to_i420(colour: Floats, noise: Floats | None = None) -> Picture:
    """Display colours (h, w, 3) 0-1 to I420, BT.601 limited range."""
    height, width, _ = colour.shape
    rgb = np.clip(colour * 255, 0, 255)
    y = 16 + rgb @ np.array([0.256788, 0.504129, 0.097906], np.float32)
    if noise is not None:
        y = np.clip(y + noise, 16, 235)
    small = rgb.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    u = 128 + small @ np.array([-0.148223, -0.290993, 0.439216], np.float32)
    v = 128 + small @ np.array([0.439216, -0.367788, -0.071427], np.float32)
    out = np.empty((height * 3 // 2, width), np.uint8)
    out[:height] = np.round(y)
    out[height:].reshape(-1)[: height * width // 4] = np.round(u).ravel()
    out[height:].reshape(-1)[height * width // 4 :] = np.round(v).ravel()
    return out


def to_rgb(picture: Picture) -> NDArray[np.uint8]:
    """I420 (BT.601, limited range) to RGB (h, w, 3)."""
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    y = (picture[:height].astype(np.float32) - 16) * 1.164383
    chroma = picture[height:].reshape(2, height // 2, width // 2).astype(np.float32) - 128
    u, v = (np.repeat(np.repeat(c, 2, 0), 2, 1) for c in chroma)
    rgb = np.stack([y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v, y + 2.017232 * u], 2)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


class FullPicture:
    """Renders everything anew each frame; meant for GPUs and as the reference of the light tier."""

    def __init__(
        self, avatar: Avatar, width: int, height: int, background: Background = Behind.SET, samples: int = 2
    ) -> None:
        self._background = background
        self.matte: Matte | None = (
            np.zeros((height, width), np.uint8) if background is Behind.NOTHING else None
        )
        self._full = FullTier(avatar, width, height, samples)
        self._grain = grain(width, height)
        self.head_box = Box(0, 0, width, height)

    def warm(self, progress: Progress) -> None:
        progress("Compiling the renderer", 0.0)
        self._full.picture(Pose())
        progress("Compiling the renderer", 1.0)

    def cut(self) -> None:
        """Every picture stands alone here."""

    def pass_over(self, pose: Pose) -> None:
        """Nor does one follow another."""

    def anew(self) -> None:
        """Each one is drawn anew."""

    def render(self, pose: Pose) -> Picture:
        if self._background is not Behind.SET:
            colour, cover = self._full.cutout(pose)
            if isinstance(self._background, Colour):
                colour = colour + (1 - cover[..., None]) * self._background.values
            if self.matte is not None:
                self.matte[:] = np.round(cover * 255)
            return to_i420(colour, self._grain)
        return to_i420(self._full.picture(pose), self._grain)
