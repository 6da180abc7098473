"""Clothes of our own: a shirt cut from the tights that surround the base mesh, offset, hemmed, with a folded collar.

The shell is subdivided once and smoothed so that it hangs instead of clinging, cut along the neckline, and given
thickness at the hem. The collar is a strip that stands up from the neckline, folds over and lies on the shoulders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from origin.avatar.bake.mesh import Index, Shape, vertex_normals
from origin.avatar.bake.noise import Array, fractal_noise, smoothstep
from origin.avatar.bake.subdivision import LoopStep
from origin.avatar.bake.surface import Surface

BUTTON = ((0.040, 0.0), (0.040, 0.014), (0.034, 0.020), (0.024, 0.016))
"""Radius and height of the rings of a button, outside in."""
BUTTON_COLOUR = (0.34, 0.35, 0.36)


@dataclass(frozen=True, slots=True)
class Garment:
    """One piece of cloth: vertices (n, 3), triangles (t, 3), uv (n, 2) in threads' direction, colour (n, 3)."""

    points: Array
    triangles: Index
    uv: Array
    colour: Array


@dataclass(frozen=True, slots=True)
class ShirtCut:
    """Where a shirt is cut. Heights are relative to the eyes, decimetres."""

    back: float = -1.10  # height of the neckline behind the neck
    slope: float = 0.47  # how fast it falls towards the front
    opening_end: float = -1.84  # lowest point of the open front
    opening_slope: float = 0.60  # half width of the opening per height
    ease: float = 0.055  # distance of the cloth from the body
    hem: float = 0.030


class Shirt:
    """Builds the pieces of one shirt for one person."""

    def __init__(self, shape: Shape, cut: ShirtCut, colour: tuple[float, float, float]) -> None:
        self._shape, self._cut, self._colour = shape, cut, np.array(colour)
        self._eye = shape.landmarks.eye_y
        body = shape.base.group("body")[:, :, 0]
        near = shape.points[body][:, :, 1].max(1) > self._eye - 3.0
        self._body = Surface(shape.points, body[near])
        points, triangles = self._shell()
        self._cloth = Surface(points, triangles)
        self._points, self._triangles = clip(points, triangles, self.covered(points))

    def covered(self, points: Array) -> Array:
        """Positive where the shirt covers: below the neckline and outside the open front (n,)."""
        c = self._cut
        x, y, z = points.T
        below = self._neckline(z) - y
        half = np.maximum(y - (self._eye + c.opening_end), 0) * c.opening_slope
        beside = np.where(z > 0.15, np.abs(x) - half, 1.0)
        beside = np.where((z > 0.15) & (y < self._eye + c.opening_end), 1.0, beside)
        return np.asarray(np.minimum(below, beside))

    def pieces(self) -> list[Garment]:
        """The shell with its hem, the collar, the placket and its buttons."""
        shell = hemmed(self._points, self._triangles, self._cut.hem)
        collar = self._collar()
        shirt = [
            self._garment(*shell, 1.0),
            self._garment(*collar, 1.04),
            self._garment(*self._placket(), 1.03),
        ]
        top = self._eye + self._cut.opening_end - 0.09
        buttons = [self._garment(*self._button(top - 0.28 * k), 1.0) for k in range(2)]
        pale = [
            Garment(b.points, b.triangles, b.uv, np.tile(BUTTON_COLOUR, (len(b.points), 1))) for b in buttons
        ]
        return shirt + pale

    def _garment(self, points: Array, triangles: Index, shade: float) -> Garment:
        uv = np.stack([points[:, 0] * 0.11 + 0.5, points[:, 1] * 0.11 - 0.2], 1)
        return Garment(points, triangles, uv, np.tile(self._colour * shade, (len(points), 1)))

    def _neckline(self, z: Array) -> Array:
        return np.asarray(self._eye + self._cut.back - self._cut.slope * (z + 0.2))

    def _shell(self) -> tuple[Array, Index]:
        shape = self._shape
        triangles = shape.base.group("helper-tights")
        corners = shape.points[triangles[:, :, 0]]
        keep = (corners[:, :, 1].max(1) > self._eye - 2.45) & (np.abs(corners[:, :, 0]).max(1) < 2.5)
        step = LoopStep(triangles[keep], len(shape.points))
        again = LoopStep(step.triangles, step.vertex_count)
        used, compact = np.unique(again.triangles[:, :, 0], return_inverse=True)
        faces = compact.reshape(-1, 3)
        coarse = np.unique(step.triangles[:, :, 0], return_inverse=True)
        points = step.points(shape.points)
        points[coarse[0]] = smoothed(points[coarse[0]], coarse[1].reshape(-1, 3), 14)
        points = again.points(points)[used]
        points = points + vertex_normals(points, faces) * self._cut.ease
        points = pushed_out(points, self._body, self._cut.ease * 0.8)
        # folds: long ones that hang from the collar, fine ones across
        hang = fractal_noise(points * [5.0, 1.3, 3.5], 2, 11) - 0.5
        fine = fractal_noise(points * [7.0, 3.4, 6.0], 2, 12) - 0.5
        normals = vertex_normals(points, faces)
        # on top of the shoulders cloth lies flat
        hangs = 1 - 0.75 * smoothstep(0.35, 0.85, normals[:, 1])
        return points + normals * ((0.16 * hang + 0.05 * fine) * hangs)[:, None], faces

    def _placket(self) -> tuple[Array, Index]:
        """The strip that closes the front below the opening."""
        c = self._cut
        x, y = np.meshgrid(
            np.linspace(-0.082, 0.082, 7), np.linspace(c.opening_end + 0.05, -2.6, 16) + self._eye
        )
        flat = np.stack([x.ravel(), y.ravel(), np.full(x.size, 3.0)], 1)
        distance = self._cloth.hit(flat, np.tile([0.0, 0.0, -1.0], (x.size, 1)))
        flat[:, 2] += 0.020 - distance
        i = (np.arange(15)[:, None] * 7 + np.arange(6)[None]).ravel()
        faces = np.concatenate([np.stack([i, i + 7, i + 1], 1), np.stack([i + 1, i + 7, i + 8], 1)])
        return thickened(flat, faces, 0.03)

    def _button(self, height: float) -> tuple[Array, Index]:
        """A rounded disc on the placket."""
        distance = self._cloth.hit(np.array([[0.0, height, 3.0]]), np.array([[0.0, 0.0, -1.0]]))
        angle = np.linspace(0, 2 * np.pi, 18)[:-1]
        rings = [np.stack([np.cos(angle) * r, np.sin(angle) * r, np.full(17, z)], 1) for r, z in BUTTON]
        points = np.concatenate([*rings, [[0.0, 0.0, BUTTON[-1][1] - 0.004]]])
        faces = []
        for ring in range(len(BUTTON) - 1):
            for k in range(17):
                a, b = ring * 17 + k, ring * 17 + (k + 1) % 17
                faces += [[a, b, a + 17], [b, b + 17, a + 17]]
        last = (len(BUTTON) - 1) * 17
        faces += [[last + k, last + (k + 1) % 17, len(points) - 1] for k in range(17)]
        return points + np.array([0.0, height, 3.02 - float(distance[0])]), np.array(faces)

    def _collar(self) -> tuple[Array, Index]:
        """A strip of columns along the neckline; rows run from the inner base over the fold to the outer edge."""
        base, outward, along = self._collar_line(66)
        count = len(base)
        rise = np.interp(along, [0, 0.25, 0.6, 1.0], [0.165, 0.15, 0.07, 0.012])
        width = np.interp(along, [0, 0.3, 0.7, 1.0], [0.29, 0.31, 0.38, 0.40])
        up = np.array([0.0, 1.0, 0.0]) - 0.20 * outward
        fold = base + up * rise[:, None]
        down = np.stack([np.zeros(count), np.ones(count), np.zeros(count)], 1)
        drop = np.interp(along, [0, 0.5, 0.85, 1.0], [1.05, 1.0, 0.72, 0.62])[:, None]
        spread = np.interp(along, [0, 0.5, 0.85, 1.0], [0.50, 0.62, 0.85, 1.0])[:, None]
        edge = fold + (outward * spread - down * drop) * width[:, None]
        stand = [
            base + (fold - base) * t + outward * (0.012 * np.sin(np.pi * t))
            for t in np.linspace(0, 1, 4)[:-1]
        ]
        roll = np.linspace(0, 1, 10)
        bulge = [np.sin(np.pi * t) ** 0.7 * 0.035 for t in roll]
        fall = [
            fold + (edge - fold) * t + (outward * 0.8 + down * 0.6) * b
            for t, b in zip(roll, bulge, strict=True)
        ]
        grid = np.stack(stand + fall, 1)
        flat = grid.reshape(-1, 3)
        rows = grid.shape[1]
        lies = np.tile(np.arange(rows) >= len(stand) + 2, count)
        found = self._cloth.nearest(flat)
        gap = np.interp(np.tile(np.arange(rows), count), [len(stand), rows - 1], [0.055, 0.040])
        away = np.maximum(gap - found.distances, 0) * lies
        flat = flat + found.normals * away[:, None]
        # the free edge lies on the shoulder instead of floating over it
        float_ = (
            np.maximum(found.distances - gap, 0)
            * lies
            * smoothstep(rows * 0.45, rows - 1.0, np.tile(np.arange(rows), count).astype(float))
        )
        flat = flat - found.normals * (float_ * 0.8)[:, None]
        i = (np.arange(count - 1)[:, None] * rows + np.arange(rows - 1)[None]).ravel()
        faces = np.concatenate(
            [np.stack([i, i + 1, i + rows], 1), np.stack([i + 1, i + rows + 1, i + rows], 1)]
        )
        return thickened(flat, faces, 0.022)

    def _collar_line(self, count: int) -> tuple[Array, Array, Array]:
        """Points (n, 3) along the neckline from the right front round the back to the left, outward directions,
        and 0 at the back to 1 at the front ends."""
        c = self._cut
        # half a line, from the back to the front end, then mirrored
        angle = np.linspace(np.pi, 0.30, 60)
        axis_z = 0.20
        direction = np.stack([np.sin(angle), np.zeros(60), np.cos(angle)], 1)
        ring = np.zeros((60, 3))
        for _ in range(3):
            z = ring[:, 2] if ring.any() else axis_z + 0.4 * direction[:, 2]
            origin = np.stack([np.zeros(60), self._neckline(z) - 0.02, np.full(60, axis_z)], 1)
            distance = self._cloth.hit(origin, direction)
            ring = origin + direction * np.where(distance > 0, distance, 0.5)[:, None]
        half_at = np.maximum(ring[:, 1] - (self._eye + c.opening_end), 0) * c.opening_slope
        ring = ring[(np.abs(ring[:, 0]) > half_at) | (ring[:, 2] < 0.15)]
        corner = ring[-1]
        y = np.linspace(corner[1], self._eye + c.opening_end + 0.13, 26)[1:]
        front = np.stack([(y - (self._eye + c.opening_end)) * c.opening_slope, y, np.full(25, 3.0)], 1)
        distance = self._cloth.hit(front, np.tile([0.0, 0.0, -1.0], (25, 1)))
        front[:, 2] -= distance
        half = np.concatenate([ring, front])
        half = smoothed_line(half, 6)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(half, axis=0), axis=1))])
        at = np.linspace(0, length[-1], count // 2)
        half = np.stack([np.interp(at, length, half[:, k]) for k in range(3)], 1)
        along = at / length[-1]
        radial = half - np.array([0, 0, axis_z]) * [1, 0, 1]
        radial[:, 1] = 0
        radial /= np.linalg.norm(radial, axis=1, keepdims=True)
        # towards the front ends the collar opens sideways
        sideways = np.array([0.86, 0.0, 0.50])
        blend = smoothstep(0.55, 0.95, along)[:, None]
        outward = radial * (1 - blend) + sideways * blend
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        mirror = np.array([-1.0, 1.0, 1.0])
        return (
            np.concatenate([half[::-1] * mirror, half[1:]]),
            np.concatenate([outward[::-1] * mirror, outward[1:]]),
            np.concatenate([along[::-1], along[1:]]),
        )


def smoothed_line(points: Array, times: int) -> Array:
    """A polyline with its corners rounded, ends kept."""
    for _ in range(times):
        points = np.concatenate([points[:1], (points[:-2] + 2 * points[1:-1] + points[2:]) / 4, points[-1:]])
    return points


def smoothed(points: Array, triangles: Index, times: int) -> Array:
    """Laplacian smoothing of the inner vertices; borders stay."""
    edges = np.unique(np.sort(np.concatenate([triangles[:, p] for p in ([0, 1], [1, 2], [2, 0])]), 1), axis=0)
    border = np.zeros(len(points), bool)
    border[border_edges(triangles).ravel()] = True
    count = np.bincount(edges.ravel(), minlength=len(points))[:, None]
    for _ in range(times):
        total = np.zeros_like(points)
        for a, b in ((0, 1), (1, 0)):
            for axis in range(3):
                total[:, axis] += np.bincount(edges[:, a], points[edges[:, b], axis], len(points))
        mean = total / np.maximum(count, 1)
        points = np.where(border[:, None] | (count == 0), points, points * 0.45 + mean * 0.55)
    return points


def pushed_out(points: Array, body: Surface, distance: float) -> Array:
    """Points no nearer to the body than `distance`."""
    found = body.nearest(points)
    return points + found.normals * np.maximum(distance - found.distances, 0)[:, None]


def border_edges(triangles: Index) -> Index:
    """Directed edges (n, 2) that belong to one triangle only."""
    edges = np.concatenate([triangles[:, p] for p in ([0, 1], [1, 2], [2, 0])])
    _, inverse, count = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(edges[count[inverse.ravel()] == 1])


def clip(points: Array, triangles: Index, field: Array) -> tuple[Array, Index]:
    """The part of a surface where the field is positive, cut exactly at its zero."""
    inside = field > 0
    kept = triangles[inside[triangles].all(1)]
    cut = triangles[inside[triangles].any(1) & ~inside[triangles].all(1)]
    new_points: list[Array] = []
    made: dict[tuple[int, int], int] = {}

    def crossing(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in made:
            t = field[a] / (field[a] - field[b])
            made[key] = len(points) + len(new_points)
            new_points.append(points[a] + (points[b] - points[a]) * t)
        return made[key]

    pieces: list[list[int]] = []
    for corners in cut.tolist():
        while not (inside[corners[0]] and not inside[corners[2]]):
            corners = corners[1:] + corners[:1]
        a, b, c = corners
        if inside[b]:
            bc, ca = crossing(b, c), crossing(a, c)
            pieces += [[a, b, bc], [a, bc, ca]]
        else:
            pieces.append([a, crossing(a, b), crossing(a, c)])
    everything = np.concatenate([points, np.array(new_points).reshape(-1, 3)])
    faces = np.concatenate([kept, np.array(pieces, int).reshape(-1, 3)])
    used, compact = np.unique(faces, return_inverse=True)
    return everything[used], compact.reshape(-1, 3)


def hemmed(points: Array, triangles: Index, thickness: float) -> tuple[Array, Index]:
    """A surface whose borders turn inwards, so that the cloth has thickness where it ends."""
    normals = vertex_normals(points, triangles)
    rim = border_edges(triangles)
    verts, compact = np.unique(rim, return_inverse=True)
    compact = compact.reshape(-1, 2)
    inner = points[verts] - normals[verts] * thickness
    a, b = rim[:, 0], rim[:, 1]
    ia, ib = compact[:, 0] + len(points), compact[:, 1] + len(points)
    strip = np.concatenate([np.stack([b, a, ia], 1), np.stack([b, ia, ib], 1)])
    return np.concatenate([points, inner]), np.concatenate([triangles, strip])


def thickened(points: Array, triangles: Index, thickness: float) -> tuple[Array, Index]:
    """A closed slab: the surface, its copy below, and walls along the borders."""
    normals = vertex_normals(points, triangles)
    n = len(points)
    rim = border_edges(triangles)
    a, b = rim[:, 0], rim[:, 1]
    walls = np.concatenate([np.stack([b, a, a + n], 1), np.stack([b, a + n, b + n], 1)])
    below = triangles[:, ::-1] + n
    return np.concatenate([points, points - normals * thickness]), np.concatenate([triangles, below, walls])
