"""The light tier's matte: how much of each pixel the person covers, composed as compose.py composes the colours."""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar.compose import Hair, hair_near, layer_at, row_flow, smoothed
from origin.avatar.face import FIXED, packed

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})


@wp.func
def hair_cover(
    hair: Hair, x: int, y: int, ty: int, tx: int, bucket: wp.array(dtype=int), share: wp.array(dtype=float)
) -> float:
    """Coverage of one side's hair at a pixel, 0-1; of two buckets while one fades into the next."""
    cover = float(0.0)
    mix = share[0]
    fx = float(x - tx * 8)
    fy = float(y - ty * 8) * 0.125
    if hair_near(hair.flow, ty, tx):
        f = row_flow(hair.flow, ty, tx, fy)
        h = layer_at(hair.layers, bucket[0], float(x) - f.x - f.dx * fx, float(y) - f.y - f.dy * fx)
        cover = h[3]
    if mix > 0.0:
        n = row_flow(hair.next_flow, ty, tx, fy)
        g = layer_at(hair.layers, bucket[1], float(x) - n.x - n.dx * fx, float(y) - n.y - n.dy * fx)
        cover = cover * (1.0 - mix) + g[3] * mix
    return cover


@wp.kernel(enable_backward=False)
def matte_tiles(
    tiles: wp.array(dtype=int),
    depth: wp.array(dtype=wp.int32),
    fixed: wp.array(dtype=wp.uint8, ndim=2),
    back: Hair,
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    width: int,
    height: int,
    out: wp.array(dtype=wp.uint32),
):
    """Face pixels cover all; elsewhere clothes, and hair behind the face."""
    tile = tiles[wp.tid()]
    ty = tile >> 10
    tx = tile & 1023
    for yy in range(wp.min(8, height - ty * 8)):
        y = ty * 8 + yy
        for xx in range(wp.min(8, width - tx * 8)):
            x = tx * 8 + xx
            i = y * width + x
            a = float(1.0)
            if (depth[i] & FIXED) == FIXED:
                h = hair_cover(back, x, y, ty, tx, bucket, share)
                a = float(fixed[y, x]) * 0.00392157 * (1.0 - h) + h
            out[i] = packed(wp.vec3(a, a, a))


@wp.kernel(enable_backward=False)
def write_matte(
    tiles: wp.array(dtype=int),
    covers: wp.array(dtype=wp.uint32),
    depth: wp.array(dtype=wp.int32),
    material: wp.array(dtype=int),
    front: Hair,
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    width: int,
    height: int,
    box_x: int,
    box_y: int,
    out: wp.array(dtype=wp.uint8, ndim=2),
):
    """Smooths the edges where the colours were smoothed, and lays the front hair over it."""
    tile = tiles[wp.tid()]
    ty = tile >> 10
    tx = tile & 1023
    for yy in range(wp.min(8, height - ty * 8)):
        y = ty * 8 + yy
        for xx in range(wp.min(8, width - tx * 8)):
            x = tx * 8 + xx
            i = y * width + x
            d = smoothed(covers, depth, material, i, x, y, width, height)
            h = hair_cover(front, x, y, ty, tx, bucket, share)
            out[box_y + y, box_x + x] = wp.uint8(wp.clamp((h + d[0] * (1.0 - h)) * 255.0 + 0.5, 0.0, 255.0))
