"""Eyes of a photo, made ready to look about and to blink: lids as curves, the iris and what is behind it as pictures.

An eye has coordinates of its own: s from its left corner (0) to its right one (1) in the picture, t down from the line between
them, both in widths of the eye. At rest with the gaze straight the result is the photo itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.portrait import topology as top
from origin.portrait.landmarks import Points

Floats = NDArray[np.float32]

CURVE: Final = 33
"""Samples of a lid's curve from s = 0 to 1."""
ABOVE: Final = 0.62
BELOW: Final = 0.40
BESIDE: Final = 0.06
"""How far the eye's part of the picture reaches beyond it, in its widths."""
MEET: Final = 0.82
"""Where lids meet, from the upper (0) to the lower one (1)."""
OUT_ABOVE: Final = 0.015
OUT_BELOW: Final = 0.050
OUT_BESIDE: Final = 0.09
"""How far the lids' edges and the corners are moved out of the opening, in its widths."""
RIM: Final = 1.10
"""The iris with its soft rim, in radii."""


@dataclass(frozen=True, slots=True)
class Eye:
    """One eye in a texture of float colours (h, w, 3).

    origin and axes (2, 2): texture pixel = origin + s * axes[0] + t * axes[1]. upper, lower, brow: curves of t.
    iris: centre s, t and radius. `ball` and `disc` are (h, w, 3) parts of the texture from pixel `corner` (x, y) on: the eyeball
    without its iris, and the whole iris.
    """

    origin: Floats
    axes: Floats
    upper: Floats
    lower: Floats
    brow: Floats
    iris: tuple[float, float, float]
    corner: tuple[int, int]
    ball: Floats
    disc: Floats


def open_share(mesh: Points, side: int) -> float:
    """How far an eye is open, as a share of its width."""
    upper, lower = mesh[list(top.UPPER_LIDS[side]), :2], mesh[list(top.LOWER_LIDS[side]), :2]
    width = float(np.linalg.norm(upper[-1] - upper[0]))
    return float(np.linalg.norm(lower[2:-2].mean(0) - upper[2:-2].mean(0))) / max(width, 1e-6)


def prepare(texture: Floats, mesh: Points, iris: Floats, side: int) -> Eye:
    """The eye `side` (0: at the picture's left) of a texture in which landmarks and iris (5, 2) are given."""
    lids = mesh[list(top.UPPER_LIDS[side]), :2], mesh[list(top.LOWER_LIDS[side]), :2]
    a, b = lids[0][0], lids[0][-1]
    a, b = a - OUT_BESIDE * (b - a), b + OUT_BESIDE * (b - a)
    along = (b - a).astype(np.float32)
    axes = np.stack([along, np.array([-along[1], along[0]], np.float32)])
    inverse = np.linalg.inv(axes.astype(float))

    def curve(points: NDArray[np.float32]) -> Floats:
        st = (np.concatenate([[a], points, [b]]) - a) @ inverse
        order = np.argsort(st[:, 0])
        at = np.linspace(0, 1, CURVE)
        return np.asarray(np.interp(at, st[order, 0], st[order, 1]), np.float32)

    upper, lower = (smoothed(curve(lid)) for lid in lids)
    # landmarks lie a little inside of the opening; what is white must not stay below a lid that closes
    bulge = np.sqrt(np.sin(np.linspace(0, np.pi, CURVE)).clip(0)).astype(np.float32)
    lower = np.maximum(lower + OUT_BELOW * bulge, upper)
    upper = upper - OUT_ABOVE * bulge
    brow = np.minimum(curve(mesh[list(top.BROWS[side]), :2]) * 0.72, upper - 0.12).astype(np.float32)
    brow = np.maximum(brow, -ABOVE)
    centre = (iris[0] - a) @ inverse
    edge = np.linalg.norm(iris[1:] - iris[0], axis=1)
    radius = float(np.median(edge) / np.linalg.norm(along))
    corner, ball, disc = _pictures(texture, a, axes, inverse, upper, lower, (*centre, radius))
    return Eye(
        a.astype(np.float32),
        axes,
        upper,
        lower,
        brow,
        (float(centre[0]), float(centre[1]), radius),
        corner,
        ball,
        disc,
    )


def smoothed(values: Floats) -> Floats:
    """A curve without the corners of its polygon; its ends stay."""
    kernel = np.hanning(9)[1:-1]
    padded = np.concatenate([2 * values[0] - values[3:0:-1], values, 2 * values[-1] - values[-2:-5:-1]])
    out = np.convolve(padded, kernel / kernel.sum(), "valid").astype(np.float32)
    out[0], out[-1] = values[0], values[-1]
    return out


def _pictures(
    texture: Floats,
    a: NDArray[np.float32],
    axes: Floats,
    inverse: NDArray[np.float64],
    upper: Floats,
    lower: Floats,
    iris: tuple[float, float, float],
) -> tuple[tuple[int, int], Floats, Floats]:
    """The eyeball without its iris, and the whole iris; both as parts of the texture."""
    width = float(np.linalg.norm(axes[0]))
    centre = a + iris[0] * axes[0] + iris[1] * axes[1]
    reach = 0.75 * width
    x0, y0 = (int(max(v - reach, 0)) for v in a + axes[0] * 0.5)
    x1, y1 = (int(v + reach) for v in a + axes[0] * 0.5)
    part = texture[y0:y1, x0:x1].copy()
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]].astype(np.float32)
    st = np.stack([x - a[0], y - a[1]], 2) @ inverse
    s, t = st[..., 0], st[..., 1]
    at = np.linspace(0, 1, CURVE)
    up, low = np.interp(s, at, upper), np.interp(s, at, lower)
    radius = iris[2] * width
    away = np.hypot(x - centre[0], y - centre[1]) / radius
    lid = 0.035
    seen = (s > 0.03) & (s < 0.97) & (t > up + lid) & (t < low - lid)
    ball = _filled(part, seen & (away > RIM + 0.08), (s > -0.1) & (s < 1.1) & (away <= RIM + 0.08))
    disc = part.copy()
    known = seen & (away <= RIM)
    if known.any():
        rings = np.clip((away * 12).astype(int), 0, 14)
        for ring in range(15):
            mine = rings == ring
            have = mine & known
            near = have if have.any() else known & (np.abs(rings - ring) <= 3)
            if near.any():
                disc[mine & ~known] = np.median(part[near], 0)
    return (x0, y0), ball, disc


def _filled(part: Floats, known: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> Floats:
    """Fills what is wanted from what is known in the same rows, from both sides; rows without any take those near them."""
    out = part.copy()
    rows: list[int] = []
    for y in range(part.shape[0]):
        want = np.flatnonzero(wanted[y])
        have = np.flatnonzero(known[y])
        if len(want) == 0 or len(have) < 3:
            continue
        rows.append(y)
        left, right = have[have < want[0]], have[have > want[-1]]
        ends = [part[y, side].mean(0) for side in (left[-4:], right[:4]) if len(side)]
        if not ends:
            continue
        mix = np.linspace(0, 1, len(want))[:, None] if len(ends) == 2 else np.zeros((len(want), 1))
        out[y, want] = ends[0] * (1 - mix) + ends[-1] * mix
    if rows:
        for y in range(part.shape[0]):
            if y not in rows:
                nearest = rows[int(np.argmin(np.abs(np.array(rows) - y)))]
                out[y, wanted[y]] = out[nearest, wanted[y]]
    # rows differ by noise: a soft vertical mean over what was filled
    kernel = np.hanning(7)[1:-1]
    soft = np.apply_along_axis(lambda v: np.convolve(v, kernel / kernel.sum(), "same"), 0, out)
    out[wanted] = soft[wanted]
    return out
