"""The mesh that moves: the 468 points of the face, and rings round them that carry hair and neck along and let the background rest.

Rings are the face's outline, grown from its middle. The inner ones follow the head (hair), the two outermost ones never move, and
below the chin they let go sooner (neck). All are one connected surface, so nothing can tear; what is behind the head is stretched a little.
A head that turns is turned in three dimensions by the depth of the landmarks and drawn without perspective.
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
_SKIN: Final = (0.80, 0.52, 0.24, 0.08, 0.00, 0.00, 0.00)
"""How much of the outline's own motion, such as the jaw's, goes on into each ring."""
UNIT_SCALE: Final = 0.82
"""The people that the units come from have eyes that are closer together than most."""
CALM_WIDE: Final = 0.72
"""Width between the mouth's inner corners, in interocular distances, above which a smile with teeth is taken back."""
CALM_MOST: Final = 0.45
BREATH_LIFT: Final = 0.012
"""Of a full breath, in face heights."""


@cache
def units() -> NDArray[np.float32]:
    """Offsets of the 52 units (52, 468, 3), in interocular distances: x right, y down, z away."""
    with np.load(MODELS / "units.npz") as z:
        offsets = np.asarray(z["offsets"] * z["scale"], np.float32)
    offsets[[name.startswith("eye") for name in FACE_UNITS]] = 0.0  # lids are drawn, not moved (eyes.py)
    return offsets


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a pose puts the rigid head: `axes` (3, 3), `pivot` and `shift` in pixels."""

    axes: NDArray[np.float64]
    pivot: NDArray[np.float64]
    shift: float

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 3) after the turn."""
        moved = (points - self.pivot) @ self.axes.T + self.pivot
        moved[:, 1] += self.shift
        return np.asarray(moved)


def softly(angle: float, most: float) -> float:
    """The angle where it is small; never as much as `most`."""
    return float(most * np.tanh(angle / most))


class FaceMesh:
    """The mesh of one face in one picture size. `points` are the landmarks in pixels of that picture."""

    def __init__(self, points: Points, width: int, height: int) -> None:
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
            follow.append((_HEAD[k] * (1 - down) + _NECK[k] * down) * inside)
            self._carry[k] = _SKIN[k] * inside
        self.rest: NDArray[np.float64] = np.concatenate(rings)
        self._follow = np.concatenate(follow)[:, None]
        self.triangles = _surface()
        offsets = units().astype(float) * (self.apart * UNIT_SCALE)
        tilt = np.arctan2(*(eyes[1] - eyes[0])[::-1])
        upright = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
        self._units = (offsets @ upright).reshape(UNIT_COUNT, -1)
        self._shut = np.zeros((POINTS, 3))
        self._rounding = np.zeros((POINTS, 3))
        self._close_lips()
        self._calm()

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
        return Turn(flip @ axes @ flip, self._pivot, -pose.breath * BREATH_LIFT * self.tall)

    def expressed(self, weights: Weights) -> NDArray[np.float64]:
        """The face's points (468, 3) with its expression and the head at rest."""
        moved = (weights.astype(float) @ self._units).reshape(POINTS, 3)
        rounded = min(1.0, 1.2 * float(weights[UNIT["mouthFunnel"]] + weights[UNIT["mouthPucker"]]))
        return _met(self.rest[:POINTS] + moved + self._shut + rounded * self._rounding)

    def posed(self, face: NDArray[np.float64], turn: Turn) -> NDArray[np.float64]:
        """All points (n, 2) in the picture, of a face as `expressed` gives it."""
        whole = self.rest.copy()
        whole[:POINTS] = face
        own = (face - self.rest[:POINTS])[list(top.OUTLINE)]
        whole[POINTS:] += (self._carry[..., None] * own).reshape(-1, 3)
        turned = turn(whole)
        return np.asarray(whole[:, :2] + (turned - whole)[:, :2] * self._follow)


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
