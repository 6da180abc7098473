"""Sets: what is behind the person, blurred as by a fast lens. Linear light, with the lamps that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.bake.noise import Array
from origin.avatar.bake.sources import Sources

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


class Backdrop(Protocol):
    """A set."""

    def picture(self, sources: Sources) -> NDArray[np.float32]:
        """Linear light (480, 854, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class PanoramaCrop:
    """A crop of a CC0 panorama: `corner` and `span` are parts of its width and height; lamps become discs."""

    name: str
    corner: tuple[float, float]
    span: float
    gain: float
    tint: tuple[float, float, float]
    radius: int = 7
    discs: int = 26

    def picture(self, sources: Sources) -> NDArray[np.float32]:
        """The crop, out of focus."""
        panorama = sources.panorama(self.name)
        height, width, _ = panorama.shape
        crop_width = int(self.span * width)
        crop_height = int(crop_width * HEIGHT / WIDTH)
        x0, y0 = int(self.corner[0] * width), int(self.corner[1] * height)
        crop = np.roll(panorama, -x0, 1)[y0 : y0 + crop_height, :crop_width].astype(float)
        planes = [
            np.asarray(
                Image.fromarray(np.minimum(crop[..., k], 3).astype(np.float32)).resize(
                    (WIDTH, HEIGHT), Image.Resampling.BICUBIC
                )
            )
            for k in range(3)
        ]
        picture = blur(np.maximum(np.dstack(planes).astype(float), 0), self.radius)
        luminance = crop.mean(2)
        rng = np.random.default_rng(2)
        drawn = 0
        for i in np.argsort(-luminance.ravel())[:400]:
            if drawn >= self.discs or luminance.ravel()[i] < 1.6:
                break
            if rng.uniform() < 0.25:
                y, x = divmod(int(i), crop_width)
                at = (x + rng.uniform()) * WIDTH / crop_width, (y + rng.uniform()) * HEIGHT / crop_height
                disc(picture, *at, 11 * rng.uniform(0.8, 1.2), np.minimum(crop[y, x], 5) * 0.10)
                drawn += 1
        return np.asarray(picture * self.gain * np.array(self.tint), np.float32)


@dataclass(frozen=True, slots=True)
class Studio:
    """A paper sweep with a soft light on it."""

    base: tuple[float, float, float] = (0.050, 0.060, 0.075)
    glow: tuple[float, float, float] = (0.16, 0.185, 0.22)

    def picture(self, sources: Sources) -> NDArray[np.float32]:
        """The sweep; needs no sources."""
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
        light = np.exp(-(((x - 0.42) / 0.5) ** 2 + ((y - 0.42) / 0.62) ** 2))[..., None]
        return np.asarray(np.array(self.base) + light * np.array(self.glow), np.float32)


LAMPS = ((1.0, 0.62, 0.28), (0.95, 0.80, 0.60), (0.45, 0.65, 1.0), (1.0, 0.35, 0.22))
"""Colours of a city's lights, the commonest first."""


@dataclass(frozen=True, slots=True)
class Evening:
    """An office after dark: a glass wall with the lights of a city behind it, a warm corner."""

    lights: int = 70
    seed: int = 7

    def picture(self, sources: Sources) -> NDArray[np.float32]:
        """The office; needs no sources."""
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
        y, x = y[..., None], x[..., None]
        picture = np.array([0.030, 0.040, 0.060]) * (1 - y) + np.array([0.020, 0.018, 0.018]) * y
        for pane in range(7):
            left = pane * 0.165 - 0.06
            glass = (x > left) & (x < left + 0.145) & (y > 0.06) & (y < 0.66)
            picture = picture + glass * (np.array([0.035, 0.055, 0.10]) * (1 - 0.5 * y) + 0.012)
        corner = (x > 0.60) & (x < 0.98) & (y > 0.02) & (y < 0.9)
        glow = 0.6 + 0.6 * np.exp(-((x - 0.82) ** 2 + (y - 0.25) ** 2) / 0.03)
        picture = picture + corner * np.array([0.075, 0.052, 0.036]) * glow
        picture = blur(picture + (y > 0.72) * np.array([0.030, 0.022, 0.016]), 9)
        for _ in range(self.lights):
            colour = np.array(LAMPS[rng.choice(len(LAMPS), p=[0.45, 0.25, 0.2, 0.1])])
            at = rng.uniform(0, WIDTH), rng.normal(0.42, 0.12) * HEIGHT
            disc(picture, *at, rng.uniform(7, 19), colour * rng.uniform(0.02, 0.11))
        for lamp in range(4):
            at = (0.66 + 0.09 * lamp) * WIDTH, 0.13 * HEIGHT + lamp * 4
            disc(picture, *at, 24, np.array([1.0, 0.72, 0.42]) * 0.20)
        return np.asarray(blur(picture, 1), np.float32)
