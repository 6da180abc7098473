"""Shading: how skin, eyes, mouth, hair and cloth answer the lights. Warp functions, the same on CPU and GPU.

No pow anywhere: it is an order of magnitude slower than what stands in for it on a CPU.
"""


# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

import contextlib
import ctypes.util
import os
from collections.abc import Iterator

import warp as wp


@contextlib.contextmanager
def _without_driver_quiet() -> Iterator[None]:
    """Warp's library writes past Python that there is no CUDA driver. Where there is none, that is no news."""
    if ctypes.util.find_library("cuda"):
        yield
        return
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


wp.config.log_level = wp.LOG_ERROR
with _without_driver_quiet():
    wp.init()
wp.config.enable_backward = False  # halves the compile; nothing here is differentiated

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})


@wp.struct
class Lights:
    """Key softbox with shadow, fill, two rims, ambient in nine harmonics (an array beside), exposure; and the eyes."""

    key_dir: wp.vec3
    key: wp.vec3
    fill_dir: wp.vec3
    fill: wp.vec3
    rim_left_dir: wp.vec3
    rim_left: wp.vec3
    rim_right_dir: wp.vec3
    rim_right: wp.vec3
    exposure: float
    camera: wp.vec3
    iris_outer: wp.vec3
    iris_inner: wp.vec3
    hair_dark: wp.vec3
    hair_light: wp.vec3


@wp.func
def scramble(i: int) -> float:
    """A hash of i, 0-1."""
    h = wp.uint32(i) * wp.uint32(265443577)
    h = (h ^ (h >> wp.uint32(15))) * wp.uint32(224682251)
    h = h ^ (h >> wp.uint32(13))
    return float(h & wp.uint32(65535)) / 65535.0


@wp.func
def film(c: wp.vec3) -> wp.vec3:
    """Filmic curve and display gamma: a rational curve, then x^(1/2.2) as .85 x^.5 + .15 x^.25."""
    r = wp.vec3(0.0, 0.0, 0.0)
    for k in range(3):
        x = wp.max(c[k], 0.0)
        y = wp.clamp((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0)
        s = wp.sqrt(y)
        r[k] = 0.85 * s + 0.15 * wp.sqrt(s)
    return r


@wp.func
def ambient(harmonics: wp.array(dtype=wp.vec3), n: wp.vec3) -> wp.vec3:
    r = harmonics[0] + harmonics[1] * n[1] + harmonics[2] * n[2] + harmonics[3] * n[0]
    return wp.vec3(wp.max(r[0], 0.0), wp.max(r[1], 0.0), wp.max(r[2], 0.0))


@wp.func
def ggx(n: wp.vec3, toward: wp.vec3, v: wp.vec3, a: float) -> float:
    """Specular lobe times n.l for dielectrics; a is roughness squared."""
    h = wp.normalize(toward + v)
    nh = wp.max(wp.dot(n, h), 0.0)
    nl = wp.max(wp.dot(n, toward), 0.0)
    nv = wp.max(wp.dot(n, v), 0.05)
    lh = wp.max(wp.dot(toward, h), 0.0)
    a2 = a * a
    d = nh * nh * (a2 - 1.0) + 1.0
    k = a * 0.5
    g = 0.25 / ((nl * (1.0 - k) + k) * (nv * (1.0 - k) + k))
    f1 = 1.0 - lh
    f2 = f1 * f1
    return a2 / (3.14159 * d * d) * g * (0.03 + 0.97 * f2 * f2 * f1) * nl


@wp.func
def two_lobes(n: wp.vec3, toward: wp.vec3, v: wp.vec3, nl: float, a: float, gloss: float) -> float:
    """Skin's gloss: three quarters a broad lobe, one quarter (and all gloss) a tight one. Shares what both need."""
    h = toward + v
    ih = 1.0 / wp.max(wp.dot(h, h), 1.0e-6)
    nh = wp.max(wp.dot(n, h), 0.0)
    nh2 = nh * nh * ih
    f1 = 1.0 - wp.dot(toward, h) * wp.sqrt(ih)
    f2 = f1 * f1
    nv = wp.max(wp.dot(n, v), 0.05)
    a2 = a * a
    d1 = nh2 * (a2 - 1.0) + 1.0
    k1 = a * 0.5
    one = 0.75 * a2 / (d1 * d1 * (nl * (1.0 - k1) + k1) * (nv * (1.0 - k1) + k1))
    b = a * 0.38
    b2 = b * b
    d2 = nh2 * (b2 - 1.0) + 1.0
    k2 = b * 0.5
    two = (0.25 + gloss) * b2 / (d2 * d2 * (nl * (1.0 - k2) + k2) * (nv * (1.0 - k2) + k2))
    return (one + two) * (0.25 / 3.14159) * (0.03 + 0.97 * f2 * f2 * f1) * nl


@wp.func
def key_diffuse(nl: float, shadow: float, key: wp.vec3) -> wp.vec3:
    """Light that scatters under the skin reaches round the terminator, red furthest, and bleeds into shadows."""
    red = wp.clamp((nl + 0.42) / 1.42, 0.0, 1.0)
    green = wp.clamp((nl + 0.20) / 1.20, 0.0, 1.0)
    blue = wp.clamp((nl + 0.14) / 1.14, 0.0, 1.0)
    soft = wp.sqrt(shadow)
    return wp.vec3(
        red * wp.sqrt(red) * (0.35 * soft + 0.65 * shadow) * key[0],
        green * wp.sqrt(green) * (0.2 * soft + 0.8 * shadow) * key[1],
        blue * wp.sqrt(blue) * shadow * key[2],
    )


@wp.func
def soft_diffuse(n: wp.vec3, ao: float, harmonics: wp.array(dtype=wp.vec3), lights: Lights) -> wp.vec3:
    """Ambient, fill and rims on skin; occlusion tints red, as light in crevices is scattered light."""
    amb = ambient(harmonics, n)
    red = wp.sqrt(ao) * 0.45 + ao * 0.55
    w = wp.clamp((wp.dot(n, lights.fill_dir) + 0.4) / 1.4, 0.0, 1.0)
    left = wp.max(wp.dot(n, lights.rim_left_dir), 0.0)
    right = wp.max(wp.dot(n, lights.rim_right_dir), 0.0)
    return (
        wp.vec3(amb[0] * red, amb[1] * ao, amb[2] * ao)
        + (lights.fill * w + lights.rim_left * left + lights.rim_right * right) * ao
    )


@wp.func
def soft_specular(
    n: wp.vec3, v: wp.vec3, a: float, harmonics: wp.array(dtype=wp.vec3), lights: Lights
) -> wp.vec3:
    """Gloss of fill, rims and surroundings; a is roughness squared."""
    f = 1.0 - wp.max(wp.dot(n, v), 0.0)
    f2 = f * f
    edge = (0.03 + 0.45 * f2 * f2 * f) * (1.0 - 0.6 * wp.sqrt(a))
    s = ambient(harmonics, n) * edge + lights.fill * ggx(n, lights.fill_dir, v, a)
    if wp.dot(n, lights.rim_left_dir) > 0.0:
        s = s + lights.rim_left * ggx(n, lights.rim_left_dir, v, a)
    if wp.dot(n, lights.rim_right_dir) > 0.0:
        s = s + lights.rim_right * ggx(n, lights.rim_right_dir, v, a)
    return s


@wp.func
def skin_colour(
    n: wp.vec3,
    v: wp.vec3,
    albedo: wp.vec3,
    rough: float,
    gloss: float,
    ao: float,
    shadow: float,
    diffuse: wp.vec3,
    specular: wp.vec3,
    lights: Lights,
) -> wp.vec3:
    """Skin under the key; `diffuse` and `specular` are what the soft lights give."""
    nl = wp.dot(n, lights.key_dir)
    a = rough * rough
    res = wp.cw_mul(albedo, key_diffuse(nl, shadow, lights.key) + diffuse)
    if nl > 0.0 and shadow > 0.02:
        specular = specular + lights.key * (two_lobes(n, lights.key_dir, v, nl, a, gloss) * shadow)
    return res + specular * (wp.min(1.0, ao * 1.15) * ao * (1.0 + 1.5 * gloss))


@wp.func
def eye_colour(
    pos: wp.vec3,
    n: wp.vec3,
    v: wp.vec3,
    ao: float,
    shadow: float,
    centre: wp.vec3,
    gaze: wp.vec3,
    head_up: wp.vec3,
    harmonics: wp.array(dtype=wp.vec3),
    lights: Lights,
) -> wp.vec3:
    """An eyeball as an analytic sphere: refracted iris, dark limbus, veins, wet highlights."""
    iris_radius = 0.445
    pupil_radius = 0.16
    nn = wp.normalize(pos - centre)
    up = wp.normalize(head_up - gaze * wp.dot(head_up, gaze))
    rt = wp.cross(up, gaze)
    cosg = wp.dot(nn, gaze)
    lx = wp.dot(nn, rt)
    ly = wp.dot(nn, up)
    vz = wp.max(wp.dot(v, gaze), 0.3)
    depth = 0.10 * wp.clamp((cosg - 0.80) * 6.0, 0.0, 1.0)  # the iris lies below the cornea
    ix = lx - wp.dot(v, rt) / vz * depth
    iy = ly - wp.dot(v, up) / vz * depth
    r = wp.sqrt(ix * ix + iy * iy)
    corner = wp.clamp((wp.sqrt(lx * lx + ly * ly) - 0.55) * 2.2, 0.0, 1.0)
    sclera = wp.vec3(
        0.50 * (1.0 - 0.06 * corner), 0.455 * (1.0 - 0.26 * corner), 0.42 * (1.0 - 0.28 * corner)
    )
    th = wp.atan2(iy, ix)
    fibre = 0.3 + 0.3 * wp.sin(th * 31.0 + wp.sin(r * 34.0) * 1.4 + wp.sin(th * 7.0) * 2.0)
    fibre = fibre + 0.4 * (0.5 + 0.5 * wp.sin(th * 67.0 + r * 40.0))
    t = wp.clamp((r - pupil_radius) / (iris_radius - pupil_radius), 0.0, 1.0)
    iris = (lights.iris_inner * (1.0 - t) + lights.iris_outer * t) * (0.55 + 0.75 * fibre)
    # light that enters on one side gathers on the other
    kx = wp.dot(lights.key_dir, rt)
    ky = wp.dot(lights.key_dir, up)
    iris = iris * (0.75 + 1.1 * wp.clamp(-(ix * kx + iy * ky) / iris_radius + 0.25, 0.0, 1.0))
    limbus = wp.smoothstep(iris_radius - 0.12, iris_radius - 0.01, r)
    pupil = wp.smoothstep(pupil_radius - 0.03, pupil_radius + 0.025, r)
    iris = iris * ((1.0 - 0.82 * limbus) * (0.03 + 0.97 * pupil))
    white = wp.smoothstep(iris_radius - 0.03, iris_radius + 0.055, r)
    albedo = iris * (1.0 - white) + sclera * white
    if cosg < 0.0:
        albedo = sclera
    w = wp.clamp((wp.dot(n, lights.key_dir) + 0.3) / 1.3, 0.0, 1.0)
    amb = ambient(harmonics, n)
    lid = wp.clamp(1.05 - 1.72 * wp.max(ly + 0.10, 0.0), 0.25, 1.0)  # lid and lashes shade the upper ball
    ae = wp.clamp(ao * 1.7, 0.0, 1.0) * lid
    wf = wp.clamp((wp.dot(n, lights.fill_dir) + 0.3) / 1.3, 0.0, 1.0)
    res = wp.cw_mul(albedo, lights.key * (w * (0.25 + 0.75 * shadow) * 0.85) + amb + lights.fill * wf) * ae
    # The catch light must sit inside the lid opening: from the true key it would be under the lid, and the eye dead.
    cornea = wp.normalize(nn + gaze * (0.30 * (1.0 - white)))
    catch = wp.normalize(lights.key_dir * 0.50 + wp.vec3(0.0, -0.03, 0.72))
    h1 = wp.dot(cornea, wp.normalize(catch + v))
    h2 = wp.dot(cornea, wp.normalize(lights.fill_dir + v))
    res = res + lights.key * (wp.smoothstep(0.9935, 0.9962, h1) * 0.85)
    return res + lights.fill * (wp.smoothstep(0.990, 0.997, h2) * 0.30) + amb * (0.035 * ae)


@wp.func
def hair_colour(
    n: wp.vec3,
    v: wp.vec3,
    tangent: wp.vec3,
    strand: wp.vec4,
    tint: float,
    ao: float,
    shadow: float,
    harmonics: wp.array(dtype=wp.vec3),
    lights: Lights,
) -> wp.vec3:
    """Strands with a white first and a coloured second highlight. `strand`: shade, colour mix, highlight shift."""
    base = (lights.hair_dark * (1.0 - strand[1]) + lights.hair_light * strand[1]) * tint
    shade = strand[0]
    nl = wp.dot(n, lights.key_dir)
    w = wp.clamp((nl + 0.35) / 1.35, 0.0, 1.0)
    tl = wp.dot(tangent, lights.key_dir)
    sine = wp.sqrt(wp.max(1.0 - tl * tl, 0.0))
    occ = ao * (0.35 + 0.65 * shade)
    wf = wp.clamp((wp.dot(n, lights.fill_dir) + 0.3) / 1.3, 0.0, 1.0)
    lit = lights.key * (sine * w * shadow * 0.9) + ambient(harmonics, n) + lights.fill * (0.6 * wf)
    res = wp.cw_mul(base, lit) * occ
    shift = (strand[2] - 0.5) * 0.30
    th = wp.dot(tangent, wp.normalize(lights.key_dir + v))
    first = th - 0.07 + shift
    second = th + 0.10 + shift * 1.6
    r1 = wp.exp(-first * first * 70.0)
    r2 = wp.exp(-second * second * 16.0)
    white = wp.vec3(1.0, 0.93, 0.85)
    gleam = white * (0.055 * r1) + wp.cw_mul(base, wp.vec3(1.1, 1.0, 0.9)) * (1.5 * r2 * shade)
    res = res + wp.cw_mul(lights.key, gleam) * (
        wp.clamp(nl * 2.5 + 0.4, 0.0, 1.0) * shadow * occ * shade * 1.5
    )
    tf = wp.dot(tangent, wp.normalize(lights.fill_dir + v)) + shift
    soft = white * (0.04 * wp.exp(-tf * tf * 40.0)) + base * (0.8 * wp.exp(-tf * tf * 10.0))
    res = res + wp.cw_mul(lights.fill, soft) * occ
    for k in range(2):
        toward = lights.rim_left_dir
        c = lights.rim_left
        if k == 1:
            toward = lights.rim_right_dir
            c = lights.rim_right
        rl = wp.dot(tangent, toward)
        tb = wp.dot(tangent, wp.normalize(toward + v)) + shift
        through = base * (wp.sqrt(wp.max(1.0 - rl * rl, 0.0)) * 1.2) + white * (
            0.10 * wp.exp(-tb * tb * 20.0)
        )
        res = res + wp.cw_mul(c, through) * (wp.clamp(wp.dot(n, toward) * 1.3 + 0.25, 0.0, 1.0) * occ)
    return res


@wp.func
def cloth_colour(
    n: wp.vec3,
    v: wp.vec3,
    albedo: wp.vec3,
    sheen: float,
    ao: float,
    shadow: float,
    harmonics: wp.array(dtype=wp.vec3),
    lights: Lights,
) -> wp.vec3:
    """Woven cloth: diffuse with fuzz towards the silhouette."""
    w = wp.clamp((wp.dot(n, lights.key_dir) + 0.12) / 1.12, 0.0, 1.0)
    amb = ambient(harmonics, n)
    wf = wp.clamp((wp.dot(n, lights.fill_dir) + 0.25) / 1.25, 0.0, 1.0)
    left = wp.dot(n, lights.rim_left_dir)
    right = wp.dot(n, lights.rim_right_dir)
    lit = lights.key * (w * shadow) + (amb + lights.fill * wf) * ao
    lit = lit + (lights.rim_left * wp.max(left, 0.0) + lights.rim_right * wp.max(right, 0.0)) * ao
    f = 1.0 - wp.max(wp.dot(n, v), 0.0)
    fuzz = (
        amb
        + lights.rim_left * wp.clamp(left + 0.3, 0.0, 1.0)
        + lights.rim_right * wp.clamp(right + 0.3, 0.0, 1.0)
    )
    return wp.cw_mul(albedo, lit) + fuzz * (f * f * f * sheen * ao)
