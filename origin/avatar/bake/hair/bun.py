"""A bun: hair pulled back from the whole hairline into a knot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.hair.scalp import EVERYWHERE, Flow, Layer, Part, Scalp, dressed, gathered, unit
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.person import HairGuides

KNOT = Layer(210, 0.0, (0.0, 0.0), 0.16, (0, 1, 2, 3), 0.95)


@dataclass(frozen=True, slots=True)
class Bun:
    """Hair combed back over the skull, and a knot of wound strands."""

    height: float = 0.86  # of the knot above the eyes
    radius: float = 0.34  # of the knot
    segments: int = 10
    covers_ears: bool = False
    hairline: tuple[float, ...] | None = (
        0.60, 0.59, 0.54, 0.44, 0.31, 0.12, -0.03, 0.06, -0.05, -0.45, -0.62
    )  # fmt: skip
    layers: tuple[Layer, ...] = (
        Layer(420, 0.09, (0.018, 0.024), 0.28, (0, 1, 2, 3), 0.55),
        Layer(520, 0.10, (0.030, 0.060), 0.19, (0, 1, 2, 3, 6), 0.95, jitter=0.02),
        Layer(300, 0.04, (0.050, 0.085), 0.10, (4, 5, 7), 1.05, jitter=0.04),
        Layer(1300, 0.02, (0.010, 0.024), 0.075, (4, 5), 0.95, jitter=0.02, band=0.24),
    )

    def grow(self, scalp: Scalp, seed: int) -> HairGuides:
        """All layers as one set of guides."""
        rng = np.random.default_rng(seed)
        knot = np.array([0.0, scalp.marks.eye_y + self.height, scalp.marks.back + 0.10])
        layers = [self._layer(scalp, layer, knot, rng) for layer in self.layers]
        return gathered([*layers, self._knot(knot, rng)])

    def _layer(self, scalp: Scalp, layer: Layer, knot: Array, rng: np.random.Generator) -> Part:
        def flow(p: Array, normal: Array, previous: Array | None) -> Array:
            v = knot - p
            v = v + np.array([0, 0.25, -0.6]) * smoothstep(0.2, 1.0, p[:, 2:3])
            return np.asarray(v - normal * (v * normal).sum(1, keepdims=True) * 0.85)

        grown: Flow = flow
        roots = scalp.roots(layer.count, layer.edge, layer.band, rng)
        n = len(roots)
        length = np.clip(np.linalg.norm(roots - knot, axis=1) * 1.18, 0.3, 2.6)
        if layer.band is not None:
            length = np.full(n, 0.8)
        length = length * rng.uniform(0.9, 1.05, n)
        offset = rng.uniform(*layer.offset, n)
        points, normals = scalp.grow(
            roots, grown, self.segments, length, offset, EVERYWHERE, layer.jitter, rng
        )
        return dressed(points, normals, layer, rng)

    def _knot(self, knot: Array, rng: np.random.Generator) -> Part:
        """Rings wound round a flattened ball."""
        n, m = KNOT.count, self.segments + 1
        centre = knot + np.array([0.0, 0.16, -0.12])
        axis = unit(np.stack([rng.normal(0, 0.35, n), rng.normal(0, 0.35, n), np.ones(n)], 1))
        first = unit(np.cross(axis, [0.0, 1.0, 0.1]))
        second = np.cross(axis, first)
        start = rng.uniform(0, 2 * np.pi, n)
        height = rng.uniform(-0.22, 0.22, n)
        reach = np.sqrt(
            np.clip((self.radius * rng.uniform(0.75, 1.05, n)) ** 2 - height**2 * 0.5, 0.01, None)
        )
        angle = start[:, None] + np.linspace(0, 2.2, m)[None]
        ring = np.cos(angle)[..., None] * first[:, None] + np.sin(angle)[..., None] * second[:, None]
        points = centre + ring * reach[:, None, None] + (axis * height[:, None])[:, None]
        return dressed(points, unit(points - centre), KNOT, rng)
