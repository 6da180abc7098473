"""Visibility of the full tier: which triangle owns a sample, by a 64-bit atomic max of depth and triangle.

Hair and lashes are alpha-tested against a threshold that is fixed per subsample and card, so that supersampling turns
it into even levels of coverage without noise. The same kernel draws the shadow map.
"""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018, SIM109, RUF046
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar.materials import Material
from origin.avatar.shading import scramble

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})

HAIR = wp.constant(int(Material.HAIR))
LASH = wp.constant(int(Material.LASH))
CLOTH = wp.constant(int(Material.CLOTH))

TRIANGLE_BITS = wp.constant(20)
TRIANGLE_MASK = wp.constant((1 << 20) - 1)
DEPTH_STEPS = wp.constant(4194304.0)


@wp.func
def threshold(x: int, y: int, samples: int) -> float:
    """Alpha threshold of a subsample, 0-1: an ordered table of 2x2 or 4x4."""
    a = (x & 1) * 2 + ((y & 1) ^ (x & 1))
    if samples < 4:
        return float(a) * 0.25 + 0.125
    b = ((x >> 1) & 1) * 2 + (((y >> 1) & 1) ^ ((x >> 1) & 1))
    return float(a * 4 + b) * 0.0625 + 0.03125


@wp.func
def lash_alpha(uv: wp.vec2) -> float:
    """Coverage of a lash strip: u along the lid, v from root 0 to tip 1; negative v are the lower lashes."""
    strand = wp.abs(uv[0] * 44.0 - wp.floor(uv[0] * 44.0) - 0.5) * 2.0
    if uv[1] < 0.0:
        return 0.28 * (1.0 + uv[1] * 1.8) * (1.2 - strand)
    return 1.2 - uv[1] * (1.5 + 1.6 * strand)


@wp.kernel(enable_backward=False)
def draw_triangles(
    screen: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.vec3i),
    material: wp.array(dtype=wp.int32),
    uv: wp.array(dtype=wp.vec2),
    atlas: wp.array(dtype=wp.vec4, ndim=2),
    width: int,
    height: int,
    samples: int,
    two_sided: int,
    depth: wp.array(dtype=wp.int64),
):
    t = wp.tid()
    f = triangles[t]
    m = material[t]
    p0 = screen[f[0]]
    p1 = screen[f[1]]
    p2 = screen[f[2]]
    area = (p1[1] - p2[1]) * (p0[0] - p2[0]) + (p2[0] - p1[0]) * (p0[1] - p2[1])
    if wp.abs(area) < 1.0e-6:
        return
    if area > 0.0 and two_sided == 0 and m != HAIR and m != LASH and m != CLOTH:
        return
    x0 = wp.max(0, int(wp.ceil(wp.min(p0[0], wp.min(p1[0], p2[0])))))
    x1 = wp.min(width - 1, int(wp.floor(wp.max(p0[0], wp.max(p1[0], p2[0])))))
    y0 = wp.max(0, int(wp.ceil(wp.min(p0[1], wp.min(p1[1], p2[1])))))
    y1 = wp.min(height - 1, int(wp.floor(wp.max(p0[1], wp.max(p1[1], p2[1])))))
    inv = 1.0 / area
    jitter = (scramble(t / 2 + 7919) - 0.5) * 0.22
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            fx = float(x)
            fy = float(y)
            a = ((p1[1] - p2[1]) * (fx - p2[0]) + (p2[0] - p1[0]) * (fy - p2[1])) * inv
            b = ((p2[1] - p0[1]) * (fx - p2[0]) + (p0[0] - p2[0]) * (fy - p2[1])) * inv
            c = 1.0 - a - b
            if a >= 0.0 and b >= 0.0 and c >= 0.0:
                z = a * p0[2] + b * p1[2] + c * p2[2]
                key = (wp.int64(z * DEPTH_STEPS) << wp.int64(TRIANGLE_BITS)) + wp.int64(t)
                if depth[y * width + x] < key:  # before the alpha fetch: twice as fast on hair
                    ok = int(1)
                    if m == HAIR or m == LASH:
                        q = uv[f[0]] * a + uv[f[1]] * b + uv[f[2]] * c
                        alpha = float(0.0)
                        if m == HAIR:
                            h = atlas.shape[0]
                            w = atlas.shape[1]
                            ty = wp.clamp(int(q[1] * float(h)), 0, h - 1)
                            tx = wp.clamp(int(q[0] * float(w)), 0, w - 1)
                            alpha = atlas[ty, tx][3]
                        else:
                            alpha = lash_alpha(q)
                        if alpha < threshold(x, y, samples) + jitter:
                            ok = 0
                    if ok == 1:
                        wp.atomic_max(depth, y * width + x, key)
