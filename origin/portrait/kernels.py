"""Drawing: where each pixel comes from (the mesh), then its colour (skin, eyes, mouth), written as I420. Runs on one CPU thread.

Colours are Y, U, V as video carries them (BT.601, limited range), 0-255: nothing is converted per pixel.
"""

# Kernels are Python only in looks: float(0.0) declares a variable, there is no `in`, and `and` evaluates both sides.
# ruff: noqa: UP018
# mypy: disable-error-code="no-untyped-def,no-untyped-call,misc,valid-type,no-any-return,attr-defined,operator,index"
# mypy: disable-error-code="assignment,arg-type,call-arg,union-attr,call-overload,type-arg"
# mypy: disable-error-code="untyped-decorator,return-value,var-annotated"

from __future__ import annotations

from typing import Any

import warp as wp

wp.set_module_options({"cpu_compiler_flags": "-march=native -ffast-math -w", "enable_backward": False})

CURVE = wp.constant(33)
LASH = wp.constant(0.11)
EYE_TOP = wp.constant(-0.62)
EYE_BOTTOM = wp.constant(0.45)


@wp.struct
class EyeView:
    """An eye of eyes.py, as pixels of the texture; lids as they are now in upper_now, lower_now."""

    origin: wp.vec2
    across: wp.vec2
    down: wp.vec2
    s_of: wp.vec2
    t_of: wp.vec2
    upper: wp.array(dtype=float)
    lower: wp.array(dtype=float)
    brow: wp.array(dtype=float)
    corner: wp.vec2
    ball: wp.array(dtype=wp.vec3, ndim=2)
    disc: wp.array(dtype=wp.vec3, ndim=2)
    iris: wp.vec3
    wide: float


@wp.struct
class MouthView:
    """The inside of the mouth; `rows` are its two rows of teeth."""

    upper: wp.array(dtype=wp.vec4, ndim=2)
    lower: wp.array(dtype=wp.vec4, ndim=2)
    scale: float
    half_wide: float
    half_tall: float
    upper_edge: float
    lower_edge: float
    tongue: wp.vec3
    cavity: wp.vec3
    seam: wp.vec3


@wp.func
def corner(width: int, height: int, x: float, y: float):
    """The pixel left of a place and above it, and how far the place is from there, 0-1; clamped at the edges."""
    cx = wp.clamp(x, 0.0, float(width) - 1.001)
    cy = wp.clamp(y, 0.0, float(height) - 1.001)
    ix = int(cx)
    iy = int(cy)
    return ix, iy, cx - float(ix), cy - float(iy)


@wp.func
def bilinear(picture: wp.array(dtype=Any, ndim=2), x: float, y: float):
    """The colour between four pixels."""
    ix, iy, fx, fy = corner(picture.shape[1], picture.shape[0], x, y)
    a = picture[iy, ix] * (1.0 - fx) + picture[iy, ix + 1] * fx
    b = picture[iy + 1, ix] * (1.0 - fx) + picture[iy + 1, ix + 1] * fx
    return a * (1.0 - fy) + b * fy


@wp.func
def curve(values: wp.array(dtype=float), s: float) -> float:
    x = wp.clamp(s, 0.0, 1.0) * float(CURVE - 1)
    i = wp.min(int(x), CURVE - 2)
    f = x - float(i)
    return values[i] * (1.0 - f) + values[i + 1] * f


@wp.func
def texel(texture: wp.array(dtype=wp.uint32, ndim=2), x: float, y: float) -> wp.vec3:
    """Bilinear, of colours packed in 32 bits."""
    ix, iy, fx, fy = corner(texture.shape[1], texture.shape[0], x, y)
    p = texture[iy, ix]
    q = texture[iy, ix + 1]
    r = texture[iy + 1, ix]
    s = texture[iy + 1, ix + 1]
    m = wp.uint32(255)
    wa = (1.0 - fx) * (1.0 - fy)
    wb = fx * (1.0 - fy)
    wc = (1.0 - fx) * fy
    wd = fx * fy
    return wp.vec3(
        float(p & m) * wa + float(q & m) * wb + float(r & m) * wc + float(s & m) * wd,
        float((p >> wp.uint32(8)) & m) * wa
        + float((q >> wp.uint32(8)) & m) * wb
        + float((r >> wp.uint32(8)) & m) * wc
        + float((s >> wp.uint32(8)) & m) * wd,
        float((p >> wp.uint32(16)) & m) * wa
        + float((q >> wp.uint32(16)) & m) * wb
        + float((r >> wp.uint32(16)) & m) * wc
        + float((s >> wp.uint32(16)) & m) * wd,
    )


@wp.func
def covered(texture: wp.array(dtype=wp.uint32, ndim=2), x: float, y: float) -> wp.vec4:
    """As texel; the fourth number is how much of the place the person covers, 0-1."""
    ix, iy, fx, fy = corner(texture.shape[1], texture.shape[0], x, y)
    p = texture[iy, ix]
    q = texture[iy, ix + 1]
    r = texture[iy + 1, ix]
    s = texture[iy + 1, ix + 1]
    if ((p | q | r | s) >> wp.uint32(24)) == wp.uint32(0):
        return wp.vec4(0.0, 0.0, 0.0, 0.0)
    # weights in 256ths, which add up to 256: two channels at once in 16 bits each
    u = int(fx * 256.0)
    v = int(fy * 256.0)
    uv = (u * v) >> 8
    wa = wp.uint32(256 - u - v + uv)
    wb = wp.uint32(u - uv)
    wc = wp.uint32(v - uv)
    wd = wp.uint32(uv)
    m = wp.uint32(0x00FF00FF)
    n = wp.uint32(8)
    yv = (p & m) * wa + (q & m) * wb + (r & m) * wc + (s & m) * wd
    ua = ((p >> n) & m) * wa + ((q >> n) & m) * wb + ((r >> n) & m) * wc + ((s >> n) & m) * wd
    low = wp.uint32(0xFFFF)
    high = wp.uint32(16)
    k = float(1.0 / 256.0)
    return wp.vec4(
        float(int(yv & low)) * k,
        float(int(ua & low)) * k,
        float(int(yv >> high)) * k,
        float(int(ua >> high)) * k / 255.0,
    )


@wp.func
def within(slope: float, at: float, ends: wp.vec2) -> wp.vec2:
    """The part of a range of x in which at + slope * x is not negative, but for a hair."""
    begin = ends[0]
    end = ends[1]
    edge = -(at + 2.0e-3)
    if slope > 1.0e-7:
        begin = wp.max(begin, edge / slope)
    elif slope < -1.0e-7:
        end = wp.min(end, edge / slope)
    elif edge > 0.0:
        end = begin - 1.0
    return wp.vec2(begin, end)


@wp.kernel(enable_backward=False)
def place(
    points: wp.array(dtype=wp.vec2),
    rest: wp.array(dtype=wp.vec2),
    triangles: wp.array(dtype=wp.vec3i),
    left: int,
    upper: int,
    width: int,
    height: int,
    source: wp.array(dtype=wp.vec2, ndim=2),
):
    """For each pixel of the box the place in the texture that it shows. Triangles in their order, later ones on top."""
    t = triangles[wp.tid()]
    a = points[t[0]]
    b = points[t[1]]
    c = points[t[2]]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if area < 1.0e-4:
        return
    inv = 1.0 / area
    x0 = wp.max(int(wp.ceil(wp.min(a[0], wp.min(b[0], c[0])) - 0.5)) - left, 0)
    x1 = wp.min(int(wp.floor(wp.max(a[0], wp.max(b[0], c[0])) + 0.5)) - left, width - 1)
    y0 = wp.max(int(wp.ceil(wp.min(a[1], wp.min(b[1], c[1])) - 0.5)) - upper, 0)
    y1 = wp.min(int(wp.floor(wp.max(a[1], wp.max(b[1], c[1])) + 0.5)) - upper, height - 1)
    ra = rest[t[0]]
    rb = rest[t[1]] - ra
    rc = rest[t[2]] - ra
    # weights of b and c are linear in x and y
    ux = (c[1] - a[1]) * inv
    uy = -(c[0] - a[0]) * inv
    vx = -(b[1] - a[1]) * inv
    vy = (b[0] - a[0]) * inv
    for y in range(y0, y1 + 1):
        dy = float(y + upper) + 0.5 - a[1]
        # along the row each of the three weights is linear: from where to where none is negative
        dx = float(left) + 0.5 - a[0]
        u = ux * dx + uy * dy
        v = vx * dx + vy * dy
        ends = within(ux, u, within(vx, v, within(-ux - vx, 1.0 - u - v, wp.vec2(float(x0), float(x1)))))
        for x in range(int(wp.ceil(ends[0])), int(wp.floor(ends[1])) + 1):
            k = float(x)
            source[y, x] = ra + rb * (u + ux * k) + rc * (v + vx * k)


@wp.func
def spread(f: float, k: float) -> float:
    """From 0 to 1 as f does, k times as steep at both ends: what is between is spread."""
    return f + (k - 1.0) * f * (1.0 - f) * (1.0 - 2.0 * f)


@wp.func
def upper_skin(brow: float, was: float, now: float, t: float) -> float:
    """Where the skin at t above an eye was in the photo, when its lid's edge went from `was` to `now`.

    Lashes move with the edge; skin between them and the brow is spread, most in the middle.
    """
    out = t
    end = now - LASH
    if t > end:
        out = wp.min(t, now) - now + was
    elif t > brow:
        reach = was - LASH - brow
        k = wp.clamp((end - brow) / wp.max(reach, 1.0e-4), 0.5, 2.6)
        out = brow + reach * spread((t - brow) / wp.max(end - brow, 1.0e-4), k)
    return out


@wp.func
def lower_skin(was: float, now: float, t: float) -> float:
    """As upper_skin, below the eye."""
    out = t
    begin = now + 0.5 * LASH
    bottom = was + 0.34
    if t < begin:
        out = wp.max(t, now) - now + was
    elif t < bottom:
        reach = bottom - was - 0.5 * LASH
        k = wp.clamp((bottom - begin) / wp.max(reach, 1.0e-4), 0.5, 2.6)
        out = bottom - reach * spread((bottom - t) / wp.max(bottom - begin, 1.0e-4), k)
    return out


@wp.func
def eye_colour(
    e: EyeView,
    upper_now: wp.array(dtype=float),
    lower_now: wp.array(dtype=float),
    look: wp.vec2,
    closing: float,
    texture: wp.array(dtype=wp.uint32, ndim=2),
    p: wp.vec2,
    s: float,
    t: float,
) -> wp.vec3:
    """The colour at a place of the texture that lies in the eye's part of it, with lids and gaze as they are now."""
    u0 = curve(e.upper, s)
    l0 = curve(e.lower, s)
    u1 = curve(upper_now, s)
    l1 = curve(lower_now, s)
    soft = 0.7 / e.wide
    inside = wp.clamp((t - u1) / soft + 0.5, 0.0, 1.0) * wp.clamp((l1 - t) / soft + 0.5, 0.0, 1.0)
    if l1 - u1 < 0.012:
        inside = 0.0
    colour = wp.vec3(0.0, 0.0, 0.0)
    if inside < 1.0:
        # where the lids meet both are seen in a pixel
        below = wp.clamp((t - (u1 + l1) * 0.5) / soft + 0.5, 0.0, 1.0)
        if below < 1.0:
            q = p + e.down * (upper_skin(curve(e.brow, s), u0, u1, t) - t)
            colour = texel(texture, q[0] - 0.5, q[1] - 0.5) * (1.0 - below)
        if below > 0.0:
            q = p + e.down * (lower_skin(l0, l1, t) - t)
            colour = colour + texel(texture, q[0] - 0.5, q[1] - 0.5) * below
    if inside > 0.0:
        ball_t = wp.clamp(t, u0 + 0.02, wp.max(l0 - 0.02, u0 + 0.02))
        b = p + e.down * (ball_t - t) - e.corner
        ball = bilinear(e.ball, b[0] - 0.5, b[1] - 0.5)
        d = p - e.corner - look
        away = wp.length(p - look - (e.origin + e.across * e.iris[0] + e.down * e.iris[1]))
        rim = e.iris[2] * e.wide
        cover = wp.clamp((rim * 1.10 - away) / (rim * 0.16), 0.0, 1.0)
        if cover > 0.0:
            ball = ball * (1.0 - cover) + bilinear(e.disc, d[0] - 0.5, d[1] - 0.5) * cover
        shade = 1.0 - closing * 0.35 * wp.exp(-(t - u1) * 14.0)
        ball = wp.vec3((ball[0] - 16.0) * shade + 16.0, ball[1], ball[2])
        colour = colour * (1.0 - inside) + ball * inside
    return colour


@wp.func
def lit(c: wp.vec3, shade: float) -> wp.vec3:
    """A colour in less light."""
    tone = 0.35 + 0.65 * shade
    return wp.vec3((c[0] - 16.0) * shade + 16.0, 128.0 + (c[1] - 128.0) * tone, 128.0 + (c[2] - 128.0) * tone)


@wp.func
def mouth_colour(
    m: MouthView,
    x: float,
    y: float,
    jaw: float,
    tongue_up: float,
    light: float,
    below_lip: float,
    above_lip: float,
    side: float,
) -> wp.vec3:
    """The colour inside the mouth at x, y (mm from where lips meet); jaw: how far it is down, mm; side: 1 at the corners."""
    # the palate darkens to the back, which is seen in the middle of the opening
    colour = lit(m.cavity, 0.55 + 0.45 * wp.exp(-below_lip * 0.25))
    # the tongue lies behind the lower teeth; it rises towards them in front
    ty = (y - (6.6 + jaw * 0.72 - tongue_up * (4.5 + jaw * 0.36))) / (7.4 + jaw * 0.10 + tongue_up * 2.0)
    tx = x / 17.0
    r = tx * tx + ty * ty
    if r < 1.0:
        round_ = wp.sqrt(1.0 - r)
        groove = 1.0 - 0.14 * wp.exp(-x * x * 0.35)
        shine = (
            (0.34 + 0.62 * round_)
            * groove
            * (0.72 + 0.25 * tongue_up)
            * (0.78 + 0.22 * wp.clamp(-ty, 0.0, 1.0))
        )
        cover = wp.clamp((1.0 - r) * 3.0, 0.0, 1.0)
        colour = colour * (1.0 - cover) + lit(m.tongue, shine) * cover
    low = bilinear(
        m.lower, (x + m.half_wide) * m.scale - 0.5, (y - jaw - m.lower_edge + m.half_tall) * m.scale - 0.5
    )
    if y - jaw < 12.0:
        colour = colour * (1.0 - low[3]) + wp.vec3(low[0], low[1], low[2])
    if tongue_up > 0.05 and r < 1.0:
        # its tip comes between the teeth
        tip = (
            wp.clamp((1.0 - r) * 4.0, 0.0, 1.0)
            * wp.clamp((jaw + 1.0 - y) * 0.8, 0.0, 1.0)
            * wp.min(tongue_up * 2.0, 1.0)
        )
        colour = colour * (1.0 - tip) + lit(m.tongue, 0.86) * tip
    up = bilinear(
        m.upper, (x + m.half_wide) * m.scale - 0.5, (y - m.upper_edge + m.half_tall) * m.scale - 0.5
    )
    colour = colour * (1.0 - up[3]) + wp.vec3(up[0], up[1], up[2])
    shade = light * (1.0 - 0.42 * wp.exp(-below_lip * 0.60)) * (1.0 - 0.50 * wp.exp(-above_lip * 0.9))
    shade = shade * (1.0 - 0.62 * wp.pow(side, 2.5))
    # where lips nearly meet it is their own shadow that is seen
    gap = below_lip + above_lip
    seam = wp.clamp((2.2 - gap) * 0.6, 0.0, 1.0)
    return lit(colour, shade) * (1.0 - seam) + m.seam * seam


@wp.struct
class State:
    """What a pose says of eyes and mouth; `eyes` are left, top, right, bottom of the part of the texture that has them."""

    eyes: wp.vec4
    look_left: wp.vec2
    look_right: wp.vec2
    closing_left: float
    closing_right: float
    mouth_left: int
    mouth_right: int
    mouth_origin: wp.vec2
    mouth_x: wp.vec2
    mouth_y: wp.vec2
    millimetre: float
    jaw: float
    tongue_up: float
    light: float


@wp.kernel(enable_backward=False)
def shade(
    source: wp.array(dtype=wp.vec2, ndim=2),
    texture: wp.array(dtype=wp.uint32, ndim=2),
    left_eye: EyeView,
    right_eye: EyeView,
    mouth: MouthView,
    states: wp.array(dtype=State),
    lids: wp.array(dtype=float, ndim=2),
    lips: wp.array(dtype=float, ndim=2),
    left: int,
    upper: int,
    spans: wp.array(dtype=int, ndim=2),
    back_luma: wp.array(dtype=wp.uint8, ndim=2),
    back_chroma: wp.array(dtype=wp.uint8, ndim=3),
    luma: wp.array(dtype=wp.uint8, ndim=2),
    chroma: wp.array(dtype=wp.uint8, ndim=3),
    matte: wp.array(dtype=wp.uint8, ndim=2),
):
    """Two rows of pixels a thread, within the row's span (in pairs of pixels of the box); before what is behind the person.

    The matte is written where it has the picture's size.
    """
    row = wp.tid()
    z = states[0]
    cr = upper / 2 + row
    for half in range(spans[row, 0], spans[row, 1]):
        cu = float(0.0)
        cv = float(0.0)
        covers = float(0.0)
        for k in range(4):
            x = half * 2 + (k & 1)
            y = row * 2 + (k >> 1)
            sx = x + left
            sy = y + upper
            p = source[y, x]
            sl = float(-1.0)
            sr = float(-1.0)
            tl = float(0.0)
            tr = float(0.0)
            if p[0] > z.eyes[0] and p[1] > z.eyes[1] and p[0] < z.eyes[2] and p[1] < z.eyes[3]:
                sl = wp.dot(p - left_eye.origin, left_eye.s_of)
                tl = wp.dot(p - left_eye.origin, left_eye.t_of)
                sr = wp.dot(p - right_eye.origin, right_eye.s_of)
                tr = wp.dot(p - right_eye.origin, right_eye.t_of)
            c = wp.vec3(0.0, 0.0, 0.0)
            a = float(1.0)
            if sl > 0.0 and sl < 1.0 and tl > EYE_TOP and tl < EYE_BOTTOM:
                c = eye_colour(left_eye, lids[0], lids[1], z.look_left, z.closing_left, texture, p, sl, tl)
            elif sr > 0.0 and sr < 1.0 and tr > EYE_TOP and tr < EYE_BOTTOM:
                c = eye_colour(right_eye, lids[2], lids[3], z.look_right, z.closing_right, texture, p, sr, tr)
            else:
                t = covered(texture, p[0] - 0.5, p[1] - 0.5)
                c = wp.vec3(t[0], t[1], t[2])
                a = t[3]
            if sx >= z.mouth_left and sx < z.mouth_right:
                fy = float(sy) + 0.5
                roof = lips[0, sx - z.mouth_left]
                floor_ = lips[1, sx - z.mouth_left]
                cover = wp.clamp(fy - roof + 0.5, 0.0, 1.0) * wp.clamp(floor_ - fy + 0.5, 0.0, 1.0)
                if cover > 0.0:
                    d = wp.vec2(float(sx) + 0.5, fy) - z.mouth_origin
                    mm = mouth_colour(
                        mouth,
                        wp.dot(d, z.mouth_x),
                        wp.dot(d, z.mouth_y),
                        z.jaw,
                        z.tongue_up,
                        z.light,
                        wp.max(fy - roof, 0.0) * z.millimetre,
                        wp.max(floor_ - fy, 0.0) * z.millimetre,
                        wp.abs(float(2 * sx - z.mouth_left - z.mouth_right))
                        / float(z.mouth_right - z.mouth_left),
                    )
                    c = c * (1.0 - cover) + mm * cover
            if a < 1.0:
                b = float(back_luma[sy, sx])
                c = wp.vec3(b + (c[0] - b) * a, c[1] * a, c[2] * a)
            luma[sy, sx] = wp.uint8(wp.clamp(c[0] + 0.5, 16.0, 235.0))
            if matte.shape[0] > 1:
                matte[sy, sx] = wp.uint8(a * 255.0 + 0.5)
            cu += c[1]
            cv += c[2]
            covers += a
        cx = left / 2 + half
        rest = 1.0 - covers * 0.25
        if rest > 0.0:
            cu += float(back_chroma[0, cr, cx]) * rest * 4.0
            cv += float(back_chroma[1, cr, cx]) * rest * 4.0
        chroma[0, cr, cx] = wp.uint8(wp.clamp(cu * 0.25 + 0.5, 16.0, 240.0))
        chroma[1, cr, cx] = wp.uint8(wp.clamp(cv * 0.25 + 0.5, 16.0, 240.0))
