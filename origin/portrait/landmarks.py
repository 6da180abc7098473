"""Landmarks of a face in a picture: 468 points of a mesh with depth, and both irises; and where the person is. Four small nets, run by
onnxruntime.

BlazeFace finds the face (256x256), Face Mesh its points (192x192, a crop that is turned upright, twice: the second crop comes
from the first points), the iris net refines eyes and brows (64x64 each), and Selfie Segmentation finds the person (256x256).
They are used when a portrait is made, never live.
The nets are Google's (Apache-2.0); Bazarevsky et al. 2019, Kartynnik et al. 2019, Ablavatski et al. 2020 describe them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODELS: Final = Path(__file__).parent / "models"

Points = NDArray[np.float32]
"""(n, 3): x right, y down, in pixels of the picture, and z in the same unit, smaller nearer."""

POINTS: Final = 468
EYE_CORNERS: Final = ((33, 133), (362, 263))
"""Outer and inner corner, of the eye at the picture's left and of the one at its right."""
# the eye's edge, below then above; two rings round it; the brow's lower edge; the outermost ring below; the brow's upper edge
EYE_POINTS: Final = (
    (
        *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
        *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
        *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189),
        *(35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245),
        *(156, 70, 63, 105, 66, 107, 55, 193),
    ),
    (
        *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398),
        *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
        *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413),
        *(265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465),
        *(383, 300, 293, 334, 296, 336, 285, 417),
    ),
)
"""The 71 points that the iris net refines, of the eye at the picture's left and of the one at its right."""

_FOUND: Final = 0.5
_SAME: Final = 0.3
"""Boxes that share so much of their area are one face."""
_DETECTOR_SIZE, _MESH_SIZE, _IRIS_SIZE, _PERSON_SIZE = 256, 192, 64, 256
_FACE_MARGIN: Final = 1.5
_EYE_MARGIN: Final = 2.3


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found: its box (x, y, width, height) in pixels, its tilt in radians, and how sure it is (0-1)."""

    box: tuple[float, float, float, float]
    tilt: float
    score: float


@dataclass(frozen=True, slots=True)
class Landmarks:
    """`mesh` (468, 3); `irises` (2, 5, 2): centre, then four points of the edge, picture's left eye first; `presence` 0-1."""

    mesh: Points
    irises: NDArray[np.float32]
    presence: float


@cache
def _net(name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the same sums in the same order everywhere
    return onnxruntime.InferenceSession(
        str(MODELS / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
    )


@cache
def triangles() -> NDArray[np.int32]:
    """The faces of the mesh (852, 3), with holes at eyes and mouth."""
    return np.asarray(np.load(MODELS / "triangles.npy"), np.int32)


@cache
def _anchors() -> NDArray[np.float32]:
    """Centres of the detector's 896 boxes, 0-1: two at each cell of 16 pixels, six at each of 32."""
    rows = []
    for cells, boxes in ((16, 2), (8, 6)):
        y, x = np.mgrid[0:cells, 0:cells].reshape(2, -1)
        rows.append(np.repeat(np.stack([x, y], 1) + 0.5, boxes, 0) / cells)
    return np.concatenate(rows).astype(np.float32)


def _run(net: str, pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [np.asarray(out) for out in _net(net).run(None, {"input": pixels[None]})]


def faces(picture: Image.Image) -> list[Face]:
    """The faces of an RGB picture, surest first."""
    side = max(picture.size)
    small = picture.transform(
        (_DETECTOR_SIZE, _DETECTOR_SIZE),
        Image.Transform.AFFINE,
        (side / _DETECTOR_SIZE, 0, 0, 0, side / _DETECTOR_SIZE, 0),
        Image.Resampling.BILINEAR,
    )
    if side > 2 * _DETECTOR_SIZE:  # smaller first: `transform` samples, it does not average
        scale = _DETECTOR_SIZE / side
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        small = Image.new("RGB", (_DETECTOR_SIZE, _DETECTOR_SIZE))
        small.paste(picture.resize(size, Image.Resampling.BOX))
    boxes, scores = _run("detector", np.asarray(small, np.float32) / np.float32(127.5) - 1)
    sure = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -80, 80)))
    chosen = np.flatnonzero(sure > _FOUND)
    raw = boxes.reshape(-1, 8, 2)[chosen] / _DETECTOR_SIZE
    raw[:, [0, 2, 3, 4, 5, 6, 7]] += _anchors()[chosen][:, None]
    found: list[Face] = []
    order = chosen[np.argsort(-sure[chosen], kind="stable")]
    at = {int(anchor): k for k, anchor in enumerate(chosen)}
    for anchor in order:
        (x, y), (w, h), right, left = (raw[at[int(anchor)], k] * side for k in range(4))
        face = Face(
            (float(x - w / 2), float(y - h / 2), float(w), float(h)),
            float(np.arctan2(left[1] - right[1], left[0] - right[0])),
            float(sure[anchor]),
        )
        if all(_shared(face.box, other.box) < _SAME for other in found):
            found.append(face)
    return found


def _shared(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0.0) * max(high, 0.0)
    return both / max(a[2] * a[3] + b[2] * b[3] - both, 1e-9)


class _Crop:
    """A square of the picture, turned by `tilt`, as a net sees it."""

    def __init__(
        self, centre: NDArray[Any], side: float, tilt: float, pixels: int, flip: bool = False
    ) -> None:
        along = np.array([np.cos(tilt), np.sin(tilt)])
        down = np.array([-along[1], along[0]])
        self._step = side / pixels
        self._axes = np.stack([-along if flip else along, down]) * self._step
        self._corner = np.asarray(centre) - self._axes.sum(0) * (pixels / 2)
        self._pixels = pixels

    def of(self, picture: Image.Image) -> NDArray[np.float32]:
        """Pixels (n, n, 3), 0-1; black beyond the picture."""
        shrink = max(1, int(self._step))  # `transform` samples points: a big picture is averaged first
        if shrink > 1:
            picture = picture.reduce(shrink)
        (ax, ay), (bx, by) = self._axes / shrink
        cx, cy = self._corner / shrink
        crop = picture.transform(
            (self._pixels, self._pixels),
            Image.Transform.AFFINE,
            (ax, bx, cx, ay, by, cy),
            Image.Resampling.BILINEAR,
        )
        return np.asarray(crop, np.float32) / np.float32(255)

    def back(self, points: NDArray[np.float32]) -> Points:
        """Points (n, 3) of the crop as points of the picture."""
        flat = points[:, :2] @ self._axes + self._corner
        return np.column_stack([flat, points[:, 2] * self._step]).astype(np.float32)


def _tilt(points: NDArray[Any], a: int, b: int) -> float:
    step = points[b, :2] - points[a, :2]
    return float(np.arctan2(step[1], step[0]))


def locate(picture: Image.Image, face: Face) -> Landmarks:
    """The landmarks of a face in an RGB picture."""
    x, y, w, h = face.box
    crop = _Crop(np.array([x + w / 2, y + h / 2]), _FACE_MARGIN * max(w, h), face.tilt, _MESH_SIZE)
    for _ in range(3):
        out, sure = _run("mesh", crop.of(picture))
        mesh = crop.back(out.reshape(POINTS, 3))
        tilt = _tilt(mesh, 33, 263)
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
        upright = mesh[:, :2] @ turn.T
        low, high = upright.min(0), upright.max(0)
        crop = _Crop((low + high) / 2 @ turn, _FACE_MARGIN * float((high - low).max()), tilt, _MESH_SIZE)
    irises = np.stack([_iris(picture, mesh, side) for side in (0, 1)])
    return Landmarks(mesh, irises, float(1 / (1 + np.exp(-sure.reshape(-1)[0]))))


def _iris(picture: Image.Image, mesh: Points, side: int) -> NDArray[np.float32]:
    """Refines the eye's points of `mesh` in place; the iris (5, 2)."""
    a, b = EYE_CORNERS[side]
    centre = (mesh[a, :2] + mesh[b, :2]) / 2
    width = float(np.linalg.norm(mesh[b, :2] - mesh[a, :2]))
    crop = _Crop(centre, _EYE_MARGIN * width, _tilt(mesh, a, b), _IRIS_SIZE, flip=side == 1)
    contour, iris = _run("iris", crop.of(picture))
    mesh[list(EYE_POINTS[side]), :2] = crop.back(contour.reshape(71, 3))[:, :2]
    return crop.back(iris.reshape(5, 3))[:, :2]


def person(picture: Image.Image, box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """How sure a person is at each pixel of the whole RGB picture, 0-1, looked for within a box (left, top, right, bottom); 0 beyond it."""
    size = (_PERSON_SIZE, _PERSON_SIZE)
    part = picture.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    (sure,) = _run("person", np.asarray(part, np.float32) / np.float32(255))
    left, upper, right, lower = (round(v) for v in box)
    found = Image.new("F", picture.size)
    shown = Image.fromarray(sure.reshape(size[::-1])).resize(
        (right - left, lower - upper), Image.Resampling.BICUBIC
    )
    found.paste(shown, (left, upper))
    return np.clip(np.asarray(found, np.float32), 0.0, 1.0)
