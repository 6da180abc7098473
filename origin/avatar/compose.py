"""The light tier's tiles: face and hair over the fixed picture, edges smoothed, written as I420.

Hair comes from the layers of the nearest bucket of head turn; while the head passes from one bucket to the next, two
are mixed, so that nothing pops.
"""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar.face import FIXED, Face, face_pixel, packed, unpacked
from origin.avatar.shading import Lights

wp.set_module_options(
    {
        "cpu_compiler_flags": "-march=native -ffast-math -w -mllvm -inline-threshold=5000",
        "enable_backward": False,
    }
)


EDGE_STEP = wp.constant(1562 << 14)
"""A jump of the depth key, about a centimetre, that makes an edge."""


@wp.struct
class Hair:
    """Layers (b, h, w), inverse flow grids (rows, columns) of the bucket shown and of the one that fades in."""

    layers: wp.array(dtype=wp.vec4ub, ndim=3)
    flow: wp.array(dtype=wp.vec3, ndim=2)
    next_flow: wp.array(dtype=wp.vec3, ndim=2)


@wp.func
def layer_at(layers: wp.array(dtype=wp.vec4ub, ndim=3), b: int, x: float, y: float) -> wp.vec4:
    """Bilinear, 0-1, premultiplied; transparent outside."""
    h = layers.shape[1]
    w = layers.shape[2]
    if x < 0.0 or y < 0.0 or x >= float(w - 1) or y >= float(h - 1):
        return wp.vec4(0.0, 0.0, 0.0, 0.0)
    xa = int(x)
    ya = int(y)
    fx = x - float(xa)
    fy = y - float(ya)
    p = layers[b, ya, xa]
    q = layers[b, ya, xa + 1]
    r = layers[b, ya + 1, xa]
    s = layers[b, ya + 1, xa + 1]
    k0 = (1.0 - fx) * (1.0 - fy) * 0.00392157
    k1 = fx * (1.0 - fy) * 0.00392157
    k2 = (1.0 - fx) * fy * 0.00392157
    k3 = fx * fy * 0.00392157
    return wp.vec4(
        float(p[0]) * k0 + float(q[0]) * k1 + float(r[0]) * k2 + float(s[0]) * k3,
        float(p[1]) * k0 + float(q[1]) * k1 + float(r[1]) * k2 + float(s[1]) * k3,
        float(p[2]) * k0 + float(q[2]) * k1 + float(r[2]) * k2 + float(s[2]) * k3,
        float(p[3]) * k0 + float(q[3]) * k1 + float(r[3]) * k2 + float(s[3]) * k3,
    )


@wp.struct
class TileFlow:
    """Flow at the left of one row of a tile and its change per pixel."""

    x: float
    y: float
    dx: float
    dy: float


@wp.func
def row_flow(grid: wp.array(dtype=wp.vec3, ndim=2), ty: int, tx: int, fy: float) -> TileFlow:
    left = grid[ty, tx] * (1.0 - fy) + grid[ty + 1, tx] * fy
    right = grid[ty, tx + 1] * (1.0 - fy) + grid[ty + 1, tx + 1] * fy
    r = TileFlow()
    r.x = left[0]
    r.y = left[1]
    r.dx = (right[0] - left[0]) * 0.125
    r.dy = (right[1] - left[1]) * 0.125
    return r


@wp.func
def hair_near(grid: wp.array(dtype=wp.vec3, ndim=2), ty: int, tx: int) -> bool:
    return grid[ty, tx][2] + grid[ty, tx + 1][2] + grid[ty + 1, tx][2] + grid[ty + 1, tx + 1][2] > 0.0


@wp.func
def covered(layers: wp.array(dtype=wp.vec4ub, ndim=3), b: int, x: float, y: float) -> bool:
    """Whether hair hides everything here."""
    ux = int(x)
    uy = int(y)
    if ux < 0 or uy < 0 or ux >= layers.shape[2] - 1 or uy >= layers.shape[1] - 1:
        return False
    return layers[b, uy, ux][3] == wp.uint8(255) and layers[b, uy + 1, ux + 1][3] == wp.uint8(255)


@wp.kernel(enable_backward=False)
def shade_tiles(
    tiles: wp.array(dtype=int),
    first: int,
    face: Face,
    lights: Lights,
    depth: wp.array(dtype=wp.int32),
    fixed: wp.array(dtype=wp.vec4ub),
    back: Hair,
    front: Hair,
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    width: int,
    height: int,
    out: wp.array(dtype=wp.uint32),
):
    """Face pixels, and the fixed picture with back hair; where front hair hides all, nothing."""
    tile = tiles[wp.tid() + first]
    ty = tile >> 10
    tx = tile & 1023
    b = bucket[0]
    nb = bucket[1]
    mix = share[0]
    has_back = hair_near(back.flow, ty, tx)
    has_front = hair_near(front.flow, ty, tx)
    for yy in range(wp.min(8, height - ty * 8)):
        y = ty * 8 + yy
        fy = float(yy) * 0.125
        ff = row_flow(front.flow, ty, tx, fy)
        bf = row_flow(back.flow, ty, tx, fy)
        for xx in range(wp.min(8, width - tx * 8)):
            x = tx * 8 + xx
            i = y * width + x
            fx = float(xx)
            hidden = bool(False)
            if has_front and mix == 0.0:
                hidden = covered(front.layers, b, float(x) - ff.x - ff.dx * fx, float(y) - ff.y - ff.dy * fx)
            if hidden:
                out[i] = wp.uint32(0)
            else:
                t = depth[i] & FIXED
                q = fixed[i]
                if t == FIXED:
                    c = wp.vec3(float(q[0]), float(q[1]), float(q[2])) * 0.00392157
                    h = wp.vec4(0.0, 0.0, 0.0, 0.0)
                    if has_back:
                        h = layer_at(
                            back.layers, b, float(x) - bf.x - bf.dx * fx, float(y) - bf.y - bf.dy * fx
                        )
                    if mix > 0.0:
                        nf = row_flow(back.next_flow, ty, tx, fy)
                        hn = layer_at(
                            back.layers, nb, float(x) - nf.x - nf.dx * fx, float(y) - nf.y - nf.dy * fx
                        )
                        h = h * (1.0 - mix) + hn * mix
                    out[i] = packed(c * (1.0 - h[3]) + wp.vec3(h[0], h[1], h[2]))
                else:
                    out[i] = packed(face_pixel(x, y, t, face, lights) * (float(q[3]) * 0.00392157))


@wp.func
def luminance(c: wp.vec3) -> float:
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


@wp.func
def along_edge(
    colours: wp.array(dtype=wp.uint32), i: int, x: int, y: int, width: int, height: int
) -> wp.vec3:
    """Four taps along the edge through a pixel: smooths a staircase without blurring across it."""
    nw = luminance(unpacked(colours[i - width - 1]))
    ne = luminance(unpacked(colours[i - width + 1]))
    sw = luminance(unpacked(colours[i + width - 1]))
    se = luminance(unpacked(colours[i + width + 1]))
    dx = (sw + se) - (nw + ne)
    dy = (nw + sw) - (ne + se)
    scale = 1.0 / (wp.min(wp.abs(dx), wp.abs(dy)) + 0.02)
    dx = wp.clamp(dx * scale, -2.0, 2.0)
    dy = wp.clamp(dy * scale, -2.0, 2.0)
    s = wp.vec3(0.0, 0.0, 0.0)
    for q in range(4):
        g = (float(q) - 1.5) * 0.3333
        fx = wp.clamp(float(x) + dx * g, 0.0, float(width) - 1.01)
        fy = wp.clamp(float(y) + dy * g, 0.0, float(height) - 1.01)
        xa = int(fx)
        ya = int(fy)
        fx = fx - float(xa)
        fy = fy - float(ya)
        j = ya * width + xa
        top = unpacked(colours[j]) * (1.0 - fx) + unpacked(colours[j + 1]) * fx
        below = unpacked(colours[j + width]) * (1.0 - fx) + unpacked(colours[j + width + 1]) * fx
        s = s + top * (1.0 - fy) + below * fy
    return s * 0.25


@wp.func
def is_edge(a: int, b: int, material: wp.array(dtype=int)) -> bool:
    """Whether two neighbouring pixels lie on different things: another material, or a jump in depth."""
    t = a & FIXED
    u = b & FIXED
    if t == u:
        return False
    if t == FIXED or u == FIXED:
        return True
    return wp.abs(a - b) > EDGE_STEP or material[t] != material[u]


@wp.func
def smoothed(
    colours: wp.array(dtype=wp.uint32),
    depth: wp.array(dtype=wp.int32),
    material: wp.array(dtype=int),
    i: int,
    x: int,
    y: int,
    width: int,
    height: int,
) -> wp.vec3:
    """The colour at pixel i, smoothed where it lies at the edge of a thing."""
    d = unpacked(colours[i])
    if x > 0 and y > 0 and x < width - 1 and y < height - 1:
        z = depth[i]
        edge = is_edge(z, depth[i + 1], material) or is_edge(z, depth[i - 1], material)
        if not edge:
            edge = is_edge(z, depth[i + width], material) or is_edge(z, depth[i - width], material)
        if edge:
            d = along_edge(colours, i, x, y, width, height)
    return d


@wp.func
def final_colour(
    x: int,
    y: int,
    fx: float,
    row: TileFlow,
    next_row: TileFlow,
    has_front: bool,
    colours: wp.array(dtype=wp.uint32),
    depth: wp.array(dtype=wp.int32),
    material: wp.array(dtype=int),
    layers: wp.array(dtype=wp.vec4ub, ndim=3),
    b: int,
    nb: int,
    mix: float,
    width: int,
    height: int,
) -> wp.vec3:
    """Front hair over the shaded pixel, whose edge is smoothed; levels 0-255."""
    h = wp.vec4(0.0, 0.0, 0.0, 0.0)
    if has_front:
        h = layer_at(layers, b, float(x) - row.x - row.dx * fx, float(y) - row.y - row.dy * fx)
    if mix > 0.0:
        hn = layer_at(
            layers, nb, float(x) - next_row.x - next_row.dx * fx, float(y) - next_row.y - next_row.dy * fx
        )
        h = h * (1.0 - mix) + hn * mix
    c = wp.vec3(h[0], h[1], h[2])
    if h[3] < 0.996:
        i = y * width + x
        d = smoothed(colours, depth, material, i, x, y, width, height)
        c = c + d * (1.0 - h[3])
    return c * 255.0


@wp.func
def luma_of(c: wp.vec3, grain: wp.uint8) -> wp.uint8:
    """BT.601 Y with grain, which has no colour."""
    return wp.uint8(
        wp.clamp(
            16.5 + 0.256788 * c[0] + 0.504129 * c[1] + 0.097906 * c[2] + (float(grain) - 128.0) * 0.01,
            16.0,
            235.0,
        )
    )


@wp.kernel(enable_backward=False)
def write_tiles(
    tiles: wp.array(dtype=int),
    first: int,
    colours: wp.array(dtype=wp.uint32),
    depth: wp.array(dtype=wp.int32),
    material: wp.array(dtype=int),
    front: Hair,
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    noise: wp.array(dtype=wp.uint8, ndim=2),
    width: int,
    height: int,
    box_x: int,
    box_y: int,
    luma: wp.array(dtype=wp.uint8, ndim=2),
    chroma: wp.array(dtype=wp.uint8, ndim=3),
):
    """Writes tiles as BT.601 limited range: Y per pixel, U and V per four."""
    tile = tiles[wp.tid() + first]
    ty = tile >> 10
    tx = tile & 1023
    b = bucket[0]
    nb = bucket[1]
    mix = share[0]
    has_front = hair_near(front.flow, ty, tx)
    for yp in range(wp.min(4, (height - ty * 8) >> 1)):
        y = ty * 8 + yp * 2
        fy = float(yp) * 0.25
        r0 = row_flow(front.flow, ty, tx, fy)
        r1 = row_flow(front.flow, ty, tx, fy + 0.125)
        n0 = r0
        n1 = r1
        if mix > 0.0:
            n0 = row_flow(front.next_flow, ty, tx, fy)
            n1 = row_flow(front.next_flow, ty, tx, fy + 0.125)
        py = box_y + y
        for xp in range(wp.min(4, (width - tx * 8) >> 1)):
            x = tx * 8 + xp * 2
            px = box_x + x
            fx = float(xp) * 2.0
            ahead = front.layers
            c0 = final_colour(
                x, y, fx, r0, n0, has_front, colours, depth, material, ahead, b, nb, mix, width, height
            )
            c1 = final_colour(
                x + 1,
                y,
                fx + 1.0,
                r0,
                n0,
                has_front,
                colours,
                depth,
                material,
                ahead,
                b,
                nb,
                mix,
                width,
                height,
            )
            c2 = final_colour(
                x, y + 1, fx, r1, n1, has_front, colours, depth, material, ahead, b, nb, mix, width, height
            )
            c3 = final_colour(
                x + 1,
                y + 1,
                fx + 1.0,
                r1,
                n1,
                has_front,
                colours,
                depth,
                material,
                ahead,
                b,
                nb,
                mix,
                width,
                height,
            )
            luma[py, px] = luma_of(c0, noise[y, x])
            luma[py, px + 1] = luma_of(c1, noise[y, x + 1])
            luma[py + 1, px] = luma_of(c2, noise[y + 1, x])
            luma[py + 1, px + 1] = luma_of(c3, noise[y + 1, x + 1])
            s = (c0 + c1 + c2 + c3) * 0.25
            u = 128.5 - 0.148223 * s[0] - 0.290993 * s[1] + 0.439216 * s[2]
            v = 128.5 + 0.439216 * s[0] - 0.367788 * s[1] - 0.071427 * s[2]
            chroma[0, py / 2, px / 2] = wp.uint8(wp.clamp(u, 16.0, 240.0))
            chroma[1, py / 2, px / 2] = wp.uint8(wp.clamp(v, 16.0, 240.0))
