"""Bakes the light tier's layers from the full tier: once per person and picture size, offline or on first start."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.articulation import REST
from origin.avatar.faceunits import Weights, weights
from origin.avatar.full import BACKGROUND, Drawing, FullTier, cut_out, downsample
from origin.avatar.headstate import rotation
from origin.avatar.layers import NECK_SPAN, NODE, SHADOW_HEIGHT, SHADOW_WIDTH, Layers
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, Floats, Ints
from origin.avatar.pose import Pose
from origin.avatar.renderer import Box, Progress

Flags = NDArray[np.bool_]

YAWS: Final = (-0.36, -0.24, -0.12, 0.0, 0.12, 0.24, 0.36)
PITCHES: Final = (-0.12, 0.0, 0.12)
MOVES: Final = 0.002
"""A vertex that follows less of the head's turn than this stays in the fixed picture."""

# Faces that between them show every triangle that any pose can show.
EXTREMES: Final[tuple[Weights, ...]] = (
    REST,
    weights(jawOpen=0.6, mouthUpperUp=0.4, mouthLowerDown=0.4),
    weights(eyeBlink=1.0, jawOpen=0.3),
    weights(mouthSmile=0.8, mouthUpperUp=0.5, mouthLowerDown=0.3, jawOpen=0.15),
    weights(mouthFunnel=0.6, mouthPucker=0.4, jawOpen=0.3),
    weights(eyeWide=0.8, browInnerUp=0.6, jawOpen=0.05, mouthRollLower=0.5),
    weights(tongueOut=0.6, jawOpen=0.25),
)


class LayerBake:
    """One bake. `samples` is the side of the supersampling square of hair and set: 4 offline, 2 on first start."""

    def __init__(
        self,
        avatar: Avatar,
        width: int,
        height: int,
        samples: int = 4,
        progress: Progress = lambda s, d: None,
    ) -> None:
        self._avatar, self._width, self._height, self._samples = avatar, width, height, samples
        self._progress = progress
        g = avatar.geometry
        moves = (g.turn > MOVES) | (np.diff(avatar.units.start) > 0)
        cloth = g.material == Material.CLOTH
        self._body = len(g.triangles)
        self._moving: Flags = moves[g.triangles].any(1) & ~cloth
        self._buckets = [(y, p) for y in YAWS for p in PITCHES]

    def run(self) -> Layers:
        """Bakes everything; progress is told on the way."""
        coarse = FullTier(self._avatar, self._width, self._height, 1)
        box = self._find_box(coarse)
        region = (box.x, box.y, box.width, box.height)
        seen = self._find_seen(FullTier(self._avatar, self._width, self._height, 2, region=region))
        fixed, fixed_depth = self._fixed(box, coarse)
        lift = self._lift(coarse)
        neck, cylinder = self._neck_cylinder(seen)
        texels = ShadowTexels(self._avatar, seen, neck, cylinder)
        fine = FullTier(self._avatar, self._width, self._height, self._samples, region=region)
        grid = (box.height // NODE + 2, box.width // NODE + 2)
        count = len(self._buckets)
        layers = np.zeros((2, count, box.height, box.width, 4), np.uint8)
        nodes = np.zeros((2, count, *grid, 4), np.float32)
        origins = np.zeros((2, count, *grid, 3), np.float32)
        shadow = np.zeros((count, len(texels.ids)), np.uint8)
        vertex_shadow = np.zeros((count, len(self._avatar.geometry.rest)), np.uint8)
        hair = fine.material == Material.HAIR
        still = np.concatenate([~self._moving, np.zeros(len(hair) - self._body, bool)])
        for b, (yaw, pitch) in enumerate(self._buckets):
            self._progress("Baking hair", b / count)
            pose = Pose(REST, (yaw, pitch, 0.0))
            vertex_shadow[b], shadow[b] = self._shadows(fine, pose, texels)
            for side, chosen in enumerate((None, hair | still)):
                drawing = fine.draw(chosen)
                layers[side, b] = self._layer(fine, drawing)
                nodes[side, b], origins[side, b] = self._flow_nodes(fine, drawing, pose, grid)
        opened = self._shadows(fine, Pose(weights(jawOpen=0.5)), texels)
        closed = self._shadows(fine, Pose(), texels)
        vertex_jaw, shadow_jaw = (
            2 * (o.astype(np.float32) - c) / 255 for o, c in zip(opened, closed, strict=True)
        )
        self._progress("Baking hair", 1.0)
        return Layers(
            box=box,
            yaws=np.array(YAWS, np.float32),
            pitches=np.array(PITCHES, np.float32),
            fixed=fixed,
            lift=lift,
            fixed_depth=fixed_depth,
            front=layers[0],
            back=layers[1],
            nodes=nodes,
            origins=origins,
            texels=texels.ids,
            shadow=shadow,
            shadow_jaw=shadow_jaw.astype(np.float32),
            vertex_shadow=vertex_shadow,
            vertex_jaw=vertex_jaw.astype(np.float32),
            seen=seen,
            neck=neck,
            cylinder=cylinder,
        )

    def _find_box(self, full: FullTier) -> Box:
        """Where head, hair and neck can be, on whole macroblocks of an encoder."""
        moving = np.unique(
            np.concatenate([full.triangles[: self._body][self._moving].ravel(), self._hair_ids(full)])
        )
        low, high = np.full(2, 1e9), np.full(2, -1e9)
        for yaw in (YAWS[0], 0.0, YAWS[-1]):
            for pitch in (-0.16, 0.16):
                full.pose(Pose(weights(jawOpen=0.6), (yaw, pitch, 0.0)))
                screen = full.positions()[2][moving, :2]
                low, high = np.minimum(low, screen.min(0)), np.maximum(high, screen.max(0))
        x, y = (int(max(v - 6, 0)) // 16 * 16 for v in low)
        right = min(-(-int(high[0] + 7) // 16) * 16, self._width)
        bottom = min(-(-int(high[1] + 7) // 16) * 16, self._height)
        return Box(x, y, right - x, bottom - y)

    def _hair_ids(self, full: FullTier) -> Ints:
        return np.arange(len(self._avatar.geometry.rest), full.count, dtype=np.int32)

    def _find_seen(self, full: FullTier) -> Flags:
        seen = np.zeros(len(full.triangles), bool)
        bald = full.material != Material.HAIR
        for k, face in enumerate(EXTREMES):
            self._progress("Finding visible triangles", k / len(EXTREMES))
            for yaw in YAWS if k == 0 else YAWS[k % 2 :: 2]:
                for pitch in (-0.14, 0.14):
                    full.pose(Pose(face, (yaw, pitch, 0.0)))
                    owner = full.draw(bald, shade=False).owner
                    seen[np.unique(owner[owner != BACKGROUND])] = True
        lash = self._avatar.geometry.material == Material.LASH
        return np.asarray(seen[: self._body] & self._moving & ~lash)

    def _fixed(self, box: Box, coarse: FullTier) -> tuple[NDArray[np.uint8], Ints]:
        """Set, clothes and the resting neck; and the depth of what never moves, within the box."""
        colour = self._still().colour
        assert colour is not None  # draw() shades unless told otherwise
        picture = downsample(colour, 2)
        coarse.pose(Pose(REST))
        still = np.concatenate([~self._moving, np.zeros(len(coarse.triangles) - self._body, bool)])
        depth = coarse.draw(still, shade=False).depth[box.y : box.y + box.height, box.x : box.x + box.width]
        return np.round(picture.clip(0, 1) * 255).astype(np.uint8), (depth >> 20).astype(np.int32)

    def cutout(self) -> tuple[Floats, Floats]:
        """Clothes and the resting neck alone: colours over black (height, width, 3), and coverage (height, width)."""
        self._progress("Cutting out", 0.0)
        return cut_out(self._still(), 2)

    def _still(self) -> Drawing:
        full = FullTier(self._avatar, self._width, self._height, 2)
        full.pose(Pose(REST))
        full.cast_shadow()
        g = self._avatar.geometry
        low = g.rest[g.triangles][:, :, 1].max(1) < self._avatar.traits.eye_left[1] - 0.85
        chosen = ~self._moving | (low & (g.material == Material.SKIN))
        chosen = np.concatenate([chosen, np.zeros(len(full.triangles) - self._body, bool)])
        return full.draw(chosen)

    def _lift(self, coarse: FullTier) -> Floats:
        """Where clothes are, in cells of 8 pixels, spread and softened so that their outline moves with them."""
        coarse.pose(Pose(REST))
        cloth = coarse.material == Material.CLOTH
        owner = coarse.draw(cloth, shade=False).owner != BACKGROUND
        rows, columns = self._height // NODE, self._width // NODE
        cells = (
            owner[: rows * NODE, : columns * NODE]
            .reshape(rows, NODE, columns, NODE)
            .max((1, 3))
            .astype(np.float32)
        )
        for grow in (True, True, False, False):
            wide = np.pad(cells, 1, mode="edge")
            near = np.stack([wide[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
            cells = near.max(0) if grow else near.mean(0)
        return np.asarray(cells, np.float32)

    def _neck_cylinder(self, seen: Flags) -> tuple[Flags, Floats]:
        """Neck triangles share one texel of the skin map, so their shadows live on a cylinder of their own."""
        g, traits = self._avatar.geometry, self._avatar.traits
        outside = g.uv[:, 0] < 0.0035
        low = g.rest[g.triangles][:, :, 1].max(1) < traits.eye_left[1] - 0.7
        neck = seen & (g.material == Material.SKIN) & outside[g.triangles].any(1) & low
        u = np.arctan2(g.rest[:, 0], g.rest[:, 2] - traits.pivot[2] + 0.4) / (2 * np.pi) + 0.5
        if not neck.any():
            return neck, np.zeros((len(g.rest), 2), np.float32)
        y = g.rest[g.triangles[neck], 1]
        v = 1.03 + 0.25 * np.clip((y.max() - g.rest[:, 1]) / (y.max() - y.min()), 0, 1)
        return neck, np.stack([u, v], 1).astype(np.float32)

    def _shadows(
        self, full: FullTier, pose: Pose, texels: ShadowTexels
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Poses and casts; shadow 0-255 per vertex of the body and per texel."""
        full.pose(pose)
        full.cast_shadow()
        world, normal, _ = full.positions()
        body = slice(0, len(self._avatar.geometry.rest))
        at_vertex = full.shadow_at(world[body], normal[body], 11.0)
        at_texel = full.shadow_at(texels.at(world), texels.at(normal), 9.0)
        return (np.round(a * 255).astype(np.uint8) for a in (at_vertex, at_texel))  # type: ignore[return-value]

    def _layer(self, full: FullTier, drawing: Drawing) -> NDArray[np.uint8]:
        hair = (drawing.owner != BACKGROUND) & (full.material[drawing.owner] == Material.HAIR)
        assert drawing.colour is not None
        rgba = np.concatenate([drawing.colour * hair[..., None], hair[..., None]], 2)
        return np.round(downsample(rgba.astype(np.float32), self._samples).clip(0, 1) * 255).astype(np.uint8)

    def _flow_nodes(
        self, full: FullTier, drawing: Drawing, pose: Pose, grid: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Mean rest position of the hair seen within 8 pixels of each node, spread to nodes without hair."""
        rows, columns = grid
        k = NODE * self._samples
        hair = (drawing.owner != BACKGROUND) & (full.material[drawing.owner] == Material.HAIR)
        centre = full.rest[full.triangles].mean(1)
        values = (
            np.concatenate([centre[drawing.owner], np.ones((*hair.shape, 1), np.float32)], 2)
            * hair[..., None]
        )
        pad = [
            (k // 2, k * rows - k // 2 - hair.shape[0]),
            (k // 2, k * columns - k // 2 - hair.shape[1]),
            (0, 0),
        ]
        total = np.pad(values, pad).reshape(rows, k, columns, k, 4).sum((1, 3))
        near = total[..., 3] > 0
        near = sum(np.roll(near, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) > 0
        for _ in range(max(rows, columns)):
            empty = total[..., 3] == 0
            steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
            spread = sum((np.roll(total, s, (0, 1)) for s in steps), np.zeros_like(total))
            weight = np.maximum(spread[..., 3:], 1e-9)
            total = np.where(empty[..., None] & (spread[..., 3:] > 0), spread / weight, total)
        rest = total[..., :3] / np.maximum(total[..., 3:], 1e-12)
        turn = rotation(*pose.head)
        pivot = np.asarray(self._avatar.traits.pivot)
        moved = (rest.reshape(-1, 3) - pivot) @ turn.T + pivot
        place = full.camera.project(moved, 1, full.origin)[:, :2].reshape(rows, columns, 2)
        node = np.concatenate([rest, np.ones((rows, columns, 1))], 2)
        origin = np.concatenate([place, near[..., None]], 2)
        return node.astype(np.float32), origin.astype(np.float32)


class ShadowTexels:
    """Which triangle, and where on it, each texel of the shadow map lies."""

    def __init__(self, avatar: Avatar, seen: Flags, neck: Flags, cylinder: Floats) -> None:
        g = avatar.geometry
        owner = np.full((SHADOW_HEIGHT, SHADOW_WIDTH), -1)
        share = np.zeros((SHADOW_HEIGHT, SHADOW_WIDTH, 3))
        scale = np.array([SHADOW_WIDTH, SHADOW_HEIGHT / NECK_SPAN])
        for k in np.nonzero(seen & (g.material == Material.SKIN))[0]:
            p = (cylinder if neck[k] else g.uv)[g.triangles[k]].astype(float) * scale - 0.5
            x0, y0 = np.maximum(np.floor(p.min(0) - 0.7), 0).astype(int)
            x1, y1 = np.minimum(np.ceil(p.max(0) + 0.7), [SHADOW_WIDTH - 1, SHADOW_HEIGHT - 1]).astype(int)
            area = (p[1, 1] - p[2, 1]) * (p[0, 0] - p[2, 0]) + (p[2, 0] - p[1, 0]) * (p[0, 1] - p[2, 1])
            if x1 < x0 or y1 < y0 or abs(area) < 1e-9:
                continue
            y, x = np.mgrid[y0 : y1 + 1, x0 : x1 + 1]
            a = ((p[1, 1] - p[2, 1]) * (x - p[2, 0]) + (p[2, 0] - p[1, 0]) * (y - p[2, 1])) / area
            b = ((p[2, 1] - p[0, 1]) * (x - p[2, 0]) + (p[0, 0] - p[2, 0]) * (y - p[2, 1])) / area
            s = np.stack([a, b, 1 - a - b], -1)
            least = s.min(-1)
            free = owner[y0 : y1 + 1, x0 : x1 + 1] < 0
            mine = (least > -0.35) & ((least > -1e-3) | free)
            owner[y[mine], x[mine]] = k
            clipped = np.clip(s[mine], 0, 1)
            share[y[mine], x[mine]] = clipped / clipped.sum(-1, keepdims=True)
        self.ids: Ints = np.nonzero(owner.ravel() >= 0)[0].astype(np.int32)
        self._corners = g.triangles[owner.ravel()[self.ids]]
        self._share = share.reshape(-1, 3)[self.ids]

    def at(self, values: Floats) -> Floats:
        """Per-vertex values (n, 3) at the texels."""
        return np.asarray((values[self._corners] * self._share[..., None]).sum(1), np.float32)
