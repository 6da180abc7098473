"""Where the lips meet or part in the photo, found more exactly than the landmarks say: what is between them must not stick to either.

In a shut mouth the seam is the darkest line near the landmarks. In a mouth that shows teeth the landmarks of the inner
edges lie a little inside of the opening, so they are moved out of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.portrait import topology as top
from origin.portrait.landmarks import Points

SHUT: Final = 0.06
"""A mouth whose opening is a smaller share of its width is shut."""
_REACH: Final = 0.10
"""How far from the landmarks the seam is looked for, in widths of the mouth."""
_OUT: Final = 0.020
_SAMPLES: Final = 41


def open_share(mesh: Points) -> float:
    """How far the mouth is open, as a share of its width."""
    upper, lower = (mesh[list(rows[3]), :2] for rows in (top.UPPER_ROWS, top.LOWER_ROWS))
    return float(np.linalg.norm(lower - upper, axis=1).max() / np.linalg.norm(upper[-1] - upper[0]))


def refined(picture: Image.Image, mesh: Points) -> Points:
    """The landmarks with the lips' inner edges where the photo (RGB) has them."""
    left, right = (mesh[p, :2].astype(float) for p in top.MOUTH_CORNERS)
    along = right - left
    width = float(np.linalg.norm(along))
    along /= width
    down = np.array([-along[1], along[0]])
    out = mesh.copy()
    if open_share(mesh) >= SHUT:
        for rows, way in ((top.UPPER_ROWS, -1.0), (top.LOWER_ROWS, 1.5)):
            for column, point in enumerate(rows[3][1:-1], 1):
                ease = min(1.0, column / 3, (10 - column) / 3)
                out[point, :2] += down * (way * _OUT * width * ease)
        for point, way in zip(top.MOUTH_CORNERS, (-1.0, 1.0), strict=True):
            out[point, :2] += along * (way * 1.5 * _OUT * width)
        return out
    columns = np.array(
        [(mesh[u, :2] + mesh[w, :2]) / 2 for u, w in zip(top.UPPER_ROWS[3], top.LOWER_ROWS[3], strict=True)]
    )
    offsets = np.linspace(-_REACH, _REACH, _SAMPLES) * width
    seam = _seam(_luma(picture, columns[:, None] + offsets[None, :, None] * down), offsets)
    for rows in (top.UPPER_ROWS, top.LOWER_ROWS):
        for depth, share in ((3, 1.0), (2, 0.7), (1, 0.35)):
            for column, point in enumerate(rows[depth]):
                wanted = columns[column] + seam[column] * down
                own = float((mesh[rows[3][column], :2] - wanted) @ down)
                out[point, :2] -= down * (own * share)
    return out


def _seam(luma: NDArray[np.float64], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smooth line of least light (11,) through profiles across the lips (11, n): a parabola, weighted by how dark it is there."""
    span = float(offsets[-1])
    cost = luma - luma.mean(1, keepdims=True) + 22.0 * np.abs(offsets / span) ** 2
    best = offsets[cost.argmin(1)]
    weight = np.clip(luma.mean(1) - luma.min(1), 1.0, None)
    at = np.linspace(-1, 1, len(best))
    terms = np.stack([np.ones_like(at), at, at**2, at**4], 1)
    for _ in range(3):
        fit = np.linalg.lstsq(terms * weight[:, None], best * weight, rcond=None)[0]
        line = terms @ fit
        weight = weight / (1 + (np.abs(best - line) / (0.15 * span)) ** 2)
    return np.asarray(np.clip(line, -span, span))


def _luma(picture: Image.Image, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luma 0-255 at places (..., 2), a mean over a few pixels."""
    low = np.floor(places.reshape(-1, 2).min(0)).astype(int) - 3
    high = np.ceil(places.reshape(-1, 2).max(0)).astype(int) + 4
    grey = np.asarray(picture.crop((*low.tolist(), *high.tolist())).convert("L"), float)
    padded = np.pad(grey, 1, "edge")
    parts = [padded[y : y + grey.shape[0], x : x + grey.shape[1]] for y in range(3) for x in range(3)]
    soft = np.mean(parts, 0)
    at = np.clip((places - low).astype(int), 0, np.array(grey.shape[::-1]) - 1)
    return np.asarray(soft[at[..., 1], at[..., 0]])
