"""Lashes: the helper strips of the base mesh, which follow blinks, with UVs along the lid and away from it."""

from __future__ import annotations

import numpy as np

from origin.avatar.bake.mesh import Index, Shape
from origin.avatar.bake.noise import Array


def lash_strips(shape: Shape) -> tuple[Index, Array]:
    """Triangles (t, 3) of base vertices, and per base vertex (v, 2): u along the lid 0-1, v root 0 to tip 1 (lower: minus)."""
    base, points, marks = shape.base, shape.points, shape.landmarks
    skin = np.unique(base.group("body")[:, :, 0])
    to_left = np.linalg.norm(points[skin] - marks.eye_left, axis=1)
    to_right = np.linalg.norm(points[skin] - marks.eye_right, axis=1)
    lids = points[skin[np.minimum(to_left, to_right) < 0.3]]
    uv = np.zeros((len(points), 2))
    strips: list[Index] = []
    for side in "lr":
        pair = [base.group(f"helper-{side}-eyelashes-{k}")[:, :, 0] for k in "12"]
        pair.sort(key=lambda t: float(points[np.unique(t), 1].mean()))
        for sign, triangles in zip((-1, 1), pair, strict=True):
            used = np.unique(triangles)
            distance = np.linalg.norm(points[used][:, None] - lids[None], axis=2).min(1)
            x = points[used, 0]
            uv[used, 0] = (x - x.min()) / (x.max() - x.min())
            uv[used, 1] = sign * np.maximum(distance / distance.max(), 1e-3)
            strips.append(triangles)
    return np.concatenate(strips), uv
