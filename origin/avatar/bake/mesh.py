"""The CC0 base mesh: vertices, UVs, triangles by group, modelling targets and face units; and one person's shape."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.bake.sources import Sources

Index = NDArray[np.int64]

BODY_VERTICES = 13_380
"""The first vertices of the base mesh are skin; helpers (eyes, teeth, tights) follow."""


def read_obj(path: Path) -> tuple[Array, Array, Index, NDArray[np.str_]]:
    """Vertices (v, 3), UVs (t, 2), triangles (f, 3, [vertex, uv]) and the group of each triangle."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    triangles: list[list[tuple[int, int]]] = []
    groups: list[str] = []
    group = ""
    for line in path.read_text().splitlines():
        part = line.split()
        if not part:
            continue
        if part[0] == "v":
            vertices.append([float(x) for x in part[1:4]])
        elif part[0] == "vt":
            uvs.append([float(x) for x in part[1:3]])
        elif part[0] == "g":
            group = part[1]
        elif part[0] == "f":
            corners = [(int(a) - 1, int(b) - 1) for a, b in (c.split("/")[:2] for c in part[1:])]
            for k in range(1, len(corners) - 1):
                triangles.append([corners[0], corners[k], corners[k + 1]])
                groups.append(group)
    return np.array(vertices), np.array(uvs), np.array(triangles), np.array(groups)


class BaseMesh:
    """The base mesh with everything that the packages know about it. Targets are read when asked for."""

    def __init__(self, sources: Sources) -> None:
        self._folder = sources.mesh
        self._details = np.load(sources.targets, allow_pickle=True)
        self.vertices, self.uvs, self.triangles, self.groups = read_obj(
            self._folder / "mpfb2/3dobjs/base.obj"
        )

    def group(self, name: str) -> Index:
        """Triangles (n, 3, [vertex, uv]) of a group."""
        return np.asarray(self.triangles[self.groups == name])

    def macro(self, name: str) -> Array:
        """Offsets (v, 3) of a macro target such as `caucasian-female-young`."""
        return self._target(self._folder / f"mpfb2/targets/macrodetails/{name}.target.gz")

    def detail(self, name: str) -> Array:
        """Offsets (v, 3) of a modelling target such as `nose/nose-scale-horiz-decr` (thousandths, sparse)."""
        offsets = np.zeros_like(self.vertices)
        offsets[self._details[f"targets/{name}.index"]] = self._details[f"targets/{name}.vector"] / 1000.0
        return offsets

    def face_unit(self, name: str) -> Array:
        """Offsets (v, 3) of an ARKit face unit at weight 1."""
        return self._target(self._folder / f"faceunits01/targets/faceunits/{name}.target")

    def mask(self, name: str) -> NDArray[np.float32]:
        """A UV mask (2048, 2048), 0-1: lips, ears, inside-mouth, eyelids."""
        picture = Image.open(self._folder / f"mpfb2/textures/mpfb_{name}.jpg").convert("L")
        return np.asarray(picture, np.float32) / 255.0

    def rig_weights(self) -> Mapping[str, list[tuple[int, float]]]:
        """Bone name -> (vertex, weight) pairs of the standard rig."""
        loaded = json.loads((self._folder / "mpfb2/rigs/standard/weights.default.json").read_text())
        weights: Mapping[str, list[tuple[int, float]]] = loaded["weights"]
        return weights

    def _target(self, path: Path) -> Array:
        offsets = np.zeros_like(self.vertices)
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        for line in text.splitlines():
            part = line.split()
            if len(part) == 4 and part[0].isdigit():
                offsets[int(part[0])] = [float(x) for x in part[1:]]
        return offsets


def sample(mask: NDArray[np.float32], uv: Array) -> NDArray[np.float32]:
    """Mask values at UVs (..., 2); v points up."""
    height, width = mask.shape
    y = np.clip((1 - uv[..., 1]) * (height - 1), 0, height - 1).astype(int)
    x = np.clip(uv[..., 0] * (width - 1), 0, width - 1).astype(int)
    return np.asarray(mask[y, x])


def rotation(axis: tuple[float, float, float], angle: float) -> Array:
    """Rotation matrix (3, 3) about an axis, radians."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def vertex_normals(points: Array, triangles: Index) -> Array:
    """Area-weighted unit normals (v, 3)."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, corner], face[:, axis], len(points))
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Places on one person's face that painting, hair and camera refer to. Units: decimetres, as the base mesh."""

    eye_left: Array
    eye_right: Array
    eye_radius: float
    mouth_y: float
    nose: Array
    neck: Array  # joint at the base of the neck
    top: float
    back: float
    head_centre: Array
    hairline_azimuth: tuple[float, ...] = (0, 18, 34, 46, 58, 70, 84, 100, 118, 140, 180)
    hairline_height: tuple[float, ...] = (0.59, 0.59, 0.54, 0.46, 0.30, 0.0, -0.10, 0.10, -0.05, -0.45, -0.62)

    @property
    def eye_y(self) -> float:
        return float(self.eye_left[1])

    @property
    def eye_x(self) -> float:
        return float(self.eye_left[0])

    def over_hairline(self, points: Array) -> Array:
        """Signed height (n,) of points above the hairline at their azimuth; positive where hair grows."""
        azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), points[:, 2] - 0.25))
        line = np.interp(azimuth, self.hairline_azimuth, self.hairline_height) + self.eye_y
        return np.asarray(points[:, 1] - line)


@dataclass(slots=True)
class Recipe:
    """How a person's shape differs from the base mesh: weights of macro and detail targets."""

    macros: Mapping[str, float]
    details: Mapping[str, float] = field(default_factory=dict)
    arm_drop: float = 0.62  # radians; more makes the shoulders slope


class Shape:
    """One person's neutral vertices, arms lowered, with landmarks and the weight of the head turn."""

    def __init__(self, base: BaseMesh, recipe: Recipe) -> None:
        self.base = base
        points = base.vertices.copy()
        for name, weight in recipe.macros.items():
            points += weight * base.macro(name)
        for name, weight in recipe.details.items():
            points += weight * base.detail(name)
        self.points = points
        self._lower_arms(recipe.arm_drop)
        self.landmarks = self._find_landmarks()
        self._units: dict[str, Array] = {}

    def joint(self, name: str) -> Array:
        """Centre (3,) of a joint cube of the base mesh."""
        used = np.unique(self.base.group(f"joint-{name}")[:, :, 0])
        return np.asarray(self.points[used].mean(0))

    def unit(self, name: str) -> Array:
        """Offsets (v, 3) of a face unit, cached."""
        if name not in self._units:
            self._units[name] = self.base.face_unit(name)
        return self._units[name]

    def express(self, weights: Mapping[str, float]) -> Array:
        """Vertices (v, 3) with face units applied."""
        points = self.points.copy()
        for name, weight in weights.items():
            points += weight * self.unit(name)
        return points

    def head_turn(self, points: Array) -> Array:
        """How much of the head's turn each point (n, 3) follows: 0 at the base of the neck, 1 at the jaw."""
        low, high = self.landmarks.neck[1] - 0.25, self.landmarks.eye_y - 0.62
        beside = 1 - smoothstep(0.95, 1.5, np.abs(points[:, 0]))
        return np.asarray(smoothstep(low, high, points[:, 1]) * beside)

    def _lower_arms(self, angle: float) -> None:
        rig = self.base.rig_weights()
        arm = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
        for side, sign in (("L", 1.0), ("R", -1.0)):
            joints = (("clavicle", ("clavicle", *arm), 0.01, 0.0), ("shoulder", arm, angle, 0.12))
            for joint, bones, turn, lean in joints:
                weight = np.zeros(len(self.points))
                for bone, pairs in rig.items():
                    if bone.endswith(f".{side}") and bone.startswith(bones):
                        for vertex, w in pairs:
                            weight[vertex] += w
                centre = self.joint(f"{side.lower()}-{joint}")
                matrix = rotation((lean, 0.0, -sign), turn)
                moved = (self.points - centre) @ matrix.T + centre
                self.points += np.clip(weight, 0, 1)[:, None] * (moved - self.points)

    def _find_landmarks(self) -> Landmarks:
        base, points = self.base, self.points
        eyes = []
        for side in "lr":
            eye = points[np.unique(base.group(f"helper-{side}-eye")[:, :, 0])]
            eyes.append((eye.min(0), eye.max(0)))
        left, right = ((low + high) / 2 for low, high in eyes)
        radius = float(eyes[0][1][1] - eyes[0][0][1]) / 2
        corners = base.group("body").reshape(-1, 2)
        lips = np.unique(corners[sample(base.mask("lips"), base.uvs[corners[:, 1]]) > 0.5, 0])
        mouth_y = float(np.median(points[lips, 1]))
        skin = points[:BODY_VERTICES]
        middle = skin[(np.abs(skin[:, 0]) < 0.2) & (skin[:, 1] > mouth_y) & (skin[:, 1] < left[1])]
        head = skin[skin[:, 1] > left[1] - 0.9]
        return Landmarks(
            eye_left=left,
            eye_right=right,
            eye_radius=radius,
            mouth_y=mouth_y,
            nose=middle[middle[:, 2].argmax()],
            neck=self.joint("neck"),
            top=float(head[:, 1].max()),
            back=float(head[:, 2].min()),
            head_centre=np.array([0.0, left[1] + 0.25, 0.35]),
        )
