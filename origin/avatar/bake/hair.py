"""Hair: guides grown on the scalp along a flow field, in layers from a dark inside to thin strands outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.clothes import smoothed_line
from origin.avatar.bake.mesh import Index, Landmarks
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.bake.surface import Surface
from origin.avatar.person import HairGuides

Flow = Callable[[Array, Array, Array | None], Array]
Mask = Callable[[Array], Array]


def unit(a: Array) -> Array:
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


class Scalp:
    """The head as hair sees it: without ears, with a hairline."""

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


@dataclass(frozen=True, slots=True)
class Bob:
    """A side-parted bob: from the parting over the skull, past the temples, down to a soft line below the chin."""

    parting: float = 0.20  # x of the parting at the front
    end: float = -1.06  # height of the ends relative to the eyes
    sweep: float = 0.30  # how much the front is combed back
    forward: float = 0.10  # how much the sides hang to the front
    curl: float = 0.34  # how much the ends turn in
    segments: int = 15
    layers: tuple[Layer, ...] = (
        Layer(300, 0.06, (0.030, 0.040), 0.28, (0, 1), 0.45, end=0.10),
        Layer(380, 0.03, (0.055, 0.090), 0.22, (0, 1, 2), 0.80, jitter=0.012, end=0.03),
        Layer(420, 0.02, (0.085, 0.135), 0.16, (0, 1, 2, 3, 6), 1.0, jitter=0.015),
        Layer(480, 0.0, (0.110, 0.160), 0.075, (2, 3, 4, 6), 1.05, jitter=0.022, twist=0.15, end=-0.02),
        Layer(300, 0.0, (0.015, 0.060), 0.050, (3, 4, 5), 0.95, jitter=0.02, band=0.10),
        Layer(380, 0.0, (0.030, 0.070), 0.110, (1, 2, 3), 0.90, jitter=0.015, parting=0.16),
        Layer(340, 0.0, (0.020, 0.050), 0.100, (0, 1), 0.70, jitter=0.015, parting=0.07),
    )

    def grow(self, scalp: Scalp, seed: int) -> HairGuides:
        """All layers as one set of guides."""
        rng = np.random.default_rng(seed)
        parts = [self._layer(scalp, layer, rng) for layer in self.layers]
        columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
        points, normals, width, card, flipped, tint, occlusion = columns
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

    def _flow(self, marks: Landmarks) -> Flow:
        eye = marks.eye_y

        def flow(p: Array, normal: Array, previous: Array | None) -> Array:
            x, y, z = p[:, :1], p[:, 1:2], p[:, 2:3]
            # not a sign: with one, the forehead shows through the parting
            side = np.tanh((x - self.parting * smoothstep(-0.9, 0.3, z)) / 0.05)
            up = smoothstep(eye + 0.30, eye + 0.95, y)
            front = smoothstep(0.30, 0.95, z)
            v = side * up * np.array([1.2, 0, 0]) + (1 - 0.85 * up) * np.array([0, -1.0, 0])
            v = v - np.array([0, 0, 1.0]) * up * (0.30 * (1 - front) + self.sweep * front)
            # along the hairline of the forehead hair runs beside it, and falls past the temples
            azimuth = np.degrees(np.arctan2(np.abs(p[:, 0]), p[:, 2] - 0.25))[:, None]
            brow = smoothstep(58.0, 26.0, azimuth)
            near = smoothstep(0.12, -0.03, marks.over_hairline(p)[:, None]) * brow
            v = v + near * (np.array([0, 0.95, -0.45]) + side * np.array([0.9, 0, 0]))
            # in front of the ear it hangs forward a little, behind it falls straight
            beside = smoothstep(eye + 0.45, eye + 0.05, y)
            v = v + beside * smoothstep(0.1, 0.5, z) * np.array([0, 0, self.forward])
            if previous is not None:
                v = v * 0.62 + previous * 0.5
            low = smoothstep(eye - 0.50, eye - 1.05, y)
            v = v - low * np.sign(x) * np.array([self.curl, 0, 0]) + low * np.array([0, 0, 0.06])
            keep = (v * normal).sum(1, keepdims=True) * 0.8 * smoothstep(eye - 0.5, eye, y)
            return np.asarray(v - normal * keep)

        return flow

    def _layer(self, scalp: Scalp, layer: Layer, rng: np.random.Generator) -> tuple[Array, ...]:
        marks = scalp.marks
        eye = marks.eye_y
        roots = scalp.roots(layer.count * (8 if layer.parting else 1), layer.edge, layer.band, rng)
        if layer.parting is not None:
            line = self.parting * smoothstep(-0.9, 0.3, roots[:, 2])
            close = (np.abs(roots[:, 0] - line) < layer.parting) & (roots[:, 1] > eye + 0.5)
            roots = roots[close][: layer.count]
        n = len(roots)
        end = eye + self.end
        near = 1 - smoothstep(0, 0.6, np.abs(roots[:, 0] - self.parting))
        length = (roots[:, 1] - end) * 1.02 + 0.42 * smoothstep(eye + 0.3, eye + 1.0, roots[:, 1]) * (
            1 + 0.5 * near
        )
        length = np.clip(length, 0.25, 3.2) * 1.35 + 0.2
        length = length * rng.uniform(0.85, 1.1, n)
        offset = rng.uniform(*layer.offset, n)

        def attached(p: Array) -> Array:
            return np.asarray(p[:, 1] > eye + 0.15)

        points, normals = scalp.grow(
            roots, self._flow(marks), self.segments, length, offset, attached, layer.jitter, rng
        )
        points, normals = cut_at(points, normals, end + layer.end + rng.uniform(-0.05, 0.03, n))
        points = np.stack([smoothed_line(guide, 4) for guide in points]) if n else points
        points = scalp.lifted(points, offset)
        opening = np.interp(
            points[..., 1] - eye, [-0.9, -0.1, 0.12, 0.28, 0.40], [0.50, 0.60, 0.62, 0.56, 0.34]
        )
        over_face = (
            (points[..., 2] > 0.60) & (points[..., 1] < eye + 0.40) & (np.abs(points[..., 0]) < opening)
        )
        flicked = np.abs(points[:, -1, 0]) > 1.0
        good = ~(over_face.any(1) | flicked)
        points, normals = points[good], normals[good]
        n = len(points)
        width = layer.width * rng.uniform(0.75, 1.25, n)
        if layer.twist:
            a = rng.normal(0, layer.twist, n)[:, None, None]
            tangent = unit(np.gradient(points, axis=1))
            normals = unit(normals * np.cos(a) + np.cross(tangent, normals) * np.sin(a))
        along = np.linspace(0, 1, self.segments + 1)
        occlusion = np.interp(along, [0, 0.3, 1], [0.55, 0.85, 1.0])[None] * np.full((n, 1), layer.occlusion)
        return (
            points,
            normals,
            width[:, None] * np.interp(along, [0, 0.22, 1], [0.40, 1.0, 1.0])[None],
            rng.choice(np.asarray(layer.clumps), n),
            (rng.uniform(0, 1, n) < 0.5).astype(int),
            rng.uniform(0.84, 1.10, n),
            occlusion,
        )
