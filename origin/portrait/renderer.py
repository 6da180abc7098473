"""The portrait's renderer: pose in, I420 picture out, as the other people's. One photo, one mesh, one CPU thread.

A frame: the mesh is posed (numpy), a kernel finds where in the photo each pixel of the head's box comes from, another colours it.
Outside of the box the picture never changes. Where the photo has a matte the person alone is moved, before the room behind, another
colour, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import warp as wp
from numpy.typing import NDArray

from origin.avatar.background import Background, Behind, Colour, Matte
from origin.avatar.faceunits import UNIT
from origin.avatar.fullpicture import to_i420
from origin.avatar.pose import Pose
from origin.avatar.renderer import Box, Picture, Progress, Tier
from origin.portrait import eyes, kernels, mouth
from origin.portrait import topology as top
from origin.portrait.framing import Frame, covered, frame, framed
from origin.portrait.landmarks import POINTS
from origin.portrait.layers import apart
from origin.portrait.mesh import FaceMesh, Turn
from origin.portrait.portrait import Portrait

DENSITY: Final = 2
"""Texels of the photo a pixel: what moves by parts of a pixel then loses little of its sharpness."""
EYE_RADIUS: Final = 2.05
"""Of an eyeball, in radii of its iris (12.1 mm to 5.9 mm)."""
FOLLOW: Final = 0.85
"""How much of a head's turn the eyes make good to go on looking at the camera."""
_TO_YUV: Final = np.array(
    [[0.256788, 0.504129, 0.097906], [-0.148223, -0.290993, 0.439216], [0.439216, -0.367788, -0.071427]],
    np.float32,
)
_OFFSET: Final = np.array([16, 128, 128], np.float32)
_REACH: Final = 0.12
_SWING: Final = 0.20
"""How far from where it is in the photo the person can come, in face heights; and so much more for each of them above the chin."""
_SPAN: Final = 4
"""Steps into which each piece of a lip's outline is divided."""


class PortraitError(ValueError):
    """The portrait cannot be drawn so; the message says what to ask for."""


def to_yuv(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Display colours (..., 3) 0-1 as Y, U, V (BT.601, limited range, 0-255)."""
    return np.asarray(rgb * np.float32(255) @ _TO_YUV.T + _OFFSET, np.float32)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is made of a portrait once a picture size and background, never changed.

    `plate` is the photo, `back` what is behind the person; `texture` holds Y, U, V and coverage in each number; `spans` (rows / 2, 2)
    where in the box, in pairs of pixels, the person can be.
    """

    view: Frame
    mesh: FaceMesh
    box: Box
    plate: Picture
    back: Picture
    texture: NDArray[np.uint32]
    spans: NDArray[np.int32]
    eyes: tuple[eyes.Eye, eyes.Eye]
    anchor: mouth.Anchor
    mouth: mouth.Mouth


def prepare(portrait: Portrait, width: int, height: int, background: Background = Behind.SET) -> Scene:
    """The scene of a portrait at a picture size; about a second."""
    photo = portrait.picture
    view = frame(portrait.mesh, photo.size, width, height)
    points = view.points(portrait.mesh)
    mesh = FaceMesh(points, width, height, free=portrait.matte is not None)
    fine = np.asarray(framed(photo, view, DENSITY), np.float32) / np.float32(255)
    plain = np.asarray(framed(photo, view), np.float32) / np.float32(255)
    plate = back = to_i420(plain)
    cover = np.ones(fine.shape[:2], np.float32)
    if portrait.matte is not None:
        cover = covered(portrait.matte, view, DENSITY)
        layers = apart(fine, cover)
        fine = layers.person(fine, cover)
        back = to_i420(layers.room(plain) if background is Behind.SET else _plain(background, width, height))
    yuv = np.clip(np.round(to_yuv(fine)), 0, 255).astype(np.uint32)
    share = np.round(cover * 255).astype(np.uint32)
    texture = yuv[..., 0] | yuv[..., 1] << 8 | yuv[..., 2] << 16 | share << 24
    irises = (portrait.irises - [view.left, view.top]) / view.step
    large = points * DENSITY
    both = [eyes.prepare(fine, large, (irises[k] * DENSITY).astype(np.float32), k) for k in (0, 1)]
    inner = mouth.prepare(fine, large, DENSITY * mesh.apart / mouth.INTEROCULAR_MM)
    rest = mesh.expressed(np.zeros(len(UNIT), np.float32))
    box, spans = _moving(mesh, cover) if portrait.matte is not None else _ringed(mesh, width, height)
    return Scene(
        view,
        mesh,
        box,
        plate,
        back,
        np.ascontiguousarray(texture),
        spans,
        (both[0], both[1]),
        mouth.anchor(rest, mesh.apart),
        inner,
    )


def _plain(background: Background, width: int, height: int) -> NDArray[np.float32]:
    """One colour, or the black of nothing, as a picture (height, width, 3), 0-1."""
    colour = background.values if isinstance(background, Colour) else np.zeros(3, np.float32)
    return np.ascontiguousarray(np.broadcast_to(colour, (height, width, 3)), np.float32)


def _ringed(mesh: FaceMesh, width: int, height: int) -> tuple[Box, NDArray[np.int32]]:
    """The box in which the rings are, and its spans: all of it."""
    moving = mesh.rest[POINTS:][-len(top.OUTLINE) :, :2]
    low, high = moving.min(0), moving.max(0)
    x0, y0 = (max(0, int(v) // 2 * 2) for v in low)
    x1, y1 = min(width, -(-int(high[0]) // 2) * 2), min(height, -(-int(high[1]) // 2) * 2)
    spans = np.tile(np.array([0, (x1 - x0) // 2], np.int32), ((y1 - y0) // 2, 1))
    return Box(x0, y0, x1 - x0, y1 - y0), spans


def _moving(mesh: FaceMesh, cover: NDArray[np.float32]) -> tuple[Box, NDArray[np.int32]]:
    """The box to which the person can come, and for each pair of its rows from where to where."""
    pair = 2 * DENSITY
    height, width = (n // pair for n in cover.shape)
    seen = cover.reshape(height, pair, width, pair).max((1, 3)) > 0
    first, last = np.full(height, width), np.zeros(height, int)
    tall, chin = mesh.tall / 2, mesh.rest[top.CHIN, 1] / 2
    for row in np.flatnonzero(seen.any(1)):
        columns = np.flatnonzero(seen[row])
        aside, up = _REACH * tall + _SWING * max(chin - row, 0.0), 1.5 * _REACH * tall
        near = slice(max(0, int(row - up) - 1), int(row + up) + 2)
        first[near] = np.minimum(first[near], max(0, int(columns[0] - aside) - 1))
        last[near] = np.maximum(last[near], min(width, int(columns[-1] + aside) + 2))
    rows = np.flatnonzero(last > first)
    x0, x1, y0, y1 = first.min(), last.max(), rows[0], rows[-1] + 1
    spans = np.stack([first[y0:y1], np.maximum(last, first)[y0:y1]], 1) - x0
    return Box(2 * int(x0), 2 * int(y0), 2 * int(x1 - x0), 2 * int(y1 - y0)), spans.astype(np.int32)


class PortraitRenderer:
    """Draws a person from one photo. Same meaning of everything as `origin.avatar.renderer.Renderer`.

    Raises PortraitError for sizes that are odd or out of bounds, and for any background but the photo's own where it has no matte.
    """

    tier: Tier = "light"

    def __init__(
        self, portrait: Portrait, width: int = 854, height: int = 480, background: Background = Behind.SET
    ) -> None:
        if width % 2 or height % 2 or not (160 <= width <= 1920 and 120 <= height <= 1080):
            raise PortraitError(f"cannot draw {width}x{height}: sizes are even, 160x120 to 1920x1080")
        if background is not Behind.SET and portrait.matte is None:
            raise PortraitError(
                "this portrait has no matte, so that it keeps the background of its photo: make its package again from the photo "
                "(avacast avatar from-photo), with the person clear of what is behind, or leave --background as it is (keep)"
            )
        self.width, self.height = width, height
        self._background = background
        self._portrait = portrait
        self._scene: Scene | None = None

    @property
    def head_box(self) -> Box:
        """Where anything moves."""
        return self._ready().box

    @property
    def matte(self) -> Matte | None:
        """Of the last picture, which is over black then; None with a set or a colour. Valid until the next `render`."""
        return self._matte if self._background is Behind.NOTHING else None

    def warm(self, progress: Progress = lambda step, done: None) -> None:
        """Compiles kernels (a second or two once, then cached) and prepares the photo; after it `render` never stalls."""
        if self._scene is None:
            progress("Preparing the photo", 0.0)
            scene = prepare(self._portrait, self.width, self.height, self._background)
            progress("Compiling the renderer", 0.5)
            wp.load_module(kernels, device="cpu")
            self._build(scene)
            self._scene = scene
            self.render(Pose())
            progress("Compiling the renderer", 1.0)

    def cut(self) -> None:
        """Every picture stands alone here."""

    def pass_over(self, pose: Pose) -> None:
        """Nor does one follow another."""

    def anew(self) -> None:
        """Each one is drawn anew."""

    def render(self, pose: Pose) -> Picture:
        """The picture of a pose. The array is valid until the next call. A broken pose is clamped, never drawn."""
        scene = self._ready()
        pose = pose.clamped()
        turn = scene.mesh.turn(pose)
        face = scene.mesh.expressed(pose.weights)
        self._points_view[:] = scene.mesh.posed(face, turn, pose)
        self._open_eyes(scene, pose)
        self._open_mouth(scene, pose, face, turn)
        self._place.launch()
        self._shade.launch()
        return self._picture

    def _ready(self) -> Scene:
        if self._scene is None:
            self.warm()
        assert self._scene is not None, "warm() made it"
        return self._scene

    def _build(self, scene: Scene) -> None:
        box, mesh = scene.box, scene.mesh
        h, w = self.height, self.width
        self._picture: Picture = scene.back.copy()
        back = scene.back
        self._matte: Matte = np.zeros((h, w) if self._background is Behind.NOTHING else (1, 1), np.uint8)
        with wp.ScopedDevice("cpu"):
            points: Any = wp.zeros(len(mesh.rest), dtype=wp.vec2)
            rest: Any = wp.array((mesh.rest[:, :2] * DENSITY).astype(np.float32), dtype=wp.vec2)
            corners: Any = wp.array(mesh.triangles, dtype=wp.vec3i)
            y, x = np.mgrid[box.y : box.y + box.height, box.x : box.x + box.width] + 0.5
            source: Any = wp.array(np.stack([x, y], 2).astype(np.float32) * DENSITY, dtype=wp.vec2)
            texture: Any = wp.array(scene.texture, dtype=wp.uint32)
            states: Any = wp.zeros(1, dtype=kernels.State)
            lids: Any = wp.zeros((4, eyes.CURVE), dtype=float)
            lips: Any = wp.zeros((2, w), dtype=float)
            luma: Any = wp.array(self._picture[:h], dtype=wp.uint8, copy=False)
            chroma_view = self._picture[h:].reshape(2, h // 2, w // 2)
            chroma: Any = wp.array(chroma_view, dtype=wp.uint8, copy=False)
            back_luma: Any = wp.array(back[:h], dtype=wp.uint8, copy=False)
            back_chroma: Any = wp.array(back[h:].reshape(2, h // 2, w // 2), dtype=wp.uint8, copy=False)
            matte: Any = wp.array(self._matte, dtype=wp.uint8, copy=False)
            spans: Any = wp.array(scene.spans, dtype=int)
            self._points_view, self._lids_view, self._lips_view = points.numpy(), lids.numpy(), lips.numpy()
            self._state_view = states.numpy()
            self._state_view[0]["eyes"] = _eyes_box(scene.eyes)
            views = [_eye_view(eye) for eye in scene.eyes]
            place = [points, rest, corners, box.x, box.y, box.width, box.height, source]
            self._place: Any = wp.launch(
                kernels.place, dim=len(mesh.triangles), inputs=place, device="cpu", record_cmd=True
            )
            inputs = [source, texture, *views, _mouth_view(scene.mouth), states, lids, lips]
            self._shade: Any = wp.launch(
                kernels.shade,
                dim=box.height // 2,
                inputs=[*inputs, box.x, box.y, spans, back_luma, back_chroma, luma, chroma, matte],
                device="cpu",
                record_cmd=True,
            )
        self._kept = (points, rest, corners, source, texture, states, lids, lips, luma, chroma, views)
        self._behind = (spans, back_luma, back_chroma, matte, back)

    def _open_eyes(self, scene: Scene, pose: Pose) -> None:
        """Lids and gaze. The eye at the picture's left is the person's right one."""
        state = self._state_view[0]
        yaw, pitch, _ = pose.head
        right, up = pose.gaze[0] - FOLLOW * yaw, pose.gaze[1] + FOLLOW * pitch
        for k, (eye, side) in enumerate(zip(scene.eyes, ("Right", "Left"), strict=True)):
            w = pose.weights
            blink, wide = float(w[UNIT[f"eyeBlink{side}"]]), float(w[UNIT[f"eyeWide{side}"]])
            squint = float(w[UNIT[f"eyeSquint{side}"]])
            down, raised = float(w[UNIT[f"eyeLookDown{side}"]]), float(w[UNIT[f"eyeLookUp{side}"]])
            gap = eye.lower - eye.upper
            rest = (0.30 * down - 0.10 * raised - 0.22 * wide + 0.10 * squint) * (1 - blink)
            upper = eye.upper + gap * (eyes.MEET * blink + rest)
            lower = eye.lower - gap * ((1 - eyes.MEET) * blink + 0.22 * squint * (1 - blink))
            self._lids_view[2 * k], self._lids_view[2 * k + 1] = upper, np.maximum(lower, upper)
            reach = EYE_RADIUS * eye.iris[2]
            s = reach * np.sin(np.clip(right, -0.5, 0.5))
            t = -0.8 * reach * np.sin(np.clip(up, -0.35, 0.35))
            # the iris never leaves the opening
            s = (
                float(np.clip(s, 0.22 - eye.iris[0], 0.78 - eye.iris[0]))
                if 0.22 < eye.iris[0] < 0.78
                else 0.0
            )
            name = ("left", "right")[k]
            state[f"look_{name}"] = s * eye.axes[0] + t * eye.axes[1]
            state[f"closing_{name}"] = max(blink, 0.5 * down)

    def _open_mouth(self, scene: Scene, pose: Pose, face: NDArray[np.float64], turn: Turn) -> None:
        """The outline between the lips in the picture, and what is seen through it."""
        points = self._points_view
        roof, floor = (_outline(points[list(rows[3])]) for rows in (top.UPPER_ROWS, top.LOWER_ROWS))
        first = max(int(np.ceil(min(roof[0, 0], floor[0, 0]))), 0)
        last = min(int(np.floor(max(roof[-1, 0], floor[-1, 0]))), self.width)
        state, weights = self._state_view[0], pose.weights
        state["mouth_left"], state["mouth_right"] = first, max(last, first)
        if last <= first:
            return
        columns = np.arange(first, last) + 0.5
        lines = np.stack([np.interp(columns, line[:, 0], line[:, 1]) for line in (roof, floor)])
        # the mesh has straight edges: an open mouth reaches a little under them
        under = 0.45 * np.clip(lines[1] - lines[0] - 0.5, 0.0, 1.0)
        self._lips_view[:, : last - first] = lines + np.stack([-under, under])
        anchor = scene.anchor
        turned = turn(np.stack([anchor.origin, *(anchor.origin + anchor.axes)]))[:, :2]
        axes = (turned[1:] - turned[0]).T  # (2, 2): pixels of a millimetre along each axis
        inverse = np.linalg.inv(axes)
        state["mouth_origin"] = turned[0]
        state["mouth_x"], state["mouth_y"] = inverse[0], inverse[1]
        state["millimetre"] = 1.0 / float(np.linalg.norm(anchor.axes[1]))
        rest = scene.mesh.rest
        drop = float(face[top.CHIN, 1] - rest[top.CHIN, 1]) / float(np.linalg.norm(anchor.axes[1]))
        state["jaw"] = max(drop, 0.0)
        state["tongue_up"] = float(weights[UNIT["tongueOut"]]) * 2.2
        funnel, raised = float(weights[UNIT["mouthFunnel"]]), float(weights[UNIT["mouthUpperUpLeft"]])
        light = 0.62 + 1.2 * float(weights[UNIT["jawOpen"]]) + 1.0 * raised - 0.45 * funnel
        state["light"] = float(np.clip(light, 0.35, 1.0))


def _outline(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """A lip's edge (11, 2) with points between (Catmull-Rom), from left to right without turning back."""
    p = points.astype(float)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.arange(_SPAN)[:, None] / _SPAN
    a, b, c, d = (padded[k : k + len(p) - 1, None] for k in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    line = np.concatenate([curve.reshape(-1, 2), p[-1:]])
    line[:, 0] = np.maximum.accumulate(line[:, 0])
    return np.asarray(line)


def _vec3s(colours: NDArray[np.float32]) -> Any:
    return wp.array(np.ascontiguousarray(to_yuv(colours)), dtype=wp.vec3, device="cpu")


def _eyes_box(both: tuple[eyes.Eye, eyes.Eye]) -> NDArray[np.float64]:
    """Left, top, right, bottom of the texture's part in which eyes are drawn."""
    corners = [
        eye.origin + s * eye.axes[0] + t * eye.axes[1]
        for eye in both
        for s in (0.0, 1.0)
        for t in (kernels.EYE_TOP, kernels.EYE_BOTTOM)
    ]
    return np.concatenate([np.min(corners, 0), np.max(corners, 0)])


def _eye_view(eye: eyes.Eye) -> Any:
    view = kernels.EyeView()
    inverse = np.linalg.inv(eye.axes.astype(float))
    view.origin, view.across, view.down = (wp.vec2(*map(float, v)) for v in (eye.origin, *eye.axes))
    view.s_of, view.t_of = (wp.vec2(*map(float, inverse[:, k])) for k in (0, 1))
    view.upper, view.lower, view.brow = (
        wp.array(curve, dtype=float, device="cpu") for curve in (eye.upper, eye.lower, eye.brow)
    )
    view.corner = wp.vec2(*map(float, eye.corner))
    view.ball, view.disc = _vec3s(eye.ball), _vec3s(eye.disc)
    view.iris = wp.vec3(*eye.iris)
    view.wide = float(np.linalg.norm(eye.axes[0]))
    return view


def _mouth_view(inner: mouth.Mouth) -> Any:
    view = kernels.MouthView()
    for name, row in (("upper", inner.upper), ("lower", inner.lower)):
        cover = row[..., 3:]
        yuv = row[..., :3] * np.float32(255) @ _TO_YUV.T + _OFFSET * cover
        setattr(view, name, wp.array(np.dstack([yuv, cover]).astype(np.float32), dtype=wp.vec4, device="cpu"))
    view.scale, view.half_wide, view.half_tall = inner.scale, mouth.HALF_WIDE, mouth.HALF_TALL
    view.upper_edge, view.lower_edge = mouth.UPPER_EDGE, mouth.LOWER_EDGE
    view.seam = wp.vec3(*map(float, to_yuv(inner.seam)))
    view.tongue = wp.vec3(*map(float, to_yuv(inner.tongue)))
    view.cavity = wp.vec3(*map(float, to_yuv(inner.cavity)))
    return view
