"""Painted skin: albedo, roughness, relief and gloss of a head as functions of rest position and landmarks.

The head's island of the base mesh's UV square is rasterised to a map of rest positions; colour zones, mottling,
freckles, lips, lids, brows as drawn strokes and the undercoat of the hairline are painted on it. No photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from origin.avatar.bake.mesh import Index, Landmarks
from origin.avatar.bake.noise import Array, fractal_noise, smoothstep, value_noise

# The head's island in the UV square: u 0.61-1, image y (1 - v) 0.17-0.86.
ISLAND: Final = (0.61, 1.0, 0.17, 0.86)
WIDTH: Final = 768
HEIGHT: Final = 1358


@dataclass(frozen=True, slots=True)
class SkinPaint:
    """What a person's skin is like. Colours are linear albedo."""

    tone: tuple[float, float, float]
    lips: tuple[float, float, float]
    brow_colour: tuple[float, float, float]
    root_colour: tuple[float, float, float]
    red: tuple[float, float, float] = (1.12, 0.80, 0.76)
    dark: tuple[float, float, float] = (0.80, 0.72, 0.76)
    lip_strength: float = 0.75
    lip_gloss: float = 0.35
    blush: float = 0.9
    under_eyes: float = 0.55
    lids: float = 0.5
    liner: float = 0.25
    mottle: float = 0.22
    grain: float = 1.0  # of all unevenness in colour; 0 is painted doll
    freckles: float = 0.0
    moles: int = 3
    roughness: float = 0.50
    relief: float = 1.0
    undercoat: float = 0.9
    undercoat_reach: float = 0.0  # how far the undercoat goes below the hairline, decimetres
    stubble: float = 0.0
    stubble_colour: tuple[float, float, float] = (0.03, 0.02, 0.016)
    age: float = 0.0  # depth of lines, 0-1
    brow: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SkinMaps:
    """`surface` (h, w, 4): albedo and roughness. `relief` (h, w, 4): height gradient u and v, gloss, cavity."""

    surface: NDArray[np.float32]
    relief: NDArray[np.float32]


def island_uv(uvs: Array) -> tuple[Array, NDArray[np.bool_]]:
    """UVs within the head's island (v down), and which lie outside: those get one texel of plain skin."""
    u0, u1, y0, y1 = ISLAND
    u = (uvs[:, 0] - u0) / (u1 - u0)
    y = (1 - uvs[:, 1] - y0) / (y1 - y0)
    outside = (u < 0.004) | (u > 1) | (y < 0) | (y > 1)
    return np.where(outside[:, None], [[0.003, 0.5]], np.stack([u, y], 1)), outside


def bake_to_texels(
    triangles: Index, uv: Array, attributes: Array, width: int = WIDTH, height: int = HEIGHT
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Interpolates per-vertex attributes (n, k) over a UV map; returns (h, w, k) and which texels are covered."""
    out = np.zeros((height, width, attributes.shape[1]), np.float32)
    covered = np.zeros((height, width), bool)
    texel = uv * [width, height] - 0.5
    for corners in triangles:
        p = texel[corners]
        x0, y0 = np.maximum(np.floor(p.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(p.max(0)).astype(int), [width - 1, height - 1])
        area = (p[1, 1] - p[2, 1]) * (p[0, 0] - p[2, 0]) + (p[2, 0] - p[1, 0]) * (p[0, 1] - p[2, 1])
        if x1 < x0 or y1 < y0 or abs(area) < 1e-12:
            continue
        x, y = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        a = ((p[1, 1] - p[2, 1]) * (x - p[2, 0]) + (p[2, 0] - p[1, 0]) * (y - p[2, 1])) / area
        b = ((p[2, 1] - p[0, 1]) * (x - p[2, 0]) + (p[0, 0] - p[2, 0]) * (y - p[2, 1])) / area
        c = 1 - a - b
        inside = (a > -0.05) & (b > -0.05) & (c > -0.05)
        out[y[inside], x[inside]] = np.stack([a[inside], b[inside], c[inside]], 1) @ attributes[corners]
        covered[y[inside], x[inside]] = True
    for _ in range(8):
        for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            fresh = np.roll(covered, shift, (0, 1)) & ~covered
            out[fresh] = np.roll(out, shift, (0, 1))[fresh]
            covered = covered | fresh
    return out, covered


def _drawing(
    draw: Callable[[ImageDraw.ImageDraw, Callable[[float, float], tuple[float, float]]], None],
    centre_y: float,
    size: int,
    span: float,
    blur: float,
) -> Callable[[Array], Array]:
    """A picture drawn in the x, y plane of the face; returns a sampler of points (n, 3)."""
    picture = Image.new("L", (size, size), 0)

    def place(x: float, y: float) -> tuple[float, float]:
        return (x + span) / (2 * span) * size, (span - (y - centre_y)) / (2 * span) * size

    draw(ImageDraw.Draw(picture), place)
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)), np.float64) / 255

    def at(points: Array) -> Array:
        x = np.clip((points[:, 0] + span) / (2 * span) * size, 0, size - 1).astype(int)
        y = np.clip((span - (points[:, 1] - centre_y)) / (2 * span) * size, 0, size - 1).astype(int)
        return np.asarray(values[y, x])

    return at


class Painter:
    """Paints one head; each method is one thing a make-up artist would name."""

    def __init__(
        self,
        position: NDArray[np.float32],
        covered: NDArray[np.bool_],
        masks: Mapping[str, NDArray[np.float32]],
        marks: Landmarks,
        paint: SkinPaint,
        seed: int,
    ) -> None:
        self.shape = covered.shape
        self.covered = covered
        self.points = position.reshape(-1, 3).astype(float)
        self.masks = {name: mask.ravel().astype(float) for name, mask in masks.items()}
        self.marks, self.paint, self.seed = marks, paint, seed
        self.x, self.y, self.z = self.points.T
        self.side = np.abs(self.x)
        self.front = smoothstep(0.2, 0.8, self.z)
        count = len(self.points)
        self.albedo = np.tile(np.array(paint.tone), (count, 1))
        self.rough = np.full(count, paint.roughness)
        self.gloss = np.zeros(count)
        self.cavity = np.ones(count)
        self.height = np.zeros(count)
        self.broad = fractal_noise(self.points * 2.2, 3, seed)
        self.middle = fractal_noise(self.points * 9, 3, seed + 5)
        self.fine = fractal_noise(self.points * 34, 3, seed + 9)
        self.pores = value_noise(self.points * 95, seed + 20)

    def spot(self, x: float, y: float, width: float, height: float) -> Array:
        """A soft spot on both sides of the face."""
        return np.asarray(
            np.exp(-(((self.side - x) / width) ** 2) - ((self.y - y) / height) ** 2) * self.front
        )

    def tint(self, mask: Array, colour: object, strength: float) -> None:
        self.albedo = self.albedo * (1 + (np.asarray(colour, float) - 1) * (mask * strength)[:, None])

    def cover(self, mask: Array, colour: object) -> None:
        m = mask[:, None]
        self.albedo = self.albedo * (1 - m) + np.asarray(colour, float) * m

    def complexion(self) -> None:
        """Blood in cheeks and nose, yellow in the forehead, shade round the eyes, mottling and pores."""
        k, p = self.marks, self.paint
        ex, ey, er, my = k.eye_x, k.eye_y, k.eye_radius, k.mouth_y
        nose = float(k.nose[1])
        cheeks = self.spot(ex * 1.12, ey - 0.40, 0.24, 0.20) + 0.9 * self.spot(0, nose, 0.13, 0.16)
        cheeks = np.clip(cheeks + 0.35 * self.spot(0, my - 0.36, 0.2, 0.14), 0, 1)
        self.tint(cheeks * (0.55 + 0.9 * self.middle), p.red, p.blush)
        self.tint(self.spot(0, ey + 0.5, 0.6, 0.25), (1.04, 1.02, 0.90), 0.6)
        under = self.spot(ex * 0.9, ey - er * 1.25, 0.20, 0.065) + 0.8 * self.spot(
            ex * 0.62, ey - 0.02, 0.08, 0.12
        )
        self.tint(np.clip(under, 0, 1), p.dark, p.under_eyes)
        lids = np.clip(self.spot(ex, ey + er * 1.05, 0.24, 0.10), 0, 1)
        self.tint(lids, np.array(p.dark) * [1.05, 0.98, 0.98], p.lids)
        self.tint(self.masks["ears"], p.red, 0.9)
        below = smoothstep(my - 0.25, my - 0.9, self.y) * smoothstep(0.0, 0.4, self.z)
        self.tint(below, (0.93, 0.93, 0.95), 0.4)
        mottling = p.mottle * (self.middle - 0.5) + 0.22 * (self.fine - 0.5)
        mottling += 0.16 * (self.broad - 0.5) + 0.06 * (self.pores - 0.5)
        self.albedo *= (1 + p.grain * mottling)[:, None]
        veins = (fractal_noise(self.points * 14, 2, self.seed + 31) - 0.5) * 0.12
        self.albedo *= 1 + p.grain * veins[:, None] * np.array([0.4, -0.6, -0.5])
        self.rough += 0.07 * (self.middle - 0.5) - 0.07 * self.spot(0, ey + 0.4, 0.35, 0.25)
        self.rough += 0.06 * self.spot(ex * 1.3, ey - 0.55, 0.3, 0.3) - 0.10 * self.spot(0, nose, 0.14, 0.3)
        # above 0.0016 units of relief the skin looks like oatmeal
        grain = 0.0014 * (self.pores - 0.5) + 0.0016 * (self.fine - 0.5) + 0.0016 * (self.middle - 0.5)
        self.height += p.relief * grain

    def marks_of_life(self) -> None:
        """Freckles and moles."""
        k, rng = self.marks, np.random.default_rng(self.seed)
        if self.paint.freckles > 0:
            where = self.spot(k.eye_x * 0.8, k.eye_y - 0.33, 0.4, 0.25)
            where = np.clip(where + self.spot(0, float(k.nose[1]) + 0.15, 0.2, 0.2), 0, 1)
            dots = smoothstep(0.72, 0.80, fractal_noise(self.points * 26, 2, self.seed + 40))
            self.tint(dots * where, (0.74, 0.62, 0.52), self.paint.freckles)
        # in the plane of the face only, they would be smears where it falls away
        high = (self.y > k.mouth_y - 0.3) & (self.y < k.eye_y + 0.5)
        places = np.flatnonzero(self.covered.ravel() & high & (self.front > 0.9) & (self.side < 0.6))
        for place in rng.choice(places, self.paint.moles, replace=False):
            away = np.linalg.norm(self.points - self.points[place], axis=1)
            dot = np.exp(-((away / rng.uniform(0.008, 0.014)) ** 2))
            self.tint(dot, (0.5, 0.4, 0.38), 0.7)

    def line(self, path: Sequence[tuple[float, float]], width: float, wobble: Array) -> Array:
        """A soft line on both sides of the face, along (x, y) points; `wobble` (n,) moves it, so that no hand seems to have drawn it."""
        side, y = self.side + wobble, self.y + wobble
        nearest = np.full(len(self.points), np.inf)
        for (x0, y0), (x1, y1) in pairwise(path):
            dx, dy = x1 - x0, y1 - y0
            t = np.clip(((side - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            nearest = np.minimum(nearest, (side - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)
        return np.asarray(np.exp(-nearest / width**2) * self.front)

    def lines_of_age(self) -> None:
        """Folds beside the mouth, bags and crow's feet at the eyes, lines across the forehead and between the brows."""
        depth = self.paint.age
        if depth <= 0:
            return
        k = self.marks
        ex, ey, my, nose = k.eye_x, k.eye_y, k.mouth_y, float(k.nose[1])
        line = partial(self.line, wobble=0.025 * (self.broad - 0.5))
        fold = line([(0.15, nose + 0.03), (0.23, nose - 0.10), (0.30, my + 0.02), (0.31, my - 0.12)], 0.016)
        bag = line([(ex - 0.12, ey - 0.13), (ex, ey - 0.175), (ex + 0.13, ey - 0.13)], 0.016)
        feet = sum(
            line([(ex + 0.17, ey + a), (ex + 0.29, ey + b)], 0.009)
            for a, b in ((0.03, 0.10), (0.0, 0.02), (-0.03, -0.07))
        )
        across = sum(
            line([(0.0, ey + h), (0.2, ey + h + 0.022), (0.42, ey + h - 0.01)], 0.010)
            for h in (0.40, 0.48, 0.56)
        )
        frown = line([(0.055, ey + 0.14), (0.062, ey + 0.25)], 0.012)
        lines = 0.9 * fold + 0.5 * bag + 0.6 * np.asarray(feet) + 0.45 * np.asarray(across) + 0.5 * frown
        lines = lines * depth * (0.55 + 0.9 * self.middle)
        self.height -= 0.010 * lines
        self.tint(np.clip(lines, 0, 1), (0.80, 0.68, 0.64), 0.55)
        self.cavity *= 1 - 0.35 * np.clip(lines, 0, 1)

    def beard(self) -> None:
        """Hairs that a razor left: on the upper lip, chin, jaw and neck, thinner on the cheeks."""
        p, k = self.paint, self.marks
        if p.stubble <= 0:
            return
        my, nose = k.mouth_y, float(k.nose[1])
        jaw = smoothstep(my + 0.16, my - 0.10, self.y + 0.16 * (1 - smoothstep(0.30, 0.62, self.side)))
        lip = smoothstep(0.36, 0.26, self.side) * smoothstep(nose - 0.10, nose - 0.16, self.y)
        burns = smoothstep(0.56, 0.66, self.side) * smoothstep(k.eye_y + 0.05, k.eye_y - 0.3, self.y)
        where = np.clip(jaw + lip * smoothstep(my - 0.2, my, self.y) + 0.8 * burns, 0, 1)
        where = where * smoothstep(my - 1.15, my - 0.55, self.y) * smoothstep(-0.25, 0.15, self.z)
        where = where * (1 - self.masks["lips"]) * (1 - self.masks["ears"]) * (0.7 + 0.6 * self.broad)
        hairs = smoothstep(0.50, 0.80, value_noise(self.points * [110, 60, 110], self.seed + 50))
        mask = np.clip(where * p.stubble * (0.35 + 0.65 * hairs), 0, 0.9)
        self.cover(mask, p.stubble_colour)
        self.rough += 0.12 * mask

    def lips(self) -> None:
        p = self.paint
        mask = np.clip(self.masks["lips"] * 1.1, 0, 1)
        lines = value_noise(self.points * [70, 9, 30], self.seed + 70)
        self.cover(mask * p.lip_strength, np.array(p.lips) * (0.93 + 0.14 * lines)[:, None])
        self.rough = self.rough * (1 - mask) + 0.36 * mask
        self.gloss = mask * p.lip_gloss
        self.height += mask * 0.004 * (lines - 0.5)
        seam = np.exp(-(((self.y - self.marks.mouth_y) / 0.016) ** 2)) * mask
        self.tint(seam, (0.62, 0.45, 0.45), 0.8)

    def eyes(self) -> None:
        """Water line, liner, the crease of the lid; and the nostrils."""
        k = self.marks
        ring = self.masks["eyelids"]
        self.tint(ring, (1.0, 0.78, 0.76), 0.35)
        self.gloss = np.maximum(self.gloss, ring * 0.25)
        self.rough -= ring * 0.08
        left = np.linalg.norm(self.points - k.eye_left, axis=1)
        right = np.linalg.norm(self.points - k.eye_right, axis=1)
        distance = np.minimum(left, right) / k.eye_radius
        upper = smoothstep(k.eye_y - 0.05, k.eye_y + 0.03, self.y)
        margin = smoothstep(1.22, 1.06, distance)
        liner = margin * (self.paint.liner * upper + 0.25 * (1 - upper))
        self.albedo *= ((1 - liner) * (1 - 0.15 * margin))[:, None]
        crease = np.exp(-(((distance - 1.42) / 0.07) ** 2)) * smoothstep(
            k.eye_y + 0.06, k.eye_y + 0.12, self.y
        )
        self.tint(crease * self.front, (0.72, 0.60, 0.58), 0.55)
        nostril = ((self.side - 0.085) / 0.045) ** 2 + ((self.y - (float(k.nose[1]) - 0.105)) / 0.035) ** 2
        self.tint(np.exp(-nostril) * self.front, (0.45, 0.3, 0.3), 0.7)

    def brows(self) -> None:
        """Strokes that follow the growth of the hair, and a soft powder below them."""
        b = {"y": 0.185, "thick": 0.078, "x0": 0.125, "x1": 0.545, "arch": 0.05, "strokes": 420.0, "k": 0.9}
        b |= dict(self.paint.brow)
        base = self.marks.eye_y + b["y"]

        def draw(d: ImageDraw.ImageDraw, place: Callable[[float, float], tuple[float, float]]) -> None:
            r = np.random.default_rng(self.seed + 3)
            for side in (-1, 1):
                for _ in range(int(b["strokes"])):
                    t = r.beta(1.25, 1.25)
                    x = b["x0"] + (b["x1"] - b["x0"]) * t
                    rise = b["arch"] * np.sin(np.clip(t * 1.25, 0, 1.35) * np.pi * 0.62)
                    y = base + rise - 0.045 * max(0, t - 0.62) / 0.38
                    thick = b["thick"] * np.interp(t, [0, 0.12, 0.5, 1], [0.80, 1, 0.80, 0.20])
                    off = r.uniform(-1, 1) * thick * 0.5
                    lean = np.interp(t, [0, 0.15, 0.5, 1], [1.35, 0.95, 0.45, -0.12])
                    angle = lean - off / thick * 0.55 + r.normal(0, 0.13)
                    length = r.uniform(0.05, 0.085) * np.interp(t, [0, 0.5, 1], [0.8, 1, 0.7])
                    stroke = [
                        place(
                            side * (x + np.cos(angle - 0.25 * s) * length * s),
                            y + off + np.sin(angle - 0.25 * s) * length * s * 0.8,
                        )
                        for s in (0, 0.5, 1)
                    ]
                    strength = np.interp(t, [0, 0.22, 0.8, 1], [0.45, 1, 1, 0.75])
                    d.line(stroke, fill=int(r.uniform(110, 225) * strength), width=int(r.choice([2, 2, 3])))

        strokes = _drawing(draw, self.marks.eye_y, 1600, 1.0, 0.55)(self.points) * self.front
        powder = _drawing(draw, self.marks.eye_y, 800, 1.0, 5)(self.points) * self.front
        mask = np.clip(strokes * b["k"] + powder * 0.62, 0, 0.92)
        self.cover(mask, self.paint.brow_colour)
        self.rough += 0.1 * mask

    def undercoat(self) -> None:
        """The scalp takes the colour of the roots, with an edge broken by noise."""
        line = self.marks.over_hairline(self.points)
        line += 0.10 * (fractal_noise(self.points * 5, 2, self.seed + 80) - 0.5)
        line += 0.06 * (value_noise(self.points * [55, 18, 55], self.seed + 81) - 0.5)
        reach = self.paint.undercoat_reach
        mask = smoothstep(-0.02 - reach, 0.10 + reach, line) * (1 - self.masks["ears"]) * self.paint.undercoat
        self.cover(mask, self.paint.root_colour)
        self.rough += 0.35 * mask
        self.cavity *= 1 - 0.7 * mask

    def mouth_interior(self) -> None:
        mask = self.masks["inside-mouth"]
        self.cover(mask, (0.30, 0.06, 0.06))
        self.cavity *= 1 - 0.55 * mask
        self.gloss = np.maximum(self.gloss, 0.3 * mask)

    def maps(self) -> SkinMaps:
        height, width = self.shape
        relief = self.height.reshape(self.shape)
        gradient_u = np.gradient(relief, axis=1) * width
        gradient_v = np.gradient(relief, axis=0) * height
        albedo = np.clip(self.albedo, 0, 1).reshape(height, width, 3)
        rough = np.clip(self.rough, 0.25, 0.85).reshape(self.shape)
        surface = np.dstack([albedo, rough]).astype(np.float32)
        detail = [gradient_u, gradient_v, self.gloss.reshape(self.shape), self.cavity.reshape(self.shape)]
        below = np.dstack(detail).astype(np.float32)
        plain = np.array([*(np.array(self.paint.tone) * 0.97), self.paint.roughness], np.float32)
        for region in (np.s_[~self.covered], np.s_[:, :8]):
            surface[region] = plain
            below[region] = (0, 0, 0, 1)
        return SkinMaps(surface, below)


def paint_skin(
    position: NDArray[np.float32],
    covered: NDArray[np.bool_],
    masks: Mapping[str, NDArray[np.float32]],
    marks: Landmarks,
    paint: SkinPaint,
    seed: int = 1,
) -> SkinMaps:
    """Paints a head. `position` (h, w, 3) rest positions by texel, `masks` the UV masks at the same texels."""
    painter = Painter(position, covered, masks, marks, paint, seed)
    painter.complexion()
    painter.marks_of_life()
    painter.lines_of_age()
    painter.beard()
    painter.lips()
    painter.eyes()
    painter.brows()
    painter.undercoat()
    painter.mouth_interior()
    return painter.maps()
