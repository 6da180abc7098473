"""The full tier: every triangle and every hair card, 2x2 samples, shadow map, deferred shading.

What GPUs run, and what bakes the layers of the light tier. Steps: pose, shadow map, visibility, shading, resolve.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return,type-arg,var-annotated,attr-defined,misc,valid-type"

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import warp as wp
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.arrays import floats, ints, triples, vec, vectors
from origin.avatar.camera import Camera, portrait_camera, unit
from origin.avatar.headstate import head_rows
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, Floats, Ints
from origin.avatar.pose import Pose
from origin.avatar.posing import HEAD_ROWS, Lens, face_normals, pose_vertices, vertex_normals
from origin.avatar.samples import ShadowFrame, probe_shadow, project_shadow, shade_samples
from origin.avatar.shading import Lights
from origin.avatar.strands import atlas, ribbons
from origin.avatar.visibility import TRIANGLE_MASK, draw_triangles

SHADOW_SIZE: Final = 1024
SHADOW_SPAN: Final = 5.2
"""Side of the square that the shadow map covers, decimetres."""
BACKGROUND: Final = -1


def lights_of(avatar: Avatar, camera: Camera) -> Lights:
    """The kernels' lights for a person seen by a camera."""
    rig, traits, out = avatar.traits.lights, avatar.traits, Lights()
    for name in ("key", "fill", "rim_left", "rim_right"):
        setattr(out, name, vec(getattr(rig, name)))
        setattr(out, f"{name}_dir", vec(unit(getattr(rig, f"{name}_dir"))))
    for name in ("iris_outer", "iris_inner", "hair_dark", "hair_light"):
        setattr(out, name, vec(getattr(traits, name)))
    out.exposure = rig.exposure
    out.camera = vec(camera.position)
    return out


def lens_of(camera: Camera, samples: int = 1, origin: tuple[int, int] = (0, 0)) -> Lens:
    """The kernels' camera for a picture whose left top corner is at `origin`."""
    lens = Lens()
    lens.position, lens.forward = vec(camera.position), vec(camera.forward)
    lens.right, lens.up = vec(camera.right), vec(camera.up)
    lens.focal = camera.focal * samples
    lens.cx = (camera.width / 2 - origin[0]) * samples
    lens.cy = (camera.height / 2 - origin[1]) * samples
    return lens


def vignette(width: int, height: int) -> Floats:
    """Darkening towards the corners (height, width)."""
    y, x = np.mgrid[0:height, 0:width]
    fall = (x / width - 0.5) ** 2 + (y / height - 0.46) ** 2 * 0.8
    return (1 - 0.42 * fall).astype(np.float32)


def fitted(picture: Floats, width: int, height: int) -> Floats:
    """The middle of a set picture (h, w, 3), not squeezed, as large as the frame (height, width, 3)."""
    h, w, _ = picture.shape
    if (h, w) == (height, width):
        return picture
    step = min(w / width, h / height)
    left, top = (w - step * width) / 2, (h - step * height) / 2
    box = (left, top, left + step * width, top + step * height)
    layers = [
        Image.fromarray(np.ascontiguousarray(layer)).resize((width, height), Image.Resampling.BICUBIC, box)
        for layer in np.moveaxis(picture, 2, 0)
    ]
    return np.stack([np.asarray(layer, np.float32) for layer in layers], 2).clip(0)


def rings(weld: Ints, triangles: Ints) -> tuple[Ints, Ints]:
    """Triangles round each vertex, shared by all vertices that are welded: (start (n + 1,), triangle numbers)."""
    pairs = np.unique(np.stack([weld[triangles].ravel(), np.repeat(np.arange(len(triangles)), 3)], 1), axis=0)
    first = np.searchsorted(pairs[:, 0], weld)
    last = np.searchsorted(pairs[:, 0], weld, "right")
    start = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int32)
    parts = [pairs[a:b, 1] for a, b in zip(first, last, strict=True)]
    return start, np.concatenate(parts).astype(np.int32)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One drawing at sample resolution: owner (h, w) triangle or BACKGROUND, depth (h, w) raw, colour (h, w, 3) 0-1."""

    owner: NDArray[np.int64]
    depth: NDArray[np.int64]
    colour: Floats | None


class FullTier:
    """Draws a person with everything; `samples` is the side of the supersampling square (1, 2 or 4)."""

    def __init__(
        self,
        avatar: Avatar,
        width: int,
        height: int,
        samples: int = 2,
        shadow_taps: int = 12,
        device: str = "cpu",
        region: tuple[int, int, int, int] | None = None,
    ) -> None:
        """`region` (x, y, width, height) draws only that part of the width x height picture."""
        x, y, self.width, self.height = region or (0, 0, width, height)
        self.avatar, self.samples, self.taps, self.origin = avatar, samples, shadow_taps, (x, y)
        self.camera = portrait_camera(avatar.traits.eye_left[1], width, height)
        self.lights = lights_of(avatar, self.camera)
        self.vignette = vignette(width, height)[y : y + self.height, x : x + self.width]
        self._set = fitted(avatar.backdrop, width, height)
        self._set_frame = wp.vec4(x, y, 1 / samples, 1 / samples)
        with wp.ScopedDevice(device):
            self._upload()

    def _upload(self) -> None:
        g, hair = self.avatar.geometry, ribbons(self.avatar.hair)
        body, more = len(g.rest), len(hair.points)
        self.count = body + more
        self.rest = np.concatenate([g.rest, hair.points])
        self.triangles: Ints = np.concatenate([g.triangles, hair.triangles + body])
        hair_material = np.full(len(hair.triangles), Material.HAIR, np.int32)
        self.material: Ints = np.concatenate([g.material, hair_material])
        self.turn = np.concatenate([g.turn, np.ones(more, np.float32)])
        self.uv = np.concatenate([g.uv, hair.uv])
        soft = np.isin(g.material, (Material.SKIN, Material.EYE, Material.TEETH, Material.MOUTH))
        ring_start, ring = rings(g.weld, np.where(soft[:, None], g.triangles, g.triangles[:1]))
        ringed = np.zeros(body, bool)
        ringed[g.triangles[soft]] = True
        keep = np.repeat(ringed, np.diff(ring_start))
        counts = np.diff(ring_start) * ringed
        ring_start = np.concatenate([[0], np.cumsum(counts), np.full(more, counts.sum())]).astype(np.int32)
        ring = ring[keep]
        u = self.avatar.units
        unit_start = np.concatenate([u.start, np.full(more, u.start[-1])]).astype(np.int32)

        self._faces = triples(self.triangles)
        self._material = ints(self.material)
        self._rest, self._turn = vectors(self.rest), floats(self.turn)
        self._rest_normal = vectors(np.concatenate([g.normal, hair.normal]))
        self._tangent = vectors(np.concatenate([np.zeros_like(g.rest), hair.tangent]))
        self._unit_start, self._unit, self._offset = ints(unit_start), ints(u.unit), vectors(u.offset)
        self._ring_start, self._ring = ints(ring_start), ints(ring)
        self._body_faces = triples(g.triangles)
        self._face_normal = wp.zeros(len(g.triangles), dtype=wp.vec3)
        self._uv = vectors(self.uv, wp.vec2)
        tint = np.repeat(hair.tint[:, None], 3, 1)
        self._colour = vectors(np.concatenate([g.colour, tint]))
        self._occlusion = floats(np.concatenate([g.occlusion, hair.occlusion]))
        self._surface = vectors(self.avatar.surface, wp.vec4)
        self._relief = vectors(self.avatar.relief, wp.vec4)
        self._strands = vectors(atlas(), wp.vec4)
        self._backdrop = vectors(self._set)
        self._harmonics = vectors(self.avatar.traits.lights.ambient)
        self._weights = wp.zeros(52, dtype=float)
        self._head = wp.zeros(HEAD_ROWS, dtype=wp.vec3)
        self._world, self._screen, self._normal = (wp.zeros(self.count, dtype=wp.vec3) for _ in range(3))
        self._shadow_screen = wp.zeros(self.count, dtype=wp.vec3)
        pixels = self.width * self.height * self.samples**2
        self._depth = wp.zeros(pixels, dtype=wp.int64)
        self._colours = wp.zeros(pixels, dtype=wp.vec3)
        self._shadow_depth = wp.zeros(SHADOW_SIZE**2, dtype=wp.int64)
        toward = unit(self.avatar.traits.lights.key_dir)
        across = unit(np.cross((0.0, 1.0, 0.0), toward))
        frame = ShadowFrame()
        frame.toward, frame.across, frame.up = vec(toward), vec(across), vec(np.cross(toward, across))
        frame.centre = vec((0.0, self.avatar.traits.eye_left[1] - 0.5, 0.2))
        frame.scale, frame.size = 1 / SHADOW_SPAN, SHADOW_SIZE
        self.shadow_frame = frame

    def pose(self, pose: Pose) -> None:
        """Moves all vertices; world and screen positions and normals are then valid."""
        rows = np.zeros((HEAD_ROWS, 3), np.float32)
        head_rows(pose, self.avatar.traits, self.camera, rows)
        self._head.assign(rows)
        self._weights.assign(np.asarray(pose.weights, np.float32))
        lens = lens_of(self.camera, self.samples, self.origin)
        inputs = [
            self._rest,
            self._unit_start,
            self._unit,
            self._offset,
            self._weights,
            self._turn,
            self._head,
            lens,
        ]
        wp.launch(pose_vertices, self.count, [*inputs, self._world, self._screen])
        wp.launch(face_normals, len(self._body_faces), [self._world, self._body_faces, self._face_normal])
        ring = [self._face_normal, self._ring_start, self._ring, self._rest_normal, self._turn, self._head]
        wp.launch(vertex_normals, self.count, [*ring, self._normal])

    def cast_shadow(self) -> None:
        """Draws the shadow map of the posed person."""
        self._shadow_depth.zero_()
        wp.launch(project_shadow, self.count, [self._world, self.shadow_frame, self._shadow_screen])
        inputs = [
            self._shadow_screen,
            self._faces,
            self._material,
            self._uv,
            self._strands,
            SHADOW_SIZE,
            SHADOW_SIZE,
        ]
        wp.launch(draw_triangles, len(self._faces), [*inputs, 2, 1, self._shadow_depth])

    def draw(self, selected: NDArray[np.bool_] | None = None, shade: bool = True) -> Drawing:
        """Draws the posed person, or only the selected triangles (t,)."""
        faces, material, ids = self._faces, self._material, None
        if selected is not None:
            ids = np.nonzero(selected)[0]
            faces = triples(self.triangles[ids])
            material = ints(self.material[ids])
        width, height = self.width * self.samples, self.height * self.samples
        self._depth.zero_()
        inputs = [self._screen, faces, material, self._uv, self._strands, width, height, self.samples, 0]
        wp.launch(draw_triangles, len(faces), [*inputs, self._depth])
        if shade:
            self._shade(faces, material, width, height)
        depth = self._depth.numpy().reshape(height, width)
        owner = depth & int(TRIANGLE_MASK)
        if ids is not None:
            owner = ids[np.minimum(owner, len(ids) - 1)]
        owner = np.where(depth > 0, owner, BACKGROUND)
        colour = None
        if shade:
            colour = self._colours.numpy().reshape(height, width, 3)
            scale = np.repeat(np.repeat(self.vignette, self.samples, 0), self.samples, 1)
            colour = colour * scale[..., None]
        return Drawing(owner, depth, colour)

    def _shade(self, faces: wp.array, material: wp.array, width: int, height: int) -> None:
        vertex = [
            self._screen,
            self._world,
            self._normal,
            self._tangent,
            self._turn,
            self._occlusion,
            self._colour,
        ]
        maps = [self._surface, self._relief, self._strands, self._harmonics, self._depth, self._shadow_depth]
        last = [
            self.shadow_frame,
            self._backdrop,
            self._head,
            self.lights,
            width,
            self._set_frame,
            self.taps,
            self._colours,
        ]
        wp.launch(shade_samples, width * height, [*vertex, self._uv, faces, material, *maps, *last])

    def shadow_at(self, points: Floats, normals: Floats, radius: float = 9.0) -> Floats:
        """How much of the key reaches points (n, 3), 0-1, from the last shadow map."""
        out = wp.zeros(len(points), dtype=float)
        inputs = [
            self._shadow_depth,
            vectors(points),
            vectors(normals),
            self.shadow_frame,
            radius,
            self.avatar.traits.pivot[1] + 0.2,
        ]
        wp.launch(probe_shadow, len(points), [*inputs, out])
        result: Floats = out.numpy()
        return result

    def positions(self) -> tuple[Floats, Floats, Floats]:
        """World positions, normals and screen positions (n, 3) of the posed person."""
        return self._world.numpy().copy(), self._normal.numpy().copy(), self._screen.numpy().copy()

    def picture(self, pose: Pose) -> Floats:
        """A resolved picture (height, width, 3), display values 0-1."""
        self.pose(pose.clamped())
        self.cast_shadow()
        colour = self.draw().colour
        assert colour is not None  # draw() shades unless told otherwise
        return downsample(colour, self.samples)

    def cutout(self, pose: Pose) -> tuple[Floats, Floats]:
        """The person alone: colours over black (height, width, 3), and coverage (height, width), both 0-1."""
        self.pose(pose.clamped())
        self.cast_shadow()
        return cut_out(self.draw(), self.samples)


def cut_out(drawing: Drawing, samples: int) -> tuple[Floats, Floats]:
    """A drawing without what is behind it: resolved colours over black, and coverage."""
    assert drawing.colour is not None  # it was drawn with shading
    person = (drawing.owner != BACKGROUND)[..., None].astype(np.float32)
    cover = downsample(person, samples)[..., 0]
    return downsample(drawing.colour * person, samples), cover


def downsample(samples: Floats, side: int) -> Floats:
    """Mean of side x side blocks."""
    h, w = samples.shape[0] // side, samples.shape[1] // side
    blocks = samples.reshape(h, side, w, side, -1)
    return np.asarray(blocks.mean((1, 3)), np.float32)
