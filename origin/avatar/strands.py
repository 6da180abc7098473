"""Hair ribbons: the strand atlas, and guides spread into textured cards. Deterministic, so only guides are shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from origin.avatar.person import Floats, HairGuides, Ints

CARDS: Final = 8
"""Clump variants in the atlas: 0 and 1 have blunt ends, 4, 5 and 7 are thin."""

THIN: Final = (4, 5, 7)


@dataclass(frozen=True, slots=True)
class Ribbons:
    """Vertices (n, 3) with normal, tangent, uv, tint, occlusion; triangles (t, 3)."""

    points: Floats
    normal: Floats
    tangent: Floats
    uv: Floats
    tint: Floats
    occlusion: Floats
    triangles: Ints


def _ramp(edge0: float, edge1: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - edge0) / (edge1 - edge0), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def atlas(width: int = 64, height: int = 256, seed: int = 4) -> Floats:
    """Texels (height, width * CARDS, 4): shade, colour mix, highlight shift, coverage. v runs from root to tip."""
    rng = np.random.default_rng(seed)
    out = np.zeros((height, width * CARDS, 4), np.float32)
    v = np.linspace(0, 1, height)[:, None]
    x = (np.arange(width) + 0.5)[None]
    for card, count in enumerate((46, 42, 36, 30, 16, 11, 36, 7)):
        dense, blunt = card < 4 or card == 6, card < 2
        cover = np.zeros((height, width))
        shade = np.full((height, width), 0.5)
        mix, shift = np.zeros((height, width)), np.full((height, width), 0.5)
        for _ in range(count):
            start = rng.uniform(0.10, 0.90) * width if dense else rng.normal(0.5, 0.2) * width
            end = rng.uniform(0.92, 1.0) if blunt else rng.uniform(0.68, 1.0)
            pinch = 0.5 + (start / width - 0.5) * (1 - (0.12 if blunt else 0.45) * _ramp(0.55, 1, v))
            wave = (
                rng.normal(0, 2.2) * np.sin(v * rng.uniform(2, 5) + rng.uniform(0, 6)) + rng.normal(0, 3) * v
            )
            centre = pinch * width + wave
            thick = rng.uniform(0.8, 1.7) if dense else rng.uniform(0.7, 1.4)
            half = (
                thick * (1 - _ramp(end - 0.35, end, v) * 0.8) * _ramp(-0.02, 0.03 + rng.uniform(0, 0.12), v)
            )
            a = np.clip((half - np.abs(x - centre)) / 0.9 + 0.3, 0, 1) * (v < end)
            strand = a > 0.15
            round_ = 1 - 0.35 * np.clip(np.abs(x - centre) / half.clip(0.3), 0, 1)
            shade = np.where(strand, rng.uniform(0.5, 1.0) * round_, shade)
            mix = np.where(strand, rng.uniform(0, 1), mix)
            shift = np.where(strand, rng.uniform(0, 1), shift)
            cover = np.maximum(cover, a)
        if dense:
            end, fade = (1.0, 0.06) if blunt else (0.72, 0.2)
            core = _ramp(0, 0.10, x / width - 0.10) * _ramp(0, 0.10, 0.90 - x / width)
            cover = np.maximum(cover, core * (1 - _ramp(end - fade, end, v)) * _ramp(0.03, 0.16, v))
        out[:, card * width : (card + 1) * width] = np.dstack([shade, mix, shift, cover])
    return out


def _unit(a: np.ndarray) -> np.ndarray:
    return np.asarray(a / (np.linalg.norm(a, axis=-1, keepdims=True) + 1e-9))


def ribbons(hair: HairGuides) -> Ribbons:
    """Cards that face outwards along every guide; two triangles a segment."""
    points = hair.points.astype(float)
    guides, rows, _ = points.shape
    tangent = _unit(np.gradient(points, axis=1))
    side = _unit(np.cross(tangent, hair.normals))
    half = side * hair.width[..., None] / 2
    edges = np.stack([points - half, points + half], 2)
    normal = np.repeat(hair.normals[:, :, None], 2, 2) + np.stack([-side, side], 2) * 0.35
    low, high = (hair.card + 0.04) / CARDS, (hair.card + 0.96) / CARDS
    flip = hair.flipped > 0
    u = np.stack([np.where(flip, high, low), np.where(flip, low, high)], 1)[:, None].repeat(rows, 1)
    # dense clumps start below the atlas's thin roots: over a long guide these would bare the scalp
    root = np.where(np.isin(hair.card, THIN), 0.03, 0.14)[:, None, None]
    v = np.broadcast_to(root + (0.99 - root) * np.linspace(0, 1, rows)[None, :, None], u.shape)
    base = np.arange(guides)[:, None, None] * rows * 2 + np.arange(rows - 1)[None, :, None] * 2
    triangles = np.concatenate([base + np.array([0, 1, 2]), base + np.array([1, 3, 2])], 2).reshape(-1, 3)
    f = np.float32
    return Ribbons(
        points=edges.reshape(-1, 3).astype(f),
        normal=_unit(normal).reshape(-1, 3).astype(f),
        tangent=np.repeat(tangent[:, :, None], 2, 2).reshape(-1, 3).astype(f),
        uv=np.stack([u, v], -1).reshape(-1, 2).astype(f),
        tint=np.repeat(hair.tint, rows * 2).astype(f),
        occlusion=np.repeat(hair.occlusion[:, :, None], 2, 2).reshape(-1).astype(f),
        triangles=triangles.astype(np.int32),
    )
