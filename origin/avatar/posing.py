"""Posing: face units, head turn, projection and normals, one Warp thread a vertex or triangle."""


# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar import shading  # noqa: F401  (sets the module options of Warp before the first compile)
from origin.avatar.camera import FAR, NEAR

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})

# Rows of the head state, an array of vec3: rotation (3 rows), pivot, eyes, their gaze, up, and (mouth light, jaw, lift).
PIVOT = wp.constant(3)
EYE_LEFT = wp.constant(4)
EYE_RIGHT = wp.constant(5)
GAZE_LEFT = wp.constant(6)
GAZE_RIGHT = wp.constant(7)
HEAD_UP = wp.constant(8)
MOUTH = wp.constant(9)
HEAD_ROWS = 10

FAR_INVERSE = wp.constant(1.0 / FAR)
DEPTH_SCALE = wp.constant(1.0 / (1.0 / NEAR - 1.0 / FAR))


@wp.struct
class Lens:
    """The camera as kernels see it; (cx, cy) is the principal point in the picture that is drawn."""

    position: wp.vec3
    forward: wp.vec3
    right: wp.vec3
    up: wp.vec3
    focal: float
    cx: float
    cy: float


@wp.func
def project(c: Lens, x: wp.vec3) -> wp.vec3:
    q = x - c.position
    zi = 1.0 / wp.dot(q, c.forward)
    return wp.vec3(
        c.cx + wp.dot(q, c.right) * zi * c.focal,
        c.cy - wp.dot(q, c.up) * zi * c.focal,
        (zi - FAR_INVERSE) * DEPTH_SCALE,
    )


@wp.func
def rotated(head: wp.array(dtype=wp.vec3), v: wp.vec3) -> wp.vec3:
    return wp.vec3(wp.dot(head[0], v), wp.dot(head[1], v), wp.dot(head[2], v))


@wp.func
def turned(head: wp.array(dtype=wp.vec3), v: wp.vec3, turn: float) -> wp.vec3:
    """A point after the head's turn, of which it follows a part (0-1), and the lift of breath."""
    q = v - head[PIVOT]
    w = v + (rotated(head, q) - q) * turn
    return wp.vec3(w[0], w[1] + head[MOUTH][2] * turn, w[2])


@wp.kernel(enable_backward=False)
def pose_vertices(
    rest: wp.array(dtype=wp.vec3),
    start: wp.array(dtype=int),
    unit: wp.array(dtype=int),
    offset: wp.array(dtype=wp.vec3),
    weights: wp.array(dtype=float),
    turn: wp.array(dtype=float),
    head: wp.array(dtype=wp.vec3),
    lens: Lens,
    world: wp.array(dtype=wp.vec3),
    screen: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    v = rest[i]
    for k in range(start[i], start[i + 1]):
        w = weights[unit[k]]
        if w != 0.0:
            v = v + offset[k] * w
    v = turned(head, v, turn[i])
    world[i] = v
    screen[i] = project(lens, v)


@wp.kernel(enable_backward=False)
def face_normals(
    world: wp.array(dtype=wp.vec3), triangles: wp.array(dtype=wp.vec3i), out: wp.array(dtype=wp.vec3)
):
    """Normals of triangles, as long as twice their area."""
    t = wp.tid()
    f = triangles[t]
    a = world[f[0]]
    out[t] = wp.cross(world[f[1]] - a, world[f[2]] - a)


@wp.kernel(enable_backward=False)
def vertex_normals(
    faces: wp.array(dtype=wp.vec3),
    start: wp.array(dtype=int),
    ring: wp.array(dtype=int),
    rest_normal: wp.array(dtype=wp.vec3),
    turn: wp.array(dtype=float),
    head: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=wp.vec3),
):
    """Sums the ring of triangles; a vertex without a ring (hair, cloth) keeps its rest normal, turned."""
    i = wp.tid()
    if start[i] == start[i + 1]:
        r = rest_normal[i]
        out[i] = wp.normalize(r + (rotated(head, r) - r) * turn[i])
        return
    n = wp.vec3(0.0, 0.0, 0.0)
    for k in range(start[i], start[i + 1]):
        n = n + faces[ring[k]]
    out[i] = wp.normalize(n)
