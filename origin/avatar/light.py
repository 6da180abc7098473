"""The light tier: one frame in a fraction of a CPU core. Bake what does not move, warp what moves rigidly, draw what deforms.

Set and clothes are a picture written once; hair is a baked layer of the nearest bucket of head turn, moved by a flow
grid; shadows are texels blended between buckets; only face triangles that some pose can show are drawn, in a head box,
and only its 8x8 tiles that hold something that moved are written. Steps of a frame: `STEPS`.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return,type-arg,var-annotated"

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import warp as wp
from numpy.typing import NDArray

from origin.avatar import layers as layerstore
from origin.avatar.arrays import floats, ints, octets, triples, vectors
from origin.avatar.camera import portrait_camera
from origin.avatar.compose import Hair, shade_tiles, write_tiles
from origin.avatar.face import (
    FILM_FIRST,
    FILM_STEPS,
    FIXED,
    KEY_BITS,
    Face,
    blend_shadow,
    draw_lashes,
    draw_rows,
    light_vertices,
    tangent_frames,
)
from origin.avatar.flow import invert_flow, move_nodes
from origin.avatar.full import downsample, lens_of, lights_of, rings, vignette
from origin.avatar.fullpicture import grain, to_i420
from origin.avatar.headstate import head_rows
from origin.avatar.layerbake import LayerBake
from origin.avatar.layers import NODE, SHADOW_HEIGHT, SHADOW_WIDTH, Layers
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, Floats, Ints, PersonError
from origin.avatar.pose import Pose
from origin.avatar.posing import HEAD_ROWS, face_normals, pose_vertices
from origin.avatar.renderer import Box, Picture, Progress

STEPS: Final = ("pose", "light", "shadow", "flow", "visibility", "shading", "lashes", "writing")
FADE_FRAMES: Final = 8
"""Frames over which a newly chosen bucket of hair fades in."""
HYSTERESIS: Final = 0.62
"""A bucket is left when the head is this part of the spacing away from it; one half would flutter."""
LASH_INK: Final = (0.055, 0.045, 0.04)


def layer_file(avatar: Avatar, width: int, height: int) -> Path:
    """Where the layers of a size are: shipped beside the person, or in the cache folder."""
    name = f"layers-{width}x{height}.npz"
    shipped = avatar.folder / name
    if shipped.exists():
        return shipped
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "avacast" / "avatar" / avatar.name / name


def layers_for(avatar: Avatar, width: int, height: int, progress: Progress) -> Layers:
    """Layers of a size: read, or baked once (some 20 s) and kept in the cache folder."""
    path = layer_file(avatar, width, height)
    if not path.exists():
        layerstore.save(LayerBake(avatar, width, height, 2, progress).run(), path)
    return _read_once(path)


@cache
def _read_once(path: Path) -> Layers:
    return layerstore.load(path)


class SharedScene:
    """Arrays that never change, on the CPU, shared by all light renderers of a person and size."""

    def __init__(self, avatar: Avatar, layers: Layers, width: int, height: int) -> None:
        g, box = avatar.geometry, layers.box
        self.avatar, self.layers, self.box = avatar, layers, box
        self.camera = portrait_camera(avatar.traits.eye_left[1], width, height)
        self.lights = lights_of(avatar, self.camera)
        self.lens = lens_of(self.camera, 1, (box.x, box.y))
        drawn = g.triangles[layers.seen]
        lashes = g.triangles[g.material == Material.LASH]
        core = np.zeros(len(g.rest), bool)
        core[drawn] = True
        core[lashes] = True
        welded = np.zeros(int(g.weld.max()) + 1, bool)
        welded[g.weld[core]] = True
        soft = ~np.isin(g.material, (Material.CLOTH, Material.LASH))
        around = welded[g.weld[g.triangles]].any(1) & soft
        used = core.copy()
        used[g.triangles[around]] = True
        ids = np.nonzero(used)[0]
        self.count = len(ids)
        compact = np.full(len(g.rest), -1)
        compact[ids] = np.arange(len(ids))
        self._select_units(avatar, ids)
        self.rest, self.turn = vectors(g.rest[ids]), floats(g.turn[ids])
        ring_faces: Ints = compact[g.triangles[around]].astype(np.int32)
        self.ring_faces = triples(ring_faces)
        start, ring = rings(_dense(g.weld[ids]), ring_faces)
        self.ring_start, self.ring = ints(start), ints(ring)
        self.occlusion, self.colour = floats(g.occlusion[ids]), vectors(g.colour[ids])
        self.uv = vectors(g.uv[ids], wp.vec2)
        self.cylinder = vectors(layers.cylinder[ids], wp.vec2)
        material = np.where(layers.neck, int(Material.NECK), g.material)[layers.seen]
        self.triangles = triples(compact[drawn])
        self.lashes = triples(compact[lashes])
        self.material = ints(material)
        self.uv_inverse = vectors(_uv_inverse(g.uv[drawn]), wp.vec4)
        half = tuple(s // 2 * 2 for s in avatar.surface.shape[:2])
        # half-size maps are as good at this size, and stay in the cache
        self.surface, self.relief = (
            vectors(downsample(m[: half[0], : half[1]], 2), wp.vec4) for m in (avatar.surface, avatar.relief)
        )
        self.vertex_shadow = octets(layers.vertex_shadow[:, ids])
        self.vertex_jaw = floats(layers.vertex_jaw[ids])
        self.texels, self.texel_shadow = ints(layers.texels), octets(layers.shadow)
        self.texel_jaw = floats(layers.shadow_jaw)
        self.harmonics = vectors(avatar.traits.lights.ambient)
        self.front, self.back = (octets(a, wp.vec4ub) for a in (layers.front, layers.back))
        self.nodes = [vectors(a, wp.vec4) for a in layers.nodes]
        self.origins = [vectors(a) for a in layers.origins]
        picture = layers.fixed.astype(np.float32) / 255
        self.fixed_i420 = to_i420(picture.astype(np.float32), grain(width, height))
        inside = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
        self.noise = octets(np.round(grain(width, height)[inside] * 100 + 128))
        shade = np.round(vignette(width, height)[inside][..., None] * 255)
        with_vignette = np.concatenate([layers.fixed[inside], shade], 2)
        self.fixed = octets(with_vignette.reshape(-1, 4), wp.vec4ub)
        self.film = floats(film_table())
        if len(drawn) >= int(FIXED):
            raise PersonError(
                f"{avatar.name} shows {len(drawn)} triangles, the light tier can draw {int(FIXED)}"
            )
        self.fixed_depth = (
            (((layers.fixed_depth >> 5) << int(KEY_BITS)) + int(FIXED)).astype(np.int32).ravel()
        )

    def _select_units(self, avatar: Avatar, ids: NDArray[np.int64]) -> None:
        u = avatar.units
        counts = np.diff(u.start)[ids]
        chosen = np.concatenate([np.arange(u.start[i], u.start[i + 1]) for i in ids])
        self.unit_start = ints(np.concatenate([[0], np.cumsum(counts)]))
        self.unit, self.offset = ints(u.unit[chosen]), vectors(u.offset[chosen])


def film_table() -> Floats:
    """The film curve at the middle of each step of a float's exponent and eight bits of mantissa; see face.py."""
    first = (int(FILM_FIRST) + np.arange(int(FILM_STEPS), dtype=np.int32)) << 15
    x = (first + (1 << 14)).view(np.float32).astype(float)
    x[0] = 0.0
    y = np.sqrt(np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0, 1))
    return np.asarray(0.85 * y + 0.15 * np.sqrt(y), np.float32)


def _dense(weld: Ints) -> Ints:
    return np.unique(weld, return_inverse=True)[1].astype(np.int32)


def _uv_inverse(uv: Floats) -> Floats:
    """Inverse of each triangle's matrix of UV edges (t, 4)."""
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    det = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    inverse = np.where(np.abs(det) > 1e-9, 1 / np.where(det == 0, 1, det), 0)
    rows = np.stack([d2[:, 1], -d1[:, 1], -d2[:, 0], d1[:, 0]], 1)
    return np.asarray(rows * inverse[:, None], np.float32)


@cache
def _scene(folder: Path, width: int, height: int, path: Path) -> SharedScene:
    from origin.avatar.person import load, read

    avatar = load(folder.name) if folder == load(folder.name).folder else read(folder)
    return SharedScene(avatar, _read_once(path), width, height)


@dataclass(slots=True)
class BucketChoice:
    """Which baked bucket of hair is shown, and the one that fades in. `mix` is how far the fade is, 0 when none."""

    shown: int = -1
    coming: int = -1
    mix: float = 0.0

    def follow(self, yaw: float, pitch: float, yaws: Floats, pitches: Floats) -> None:
        """Moves on by one frame. A jump of more than a spacing (first frame, a cut) switches at once."""
        best, near, far = _distance(self.shown, yaw, pitch, yaws, pitches)
        if self.shown < 0 or far:
            self.shown, self.coming, self.mix = best, -1, 0.0
            return
        if self.coming >= 0:
            self.mix += 1.0 / FADE_FRAMES
            if self.mix >= 0.999:
                self.shown, self.coming, self.mix = self.coming, -1, 0.0
        elif not near:
            self.coming, self.mix = best, 1.0 / FADE_FRAMES


def _distance(shown: int, yaw: float, pitch: float, yaws: Floats, pitches: Floats) -> tuple[int, bool, bool]:
    """The nearest bucket; whether the shown one is still near enough; whether it is out of reach."""
    row = int(np.abs(yaws - yaw).argmin())
    column = int(np.abs(pitches - pitch).argmin())
    best = row * len(pitches) + column
    if shown < 0:
        return best, False, True
    at_yaw, at_pitch = float(yaws[shown // len(pitches)]), float(pitches[shown % len(pitches)])
    # beyond the outermost bucket nothing better exists
    inside_yaw = min(max(yaw, float(yaws[0])), float(yaws[-1]))
    inside_pitch = min(max(pitch, float(pitches[0])), float(pitches[-1]))
    off = max(
        abs(inside_yaw - at_yaw) / float(yaws[1] - yaws[0]),
        abs(inside_pitch - at_pitch) / float(pitches[1] - pitches[0]),
    )
    return best, off <= HYSTERESIS, off > 1.3


class LightTier:
    """A light renderer of one session. Cheap to make once the person's scene is loaded: a few MB of its own."""

    def __init__(self, avatar: Avatar, width: int, height: int, threads: int = 1) -> None:
        self._avatar, self._width, self._height, self._threads = avatar, width, height, threads
        self._pool = ThreadPoolExecutor(1, "avatar-tiles") if threads == 2 else None
        self._ready = False
        self._box = Box(0, 0, width, height)
        self._choice = BucketChoice()

    @property
    def head_box(self) -> Box:
        if not self._ready:
            self.warm(lambda step, done: None)
        return self._box

    def warm(self, progress: Progress) -> None:
        if self._ready:
            return
        layers_for(self._avatar, self._width, self._height, progress)
        progress("Loading the person", 0.0)
        path = layer_file(self._avatar, self._width, self._height)
        self._build(_scene(self._avatar.folder, self._width, self._height, path))
        progress("Compiling the renderer", 0.3)
        self._ready = True
        self.render(Pose())
        self._choice = BucketChoice()
        progress("Compiling the renderer", 1.0)

    def cut(self) -> None:
        self._choice = BucketChoice()

    def render(self, pose: Pose) -> Picture:
        if not self._ready:
            self.warm(lambda step, done: None)
        for step in STEPS:
            self.step(step, pose)
        return self._picture

    def step(self, name: str, pose: Pose) -> None:
        """One of STEPS, in that order; apart so that each can be timed."""
        if name == "pose":
            self._set_state(pose)
        elif name == "visibility":
            np.copyto(self._depth_view, self._scene.fixed_depth)
            tiles = self._choose_tiles()
            self._split(tiles)
        if name in ("visibility", "shading", "writing") and self._pool is not None:
            first, second = self._commands[name][:2]
            other = self._pool.submit(second.launch)
            first.launch()
            other.result()
        else:
            for command in self._commands[name]:
                command.launch()

    def _build(self, scene: SharedScene) -> None:
        self._scene, self._box = scene, scene.box
        n, box, layers = scene.count, scene.box, scene.layers
        pixels = box.width * box.height
        with wp.ScopedDevice("cpu"):
            self._world, self._screen = (wp.zeros(n, dtype=wp.vec3) for _ in range(2))
            vertices = wp.zeros(4 * n, dtype=wp.vec4)
            ring_normals = wp.zeros(len(scene.ring_faces), dtype=wp.vec3)
            planes, tangents = (wp.zeros(2 * len(scene.triangles), dtype=wp.vec3) for _ in range(2))
            shadow_map = wp.zeros((SHADOW_HEIGHT, SHADOW_WIDTH), dtype=float)
            depth, colours = wp.zeros(pixels, dtype=wp.int32), wp.zeros(pixels, dtype=wp.uint32)
            self._weights, self._head = wp.zeros(52, dtype=float), wp.zeros(HEAD_ROWS, dtype=wp.vec3)
            # bucket: shown, coming, four for shadows; share: fade, four for shadows
            self._bucket, self._share = wp.zeros(6, dtype=int), wp.zeros(5, dtype=float)
            grid = layers.nodes.shape[2:4]
            moved = wp.zeros(grid, dtype=wp.vec3)
            flows = [wp.zeros(grid, dtype=wp.vec3) for _ in range(4)]
        face = Face()
        face.vertices, face.colour, face.cylinder = vertices, scene.colour, scene.cylinder
        face.triangles, face.material, face.film = scene.triangles, scene.material, scene.film
        face.planes, face.tangents, face.surface, face.relief = planes, tangents, scene.surface, scene.relief
        face.shadow_map, face.harmonics, face.head = shadow_map, scene.harmonics, self._head
        front, back = Hair(), Hair()
        front.layers, front.flow, front.next_flow = scene.front, flows[0], flows[1]
        back.layers, back.flow, back.next_flow = scene.back, flows[2], flows[3]

        self._tiles_down, self._tiles_across = -(-box.height // NODE), -(-box.width // NODE)
        self._tiles = wp.zeros(self._tiles_down * self._tiles_across, dtype=int, device="cpu")
        row, column = np.mgrid[0 : self._tiles_down, 0 : self._tiles_across]
        self._tile_code = row * 1024 + column
        self._tiles_before = np.ones((self._tiles_down, self._tiles_across), bool)
        self._picture: Picture = scene.fixed_i420.copy()
        h, w = self._height, self._width
        luma = wp.array(self._picture[:h], dtype=wp.uint8, device="cpu", copy=False)
        chroma_view = self._picture[h:].reshape(2, h // 2, w // 2)
        chroma = wp.array(chroma_view, dtype=wp.uint8, device="cpu", copy=False)
        self._views(depth, flows)

        def record(kernel: Any, dim: Any, inputs: list[Any]) -> Any:
            return wp.launch(kernel, dim=dim, inputs=inputs, device="cpu", record_cmd=True)

        units = [
            scene.unit_start,
            scene.unit,
            scene.offset,
            self._weights,
            scene.turn,
            self._head,
            scene.lens,
        ]
        blend = [self._bucket, self._share, self._head]
        vertex = [
            ring_normals,
            scene.ring_start,
            scene.ring,
            self._world,
            scene.occlusion,
            scene.vertex_shadow,
        ]
        lit = [scene.vertex_jaw, *blend, scene.harmonics, scene.lights, scene.uv, vertices]
        texels = [scene.texels, scene.texel_shadow, scene.texel_jaw, *blend, shadow_map.flatten()]
        self._commands: dict[str, list[Any]] = {
            "pose": [record(pose_vertices, n, [scene.rest, *units, self._world, self._screen])],
            "light": [
                record(face_normals, len(ring_normals), [self._world, scene.ring_faces, ring_normals]),
                record(light_vertices, n, [*vertex, *lit]),
                record(
                    tangent_frames,
                    len(scene.triangles),
                    [self._world, scene.triangles, scene.uv_inverse, tangents],
                ),
            ],
            "shadow": [record(blend_shadow, len(scene.texels), texels)],
        }
        self._flow_commands = []
        for side in (0, 1):
            for slot in (0, 1):
                nodes = [
                    scene.nodes[side],
                    scene.origins[side],
                    self._bucket,
                    slot,
                    self._head,
                    scene.lens,
                    moved,
                ]
                target = flows[side * 2 + slot]
                pair = [record(move_nodes, grid, nodes), record(invert_flow, grid, [moved, target])]
                self._flow_commands.append((slot, pair))
        self._commands["flow"] = []
        ink = wp.vec3(*LASH_INK)
        lash = [self._screen, scene.lashes, scene.uv, box.width, box.height, ink, depth, colours]
        self._commands["lashes"] = [record(draw_lashes, len(scene.lashes), lash)]
        parts = self._threads
        self._commands["visibility"], self._commands["shading"], self._commands["writing"] = [], [], []
        for part in range(parts):
            top, bottom = box.height * part // parts, box.height * (part + 1) // parts
            rows = [self._screen, scene.triangles, box.width, top, bottom, planes, depth]
            self._commands["visibility"].append(record(draw_rows, len(scene.triangles), rows))
            shade = [
                self._tiles,
                0,
                face,
                scene.lights,
                depth,
                scene.fixed,
                back,
                front,
                self._bucket,
                self._share,
            ]
            tile_count = len(self._tile_code.ravel())
            self._commands["shading"].append(
                record(shade_tiles, tile_count, [*shade, box.width, box.height, colours])
            )
            write = [
                self._tiles,
                0,
                colours,
                depth,
                scene.material,
                front,
                self._bucket,
                self._share,
                scene.noise,
            ]
            size = [box.width, box.height, box.x, box.y, luma, chroma]
            self._commands["writing"].append(record(write_tiles, tile_count, [*write, *size]))

    def _views(self, depth: wp.array, flows: list[wp.array]) -> None:
        """Numpy views of arrays that the CPU device shares with us."""
        self._depth_view, self._screen_view = depth.numpy(), self._screen.numpy()
        self._weights_view, self._head_view = self._weights.numpy(), self._head.numpy()
        self._bucket_view, self._share_view = self._bucket.numpy(), self._share.numpy()
        self._tiles_view = self._tiles.numpy()
        self._flow_views = [f.numpy() for f in flows]

    def _set_state(self, pose: Pose) -> None:
        scene = self._scene
        yaws, pitches = scene.layers.yaws, scene.layers.pitches
        self._weights_view[:] = pose.weights
        head_rows(pose, scene.avatar.traits, scene.camera, self._head_view)
        yaw, pitch, _ = pose.head
        at_yaw = float(np.clip(np.interp(yaw, yaws, np.arange(len(yaws))), 0, len(yaws) - 1.001))
        at_pitch = float(np.clip(np.interp(pitch, pitches, np.arange(len(pitches))), 0, len(pitches) - 1.001))
        row, column = int(at_yaw), int(at_pitch)
        fy, fp = at_yaw - row, at_pitch - column
        k, across = row * len(pitches) + column, len(pitches)
        choice = self._choice
        choice.follow(yaw, pitch, yaws, pitches)
        fading = choice.coming >= 0
        self._bucket_view[:] = (choice.shown, max(choice.coming, 0), k, k + across, k + 1, k + across + 1)
        mix = choice.mix * choice.mix * (3 - 2 * choice.mix) if fading else 0.0
        self._share_view[:] = (mix, (1 - fy) * (1 - fp), fy * (1 - fp), (1 - fy) * fp, fy * fp)
        self._commands["flow"] = [
            c for slot, pair in self._flow_commands if slot == 0 or fading for c in pair
        ]
        self._fading = fading

    def _choose_tiles(self) -> int:
        """Tiles that hold hair or a moved vertex now, or did in the last frame (those go back to the set)."""
        down, across = self._tiles_down, self._tiles_across
        padded = np.zeros((down + 2, across + 2), bool)
        at = (self._screen_view[:, :2] * (1 / NODE)).astype(np.int32) + 1
        padded[np.clip(at[:, 1], 0, down + 1), np.clip(at[:, 0], 0, across + 1)] = True
        padded[1:] |= padded[:-1]
        padded[:-1] |= padded[1:]
        padded[:, 1:] |= padded[:, :-1]
        padded[:, :-1] |= padded[:, 1:]
        now = padded[1:-1, 1:-1]
        for k, view in enumerate(self._flow_views):
            if k % 2 and not self._fading:
                continue
            near = view[..., 2] > 0
            near = near[:-1] | near[1:]
            now |= (near[:, :-1] | near[:, 1:])[:down, :across]
        chosen = self._tile_code[now | self._tiles_before]
        self._tiles_before = now
        self._tiles_view[: len(chosen)] = chosen
        return len(chosen)

    def _split(self, tiles: int) -> None:
        """Gives each thread its part of the tiles."""
        for name in ("shading", "writing"):
            for part, command in enumerate(self._commands[name]):
                first, last = tiles * part // self._threads, tiles * (part + 1) // self._threads
                command.set_param_at_index(1, first)
                command.set_dim(last - first)
