"""The shell of an upper garment: the tights that surround the base mesh, eased off the body so that it hangs."""

from __future__ import annotations

import numpy as np

from origin.avatar.bake.clothes.cloth import pushed_out, smoothed
from origin.avatar.bake.mesh import Index, Shape, vertex_normals
from origin.avatar.bake.noise import Array, fractal_noise, smoothstep
from origin.avatar.bake.subdivision import LoopStep
from origin.avatar.bake.surface import Surface


def body_of(shape: Shape) -> Surface:
    """The skin that clothes lie on."""
    body = shape.base.group("body")[:, :, 0]
    near = shape.points[body][:, :, 1].max(1) > shape.landmarks.eye_y - 3.0
    return Surface(shape.points, body[near])


def shell(shape: Shape, ease: float, folds: float = 1.0, seed: int = 11) -> tuple[Array, Index]:
    """Vertices and triangles of a garment without openings, `ease` off the body, with folds."""
    eye = shape.landmarks.eye_y
    triangles = shape.base.group("helper-tights")
    corners = shape.points[triangles[:, :, 0]]
    keep = (corners[:, :, 1].max(1) > eye - 2.45) & (np.abs(corners[:, :, 0]).max(1) < 2.5)
    step = LoopStep(triangles[keep], len(shape.points))
    again = LoopStep(step.triangles, step.vertex_count)
    used, compact = np.unique(again.triangles[:, :, 0], return_inverse=True)
    faces = compact.reshape(-1, 3)
    coarse = np.unique(step.triangles[:, :, 0], return_inverse=True)
    points = step.points(shape.points)
    points[coarse[0]] = smoothed(points[coarse[0]], coarse[1].reshape(-1, 3), 14)
    points = again.points(points)[used]
    points = points + vertex_normals(points, faces) * ease
    points = pushed_out(points, body_of(shape), ease * 0.8)
    # folds: long ones that hang from the collar, fine ones across
    hang = fractal_noise(points * [5.0, 1.3, 3.5], 2, seed) - 0.5
    fine = fractal_noise(points * [7.0, 3.4, 6.0], 2, seed + 1) - 0.5
    normals = vertex_normals(points, faces)
    # on top of the shoulders cloth lies flat
    hangs = 1 - 0.75 * smoothstep(0.35, 0.85, normals[:, 1])
    return points + normals * ((0.16 * hang + 0.05 * fine) * hangs * folds)[:, None], faces
