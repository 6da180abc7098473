"""Hair flow: how a baked layer must be moved so that it fits the head's turn of this moment.

Every node of a grid knows the rest position of the hair near it. Projecting that under the current turn gives where
the node's picture belongs; inverting the map (three fixed-point steps) gives, for every pixel, where to look.
"""


# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar.posing import Lens, project, turned

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})


@wp.func
def flow_at(grid: wp.array(dtype=wp.vec3, ndim=2), x: float, y: float) -> wp.vec3:
    gx = wp.clamp(x * 0.125, 0.0, float(grid.shape[1]) - 1.001)
    gy = wp.clamp(y * 0.125, 0.0, float(grid.shape[0]) - 1.001)
    xa = int(gx)
    ya = int(gy)
    fx = gx - float(xa)
    fy = gy - float(ya)
    top = grid[ya, xa] * (1.0 - fx) + grid[ya, xa + 1] * fx
    return top * (1.0 - fy) + (grid[ya + 1, xa] * (1.0 - fx) + grid[ya + 1, xa + 1] * fx) * fy


@wp.kernel(enable_backward=False)
def move_nodes(
    nodes: wp.array(dtype=wp.vec4, ndim=3),
    origins: wp.array(dtype=wp.vec3, ndim=3),
    bucket: wp.array(dtype=int),
    slot: int,
    head: wp.array(dtype=wp.vec3),
    lens: Lens,
    out: wp.array(dtype=wp.vec3, ndim=2),
):
    """How far each node has moved from its place in the bucket; z keeps whether hair is near."""
    y, x = wp.tid()
    b = bucket[slot]
    g = nodes[b, y, x]
    o = origins[b, y, x]
    p = project(lens, turned(head, wp.vec3(g[0], g[1], g[2]), g[3]))
    out[y, x] = wp.vec3(p[0] - o[0], p[1] - o[1], o[2])


@wp.kernel(enable_backward=False)
def invert_flow(moved: wp.array(dtype=wp.vec3, ndim=2), out: wp.array(dtype=wp.vec3, ndim=2)):
    y, x = wp.tid()
    fx = float(x) * 8.0
    fy = float(y) * 8.0
    d = wp.vec3(0.0, 0.0, 0.0)
    for _ in range(3):
        d = flow_at(moved, fx - d[0], fy - d[1])
    out[y, x] = d
