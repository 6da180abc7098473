"""Framing: which part of the photo a picture shows, and the photo at that size. A face is as large as the shipped people's.

Where the photo has less beside the head than the picture is wide, its outermost columns go on to the sides, blurred and softly joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from origin.portrait import topology as top
from origin.portrait.landmarks import EYE_CORNERS, Points

FACE_SHARE: Final = 0.46
"""Of the picture's height, from the chin to the upper end of the mesh."""
FACE_SHARE_MOST: Final = 0.60
"""Of it where the photo shows no more; then the sides are filled."""
FACE_WIDE_MOST: Final = 0.60
"""Of the picture's width, in pictures that are taller than wide."""
EYES_AT: Final = 0.43
"""How far down the eyes are."""
_SOFT: Final = 0.07
"""Of the picture's width, in which the photo goes over into its sides."""
_STRIP: Final = 0.06
"""Of the photo's width, that is taken as its edge."""
_BLUR: Final = 0.04
"""Of the picture's height."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the photo (left, top, width, height in its pixels) that a picture of width x height shows."""

    left: float
    top: float
    step: float
    """Pixels of the photo a pixel of the picture."""
    width: int
    height: int

    def points(self, points: Points) -> Points:
        """Landmarks of the photo as landmarks of the picture."""
        moved = (points - [self.left, self.top, 0.0]) / self.step
        return np.asarray(moved, np.float32)


def frame(mesh: Points, photo: tuple[int, int], width: int, height: int) -> Frame:
    """The framing of a face in a photo of that size (width, height)."""
    eyes = np.mean([mesh[list(pair), :2].mean(0) for pair in EYE_CORNERS], 0)
    tall = float(np.linalg.norm(mesh[top.CHIN, :2] - mesh[top.FOREHEAD, :2]))
    wide = float(np.ptp(mesh[:, 0]))
    step = max(tall / FACE_SHARE / height, wide / FACE_WIDE_MOST / width)
    fits = min(photo[0] / width, photo[1] / height)
    least = max(tall / FACE_SHARE_MOST / height, wide / FACE_WIDE_MOST / width)
    step = max(min(step, fits), min(least, photo[1] / height))
    left = eyes[0] - step * width / 2
    if photo[0] >= step * width:
        left = min(max(left, 0.0), photo[0] - step * width)
    upper = min(max(eyes[1] - EYES_AT * step * height, 0.0), max(photo[1] - step * height, 0.0))
    return Frame(float(left), float(upper), float(step), width, height)


def framed(photo: Image.Image, view: Frame, scale: int = 1) -> Image.Image:
    """What a frame shows of an RGB photo, `scale` times as large as the picture."""
    size = (view.width * scale, view.height * scale)
    shown, left, upper = _shown(photo, view, scale)
    if shown.size == size:
        return shown
    behind = _sides(shown, size, left, upper)
    behind.paste(shown, (left, upper), _joins(shown.size, left, size[0]))
    return behind


def covered(matte: Image.Image, view: Frame, scale: int = 1) -> NDArray[np.float32]:
    """What a frame shows of a photo's matte (mode L), 0-1; softly none where the photo ends."""
    size = (view.width * scale, view.height * scale)
    shown, left, upper = _shown(matte, view, scale)
    whole = Image.new("L", size)
    whole.paste(shown, (left, upper))
    cover = np.asarray(whole, np.float32) / np.float32(255)
    if shown.size != size:
        joins = Image.new("L", size)
        joins.paste(_joins(shown.size, left, size[0]), (left, upper))
        cover = cover * (np.asarray(joins, np.float32) / np.float32(255))
    return cover


def _shown(photo: Image.Image, view: Frame, scale: int) -> tuple[Image.Image, int, int]:
    """The part of the photo that a frame has, and where in the frame's picture it lies."""
    box = (view.left, view.top, view.left + view.step * view.width, view.top + view.step * view.height)
    inside = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], photo.width), min(box[3], photo.height))
    left, upper, right, lower = (
        round((v - o) / view.step * scale)
        for v, o in zip(inside, (box[0], box[1], box[0], box[1]), strict=True)
    )
    return photo.resize((right - left, lower - upper), Image.Resampling.LANCZOS, inside), left, upper


def _joins(shown: tuple[int, int], left: int, whole: int) -> Image.Image:
    """How much of each pixel of the shown photo is to be seen, where a picture of width `whole` goes on beside it."""
    soft = max(1, round(_SOFT * whole))
    x = np.arange(shown[0], dtype=np.float32)
    ramp = np.ones_like(x)
    if left > 0:
        ramp = np.minimum(ramp, x / soft)
    if left + shown[0] < whole:
        ramp = np.minimum(ramp, (shown[0] - 1 - x) / soft)
    eased = np.clip(ramp, 0, 1) ** 2 * (3 - 2 * np.clip(ramp, 0, 1))
    mask = np.broadcast_to((eased * 255).astype(np.uint8), (shown[1], shown[0]))
    return Image.fromarray(np.ascontiguousarray(mask))


def _sides(shown: Image.Image, size: tuple[int, int], left: int, upper: int) -> Image.Image:
    """A picture of that size, left and right of the middle as the edges of `shown` are, which lies at (left, upper) in it."""
    strip = max(1, round(_STRIP * shown.width))
    sides = Image.new("RGB", size)
    for x, edge in ((0, 0), (size[0] // 2, shown.width - strip)):
        column = shown.crop((edge, 0, edge + strip, shown.height)).resize(
            (1, shown.height), Image.Resampling.BOX
        )
        whole = Image.new("RGB", (1, size[1]), column.getpixel((0, shown.height - 1)))
        whole.paste(column, (0, upper))
        sides.paste(whole.resize((size[0] - size[0] // 2, size[1])), (x, 0))
    return sides.filter(ImageFilter.GaussianBlur(_BLUR * size[1]))
