"""A bob: long hair that hangs from a side parting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.clothes.cloth import smoothed_line
from origin.avatar.bake.hair.scalp import Flow, Layer, Part, Scalp, cut_at, dressed, gathered
from origin.avatar.bake.mesh import Landmarks
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.person import HairGuides


@dataclass(frozen=True, slots=True)
class Bob:
    """A side-parted bob: from the parting over the skull, past the temples, down to a soft line below the chin."""

    parting: float = 0.20  # x of the parting at the front
    end: float = -1.06  # height of the ends relative to the eyes
    sweep: float = 0.30  # how much the front is combed back
    forward: float = 0.10  # how much the sides hang to the front
    curl: float = 0.34  # how much the ends turn in
    segments: int = 15
    covers_ears: bool = True
    hairline: tuple[float, ...] | None = None
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
        return gathered([self._layer(scalp, layer, rng) for layer in self.layers])

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

    def _layer(self, scalp: Scalp, layer: Layer, rng: np.random.Generator) -> Part:
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
        return dressed(points[good], normals[good], layer, rng)
