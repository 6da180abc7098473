"""The light tier's scene: what all light renderers of a person and size share, on the CPU, never changed."""

# mypy: disable-error-code="no-untyped-call,no-any-return,type-arg,var-annotated"

from __future__ import annotations

import dataclasses
import hashlib
import threading
from pathlib import Path

import numpy as np
import warp as wp
from numpy.typing import NDArray

from common.cache import cache_folder
from origin.avatar import layers as layerstore
from origin.avatar.arrays import floats, ints, octets, triples, vectors
from origin.avatar.background import Background, Behind, Colour
from origin.avatar.breath import phases
from origin.avatar.camera import frame_height, portrait_camera
from origin.avatar.face import FILM_FIRST, FILM_STEPS, FIXED, KEY_BITS
from origin.avatar.full import downsample, lens_of, lights_of, rings, vignette
from origin.avatar.fullpicture import grain, to_i420
from origin.avatar.layerbake import LayerBake
from origin.avatar.layers import Layers
from origin.avatar.materials import Material
from origin.avatar.person import Avatar, Floats, Ints, PersonError
from origin.avatar.renderer import Progress


def layer_file(avatar: Avatar, width: int, height: int) -> Path:
    """Where the layers of a size are: shipped beside the person, or in the cache folder."""
    shipped = avatar.folder / f"layers-{width}x{height}.npz"
    if shipped.exists():
        return shipped
    # of another geometry, layers would be of no use: the name holds what they were baked from
    made_from = hashlib.sha256()
    for part in ("person.json", "geometry.npz", "hair.npz"):
        made_from.update((avatar.folder / part).read_bytes())
    made_from.update(f"frame of {frame_height(width, height):.3f}, set not squeezed".encode())
    name = f"layers-{width}x{height}-{made_from.hexdigest()[:12]}-v{layerstore.VERSION}.npz"
    return cache_folder("avatar") / avatar.name / name


def layers_for(avatar: Avatar, width: int, height: int, progress: Progress) -> Layers:
    """Layers of a size: read, or baked once (some 20 s) and kept in the cache folder."""
    path = layer_file(avatar, width, height)
    if path.exists():
        try:
            return layerstore.load(path)
        except PersonError:
            if path.parent == avatar.folder:
                raise
            # a broken file in the cache is made anew
    layerstore.save(LayerBake(avatar, width, height, 2, progress).run(), path)
    return layerstore.load(path)


_scenes: dict[tuple[Path, int, int, Background], SharedScene] = {}
_loading = threading.Lock()


def shared_scene(
    avatar: Avatar, width: int, height: int, progress: Progress, background: Background = Behind.SET
) -> SharedScene:
    """The scene of a person, size and background, made once a process; renderers on other threads wait for it."""
    key = (avatar.folder, width, height, background)
    with _loading:
        if key not in _scenes:
            layers = layers_for(avatar, width, height, progress)
            progress("Loading the person", 0.0)
            cover = None
            if background is not Behind.SET:
                layers, cover = _set_apart(avatar, layers, background, progress)
            _scenes[key] = SharedScene(avatar, layers, width, height, cover)
        return _scenes[key]


def _set_apart(
    avatar: Avatar, layers: Layers, background: Background, progress: Progress
) -> tuple[Layers, Floats | None]:
    """The layers with a colour, or black and a coverage (height, width), where the set was."""
    height, width, _ = layers.fixed.shape
    picture, cover = LayerBake(avatar, width, height, progress=progress).cutout()
    if isinstance(background, Colour):
        picture = picture + (1 - cover[..., None]) * background.values
    fixed = np.round(picture.clip(0, 1) * 255).astype(np.uint8)
    return dataclasses.replace(layers, fixed=fixed), cover if background is Behind.NOTHING else None


class SharedScene:
    """Arrays that never change, on the CPU, shared by all light renderers of a person and size."""

    def __init__(
        self, avatar: Avatar, layers: Layers, width: int, height: int, cover: Floats | None = None
    ) -> None:
        """`cover`: coverage of the fixed picture (height, width) when nothing is behind the person."""
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
        self.fixed = np.round(with_vignette).astype(np.uint8).reshape(-1, 4)
        self.film = floats(film_table())
        self.phases = phases(layers, grain(width, height), cover)
        self.matte = None if cover is None else np.round(cover * 255).astype(np.uint8)
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
