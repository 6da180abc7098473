"""The head as hair sees it: where roots are, how guides grow over it, and what becomes of them when they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from origin.avatar.bake.mesh import Index, Landmarks
from origin.avatar.bake.noise import Array
from origin.avatar.bake.surface import Surface
from origin.avatar.person import HairGuides

Flow = Callable[[Array, Array, Array | None], Array]
"""Directions (n, 3) at points with outward normals, given the directions of the step before."""
Mask = Callable[[Array], Array]
Lift = Callable[[Array, float], Array]
"""How much of each step (n,) goes away from the head, at points and a part 0-1 of the guide's length."""

Part = tuple[Array, Array, Array, Array, Array, Array, Array]
"""Columns of HairGuides for some guides."""

EVERYWHERE: Final[Mask] = lambda p: np.ones(len(p), bool)  # noqa: E731  # as a Mask
NOWHERE: Final[Mask] = lambda p: np.zeros(len(p), bool)  # noqa: E731


def unit(a: Array) -> Array:
    """Vectors scaled to length one."""
    return np.asarray(a / (np.linalg.norm(a, axis=-1, keepdims=True) + 1e-9))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of guides. Lengths in decimetres; `clumps` are the atlas variants to choose from."""

    count: int
    edge: float  # roots start this far above the hairline
    offset: tuple[float, float]  # distance from the scalp
    width: float
    clumps: Sequence[int]
    occlusion: float
    jitter: float = 0.0
    twist: float = 0.0
    end: float = 0.0  # added to the height at which guides are cut
    band: float | None = None  # roots only this far from the hairline
    parting: float | None = None  # roots only this near to the parting
    length: float = 1.0  # times the style's length


class HairStyle(Protocol):
    """A way to wear hair."""

    @property
    def covers_ears(self) -> bool:
        """True where the ears lie under the hair, and are left out of the skin."""
        ...

    @property
    def hairline(self) -> tuple[float, ...] | None:
        """Heights above the eyes at Landmarks.hairline_azimuth; None for the usual ones."""
        ...

    def grow(self, scalp: Scalp, seed: int) -> HairGuides:
        """All layers as one set of guides."""
        ...


class Scalp:
    """The head without ears, with a hairline."""

    def __init__(self, points: Array, triangles: Index, marks: Landmarks) -> None:
        self.surface = Surface(points, triangles)
        self.points, self.triangles, self.marks = points, triangles, marks

    def roots(self, count: int, edge: float, band: float | None, rng: np.random.Generator) -> Array:
        """Up to `count` points on the outer skin above the hairline by `edge`, at most `band` above it."""
        k = self.marks
        corners = self.points[self.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        area = area * (k.over_hairline(corners.mean(1)) > edge - 0.15)
        tries = count * (3 if band is None else 14)
        chosen = rng.choice(len(area), tries, p=area / area.sum())
        u = rng.uniform(0, 1, (tries, 2))
        u = np.where(u.sum(1, keepdims=True) > 1, 1 - u, u)
        c = corners[chosen]
        p = c[:, 0] + (c[:, 1] - c[:, 0]) * u[:, :1] + (c[:, 2] - c[:, 0]) * u[:, 1:]
        over = k.over_hairline(p)
        p = p[(over > edge) & (over < (band if band is not None else 9.0))]
        away = p - k.head_centre
        outer = (away * self.surface.nearest(p).normals).sum(1) > 0.2 * np.linalg.norm(away, axis=1)
        ear = (np.abs(p[:, 0]) > 0.70) & (p[:, 1] < k.eye_y + 0.14) & (p[:, 2] > -0.12) & (p[:, 2] < 0.45)
        return np.asarray(p[outer & ~ear][:count])

    def grow(
        self,
        roots: Array,
        flow: Flow,
        segments: int,
        length: Array,
        offset: Array,
        attached: Mask,
        jitter: float,
        rng: np.random.Generator,
        lift: Lift | None = None,
    ) -> tuple[Array, Array]:
        """Points and outward normals (n, segments + 1, 3) of guides that follow the flow over the head."""
        centre = self.marks.head_centre
        normal = unit(unit(roots - centre) * 0.65 + self.surface.nearest(roots).normals * 0.35)
        p = roots + normal * 0.006
        points, normals = [p], [normal]
        previous: Array | None = None
        step = (length / segments)[:, None]
        for k in range(segments):
            direction = flow(p, normals[-1], previous)
            if jitter:
                direction = direction + rng.normal(0, jitter, direction.shape)
            previous = unit(direction)
            p = p + previous * step
            if lift is not None:
                p = p + normals[-1] * lift(p, (k + 1) / segments)[:, None] * step
            near = self.surface.nearest(p)
            out = unit(p - near.points) * np.sign(near.distances)[:, None]
            out = unit(out * 0.5 + unit(p - centre) * 0.5)
            wanted = offset * min(1.0, (k + 1) / segments * 3 + 0.25)
            height = np.where(attached(p), wanted, np.maximum(near.distances, wanted))
            p = np.where((near.distances > 0.5)[:, None], p, near.points + out * height[:, None])
            points.append(p)
            normals.append(out)
        return np.stack(points, 1), np.stack(normals, 1)

    def lifted(self, points: Array, offset: Array) -> Array:
        """Guides (n, m, 3) brought back out of the scalp after smoothing, to `offset` (n,) soon after the root."""
        n, m, _ = points.shape
        near = self.surface.nearest(points.reshape(-1, 3))
        least = np.minimum(offset[:, None], 0.018 + offset[:, None] * np.linspace(0, 4, m)[None])
        short = np.maximum(least.ravel() - near.distances, 0)
        return (points.reshape(-1, 3) + near.normals * short[:, None]).reshape(n, m, 3)


def cut_at(points: Array, normals: Array, height: Array) -> tuple[Array, Array]:
    """Cuts each guide where it first falls below a height (n,) and spreads its points over what is left."""
    n, m, _ = points.shape
    below = points[:, :, 1] < height[:, None]
    k = np.maximum(np.where(below.any(1), below.argmax(1), m - 1), 1)
    i = np.arange(n)
    y0, y1 = points[i, k - 1, 1], points[i, k, 1]
    part = np.where(below.any(1), np.clip((y0 - height) / np.maximum(y0 - y1, 1e-6), 0, 1), 1.0)
    x = (k - 1 + part)[:, None] * np.linspace(0, 1, m)[None]
    a = np.minimum(x.astype(int), m - 2)
    g = (x - a)[..., None]
    row = i[:, None]
    return (
        points[row, a] * (1 - g) + points[row, a + 1] * g,
        unit(normals[row, a] * (1 - g) + normals[row, a + 1] * g),
    )


def dressed(points: Array, normals: Array, layer: Layer, rng: np.random.Generator) -> Part:
    """Guides (n, m, 3) with the widths, clumps, tints and shades of their layer."""
    n, m = len(points), points.shape[1]
    width = layer.width * rng.uniform(0.75, 1.25, (n, 1))
    if layer.twist:
        a = rng.normal(0, layer.twist, n)[:, None, None]
        tangent = unit(np.gradient(points, axis=1))
        normals = unit(normals * np.cos(a) + np.cross(tangent, normals) * np.sin(a))
    along = np.linspace(0, 1, m)
    occlusion = np.interp(along, [0, 0.3, 1], [0.55, 0.85, 1.0])[None] * np.full((n, 1), layer.occlusion)
    return (
        points,
        normals,
        width * np.interp(along, [0, 0.22, 1], [0.40, 1.0, 1.0])[None],
        rng.choice(np.asarray(layer.clumps), n),
        np.asarray(rng.uniform(0, 1, n) < 0.5, int),
        np.asarray(rng.uniform(0.84, 1.10, n)),
        occlusion,
    )


def gathered(parts: Iterable[Part]) -> HairGuides:
    """Layers, all of one number of points a guide, as one set of guides."""
    points, normals, width, card, flipped, tint, occlusion = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    f = np.float32
    return HairGuides(
        points.astype(f),
        normals.astype(f),
        width.astype(f),
        card.astype(np.int32),
        flipped.astype(np.int32),
        tint.astype(f),
        occlusion.astype(f),
    )
