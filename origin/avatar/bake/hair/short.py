"""Short hair: combed from a side parting, or in small curls; both cut close at the sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.hair.scalp import NOWHERE, Flow, Layer, Lift, Part, Scalp, dressed, gathered
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.person import HairGuides

MENS_HAIRLINE = (0.66, 0.67, 0.68, 0.60, 0.42, 0.05, -0.14, 0.12, -0.05, -0.42, -0.58)
"""With receding temples and sideburns."""

Profile = tuple[Sequence[float], Sequence[float]]
"""Heights above the eyes, and what holds there; linear between."""


def at(profile: Profile, points: Array, eye: float) -> Array:
    """A profile's values (n,) at the heights of points (n, 3)."""
    return np.asarray(np.interp(points[:, 1] - eye, *profile))


def cropped(
    scalp: Scalp,
    layer: Layer,
    style: Combed | Curls,
    flow: Flow,
    rng: np.random.Generator,
    lift: Lift | None = None,
) -> Part:
    """A layer of hair that is as long and as dense as its height on the head says, and is held by nothing."""
    eye = scalp.marks.eye_y
    roots = scalp.roots(layer.count, layer.edge, layer.band, rng)
    if layer.band is None:
        roots = roots[rng.uniform(0, 1, len(roots)) < at(style.density, roots, eye)]
    n = len(roots)
    length = at(style.length, roots, eye) * layer.length * rng.uniform(0.85, 1.1, n)
    offset = rng.uniform(*layer.offset, n)
    points, normals = scalp.grow(
        roots, flow, style.segments, length, offset, NOWHERE, layer.jitter, rng, lift
    )
    return dressed(points, normals, layer, rng)


@dataclass(frozen=True, slots=True)
class Combed:
    """Short sides, a longer top that is combed back and away from a side parting."""

    parting: float = 0.30  # x of the parting
    lift: float = 0.16  # how much the top stands up
    back: float = 0.65  # how much the top goes backwards
    length: Profile = ((-0.7, 0.0, 0.35, 0.65, 0.95), (0.11, 0.15, 0.25, 0.46, 0.62))
    density: Profile = ((-0.65, 0.25), (0.30, 1.0))
    segments: int = 6
    covers_ears: bool = False
    hairline: tuple[float, ...] | None = MENS_HAIRLINE
    layers: tuple[Layer, ...] = (
        Layer(800, 0.015, (0.015, 0.025), 0.15, (0, 1, 2, 3), 0.55, jitter=0.03),
        Layer(1000, 0.01, (0.035, 0.060), 0.10, (0, 1, 2, 3, 6), 0.85, jitter=0.05, twist=0.12),
        Layer(1000, 0.0, (0.060, 0.095), 0.055, (2, 3, 4, 5, 6), 1.0, jitter=0.08, twist=0.25, length=1.12),
        Layer(420, -0.03, (0.010, 0.025), 0.040, (4, 5, 7), 0.9, jitter=0.07, band=0.09, length=0.7),
    )

    def grow(self, scalp: Scalp, seed: int) -> HairGuides:
        """All layers as one set of guides."""
        rng = np.random.default_rng(seed)
        return gathered([self._layer(scalp, layer, rng) for layer in self.layers])

    def _flow(self, eye: float) -> Flow:
        def flow(p: Array, normal: Array, previous: Array | None) -> Array:
            front = smoothstep(0.30, 0.75, p[:, 2:3])
            up = smoothstep(eye + 0.45, eye + 0.95, p[:, 1:2] + 0.32 * front)
            side = np.tanh((p[:, :1] - self.parting) / 0.10)
            top = side * np.array([0.6, 0, 0]) + np.array([0, 0.12, -self.back])
            v = up * top + (1 - up) * np.array([0, -1.0, -0.35])
            v = v + up * smoothstep(0.5, 1.0, p[:, 2:3]) * np.array([0, 0.35, -0.9])
            if previous is not None:
                v = v * 0.6 + previous * 0.5
            return np.asarray(v - normal * (v * normal).sum(1, keepdims=True))

        return flow

    def _layer(self, scalp: Scalp, layer: Layer, rng: np.random.Generator) -> Part:
        eye = scalp.marks.eye_y

        def lift(p: Array, part: float) -> Array:
            up = smoothstep(eye + 0.45, eye + 0.95, p[:, 1])
            return np.asarray(self.lift * (1 - 0.6 * part) * up + 0.10)

        return cropped(scalp, layer, self, self._flow(eye), rng, lift)


@dataclass(frozen=True, slots=True)
class Curls:
    """Small curls, faded at the sides."""

    length: Profile = ((-0.7, 0.05, 0.25, 0.5, 0.9), (0.02, 0.03, 0.07, 0.17, 0.24))
    density: Profile = ((-0.35, 0.45), (0.05, 1.0))
    wild: float = 0.75  # how much each step turns anywhere
    segments: int = 4
    covers_ears: bool = False
    hairline: tuple[float, ...] | None = MENS_HAIRLINE
    layers: tuple[Layer, ...] = (
        Layer(700, 0.02, (0.012, 0.018), 0.16, (0, 1, 2), 0.55, length=0.6),
        Layer(1700, 0.01, (0.024, 0.034), 0.075, (2, 3, 4, 6), 0.85, twist=0.8),
        Layer(1300, -0.02, (0.038, 0.052), 0.050, (3, 4, 5, 6), 1.0, twist=0.8, length=1.1),
    )

    def grow(self, scalp: Scalp, seed: int) -> HairGuides:
        """All layers as one set of guides."""
        rng = np.random.default_rng(seed)
        return gathered([self._layer(scalp, layer, rng) for layer in self.layers])

    def _layer(self, scalp: Scalp, layer: Layer, rng: np.random.Generator) -> Part:
        def flow(p: Array, normal: Array, previous: Array | None) -> Array:
            v = normal * 0.55 + rng.normal(0, 1, p.shape) * self.wild
            return np.asarray(v if previous is None else v + previous * 0.3)

        return cropped(scalp, layer, self, flow, rng)
