"""The light tier's face: what deforms every frame. Soft light per vertex, shadow texels, rows of depth, shaded tiles.

Only the key light sees the relief of the skin; ambient, fill and rims are computed at vertices. A tile is 8x8 pixels
of the head box, shaded by one thread.
"""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018, SIM109
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import warp as wp

from origin.avatar import shading
from origin.avatar.materials import Material
from origin.avatar.shading import Lights
from origin.avatar.visibility import lash_alpha

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})

SKIN = wp.constant(int(Material.SKIN))
EYE = wp.constant(int(Material.EYE))
TEETH = wp.constant(int(Material.TEETH))
NECK = wp.constant(int(Material.NECK))

# A depth key of 32 bits, so that the head box stays in a core's cache: 17 bits of depth, 14 of triangle.
KEY_BITS = wp.constant(14)
FIXED = wp.constant((1 << 14) - 1)
"""The triangle number of what never moves, and the mask of triangle numbers."""
KEY_DEPTHS = wp.constant(131072.0)
FILM_FIRST = wp.constant((127 - 14) << 8)
FILM_STEPS = wp.constant(18 << 8)
"""The film table covers 2^-14 to 2^4 in 256 steps an octave."""
ROUGH = wp.constant(0.46)
"""Roughness of skin for the soft lights."""


@wp.kernel(enable_backward=False)
def light_vertices(
    faces: wp.array(dtype=wp.vec3),
    start: wp.array(dtype=int),
    ring: wp.array(dtype=int),
    world: wp.array(dtype=wp.vec3),
    occlusion: wp.array(dtype=float),
    shadow_buckets: wp.array(dtype=wp.uint8, ndim=2),
    shadow_jaw: wp.array(dtype=float),
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    head: wp.array(dtype=wp.vec3),
    harmonics: wp.array(dtype=wp.vec3),
    lights: Lights,
    uv: wp.array(dtype=wp.vec2),
    out: wp.array(dtype=wp.vec4),
):
    """Four vec4 a vertex, as pixels read them: position and shadow, normal and occlusion, diffuse and u, specular and v."""
    i = wp.tid()
    n = wp.vec3(0.0, 0.0, 0.0)
    for k in range(start[i], start[i + 1]):
        n = n + faces[ring[k]]
    n = wp.normalize(n)
    v = wp.normalize(lights.camera - world[i])
    ao = occlusion[i]
    d = shading.soft_diffuse(n, ao, harmonics, lights)
    g = shading.soft_specular(n, v, ROUGH * ROUGH, harmonics, lights)
    s = float(shadow_buckets[bucket[2], i]) * share[1] + float(shadow_buckets[bucket[3], i]) * share[2]
    s = s + float(shadow_buckets[bucket[4], i]) * share[3] + float(shadow_buckets[bucket[5], i]) * share[4]
    s = wp.clamp(s / 255.0 + shadow_jaw[i] * head[9][1], 0.0, 1.0)
    p = world[i]
    t = uv[i]
    out[4 * i] = wp.vec4(p[0], p[1], p[2], s)
    out[4 * i + 1] = wp.vec4(n[0], n[1], n[2], ao)
    out[4 * i + 2] = wp.vec4(d[0], d[1], d[2], t[0])
    out[4 * i + 3] = wp.vec4(g[0], g[1], g[2], t[1])


@wp.kernel(enable_backward=False)
def blend_shadow(
    texels: wp.array(dtype=int),
    buckets: wp.array(dtype=wp.uint8, ndim=2),
    jaw: wp.array(dtype=float),
    bucket: wp.array(dtype=int),
    share: wp.array(dtype=float),
    head: wp.array(dtype=wp.vec3),
    out: wp.array(dtype=float),
):
    """Shadow texels between four buckets of turn, and what an open jaw adds."""
    i = wp.tid()
    s = float(buckets[bucket[2], i]) * share[1] + float(buckets[bucket[3], i]) * share[2]
    s = s + float(buckets[bucket[4], i]) * share[3] + float(buckets[bucket[5], i]) * share[4]
    out[texels[i]] = wp.clamp(s * 0.00392157 + jaw[i] * head[9][1], 0.0, 1.0)


@wp.kernel(enable_backward=False)
def tangent_frames(
    world: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.vec3i),
    uv_inverse: wp.array(dtype=wp.vec4),
    out: wp.array(dtype=wp.vec3),
):
    """Per triangle, the two directions that tilt a normal by the relief's gradient."""
    t = wp.tid()
    f = triangles[t]
    d = uv_inverse[t]
    a = world[f[0]]
    e1 = world[f[1]] - a
    e2 = world[f[2]] - a
    tu = e1 * d[0] + e2 * d[1]
    tv = e1 * d[2] + e2 * d[3]
    out[2 * t] = tu / wp.max(wp.dot(tu, tu), 1.0e-6)
    out[2 * t + 1] = tv / wp.max(wp.dot(tv, tv), 1.0e-6)


@wp.kernel(enable_backward=False)
def draw_rows(
    screen: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.vec3i),
    width: int,
    top: int,
    bottom: int,
    planes: wp.array(dtype=wp.vec3),
    depth: wp.array(dtype=wp.int32),
):
    """Visibility of rows top to bottom. Rows belong to one thread, so no atomics; planes give barycentrics later."""
    t = wp.tid()
    f = triangles[t]
    p0 = screen[f[0]]
    p1 = screen[f[1]]
    p2 = screen[f[2]]
    area = (p1[1] - p2[1]) * (p0[0] - p2[0]) + (p2[0] - p1[0]) * (p0[1] - p2[1])
    if area > -1.0e-6:
        return
    x0 = wp.max(0, int(wp.ceil(wp.min(p0[0], wp.min(p1[0], p2[0])))))
    x1 = wp.min(width - 1, int(wp.floor(wp.max(p0[0], wp.max(p1[0], p2[0])))))
    y0 = wp.max(top, int(wp.ceil(wp.min(p0[1], wp.min(p1[1], p2[1])))))
    y1 = wp.min(bottom - 1, int(wp.floor(wp.max(p0[1], wp.max(p1[1], p2[1])))))
    if x0 > x1 or y0 > y1:
        return
    inv = 1.0 / area
    ax = (p1[1] - p2[1]) * inv
    ay = (p2[0] - p1[0]) * inv
    bx = (p2[1] - p0[1]) * inv
    by = (p0[0] - p2[0]) * inv
    planes[2 * t] = wp.vec3(ax, ay, -ax * p2[0] - ay * p2[1])
    planes[2 * t + 1] = wp.vec3(bx, by, -bx * p2[0] - by * p2[1])
    for y in range(y0, y1 + 1):
        fy = float(y) - p2[1]
        fx = float(x0) - p2[0]
        a = ax * fx + ay * fy
        b = bx * fx + by * fy
        for x in range(x0, x1 + 1):
            if a >= 0.0 and b >= 0.0 and a + b <= 1.0:
                z = a * p0[2] + b * p1[2] + (1.0 - a - b) * p2[2]
                key = (int(z * KEY_DEPTHS) << KEY_BITS) + t
                if depth[y * width + x] < key:
                    depth[y * width + x] = key
            a += ax
            b += bx


@wp.func
def texel1(image: wp.array(dtype=float, ndim=2), u: float, v: float) -> float:
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


@wp.struct
class Face:
    """Everything that a pixel of the face needs; arrays of n vertices, t triangles, or maps."""

    vertices: wp.array(dtype=wp.vec4)
    colour: wp.array(dtype=wp.vec3)
    cylinder: wp.array(dtype=wp.vec2)
    triangles: wp.array(dtype=wp.vec3i)
    material: wp.array(dtype=int)
    planes: wp.array(dtype=wp.vec3)
    tangents: wp.array(dtype=wp.vec3)
    surface: wp.array(dtype=wp.vec4, ndim=2)
    relief: wp.array(dtype=wp.vec4, ndim=2)
    shadow_map: wp.array(dtype=float, ndim=2)
    harmonics: wp.array(dtype=wp.vec3)
    head: wp.array(dtype=wp.vec3)
    film: wp.array(dtype=float)


@wp.func
def film_channel(table: wp.array(dtype=float), x: float) -> float:
    """The film curve from a table over the float's own exponent and eight bits of mantissa: no division, no root."""
    k = (wp.cast(x, wp.int32) >> 15) - FILM_FIRST
    return table[wp.clamp(k, 0, FILM_STEPS - 1)]


@wp.func
def face_pixel(x: int, y: int, t: int, face: Face, lights: Lights) -> wp.vec3:
    """Display colour of one pixel of triangle t."""
    f = face.triangles[t]
    m = face.material[t]
    pa = face.planes[2 * t]
    pb = face.planes[2 * t + 1]
    fx = float(x)
    fy = float(y)
    a = pa[0] * fx + pa[1] * fy + pa[2]
    b = pb[0] * fx + pb[1] * fy + pb[2]
    c = 1.0 - a - b
    i = f[0]
    j = f[1]
    k = f[2]
    q0 = face.vertices[4 * i] * a + face.vertices[4 * j] * b + face.vertices[4 * k] * c
    q1 = face.vertices[4 * i + 1] * a + face.vertices[4 * j + 1] * b + face.vertices[4 * k + 1] * c
    q2 = face.vertices[4 * i + 2] * a + face.vertices[4 * j + 2] * b + face.vertices[4 * k + 2] * c
    q3 = face.vertices[4 * i + 3] * a + face.vertices[4 * j + 3] * b + face.vertices[4 * k + 3] * c
    pos = wp.vec3(q0[0], q0[1], q0[2])
    n = wp.normalize(wp.vec3(q1[0], q1[1], q1[2]))
    v = wp.normalize(lights.camera - pos)
    ao = q1[3]
    sd = q0[3]
    uv = wp.vec2(q2[3], q3[3])
    res = wp.vec3(0.0, 0.0, 0.0)
    if m == EYE:
        centre = face.head[4]
        gaze = face.head[6]
        if pos[0] < 0.5 * (face.head[4][0] + face.head[5][0]):
            centre = face.head[5]
            gaze = face.head[7]
        res = shading.eye_colour(pos, n, v, ao, sd, centre, gaze, face.head[8], face.harmonics, lights)
    else:
        diffuse = wp.vec3(q2[0], q2[1], q2[2])
        specular = wp.vec3(q3[0], q3[1], q3[2])
        if m == SKIN or m == NECK:
            su = uv
            if m == NECK:
                su = face.cylinder[i] * a + face.cylinder[j] * b + face.cylinder[k] * c
            if uv[0] > 0.004 or m == NECK:
                sd = texel1(face.shadow_map, su[0], su[1] * 0.78125)
            # both maps have the same size: one set of weights
            h = face.surface.shape[0]
            w = face.surface.shape[1]
            tx = wp.clamp(uv[0] * float(w) - 0.5, 0.0, float(w) - 1.001)
            ty = wp.clamp(uv[1] * float(h) - 0.5, 0.0, float(h) - 1.001)
            xa = int(tx)
            ya = int(ty)
            gx = tx - float(xa)
            gy = ty - float(ya)
            w00 = (1.0 - gx) * (1.0 - gy)
            w01 = gx * (1.0 - gy)
            w10 = (1.0 - gx) * gy
            w11 = gx * gy
            s = face.surface[ya, xa] * w00 + face.surface[ya, xa + 1] * w01
            s = s + face.surface[ya + 1, xa] * w10 + face.surface[ya + 1, xa + 1] * w11
            r = face.relief[ya, xa] * w00 + face.relief[ya, xa + 1] * w01
            r = r + face.relief[ya + 1, xa] * w10 + face.relief[ya + 1, xa + 1] * w11
            n = wp.normalize(n - face.tangents[2 * t] * r[0] - face.tangents[2 * t + 1] * r[1])
            albedo = wp.vec3(s[0], s[1], s[2])
            res = shading.skin_colour(
                n, v, albedo, s[3], r[2], ao * r[3], sd, diffuse * r[3], specular, lights
            )
        else:
            rough = float(0.42)
            if m == TEETH:
                rough = 0.24
                n = wp.normalize(n * 0.45 + v * 0.55)
                sd = 0.45 + 0.55 * sd
                diffuse = shading.soft_diffuse(n, ao, face.harmonics, lights)
            colour = face.colour[i] * a + face.colour[j] * b + face.colour[k] * c
            res = shading.skin_colour(n, v, colour, rough, 0.0, ao, sd, diffuse, specular, lights)
            res = res * (wp.clamp(uv[0], 0.0, 1.0) * face.head[9][0])
    res = res * lights.exposure
    return wp.vec3(
        film_channel(face.film, res[0]), film_channel(face.film, res[1]), film_channel(face.film, res[2])
    )


@wp.func
def packed(c: wp.vec3) -> wp.uint32:
    """A display colour, 0-1, as three times ten bits."""
    r = wp.uint32(wp.min(c[0] * 1023.0 + 0.5, 1023.0))
    g = wp.uint32(wp.min(c[1] * 1023.0 + 0.5, 1023.0))
    b = wp.uint32(wp.min(c[2] * 1023.0 + 0.5, 1023.0))
    return (r << wp.uint32(20)) | (g << wp.uint32(10)) | b


@wp.func
def unpacked(c: wp.uint32) -> wp.vec3:
    m = wp.uint32(1023)
    r = float(int(c >> wp.uint32(20)))
    return wp.vec3(r, float(int((c >> wp.uint32(10)) & m)), float(int(c & m))) * 0.00097752


@wp.kernel(enable_backward=False)
def draw_lashes(
    screen: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.vec3i),
    uv: wp.array(dtype=wp.vec2),
    width: int,
    height: int,
    ink: wp.vec3,
    depth: wp.array(dtype=wp.int32),
    colours: wp.array(dtype=wp.uint32),
):
    """Lashes blended over the shaded face."""
    f = triangles[wp.tid()]
    p0 = screen[f[0]]
    p1 = screen[f[1]]
    p2 = screen[f[2]]
    area = (p1[1] - p2[1]) * (p0[0] - p2[0]) + (p2[0] - p1[0]) * (p0[1] - p2[1])
    if wp.abs(area) < 1.0e-6:
        return
    x0 = wp.max(0, int(wp.ceil(wp.min(p0[0], wp.min(p1[0], p2[0])))))
    x1 = wp.min(width - 1, int(wp.floor(wp.max(p0[0], wp.max(p1[0], p2[0])))))
    y0 = wp.max(0, int(wp.ceil(wp.min(p0[1], wp.min(p1[1], p2[1])))))
    y1 = wp.min(height - 1, int(wp.floor(wp.max(p0[1], wp.max(p1[1], p2[1])))))
    inv = 1.0 / area
    for y in range(y0, y1 + 1):
        for x in range(x0, x1 + 1):
            fx = float(x) - p2[0]
            fy = float(y) - p2[1]
            a = ((p1[1] - p2[1]) * fx + (p2[0] - p1[0]) * fy) * inv
            b = ((p2[1] - p0[1]) * fx + (p0[0] - p2[0]) * fy) * inv
            c = 1.0 - a - b
            if a >= 0.0 and b >= 0.0 and c >= 0.0:
                z = a * p0[2] + b * p1[2] + c * p2[2]
                if int(z * KEY_DEPTHS) >= (depth[y * width + x] >> KEY_BITS):
                    alpha = wp.clamp(lash_alpha(uv[f[0]] * a + uv[f[1]] * b + uv[f[2]] * c), 0.0, 0.95)
                    colours[y * width + x] = packed(
                        unpacked(colours[y * width + x]) * (1.0 - alpha) + ink * alpha
                    )
