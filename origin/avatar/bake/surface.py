"""Questions to a triangle surface: nearest point, first hit of a ray, and how much of the sky a vertex sees."""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp

from origin.avatar.bake.mesh import Index
from origin.avatar.bake.noise import Array
from origin.avatar.shading import scramble


@wp.kernel(enable_backward=False)
def _nearest(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    found: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=float),
):
    i = wp.tid()
    r = wp.mesh_query_point_sign_normal(mesh, points[i], 10.0)
    q = wp.mesh_eval_position(mesh, r.face, r.u, r.v)
    found[i] = q
    normal[i] = wp.mesh_eval_face_normal(mesh, r.face)
    distance[i] = wp.length(points[i] - q) * r.sign


@wp.kernel(enable_backward=False)
def _hit(
    mesh: wp.uint64,
    origin: wp.array(dtype=wp.vec3),
    direction: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=float),
):
    i = wp.tid()
    r = wp.mesh_query_ray(mesh, origin[i], direction[i], 100.0)
    distance[i] = -1.0
    if r.result:
        distance[i] = r.t


@wp.kernel(enable_backward=False)
def _sky(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    rays: int,
    reach: float,
    out: wp.array(dtype=float),
):
    i = wp.tid()
    n = normals[i]
    o = points[i] + n * 0.012
    up = wp.vec3(0.0, 1.0, 0.0)
    if wp.abs(n[1]) > 0.9:
        up = wp.vec3(1.0, 0.0, 0.0)
    t = wp.normalize(wp.cross(up, n))
    b = wp.cross(n, t)
    hidden = float(0.0)
    for k in range(rays):
        u = (float(k) + 0.5) / float(rays)
        r = wp.sqrt(u)
        th = float(k) * 2.39996 + scramble(i) * 6.28
        d = t * (r * wp.cos(th)) + b * (r * wp.sin(th)) + n * wp.sqrt(1.0 - u)
        q = wp.mesh_query_ray(mesh, o, d, reach)
        if q.result:
            hidden += wp.min(1.0, 1.15 - q.t / reach)
    out[i] = 1.0 - hidden / float(rays)


def _vectors(a: Array) -> wp.array:
    return wp.array(np.ascontiguousarray(a, np.float32), dtype=wp.vec3)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Nearest points (n, 3), their face normals, signed distances (n,), positive outside."""

    points: Array
    normals: Array
    distances: Array


class Surface:
    """A triangle surface that answers in batches."""

    def __init__(self, points: Array, triangles: Index) -> None:
        self.points, self.triangles = points, triangles
        indices = wp.array(triangles.reshape(-1).astype(np.int32), dtype=int)
        self._mesh = wp.Mesh(points=_vectors(points), indices=indices)

    def nearest(self, points: Array) -> Nearest:
        n = len(points)
        found, normal = wp.zeros(n, dtype=wp.vec3), wp.zeros(n, dtype=wp.vec3)
        distance = wp.zeros(n, dtype=float)
        wp.launch(_nearest, n, [self._mesh.id, _vectors(points), found, normal, distance])
        return Nearest(*(a.numpy().astype(float) for a in (found, normal, distance)))

    def hit(self, origins: Array, directions: Array) -> Array:
        """Distance (n,) along each ray to its first hit, -1 for a miss."""
        distance = wp.zeros(len(origins), dtype=float)
        wp.launch(_hit, len(origins), [self._mesh.id, _vectors(origins), _vectors(directions), distance])
        return np.asarray(distance.numpy().astype(float))

    def openness(self, points: Array, normals: Array, rays: int = 96, reach: float = 1.1) -> Array:
        """Ambient occlusion (n,): 1 under open sky, 0 when all rays are blocked."""
        out = wp.zeros(len(points), dtype=float)
        wp.launch(_sky, len(points), [self._mesh.id, _vectors(points), _vectors(normals), rays, reach, out])
        return np.asarray(out.numpy().astype(float))
