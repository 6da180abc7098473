"""The mesh that moves: the 468 points of the face, and rings round them that carry hair and neck along and let the background rest.

Rings are the face's outline, grown from its middle. The inner ones follow the head (hair), the two outermost ones never move, and
below the chin they let go sooner (neck). All are one connected surface, so nothing can tear; what is behind the head is stretched a little.
A head that turns is turned in three dimensions by the depth of the landmarks and drawn without perspective.

Where the person is cut out of the photo (`free`), what is behind stays where it is, a grid under the rings moves the body, and hair
follows the head further: shoulders rise with a breath and lean with the head; at the picture's floor and sides the body rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.faceunits import FACE_UNITS, UNIT, UNIT_COUNT, Weights
from origin.avatar.headstate import rotation
from origin.avatar.pose import Pose
from origin.portrait import topology as top
from origin.portrait.landmarks import EYE_CORNERS, MODELS, POINTS, Points, triangles

YAW_MOST: Final = 0.21
PITCH_MOST: Final = 0.15
ROLL_MOST: Final = 0.17
"""Radians (12, 9 and 10 degrees) that a turn comes near and never reaches: beyond them a photo shows what it does not know."""
RINGS: Final = (1.10, 1.24, 1.42, 1.65, 1.95, 2.40, 2.46)
_HEAD: Final = (1.00, 1.00, 0.96, 0.80, 0.42, 0.00, 0.00)
"""How much of the head's motion each ring follows beside and above the face."""
_NECK: Final = (0.85, 0.62, 0.38, 0.18, 0.06, 0.00, 0.00)
"""And below it."""
_FREE_HEAD: Final = (1.00, 1.00, 1.00, 0.93, 0.62, 0.06, 0.00)
"""_HEAD where nothing behind the person is taken along."""
_SKIN: Final = (0.80, 0.52, 0.24, 0.08, 0.00, 0.00, 0.00)
"""How much of the outline's own motion, such as the jaw's, goes on into each ring."""
UNIT_SCALE: Final = 0.82
"""The people that the units come from have eyes that are closer together than most."""
CALM_WIDE: Final = 0.72
"""Width between the mouth's inner corners, in interocular distances, above which a smile with teeth is taken back."""
CALM_MOST: Final = 0.45
BREATH_LIFT: Final = 0.012
"""Of a full breath, in face heights."""
SHOULDER_LIFT: Final = 0.018
CHEST_SWELL: Final = 0.006
"""Of a full breath, in face heights: how far shoulders rise, and how far each goes outwards."""
LEAN_ROLL, LEAN_YAW = 0.22, 0.06
"""How far the body leans after the head, parts of the head's own angles."""
_BODY_TALL: Final = 1.6
"""Below the chin, in face heights, where nothing moves any more; the picture mostly ends before."""
_SETTLES: Final = 0.55
"""Face heights above that within which the body comes to rest."""
_CELLS_A_FACE: Final = 6
"""Cells of the body's grid in a face's height."""
_GRID_MARGIN: Final = 0.20
"""Of the grid beyond the picture, in face heights, so that there is something wherever it moves."""


@cache
def units() -> NDArray[np.float32]:
    """Offsets of the 52 units (52, 468, 3), in interocular distances: x right, y down, z away."""
    with np.load(MODELS / "units.npz") as z:
        offsets = np.asarray(z["offsets"] * z["scale"], np.float32)
    offsets[[name.startswith("eye") for name in FACE_UNITS]] = 0.0  # lids are drawn, not moved (eyes.py)
    return offsets


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a pose puts the rigid head: `axes` (3, 3), `pivot` (3,) and `shift` (2,) in pixels."""

    axes: NDArray[np.float64]
    pivot: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 3) after the turn."""
        moved = (points - self.pivot) @ self.axes.T + self.pivot
        moved[:, :2] += self.shift
        return np.asarray(moved)


def softly(angle: float, most: float) -> float:
    """The angle where it is small; never as much as `most`."""
    return float(most * np.tanh(angle / most))


@dataclass(frozen=True, slots=True)
class Sway:
    """How far each of some points (n, 2) of the body goes: with a full breath, and a radian of lean to the picture's right."""

    breath: NDArray[np.float64]
    lean: NDArray[np.float64]

    def __call__(self, breath: float, lean: float) -> NDArray[np.float64]:
        return self.breath * breath + self.lean * lean


def leaning(pose: Pose) -> float:
    """How far the body leans to the picture's right, radians."""
    yaw, _, roll = pose.head
    return LEAN_YAW * softly(yaw, YAW_MOST) - LEAN_ROLL * softly(roll, ROLL_MOST)


class FaceMesh:
    """The mesh of one face in one picture size. `points` are the landmarks in pixels of that picture; `free`: the person is cut out."""

    def __init__(self, points: Points, width: int, height: int, *, free: bool = False) -> None:
        face = points.astype(float)
        self.tall = float(np.linalg.norm(face[top.CHIN, :2] - face[top.FOREHEAD, :2]))
        face[:, 2] = _flattened(face, self.tall)
        outline = face[list(top.OUTLINE)]
        eyes = [face[list(pair), :2].mean(0) for pair in EYE_CORNERS]
        self.apart = float(np.linalg.norm(eyes[1] - eyes[0]))
        """Interocular distance, pixels."""
        self.middle = outline[:, :2].mean(0)
        ears = float(np.median(outline[:, 2]))
        self._pivot = np.array([self.middle[0], face[top.CHIN, 1], ears + 0.10 * self.tall])
        rays = outline[:, :2] - self.middle
        down = np.clip(rays[:, 1] / np.linalg.norm(rays, axis=1), 0.0, 1.0) ** 2
        rings, follow = [face], [np.ones(POINTS)]
        self._carry = np.zeros((len(RINGS), len(top.OUTLINE)))
        for k, factor in enumerate(RINGS):
            at = self.middle + rays * factor
            depth = np.minimum(outline[:, 2] + 0.30 * self.tall * (factor - 1), ears + 0.10 * self.tall)
            rings.append(np.column_stack([at, depth]))
            edge = np.minimum.reduce([at[:, 0], at[:, 1], width - at[:, 0], height - at[:, 1]])
            inside = np.clip(
                edge / (0.10 * self.tall) + 1.0, 0.0, 1.0
            )  # rings beyond the picture let go of its edge
            head = (_FREE_HEAD if free else _HEAD)[k]
            follow.append((head * (1 - down) + _NECK[k] * down) * inside)
            self._carry[k] = _SKIN[k] * inside
        self.triangles = _surface()
        self.rings_end = POINTS + len(RINGS) * len(top.OUTLINE)
        """Points of face and rings; those of the body's grid come after them."""
        if free:
            nodes, cells = _grid(width, height, self.tall, rings[-1][:, :2])
            rings.append(nodes)
            follow.append(np.zeros(len(nodes)))
            self.triangles = np.concatenate([cells + self.rings_end, self.triangles])
        self.rest: NDArray[np.float64] = np.concatenate(rings)
        self._follow = np.concatenate(follow)[:, None]
        self._free = free
        self._body = self._sways(self.rest[:, :2], width, height)
        self._neck = self._sways(self._pivot[None, :2], width, height)
        offsets = units().astype(float) * (self.apart * UNIT_SCALE)
        tilt = np.arctan2(*(eyes[1] - eyes[0])[::-1])
        upright = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
        self._units = (offsets @ upright).reshape(UNIT_COUNT, -1)
        self._shut = np.zeros((POINTS, 3))
        self._rounding = np.zeros((POINTS, 3))
        self._close_lips()
        self._calm()

    def _sways(self, points: NDArray[np.float64], width: int, height: int) -> Sway:
        """The body's motion at some points (n, 2); none where the person is part of the photo."""
        if not self._free:
            return Sway(np.zeros_like(points), np.zeros_like(points))
        chin = self.rest[top.CHIN, 1]
        floor = min(float(height), chin + _BODY_TALL * self.tall)
        high = (floor - points[:, 1]) / self.tall
        rises = _eased(high / _SETTLES)
        aside = (points[:, 0] - self.middle[0]) / self.tall
        edge = np.minimum(points[:, 0], width - points[:, 0]) / (0.15 * self.tall)
        loose = rises * _eased(edge)  # a body that the picture cuts off keeps to the cut
        above = (chin + 0.1 * self.tall - points[:, 1]) / (0.3 * self.tall)
        swell = CHEST_SWELL * np.tanh(aside / 0.8) * (1 - _eased(above))
        breath = np.column_stack([swell * loose, -SHOULDER_LIFT * rises]) * self.tall
        lean = np.column_stack([high * loose, aside * loose]) * self.tall
        return Sway(breath, lean)

    def _close_lips(self) -> None:
        """A mouth that shows teeth in the photo is closed: lips meet at two thirds of the gap, and take what is near along."""
        face = self.rest[:POINTS]
        upper, lower = (face[list(rows[3])] for rows in (top.UPPER_ROWS, top.LOWER_ROWS))
        gap = np.maximum(lower[:, 1] - upper[:, 1], 0.0)
        self.gap = float(gap.max())
        for rows, part in ((top.UPPER_ROWS, 0.36), (top.LOWER_ROWS, -0.64)):
            for row, share in zip(rows, (0.35, 0.6, 0.85, 1.0), strict=True):
                for column in range(1, 10):
                    self._shut[row[column], 1] = gap[column] * part * share
        lips = np.array(sorted(top.UPPER_LIP | top.LOWER_LIP))
        others = np.setdiff1d(np.arange(POINTS), [*lips, *top.OUTLINE])
        reach = np.linalg.norm(face[others, None, :2] - face[None, lips, :2], axis=2)
        nearest = lips[reach.argmin(1)]
        fade = np.clip(1 - reach.min(1) / (0.22 * self.tall), 0, 1) ** 2
        self._shut[others, 1] = self._shut[nearest, 1] * fade

    def _calm(self) -> None:
        """A broad smile is taken back in part, as vowels are not spoken with it."""
        if self.gap < 0.03 * self.apart:
            return
        left, right = (self.rest[p, :2] for p in top.MOUTH_CORNERS)
        excess = float(np.linalg.norm(right - left)) / self.apart - CALM_WIDE
        smile = self._units[[UNIT["mouthSmileLeft"], UNIT["mouthSmileRight"]]].sum(0).reshape(POINTS, 3)
        self._shut -= smile * float(np.clip(excess / 0.2, 0.0, CALM_MOST))
        self._rounding = -0.4 * smile * float(np.clip(excess / 0.2, 0.0, 1.0))

    def turn(self, pose: Pose) -> Turn:
        """Where the pose puts the head."""
        yaw, pitch, roll = pose.head
        # the picture's y and z point the other way than the people's
        flip = np.diag([1.0, -1.0, -1.0])
        axes = rotation(softly(yaw, YAW_MOST), softly(pitch, PITCH_MOST), softly(roll, ROLL_MOST))
        shift = self._neck.lean[0] * leaning(pose) - [0.0, pose.breath * BREATH_LIFT * self.tall]
        return Turn(flip @ axes @ flip, self._pivot, shift)

    def expressed(self, weights: Weights) -> NDArray[np.float64]:
        """The face's points (468, 3) with its expression and the head at rest."""
        moved = (weights.astype(float) @ self._units).reshape(POINTS, 3)
        rounded = min(1.0, 1.2 * float(weights[UNIT["mouthFunnel"]] + weights[UNIT["mouthPucker"]]))
        return _met(self.rest[:POINTS] + moved + self._shut + rounded * self._rounding)

    def posed(self, face: NDArray[np.float64], turn: Turn, pose: Pose) -> NDArray[np.float64]:
        """All points (n, 2) in the picture, of a face as `expressed` gives it."""
        whole = self.rest.copy()
        whole[:POINTS] = face
        own = (face - self.rest[:POINTS])[list(top.OUTLINE)]
        whole[POINTS : self.rings_end] += (self._carry[..., None] * own).reshape(-1, 3)
        rings = whole[: self.rings_end]
        body = self._body(pose.breath, leaning(pose))
        follow = self._follow[: self.rings_end]
        posed = whole[:, :2] + body
        posed[: self.rings_end] += ((turn(rings) - rings)[:, :2] - body[: self.rings_end]) * follow
        return np.asarray(posed)


def _eased(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1, softly at both ends."""
    t = np.clip(share, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _grid(
    width: int, height: int, tall: float, ring: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Nodes (n, 3) over the whole picture and a little beyond, and the triangles (m, 3) between them that `ring` does not cover."""
    margin, cell = _GRID_MARGIN * tall, tall / _CELLS_A_FACE
    across = max(2, round((width + 2 * margin) / cell))
    down = max(2, round((height + 2 * margin) / cell))
    x, y = np.meshgrid(
        np.linspace(-margin, width + margin, across + 1), np.linspace(-margin, height + margin, down + 1)
    )
    nodes = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    k = (np.arange(down)[:, None] * (across + 1) + np.arange(across)).ravel()
    left = np.column_stack([k, k + 1, k + across + 1])
    right = np.column_stack([k + 1, k + across + 2, k + across + 1])
    cells = np.concatenate([left, right]).astype(np.int32)
    return nodes, cells[~_inside(nodes[:, :2], ring)[cells].all(1)]


def _inside(points: NDArray[np.float64], ring: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the points (n, 2) lie within a convex ring (m, 2)."""
    ahead = np.roll(ring, -1, 0) - ring
    away = points[:, None] - ring
    sides = ahead[:, 0] * away[..., 1] - ahead[:, 1] * away[..., 0]
    return np.asarray((sides > 0).all(1) | (sides < 0).all(1))


@cache
def _surface() -> NDArray[np.int32]:
    """Triangles of rings, face, and what fills the holes at eyes and mouth; later ones lie on top.

    All are the same way round, so that what a turn of the head folds over shows its back and is left out.
    """
    outline = [*top.OUTLINE]
    strips: list[tuple[int, int, int]] = []
    inner, count = outline, len(outline)
    for ring in range(len(RINGS)):
        outer = [POINTS + ring * count + k for k in range(count)]
        strips += _strip(inner, outer, closed=True)
        inner = outer
    strips.reverse()
    for upper, lower in (
        *zip(top.UPPER_LIDS, top.LOWER_LIDS, strict=True),
        (top.UPPER_ROWS[3], top.LOWER_ROWS[3]),
    ):
        filled = _strip([*upper], [*lower], closed=False)
        strips += filled + [
            (a, c, b) for a, b, c in filled
        ]  # both ways round: whatever lids and lips do, there is something
    return np.concatenate([np.array(strips, np.int32), triangles()])


def _met(face: NDArray[np.float64]) -> NDArray[np.float64]:
    """The face (468, 3) with lips that press on each other where they would pass through; changed in place."""
    upper, lower = (np.array([row[1:-1] for row in rows]) for rows in (top.UPPER_ROWS, top.LOWER_ROWS))
    over = np.maximum(face[upper[3], 1] - face[lower[3], 1], 0.0) / 2
    for depth, share in ((1, 0.3), (2, 0.6), (3, 1.0)):
        face[upper[depth], 1] -= over * share
        face[lower[depth], 1] += over * share
    return face


def _flattened(face: NDArray[np.float64], tall: float) -> NDArray[np.float64]:
    """Depth (468,) that falls away less steeply at the outline: what a photo shows there edge-on must not be spread by a turn."""
    middle = face[list(top.OUTLINE), :2].mean(0)
    rays = face[list(top.OUTLINE), :2] - middle
    angle, length = np.arctan2(rays[:, 1], rays[:, 0]), np.linalg.norm(rays, axis=1)
    order = np.argsort(angle)
    own = face[:, :2] - middle
    reach = np.interp(np.arctan2(own[:, 1], own[:, 0]), angle[order], length[order], period=2 * np.pi)
    share = np.linalg.norm(own, axis=1) / reach
    rim = float(np.median(face[(share > 0.72) & (share < 0.88), 2]))
    soft = 0.10 * tall
    beyond = np.maximum(face[:, 2] - rim, 0.0)
    return np.asarray(np.minimum(face[:, 2], rim) + soft * np.tanh(beyond / soft))


def _strip(a: list[int], b: list[int], *, closed: bool) -> list[tuple[int, int, int]]:
    """Triangles between two rows of as many points."""
    steps = len(a) if closed else len(a) - 1
    pairs = [(k, (k + 1) % len(a)) for k in range(steps)]
    both = [t for k, n in pairs for t in ((a[k], b[k], b[n]), (a[k], b[n], a[n]))]
    return [t for t in both if len(set(t)) == 3]
