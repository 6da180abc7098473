"""One step of Loop subdivision, as a linear map, so that rest positions and face-unit offsets subdivide alike."""

from __future__ import annotations

import numpy as np

from origin.avatar.bake.mesh import Index
from origin.avatar.bake.noise import Array


class LoopStep:
    """Subdivides triangles (t, 3, [vertex, uv]) over `vertex_count` vertices.

    `triangles` are the new ones; `points(a)` and `uvs(a)` carry per-vertex and per-uv arrays over.
    """

    def __init__(self, triangles: Index, vertex_count: int) -> None:
        corner, uv = triangles[:, :, 0], triangles[:, :, 1]
        pairs = [(0, 1), (1, 2), (2, 0)]
        edges = np.concatenate([corner[:, p] for p in pairs])
        opposite = np.concatenate([corner[:, 2], corner[:, 0], corner[:, 1]])
        unique, inverse, count = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
        inverse = inverse.ravel()
        self._vertex_count, edge_count = vertex_count, len(unique)
        middle = vertex_count + np.arange(edge_count)
        inner = count == 2
        rows: list[Index] = []
        columns: list[Index] = []
        values: list[Array] = []

        def put(row: Index, column: Index, value: Array | float) -> None:
            rows.append(row)
            columns.append(column)
            values.append(np.broadcast_to(np.asarray(value, float), row.shape))

        for end in (0, 1):
            put(middle, unique[:, end], np.where(inner, 0.375, 0.5))
        weight = np.where(inner[inverse], 0.125, 0.0)
        put(middle[inverse], opposite, weight)
        on_border = np.zeros(vertex_count, bool)
        on_border[unique[~inner].ravel()] = True
        valence = np.bincount(unique.ravel(), minlength=vertex_count).astype(float)
        beta = 0.375 / np.maximum(valence, 3)
        every = np.arange(vertex_count)
        smooth = every[(valence > 0) & ~on_border]
        put(smooth, smooth, 1 - valence[smooth] * beta[smooth])
        unused = every[valence == 0]
        put(unused, unused, 1.0)
        for end in (0, 1):
            m = ~on_border[unique[:, end]]
            put(unique[m, end], unique[m, 1 - end], beta[unique[m, end]])
        border = every[on_border]
        put(border, border, 0.75)
        rim = unique[~inner]
        for end in (0, 1):
            put(rim[:, end], rim[:, 1 - end], 0.125)
        self._rows, self._columns = np.concatenate(rows), np.concatenate(columns)
        total = np.bincount(self._rows, np.concatenate(values), vertex_count + edge_count)
        self._values = np.concatenate(values) / total[self._rows]
        self.vertex_count = vertex_count + edge_count

        self._uv_count = int(uv.max()) + 1
        uv_edges = np.sort(np.concatenate([uv[:, p] for p in pairs]), 1)
        self._uv_edges, uv_inverse = np.unique(uv_edges, axis=0, return_inverse=True)
        n = len(triangles)
        edge_vertex = middle[inverse].reshape(3, n).T
        edge_uv = (self._uv_count + uv_inverse.ravel()).reshape(3, n).T
        old = np.stack([corner, uv], 2)
        new = np.stack([edge_vertex, edge_uv], 2)
        self.triangles: Index = np.concatenate(
            [
                np.stack([old[:, 0], new[:, 0], new[:, 2]], 1),
                np.stack([old[:, 1], new[:, 1], new[:, 0]], 1),
                np.stack([old[:, 2], new[:, 2], new[:, 1]], 1),
                np.stack([new[:, 0], new[:, 1], new[:, 2]], 1),
            ]
        )

    def points(self, values: Array) -> Array:
        """Per-vertex values (v, k) on the finer mesh."""
        columns = [
            np.bincount(self._rows, self._values * values[self._columns, c], self.vertex_count)
            for c in range(values.shape[1])
        ]
        return np.stack(columns, 1)

    def uvs(self, values: Array) -> Array:
        """Per-uv values (t, 2) on the finer mesh."""
        return np.concatenate([values[: self._uv_count], values[self._uv_edges].mean(1)])
