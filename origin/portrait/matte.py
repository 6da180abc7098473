"""The matte of a photo: how much of each pixel the person covers, hair by hair where the photo shows it.

A net says where about the person is, once in the whole photo and once more finely round the head. Where it is sure that is taken; between,
in a band along the outline, the photo's own colours decide: closed-form matting (Levin, Lischinski, Weiss 2008: in each 3x3 window the
matte is a linear function of the colours), solved by conjugate gradients. Made once, with the package, never live.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.background import Matte
from origin.portrait import topology as top
from origin.portrait.landmarks import Points, person

Floats = NDArray[np.float32]
Progress = Callable[[float], None]
"""Told how far it is, 0-1."""

WORKING_TALL: Final = 260.0
"""Pixels from chin to forehead at which the equations are solved; larger photos take the result over by their own colours."""
HEAD_SIDE: Final = 3.0
"""Of the square round the head that the net sees a second time, in face heights."""
HAIR_BAND: Final = 0.055
BODY_BAND: Final = 0.03
"""Half the width of the band in which colours decide, in face heights."""
_LEAST_BAND: Final = 3
_SURE: Final = 0.5
_COLOUR_NOISE: Final = 2e-5
"""Levin's epsilon: colours of 0-1 that differ by less than its root are one colour."""
_NOISE: Final = 0.04
"""What is found below this, and above one less it, is taken for noise."""
_DOUBT: Final = 2e-3
"""How much the net's own answer counts in the band: enough where colours say nothing."""
_STEPS: Final = 160
_ENOUGH: Final = 1e-3
_LEAST_SHARE, _MOST_SHARE = 0.02, 0.97
"""Of the photo that is person: else it was not found."""
_CELLS: Final = 200
"""Longer side of the picture in which the parts that belong together are looked for."""


def matte_of(picture: Image.Image, mesh: Points, progress: Progress = lambda _share: None) -> Matte | None:
    """The matte (height, width) of the person whose face `mesh` is in an RGB picture; a few seconds. None where none was found."""
    tall = float(np.linalg.norm(mesh[top.CHIN, :2] - mesh[top.FOREHEAD, :2]))
    scale = min(1.0, WORKING_TALL / tall)
    size = (max(3, round(picture.width * scale)), max(3, round(picture.height * scale)))
    small = picture if scale == 1.0 else picture.resize(size, Image.Resampling.BOX)
    points = (mesh[:, :2] * (np.array(small.size) / picture.size)).astype(np.float32)
    tall *= scale
    guess = connected(_guessed(small, points, tall), points[list(top.OUTLINE)].mean(0))
    progress(0.1)
    if not (_LEAST_SHARE < guess.mean() < _MOST_SHARE) or not _holds(guess, points):
        return None
    unknown = _band(guess, points, tall)
    colours = np.asarray(small, np.float32) / np.float32(255)
    solved = solve(colours, guess, unknown, lambda share: progress(0.1 + 0.8 * share))
    solved = np.clip((solved - _NOISE) / (1 - 2 * _NOISE), 0.0, 1.0)
    if scale < 1.0:
        solved = enlarged(solved, colours, picture)
    progress(1.0)
    return np.round(solved * 255).astype(np.uint8)


def _guessed(picture: Image.Image, points: Floats, tall: float) -> Floats:
    """What the net says, 0-1: finer round the head, softly joined."""
    whole = person(picture, (0.0, 0.0, float(picture.width), float(picture.height)))
    x, y = points[list(top.OUTLINE)].mean(0)
    side = min(HEAD_SIDE * tall, float(picture.width), float(picture.height))
    left = float(np.clip(x - side / 2, 0, picture.width - side))
    upper = float(np.clip(y - 0.52 * side, 0, picture.height - side))
    near = person(picture, (left, upper, left + side, upper + side))
    rows, columns = np.mgrid[: picture.height, : picture.width].astype(np.float32) + np.float32(0.5)
    # an edge of the square that is the photo's own needs no join
    reach = np.full(rows.shape, np.inf, np.float32)
    for away, own in (
        (columns - left, left <= 0),
        (left + side - columns, left + side >= picture.width),
        (rows - upper, upper <= 0),
        (upper + side - rows, upper + side >= picture.height),
    ):
        reach = np.minimum(reach, np.where(own & (away >= 0), np.inf, away))
    share = np.clip(reach / (0.15 * side), 0, 1)
    return np.asarray(whole + (near - whole) * share, np.float32)


def connected(guess: Floats, at: NDArray[np.floating]) -> Floats:
    """The guess without what hangs together neither with the face, which is at `at`, nor, of the background, with the outside."""
    height, width = guess.shape
    shrink = min(1.0, _CELLS / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    cells = np.asarray(Image.fromarray(guess).resize(size, Image.Resampling.BOX)) > _SURE
    seed = np.zeros_like(cells)
    x, y = np.clip(np.asarray(at) * [size[0] / width, size[1] / height], 0, np.array(size) - 1).astype(int)
    seed[y, x] = True
    body = _reached(cells | seed, seed)
    border = np.ones_like(body)
    border[1:-1, 1:-1] = False
    holes = ~_reached(~body, border & ~body)
    allowed = _wide(np.asarray(Image.fromarray(body | holes).resize((width, height))), round(2 / shrink))
    filled = np.asarray(Image.fromarray(holes & ~_wide(~holes, 1)).resize((width, height)))
    return np.asarray(np.where(filled, 1.0, np.where(allowed, guess, 0.0)), np.float32)


def _reached(cells: NDArray[np.bool_], seed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of the cells that hang together with the seed."""
    while True:
        grown = _wide(seed, 1) & cells
        if (grown == seed).all():
            return seed
        seed = grown


def _wide(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The mask and all within `reach` (a square) of it."""
    return np.asarray(means(mask.astype(np.float32), reach) > 0.5 / (2 * reach + 1) ** 2)


def means(values: NDArray[np.float32], reach: int) -> Floats:
    """Means over squares of 2 * reach + 1, edges repeated."""
    for axis in (0, 1):
        pad = [(reach + 1, reach) if a == axis else (0, 0) for a in range(values.ndim)]
        total = np.pad(values, pad, mode="edge").cumsum(axis, dtype=np.float64)
        n = values.shape[axis]
        step = 2 * reach + 1
        ahead, behind = (np.take(total, range(k, k + n), axis) for k in (step, 0))
        values = ((ahead - behind) / step).astype(np.float32)
    return values


def _holds(guess: Floats, points: Floats) -> bool:
    """Whether the person that was found has this face."""
    inner = points[[4, 50, 280, 9, 152]]
    x, y = (np.clip(inner[:, k].astype(int), 0, guess.shape[1 - k] - 1) for k in (0, 1))
    return bool((guess[y, x] > _SURE).mean() >= 0.8)


def _band(guess: Floats, points: Floats, tall: float) -> NDArray[np.bool_]:
    """Where colours decide: along the outline, wider at hair, and never inside the face."""
    solid = guess > _SURE
    unknown = np.zeros_like(solid)
    chin = int(points[top.CHIN, 1])
    rows = np.arange(len(guess))[:, None]
    for share, here in ((HAIR_BAND, rows < chin), (BODY_BAND, rows >= chin)):
        reach = max(_LEAST_BAND, round(share * tall))
        unknown |= here & _wide(solid, reach) & _wide(~solid, reach)
    middle = points[list(top.OUTLINE)].mean(0)
    x, y = np.mgrid[: guess.shape[1], : guess.shape[0]].astype(np.float32).transpose(0, 2, 1)
    face = ((x - middle[0]) / (0.33 * tall)) ** 2 + ((y - middle[1]) / (0.46 * tall)) ** 2 < 1
    return np.asarray(unknown & ~face)


def solve(
    colours: Floats, guess: Floats, unknown: NDArray[np.bool_], progress: Progress = lambda _share: None
) -> Floats:
    """The matte (height, width) of a picture (height, width, 3; 0-1) that is 1 or 0 where it is known, as the guess says."""
    width = guess.shape[1]
    result = (guess > _SURE).astype(np.float32)
    touched = _wide(unknown, 1)
    touched[[0, -1]] = touched[:, [0, -1]] = False
    if not touched.any():
        return result
    middle = np.flatnonzero(touched)
    around = (np.array([-1, 0, 1])[:, None] * width + [-1, 0, 1]).ravel()
    window = (middle[:, None] + around).astype(np.int64)  # (k, 9): pixels of each window
    used, place = np.unique(window, return_inverse=True)
    window = place.reshape(window.shape)
    shades = colours.reshape(-1, 3)[used].astype(np.float32)
    pull = _affinity(shades[window])
    free = unknown.ravel()[used]
    prior = np.clip(guess.ravel()[used], 0.0, 1.0)
    alpha = np.where(free, prior, result.ravel()[used]).astype(np.float64)
    doubt = np.where(free, _DOUBT, 0.0)

    def apply(values: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = np.matmul(pull, values.astype(np.float32)[window][..., None])[..., 0]
        total = np.bincount(window.ravel(), parts.ravel(), len(used))
        return np.asarray(np.where(free, total + doubt * values, 0.0))

    diagonal = np.bincount(window.ravel(), np.einsum("kii->ki", pull).ravel(), len(used)) + doubt
    inverse = np.where(free, 1.0 / np.maximum(diagonal, 1e-6), 0.0)
    left = np.where(free, doubt * prior, 0.0) - apply(alpha)
    toward = inverse * left
    way, size = toward.copy(), float(left @ toward)
    least = _ENOUGH**2 * size
    for step in range(_STEPS):
        if size <= least or size == 0.0:
            break
        pushed = apply(way)
        length = size / float(way @ pushed)
        alpha += length * way
        left -= length * pushed
        toward = inverse * left
        size, before = float(left @ toward), size
        way = toward + size / before * way
        progress(step / _STEPS)
    result.ravel()[used] = np.clip(alpha, 0.0, 1.0)
    return result


def _affinity(shades: Floats) -> Floats:
    """The matting Laplacian's part (k, 9, 9) of each window of colours (k, 9, 3)."""
    own = shades - shades.mean(1, keepdims=True)
    spread = np.matmul(own.transpose(0, 2, 1), own) / 9
    spread[:, range(3), range(3)] += _COLOUR_NOISE / 9
    near = np.matmul(
        own, np.matmul(np.linalg.inv(spread.astype(np.float64)).astype(np.float32), own.transpose(0, 2, 1))
    )
    return np.asarray(np.eye(9, dtype=np.float32) - (1 + near) / 9, np.float32)


def enlarged(matte: Floats, colours: Floats, picture: Image.Image) -> Floats:
    """The matte for the whole picture: a linear function of its colours, near each place (He, Sun, Tang 2010)."""
    means_ = means(colours, 2)
    mean = means(matte, 2)
    both = means(colours * matte[..., None], 2) - means_ * mean[..., None]
    spread = means((colours[..., :, None] * colours[..., None, :]).reshape(*matte.shape, 9), 2).reshape(
        *matte.shape, 3, 3
    )
    spread -= means_[..., :, None] * means_[..., None, :]
    spread[..., range(3), range(3)] += 1e-4
    slope = np.linalg.solve(spread, both[..., None])[..., 0].astype(np.float32)
    offset = mean - (slope * means_).sum(-1)
    whole = np.zeros((picture.height, picture.width), np.float32)
    large = np.asarray(picture, np.float32) / np.float32(255)
    for k in range(3):
        whole += np.asarray(_grown(slope[..., k], picture.size)) * large[..., k]
    whole += np.asarray(_grown(offset, picture.size))
    rough = np.asarray(_grown(matte, picture.size))
    # far from any edge the function would only bring noise
    return np.asarray(
        np.where((rough > 0.002) & (rough < 0.998), np.clip(whole, 0, 1), np.round(rough)), np.float32
    )


def _grown(values: Floats, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(values, np.float32)).resize(size, Image.Resampling.BILINEAR)
