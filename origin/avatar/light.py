"""The light tier: one frame in a fraction of a CPU core. Bake what does not move, warp what moves rigidly, draw what deforms.

Set and clothes are a picture written once; hair is a baked layer of the nearest bucket of head turn, moved by a flow
grid; shadows are texels blended between buckets; only face triangles that some pose can show are drawn, in a head box,
and only its 8x8 tiles that hold something that moved are written. Steps of a frame: `STEPS`.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return,type-arg,var-annotated"

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import warp as wp

from origin.avatar import compose, flow, posing
from origin.avatar import face as face_module
from origin.avatar import matte as matte_module
from origin.avatar.arrays import octets
from origin.avatar.background import Background, Behind, Matte
from origin.avatar.buckets import BucketChoice
from origin.avatar.compose import Hair, shade_tiles, write_tiles
from origin.avatar.face import Face, blend_shadow, draw_lashes, draw_rows, light_vertices, tangent_frames
from origin.avatar.flow import invert_flow, move_nodes
from origin.avatar.headstate import head_rows
from origin.avatar.layers import NODE, SHADOW_HEIGHT, SHADOW_WIDTH
from origin.avatar.matte import matte_tiles, write_matte
from origin.avatar.person import Avatar
from origin.avatar.pose import Pose
from origin.avatar.posing import HEAD_ROWS, face_normals, pose_vertices
from origin.avatar.renderer import Box, Picture, Progress
from origin.avatar.scene import SharedScene, shared_scene

STEPS: Final = ("pose", "light", "shadow", "flow", "visibility", "shading", "lashes", "writing")
LASH_INK: Final = (0.055, 0.045, 0.04)


class LightTier:
    """A light renderer of one session. Cheap to make once the person's scene is loaded: a few MB of its own."""

    def __init__(
        self,
        avatar: Avatar,
        width: int,
        height: int,
        threads: int = 1,
        background: Background = Behind.SET,
    ) -> None:
        self._avatar, self._width, self._height, self._threads = avatar, width, height, threads
        self._pool = ThreadPoolExecutor(1, "avatar-tiles") if threads == 2 else None
        self._ready = False
        self._box = Box(0, 0, width, height)
        self._choice = BucketChoice()
        self._background = background
        self.matte: Matte | None = None

    @property
    def head_box(self) -> Box:
        if not self._ready:
            self.warm(lambda step, done: None)
        return self._box

    def warm(self, progress: Progress) -> None:
        if self._ready:
            return
        scene = shared_scene(self._avatar, self._width, self._height, progress, self._background)
        modules = [posing, flow, face_module, compose]
        if self._background is Behind.NOTHING:
            modules.append(matte_module)
        for k, module in enumerate(modules):
            progress("Compiling the renderer", k / len(modules))
            wp.load_module(module, device="cpu")
        self._build(scene)
        self._ready = True
        self.render(Pose())
        self._choice = BucketChoice()
        progress("Compiling the renderer", 1.0)

    def cut(self) -> None:
        self._choice = BucketChoice()

    def pass_over(self, pose: Pose) -> None:
        if not self._ready:
            self.warm(lambda step, done: None)
        yaw, pitch, _ = pose.head
        self._choice.follow(yaw, pitch, self._scene.layers.yaws, self._scene.layers.pitches)

    def anew(self) -> None:
        if self._ready:
            self._phase = -1
            self._tiles_before[:] = True

    def render(self, pose: Pose) -> Picture:
        if not self._ready:
            self.warm(lambda step, done: None)
        for step in STEPS:
            self.step(step, pose)
        for command in self._commands["matte"]:
            command.launch()
        return self._picture

    def step(self, name: str, pose: Pose) -> None:
        """One of STEPS, in that order; apart so that each can be timed."""
        if name == "pose":
            self._set_state(pose)
            self._breathe(pose.breath)
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
        face.planes, face.tangents, face.surface, face.relief = (
            planes,
            tangents,
            scene.surface,
            scene.relief,
        )
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
        self._phase = -1
        fixed = octets(scene.fixed, wp.vec4ub)
        self._fixed_view = fixed.numpy().reshape(box.height, box.width, 4)
        h, w = self._height, self._width
        luma = wp.array(self._picture[:h], dtype=wp.uint8, device="cpu", copy=False)
        chroma_view = self._chroma_view = self._picture[h:].reshape(2, h // 2, w // 2)
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
                fixed,
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

        self._commands["matte"] = []
        if scene.matte is not None:
            self.matte = scene.matte.copy()
            inside = scene.matte[box.y : box.y + box.height, box.x : box.x + box.width]
            below = octets(inside)
            self._below_view = below.numpy()
            covers = wp.zeros(pixels, dtype=wp.uint32, device="cpu")
            target = wp.array(self.matte, dtype=wp.uint8, device="cpu", copy=False)
            tiles, shared = [self._tiles, depth], [self._bucket, self._share, box.width, box.height]
            self._commands["matte"] = [
                record(matte_tiles, tile_count, [*tiles, below, back, *shared, covers]),
                record(
                    write_matte,
                    tile_count,
                    [self._tiles, covers, depth, scene.material, front, *shared, box.x, box.y, target],
                ),
            ]

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

    def _breathe(self, breath: float) -> None:
        """Copies in the clothes of this phase of breath, when it is another one."""
        phases = self._scene.phases
        wanted = round(breath * (len(phases) - 1))
        if wanted == self._phase:
            return
        self._phase, phase = wanted, phases[wanted]
        h, top = self._height, phase.top
        self._picture[top:h] = phase.luma
        self._chroma_view[:, top // 2 :] = phase.chroma
        self._fixed_view[self._box.height - len(phase.boxed) :, :, :3] = phase.boxed
        if self.matte is not None and phase.matte is not None:
            self.matte[top:] = phase.matte
            first = max(self._box.y - top, 0)
            columns = slice(self._box.x, self._box.x + self._box.width)
            boxed = phase.matte[first : self._box.y + self._box.height - top, columns]
            self._below_view[self._box.height - len(boxed) :] = boxed
        # the box is always the kernels' work: their rounding differs from numpy's by a level here and there
        self._tiles_before[:] = True

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
        for command in self._commands["matte"]:
            command.set_dim(tiles)
        for name in ("shading", "writing"):
            for part, command in enumerate(self._commands[name]):
                first, last = tiles * part // self._threads, tiles * (part + 1) // self._threads
                command.set_param_at_index(1, first)
                command.set_dim(last - first)
