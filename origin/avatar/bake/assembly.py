"""Assembly: skin, eyes, mouth, lashes and clothes become one geometry with face units, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from origin.avatar.bake.hair import Scalp
from origin.avatar.bake.lashes import lash_strips
from origin.avatar.bake.mesh import BaseMesh, Index, Shape, sample, vertex_normals
from origin.avatar.bake.noise import Array, smoothstep
from origin.avatar.bake.people import PersonRecipe
from origin.avatar.bake.skin import SkinMaps, bake_to_texels, island_uv, paint_skin
from origin.avatar.bake.sources import Sources
from origin.avatar.bake.surface import Surface
from origin.avatar.bake.teeth import ENAMEL, GUM, LOWER, UPPER, affine_fit, arch
from origin.avatar.faceunits import FACE_UNITS
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, FaceUnitTable, Geometry, Traits

LEAST_OFFSET = 4e-4
"""Face-unit offsets below this (decimetres) are dropped: a twentieth of a pixel."""

UNIT_GAIN = {"eyeBlinkLeft": 1.07, "eyeBlinkRight": 1.07}
"""With a gain of one, closed lids leave a sliver of the eye."""


@dataclass(slots=True)
class Part:
    """One drawable: n unified vertices. `source` numbers the point that each vertex is (for welding)."""

    material: Material
    points: Array
    triangles: Index
    uv: Array
    colour: Array
    turn: Array
    source: Index
    offsets: list[Array] | None  # per face unit (n, 3); None for what never moves


def unify(triangles: Index) -> tuple[Index, Index, Index]:
    """Unique (vertex, uv) pairs of triangles (t, 3, 2): vertices, uvs, and triangles into them."""
    pairs, inverse = np.unique(triangles.reshape(-1, 2), axis=0, return_inverse=True)
    return pairs[:, 0], pairs[:, 1], inverse.reshape(-1, 3)


class Assembly:
    """Bakes one person from a recipe."""

    def __init__(self, name: str, recipe: PersonRecipe, sources: Sources) -> None:
        self.name, self.recipe, self.sources = name, recipe, sources
        self.base = BaseMesh(sources)
        self.shape = Shape(self.base, recipe.shape)
        marks, hairline = self.shape.landmarks, recipe.hair.hairline
        self.marks = marks if hairline is None else replace(marks, hairline_height=hairline)

    def avatar(self, folder: Path) -> Avatar:
        """The finished person. Takes some ten seconds on one core."""
        parts = [
            self._skin(),
            *self._eyes(),
            *self._teeth(),
            self._tongue(),
            self._lashes(),
            *self._clothes(),
        ]
        geometry, units = self._join(parts)
        maps = self._paint()
        body = self.base.group("body")
        ears = sample(self.base.mask("ears"), self.base.uvs[body[:, :, 1]]).max(1) > 0.4
        head = self.shape.points[body[:, :, 0]][:, :, 1].min(1) > self.marks.eye_y - 1.35
        scalp = Scalp(self.shape.points, body[~ears & head][:, :, 0], self.marks)
        hair = self.recipe.hair.grow(scalp, 3)
        backdrop = self.recipe.backdrop.picture(self.sources)
        return Avatar(
            self.name, folder, self._traits(), geometry, units, hair, maps.surface, maps.relief, backdrop
        )

    def _traits(self) -> Traits:
        k, r = self.marks, self.recipe

        def three(v: Array) -> tuple[float, float, float]:
            return round(float(v[0]), 5), round(float(v[1]), 5), round(float(v[2]), 5)

        return Traits(
            eye_left=three(k.eye_left),
            eye_right=three(k.eye_right),
            eye_radius=round(k.eye_radius, 5),
            pivot=three(k.neck + np.array([0.0, 0.35, 0.15])),
            iris_outer=r.iris_colours[0],
            iris_inner=r.iris_colours[1],
            hair_dark=r.hair_colours[0],
            hair_light=r.hair_colours[1],
            lights=r.lights,
        )

    def _from_base(self, material: Material, triangles: Index, uvs: Array, colour: tuple[float, ...]) -> Part:
        vertex, uv, faces = unify(triangles)
        points = self.shape.points[vertex]
        return Part(
            material,
            points,
            faces,
            uvs[uv],
            np.tile(colour, (len(vertex), 1)),
            self.shape.head_turn(points),
            vertex,
            [self.shape.unit(name)[vertex] * UNIT_GAIN.get(name, 1.0) for name in FACE_UNITS],
        )

    def _skin(self) -> Part:
        body = self.base.group("body")
        corners = self.shape.points[body[:, :, 0]]
        keep = (corners[:, :, 1].max(1) > self.marks.eye_y - 2.1) & (np.abs(corners[:, :, 0]).max(1) < 0.9)
        if self.recipe.hair.covers_ears:
            keep &= ~(sample(self.base.mask("ears"), self.base.uvs[body[:, :, 1]]).min(1) > 0.5)
        uvs, _ = island_uv(self.base.uvs)
        return self._from_base(Material.SKIN, body[keep], uvs, (1.0, 1.0, 1.0))

    def _eyes(self) -> list[Part]:
        groups = [self.base.group(f"helper-{side}-eye") for side in "lr"]
        return [self._from_base(Material.EYE, g, self.base.uvs, (0.8, 0.8, 0.8)) for g in groups]

    def _tongue(self) -> Part:
        part = self._from_base(
            Material.MOUTH, self.base.group("helper-tongue"), self.base.uvs, (0.42, 0.13, 0.12)
        )
        z = part.points[:, 2]
        front = smoothstep(z.max() - 0.55, z.max(), z)
        part.uv = np.stack([0.25 + 0.5 * front, front], 1)
        return part

    def _lashes(self) -> Part:
        triangles, uv = lash_strips(self.shape)
        both = np.stack([triangles, triangles], 2)
        return self._from_base(Material.LASH, both, uv, (0.010, 0.008, 0.007))

    def _teeth(self) -> list[Part]:
        parts = []
        for upper in (True, False):
            helper = np.unique(self.base.group(f"helper-{'upper' if upper else 'lower'}-teeth")[:, :, 0])
            rest = self.shape.points[helper]
            half = float(rest[:, 0].max())
            front_z = float(rest[:, 2].max())
            mouth = self.marks.mouth_y
            edge = np.array(
                [0.0, mouth + (-0.024 if upper else -0.040), front_z + (0.026 if upper else -0.030)]
            )
            crown = 0.118 if upper else 0.085
            made = arch(UPPER if upper else LOWER, edge, half * 0.84, half * 1.35, crown, upper)
            offsets = [affine_fit(rest, self.shape.unit(name)[helper], made.points) for name in FACE_UNITS]
            light = np.stack([1.0 - 0.92 * made.depth, 1 - made.depth], 1)
            for gum in (False, True):
                chosen = made.triangles[made.gum[made.triangles].all(1) == gum]
                used, compact = np.unique(chosen, return_inverse=True)
                parts.append(
                    Part(
                        Material.MOUTH if gum else Material.TEETH,
                        made.points[used],
                        compact.reshape(-1, 3),
                        light[used],
                        np.tile(GUM if gum else ENAMEL, (len(used), 1)),
                        self.shape.head_turn(made.points[used]),
                        np.arange(len(used)),
                        [o[used] for o in offsets],
                    )
                )
        return parts

    def _clothes(self) -> list[Part]:
        pieces = self.recipe.outfit.pieces(self.shape)
        return [
            Part(
                Material.CLOTH,
                piece.points,
                piece.triangles,
                piece.uv,
                piece.colour,
                np.zeros(len(piece.points)),
                np.arange(len(piece.points)),
                None,
            )
            for piece in pieces
        ]

    def _join(self, parts: list[Part]) -> tuple[Geometry, FaceUnitTable]:
        first = np.cumsum([0] + [len(p.points) for p in parts])
        weld_first = np.cumsum([0] + [int(p.source.max()) + 1 for p in parts])
        triangles = np.concatenate([p.triangles + o for p, o in zip(parts, first, strict=False)])
        material = np.concatenate([np.full(len(p.triangles), p.material) for p in parts])
        points = np.concatenate([p.points for p in parts])
        weld = np.concatenate([p.source + o for p, o in zip(parts, weld_first, strict=False)])
        _, weld = np.unique(weld, return_inverse=True)
        normals = vertex_normals(points, weld_triangles(triangles, weld))[first_of(weld)]
        rows, units, values = [], [], []
        for part, start in zip(parts, first, strict=False):
            for number, offset in enumerate(part.offsets or []):
                moved = np.nonzero(np.abs(offset).max(1) > LEAST_OFFSET)[0]
                rows.append(moved + start)
                units.append(np.full(len(moved), number))
                values.append(offset[moved])
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        counts = np.bincount(row, minlength=len(points))
        table = FaceUnitTable(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            np.concatenate(units)[order].astype(np.int32),
            np.concatenate(values)[order].astype(np.float32),
        )
        f = np.float32
        geometry = Geometry(
            rest=points.astype(f),
            normal=normals.astype(f),
            uv=np.concatenate([p.uv for p in parts]).astype(f),
            colour=np.concatenate([p.colour for p in parts]).astype(f),
            occlusion=self._occlusion(points, normals, triangles, material).astype(f),
            turn=np.concatenate([p.turn for p in parts]).astype(f),
            weld=weld.astype(np.int32),
            triangles=triangles.astype(np.int32),
            material=material.astype(np.int32),
        )
        return geometry, table

    @staticmethod
    def _occlusion(points: Array, normals: Array, triangles: Index, material: Index) -> Array:
        solid = np.isin(material, (Material.SKIN, Material.CLOTH, Material.TEETH, Material.EYE))
        open_ = Surface(points, triangles[solid]).openness(points, normals)
        of_vertex = np.zeros(len(points), int)
        of_vertex[triangles] = material[:, None]
        out = np.clip(open_ * 1.12, 0.12, 1)
        out = np.where(np.isin(of_vertex, (Material.TEETH, Material.MOUTH)), 0.8, out)
        out = np.where(of_vertex == Material.EYE, np.clip(open_ * 0.6 + 0.35, 0, 1), out)
        return np.where(of_vertex == Material.LASH, 1.0, out)

    def _paint(self) -> SkinMaps:
        vertex, uv, faces = unify(self.base.group("body"))
        island, outside = island_uv(self.base.uvs)
        inside = ~outside[uv]
        attributes = np.concatenate([self.shape.points[vertex], self.base.uvs[uv]], 1)
        texels, covered = bake_to_texels(faces[inside[faces].all(1)], island[uv], attributes)
        masks = {
            name: sample(self.base.mask(name), texels[..., 3:].astype(float)) * covered
            for name in ("lips", "ears", "inside-mouth", "eyelids")
        }
        return paint_skin(texels[..., :3], covered, masks, self.marks, self.recipe.skin)


def first_of(weld: Index) -> Index:
    """For each vertex, the first vertex that it is welded to."""
    _, first = np.unique(weld, return_index=True)
    return np.asarray(first[weld])


def weld_triangles(triangles: Index, weld: Index) -> Index:
    """Triangles over the first vertex of each weld, so that normals are shared across UV seams."""
    return np.asarray(first_of(weld)[triangles])
