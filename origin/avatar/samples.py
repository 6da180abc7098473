"""Samples of the full tier: what each one shows, in shadow or light, with relief on skin and highlights in hair."""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018, SIM102, SIM109
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar import shading
from origin.avatar.materials import Material
from origin.avatar.shading import Lights
from origin.avatar.visibility import TRIANGLE_MASK

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})

SKIN = wp.constant(int(Material.SKIN))
EYE = wp.constant(int(Material.EYE))
TEETH = wp.constant(int(Material.TEETH))
MOUTH = wp.constant(int(Material.MOUTH))
LASH = wp.constant(int(Material.LASH))
CLOTH = wp.constant(int(Material.CLOTH))
HAIR = wp.constant(int(Material.HAIR))


@wp.struct
class ShadowFrame:
    """Where the shadow map lies: texels along across and up, depth along the key's direction."""

    centre: wp.vec3
    across: wp.vec3
    up: wp.vec3
    toward: wp.vec3
    scale: float
    size: int


@wp.kernel(enable_backward=False)
def project_shadow(world: wp.array(dtype=wp.vec3), s: ShadowFrame, out: wp.array(dtype=wp.vec3)):
    q = world[wp.tid()] - s.centre
    n = float(s.size)
    out[wp.tid()] = wp.vec3(
        (wp.dot(q, s.across) * s.scale + 0.5) * n,
        (wp.dot(q, s.up) * s.scale + 0.5) * n,
        wp.dot(q, s.toward) * s.scale + 0.5,
    )


@wp.func
def lit(
    depth: wp.array(dtype=wp.int64),
    s: ShadowFrame,
    p: wp.vec3,
    radius: float,
    turn: float,
    bias: float,
    taps: int,
) -> float:
    """How much of the key reaches a point, 0-1, over taps on a spiral."""
    q = p - s.centre
    n = float(s.size)
    x = (wp.dot(q, s.across) * s.scale + 0.5) * n
    y = (wp.dot(q, s.up) * s.scale + 0.5) * n
    z = wp.dot(q, s.toward) * s.scale + 0.5 + bias
    hidden = float(0.0)
    for k in range(taps):
        r = wp.sqrt((float(k) + 0.5) / float(taps)) * radius
        th = float(k) * 2.39996 + turn * 6.2832
        xi = int(x + wp.cos(th) * r)
        yi = int(y + wp.sin(th) * r)
        if xi >= 0 and yi >= 0 and xi < s.size and yi < s.size:
            if float(depth[yi * s.size + xi] >> wp.int64(20)) / 4194304.0 > z:
                hidden += 1.0
    return 1.0 - hidden / float(taps)


@wp.kernel(enable_backward=False)
def probe_shadow(
    depth: wp.array(dtype=wp.int64),
    world: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    s: ShadowFrame,
    radius: float,
    chin: float,
    out: wp.array(dtype=float),
):
    """Shadow at given points, for baking."""
    i = wp.tid()
    wide = radius + 11.0 * wp.clamp((chin - world[i][1]) * 3.0, 0.0, 1.0)
    out[i] = lit(depth, s, world[i] + normal[i] * 0.012, wide, 0.0, 0.0022, 48)


@wp.func
def texel(image: wp.array(dtype=wp.vec4, ndim=2), u: float, v: float) -> wp.vec4:
    h = image.shape[0]
    w = image.shape[1]
    x = wp.clamp(u * float(w) - 0.5, 0.0, float(w) - 1.001)
    y = wp.clamp(v * float(h) - 0.5, 0.0, float(h) - 1.001)
    xa = int(x)
    ya = int(y)
    fx = x - float(xa)
    fy = y - float(ya)
    top = image[ya, xa] * (1.0 - fx) + image[ya, xa + 1] * fx
    return top * (1.0 - fy) + (image[ya + 1, xa] * (1.0 - fx) + image[ya + 1, xa + 1] * fx) * fy


@wp.func
def bumped(n: wp.vec3, e1: wp.vec3, e2: wp.vec3, d1: wp.vec2, d2: wp.vec2, gradient: wp.vec4) -> wp.vec3:
    """The normal tilted by a height gradient given along the UV axes."""
    det = d1[0] * d2[1] - d2[0] * d1[1]
    if wp.abs(det) < 1.0e-9:
        return n
    tu = (e1 * d2[1] - e2 * d1[1]) / det
    tv = (e2 * d1[0] - e1 * d2[0]) / det
    u = tu * (gradient[0] / wp.max(wp.dot(tu, tu), 1.0e-6))
    v = tv * (gradient[1] / wp.max(wp.dot(tv, tv), 1.0e-6))
    return wp.normalize(n - u - v)


@wp.kernel(enable_backward=False)
def shade_samples(
    screen: wp.array(dtype=wp.vec3),
    world: wp.array(dtype=wp.vec3),
    normal: wp.array(dtype=wp.vec3),
    tangent: wp.array(dtype=wp.vec3),
    turn: wp.array(dtype=float),
    occlusion: wp.array(dtype=float),
    colour: wp.array(dtype=wp.vec3),
    uv: wp.array(dtype=wp.vec2),
    triangles: wp.array(dtype=wp.vec3i),
    material: wp.array(dtype=wp.int32),
    surface: wp.array(dtype=wp.vec4, ndim=2),
    relief: wp.array(dtype=wp.vec4, ndim=2),
    strands: wp.array(dtype=wp.vec4, ndim=2),
    harmonics: wp.array(dtype=wp.vec3),
    depth: wp.array(dtype=wp.int64),
    shadow_depth: wp.array(dtype=wp.int64),
    s: ShadowFrame,
    backdrop: wp.array(dtype=wp.vec3, ndim=2),
    head: wp.array(dtype=wp.vec3),
    lights: Lights,
    width: int,
    set_frame: wp.vec4,
    taps: int,
    out: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    y = i / width
    x = i - y * width
    q = depth[i]
    if q == wp.int64(0):
        by = wp.clamp(int(set_frame[1] + float(y) * set_frame[3]), 0, backdrop.shape[0] - 1)
        bx = wp.clamp(int(set_frame[0] + float(x) * set_frame[2]), 0, backdrop.shape[1] - 1)
        out[i] = shading.film(backdrop[by, bx] * lights.exposure)
        return
    t = int(q & wp.int64(TRIANGLE_MASK))
    f = triangles[t]
    m = material[t]
    p0 = screen[f[0]]
    p1 = screen[f[1]]
    p2 = screen[f[2]]
    inv = 1.0 / ((p1[1] - p2[1]) * (p0[0] - p2[0]) + (p2[0] - p1[0]) * (p0[1] - p2[1]))
    a = ((p1[1] - p2[1]) * (float(x) - p2[0]) + (p2[0] - p1[0]) * (float(y) - p2[1])) * inv
    b = ((p2[1] - p0[1]) * (float(x) - p2[0]) + (p0[0] - p2[0]) * (float(y) - p2[1])) * inv
    c = 1.0 - a - b
    pos = world[f[0]] * a + world[f[1]] * b + world[f[2]] * c
    n = wp.normalize(normal[f[0]] * a + normal[f[1]] * b + normal[f[2]] * c)
    v = wp.normalize(lights.camera - pos)
    ao = occlusion[f[0]] * a + occlusion[f[1]] * b + occlusion[f[2]] * c
    col = colour[f[0]] * a + colour[f[1]] * b + colour[f[2]] * c
    q2 = uv[f[0]] * a + uv[f[1]] * b + uv[f[2]] * c
    rnd = shading.scramble(x * 1973 + y * 9277)
    if wp.dot(n, v) < 0.0 and m != SKIN and m != HAIR:
        n = -n
    res = wp.vec3(0.0, 0.0, 0.0)
    if m == SKIN:
        tx = texel(surface, q2[0], q2[1])
        bt = texel(relief, q2[0], q2[1])
        e1 = world[f[1]] - world[f[0]]
        e2 = world[f[2]] - world[f[0]]
        nb = bumped(n, e1, e2, uv[f[1]] - uv[f[0]], uv[f[2]] - uv[f[0]], bt)
        # below the chin what casts is further away: a softer edge
        wide = 7.0 + 11.0 * wp.clamp((head[3][1] + 0.2 - pos[1]) * 3.0, 0.0, 1.0)
        sd = lit(shadow_depth, s, pos + n * 0.012, wide, rnd, 0.0022, taps)
        cav = ao * bt[3]
        a1 = tx[3] * tx[3]
        diffuse = shading.soft_diffuse(nb, cav, harmonics, lights)
        specular = shading.soft_specular(nb, v, a1, harmonics, lights)
        albedo = wp.vec3(tx[0], tx[1], tx[2])
        res = shading.skin_colour(nb, v, albedo, tx[3], bt[2], cav, sd, diffuse, specular, lights)
    elif m == TEETH or m == MOUTH:
        rough = float(0.42)
        sd = lit(shadow_depth, s, pos + n * 0.012, 7.0, rnd, 0.0022, taps)
        if m == TEETH:
            rough = 0.24
            n = wp.normalize(n * 0.45 + v * 0.55)
            sd = 0.45 + 0.55 * sd
        diffuse = shading.soft_diffuse(n, ao, harmonics, lights)
        specular = shading.soft_specular(n, v, rough * rough, harmonics, lights)
        res = shading.skin_colour(n, v, col, rough, 0.0, ao, sd, diffuse, specular, lights)
        res = res * (wp.clamp(q2[0], 0.0, 1.0) * head[9][0])  # light reaches only the front of the mouth
    elif m == EYE:
        centre = head[4]
        gaze = head[6]
        if pos[0] < 0.5 * (head[4][0] + head[5][0]):
            centre = head[5]
            gaze = head[7]
        sd = lit(shadow_depth, s, pos + n * 0.02, 5.0, rnd, 0.004, taps)
        res = shading.eye_colour(pos, n, v, ao, sd, centre, gaze, head[8], harmonics, lights)
    elif m == LASH:
        res = wp.cw_mul(col, shading.ambient(harmonics, n) + lights.key * 0.4)
    elif m == CLOTH:
        sd = lit(shadow_depth, s, pos + n * 0.03, 7.0, rnd, 0.004, taps)
        # threads are finer than pixels: a little noise; folds come from the mesh and its occlusion
        res = shading.cloth_colour(n, v, col * (1.0 + 0.09 * (rnd - 0.5)), 0.13, ao, sd, harmonics, lights)
    else:
        r = tangent[f[0]] * a + tangent[f[1]] * b + tangent[f[2]] * c
        follow = turn[f[0]]
        r = wp.normalize(
            r + (wp.vec3(wp.dot(head[0], r), wp.dot(head[1], r), wp.dot(head[2], r)) - r) * follow
        )
        sd = lit(shadow_depth, s, pos + n * 0.03, 9.0, rnd, 0.006, taps)
        st = texel(strands, q2[0], q2[1])
        res = shading.hair_colour(n, v, r, st, col[0], ao, sd, harmonics, lights)
    out[i] = shading.film(res * lights.exposure)
