"""`python -m origin.portrait.transfer`: carries the 52 face units of the shipped people over to the 468 points of the landmark net.

Each person is drawn, the net marks the points in the picture, and each point takes the offsets of the skin that lies under it: a
weighted mean of the nearest visible vertices. The people's mean, in interocular distances, is `models/units.npz`.
Lips need care: at a closed mouth the points of both lie on one line, so each only takes from vertices of its own lip, told apart
by how the jaw moves them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.faceunits import UNIT, UNIT_COUNT
from origin.avatar.full import FullTier
from origin.avatar.fullpicture import to_i420, to_rgb
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, load
from origin.avatar.pose import Pose
from origin.portrait.landmarks import MODELS, POINTS, faces, locate
from origin.portrait.topology import LOWER_LIP, LOWER_ROWS, UPPER_LIP, UPPER_ROWS

PEOPLE: Final = ("ava", "ben", "mei", "omar")
SIZE: Final = (1280, 960)
_NEAREST: Final = 6


def dense(avatar: Avatar) -> NDArray[np.float32]:
    """The offsets of all vertices (52, n, 3), decimetres."""
    units = avatar.units
    offsets = np.zeros((UNIT_COUNT, len(avatar.geometry.rest), 3), np.float32)
    vertex = np.repeat(np.arange(len(units.start) - 1), np.diff(units.start))
    offsets[units.unit, vertex] = units.offset
    return offsets


def carried(name: str) -> NDArray[np.float32]:
    """The units of one person at the net's points (52, 468, 3): x right, y down, z away, in interocular distances."""
    avatar = load(name)
    tier = FullTier(avatar, *SIZE, 2)
    picture = Image.fromarray(to_rgb(to_i420(tier.picture(Pose()))))
    mesh = locate(picture, faces(picture)[0]).mesh
    g = avatar.geometry
    skin = np.unique(g.triangles[g.material == Material.SKIN])
    front = skin[(g.normal[skin, 2] > 0.05) & (g.turn[skin] > 0.9)]
    screen = tier.camera.project(g.rest[front].astype(float))
    offsets = dense(avatar)[:, front]
    jaw = -offsets[UNIT["jawOpen"], :, 1]
    lower = jaw > 0.5 * jaw.max()
    upper = jaw < 0.12 * jaw.max()
    out = np.zeros((UNIT_COUNT, POINTS, 3), np.float32)
    for point in range(POINTS):
        allowed: NDArray[Any] = np.ones(len(front), bool)
        if point in UPPER_LIP:
            allowed = upper
        elif point in LOWER_LIP:
            allowed = lower
        at = np.flatnonzero(allowed)
        distance = np.hypot(*(screen[at, :2] - mesh[point, :2]).T)
        # of several layers of skin under a point (a cheek before an ear) the nearest to the camera counts
        distance = distance + 400 * np.maximum(screen[at, 2].max() * 0.6 - screen[at, 2], 0)
        best = np.argsort(distance, kind="stable")[:_NEAREST]
        share = 1 / (distance[best] + 1.0) ** 2
        out[:, point] = np.einsum("k,ukd->ud", share / share.sum(), offsets[:, at[best]])
    for rows in (UPPER_ROWS, LOWER_ROWS):
        for row in rows:
            out[:, list(row)] = _along(out[:, list(row)], _corners(out))
    apart = float(np.linalg.norm(np.subtract(avatar.traits.eye_left, avatar.traits.eye_right)))
    return np.asarray(out * np.array([1, -1, -1], np.float32) / apart)


def _corners(out: NDArray[np.float32]) -> NDArray[np.float32]:
    """How both corners move (52, 2, 3): all rows of both lips end there."""
    ends = [[row[k] for rows in (UPPER_ROWS, LOWER_ROWS) for row in rows] for k in (0, -1)]
    return np.asarray(np.stack([out[:, end].mean(1) for end in ends], 1))


def _along(row: NDArray[np.float32], corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """A row of a lip (52, 11, 3) as one smooth curve: near the corners the two lips cannot be told apart, so those points are not asked."""
    at = np.linspace(-1, 1, 11)
    asked = [3, 4, 5, 6, 7]
    straight = corners[:, :1] * (1 - at[None, :, None]) / 2 + corners[:, 1:] * (1 + at[None, :, None]) / 2
    # what is more than a straight line between the corners: zero there, three free terms
    bumps = np.stack([1 - at**2, at * (1 - at**2), at**2 * (1 - at**2)], 1)
    excess = (row - straight).transpose(1, 0, 2).reshape(11, -1)
    fit = np.linalg.lstsq(bumps[asked], excess[asked], rcond=None)[0]
    return np.asarray(straight + (bumps @ fit).reshape(11, len(row), 3).transpose(1, 0, 2), np.float32)


def main() -> None:
    mean = np.mean([carried(name) for name in PEOPLE], 0)
    scale = float(np.abs(mean).max()) / 32767
    np.savez_compressed(
        MODELS / "units.npz", scale=np.float32(scale), offsets=np.round(mean / scale).astype(np.int16)
    )
    size = (MODELS / "units.npz").stat().st_size
    print(f"units.npz: {size // 1024} kB, largest offset {np.abs(mean).max():.3f} interocular distances")


if __name__ == "__main__":
    main()
