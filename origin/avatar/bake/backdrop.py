"""Sets: what is behind the person, blurred as by a fast lens. Linear light, with the lamps that go with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.bake.noise import Array

WIDTH, HEIGHT = 854, 480


def blur(picture: Array, radius: int) -> Array:
    """Three box blurs: close to a Gaussian."""
    for _ in range(3):
        for axis in (0, 1):
            pad = [(radius + 1, radius) if k == axis else (0, 0) for k in range(3)]
            total = np.pad(picture, pad, mode="edge").cumsum(axis)
            n = picture.shape[axis]
            ends = np.take(total, range(2 * radius + 1, 2 * radius + 1 + n), axis)
            picture = (ends - np.take(total, range(n), axis)) / (2 * radius + 1)
    return picture


def disc(picture: Array, x: float, y: float, radius: float, colour: Array) -> None:
    """A bokeh disc with a brighter rim."""
    height, width, _ = picture.shape
    x0, x1 = int(max(0, x - radius - 2)), int(min(width, x + radius + 3))
    y0, y1 = int(max(0, y - radius - 2)), int(min(height, y + radius + 3))
    if x1 <= x0 or y1 <= y0:
        return
    yy, xx = np.mgrid[y0:y1, x0:x1]
    d = np.hypot(xx - x, yy - y)
    mask = np.clip(radius - d + 0.5, 0, 1) * (1 + 0.25 * np.clip((d - radius * 0.75) / (radius * 0.25), 0, 1))
    picture[y0:y1, x0:x1] += mask[..., None] * colour


def from_panorama(
    panorama: NDArray[np.float32],
    corner: tuple[float, float],
    span: float,
    gain: float,
    tint: tuple[float, float, float],
    radius: int = 7,
    discs: int = 26,
) -> NDArray[np.float32]:
    """A crop of a panorama (480, 854, 3): `corner` and `span` are parts of its width and height; lamps become discs."""
    height, width, _ = panorama.shape
    crop_width = int(span * width)
    crop_height = int(crop_width * HEIGHT / WIDTH)
    x0, y0 = int(corner[0] * width), int(corner[1] * height)
    crop = np.roll(panorama, -x0, 1)[y0 : y0 + crop_height, :crop_width].astype(float)
    planes = [
        np.asarray(
            Image.fromarray(np.minimum(crop[..., k], 3).astype(np.float32)).resize(
                (WIDTH, HEIGHT), Image.Resampling.BICUBIC
            )
        )
        for k in range(3)
    ]
    picture = blur(np.maximum(np.dstack(planes).astype(float), 0), radius)
    luminance = crop.mean(2)
    rng = np.random.default_rng(2)
    drawn = 0
    for i in np.argsort(-luminance.ravel())[:400]:
        if drawn >= discs or luminance.ravel()[i] < 1.6:
            break
        if rng.uniform() < 0.25:
            y, x = divmod(int(i), crop_width)
            at = (x + rng.uniform()) * WIDTH / crop_width, (y + rng.uniform()) * HEIGHT / crop_height
            disc(picture, *at, 11 * rng.uniform(0.8, 1.2), np.minimum(crop[y, x], 5) * 0.10)
            drawn += 1
    return np.asarray(picture * gain * np.array(tint), np.float32)
