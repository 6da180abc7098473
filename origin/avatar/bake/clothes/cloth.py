"""What all clothes are made of: pieces of cloth, and how they are cut, hemmed and given thickness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from origin.avatar.bake.mesh import Index, Shape, vertex_normals
from origin.avatar.bake.noise import Array
from origin.avatar.bake.surface import Surface

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Garment:
    """One piece of cloth: vertices (n, 3), triangles (t, 3), uv (n, 2) in threads' direction, colour (n, 3)."""

    points: Array
    triangles: Index
    uv: Array
    colour: Array


class Outfit(Protocol):
    """What a person wears."""

    def pieces(self, shape: Shape) -> list[Garment]:
        """The pieces, cut to a person."""
        ...


def garment(points: Array, triangles: Index, colour: Colour, shade: float = 1.0) -> Garment:
    """A piece of one colour, its threads along x and y."""
    uv = np.stack([points[:, 0] * 0.11 + 0.5, points[:, 1] * 0.11 - 0.2], 1)
    return Garment(points, triangles, uv, np.tile(np.array(colour) * shade, (len(points), 1)))


def strip(grid: Array, closed: bool = False) -> tuple[Array, Index]:
    """A grid of points (columns, rows, 3) as a surface: vertices (n, 3) and triangles. `closed`: the last column meets the first."""
    columns, rows, _ = grid.shape
    across = np.arange(columns if closed else columns - 1)[:, None]
    i = (across * rows + np.arange(rows - 1)[None]).ravel()
    beside = ((across + 1) % columns * rows + np.arange(rows - 1)[None]).ravel()
    faces = np.concatenate([np.stack([i, i + 1, beside], 1), np.stack([i + 1, beside + 1, beside], 1)])
    return grid.reshape(-1, 3), faces


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
