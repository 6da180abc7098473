"""What the light tier has baked for one picture size: set and clothes, hair in buckets of head turn, shadows.

Hair is two layers of premultiplied display colour per bucket of yaw and pitch: what lies before the face and what
would be seen behind it. A grid of nodes 8 pixels apart knows the rest position of the hair there, so a layer can be
moved to any turn near its bucket.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.person import Floats, Ints, PersonError
from origin.avatar.renderer import Box

Bytes = NDArray[np.uint8]

VERSION: Final = 2
NODE: Final = 8
"""Pixels between the nodes of a flow grid, and the side of a tile."""
SHADOW_WIDTH: Final = 256
SHADOW_HEIGHT: Final = 580
NECK_SPAN: Final = 1.28
"""v of the shadow map: 0-1 the head's UV island, 1.03-1.28 a cylinder round the neck."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The bake of one person at one size. b buckets (yaw-major), h x w pixels of the head box, n vertices, t triangles.

    fixed (H, W, 3): set, clothes and resting neck in display values; lift (H / 8, W / 8): how far breath moves it, 0-1,
    all of it at clothes, fading into the set; fixed_depth (h, w): depth of what never moves,
    in steps of visibility.py; front and back (b, h, w, 4) premultiplied; nodes (2, b, gh, gw, 4): rest position and
    turn, origins (2, b, gh, gw, 3): its place in the bucket and whether hair is near; shadow (b, texels) of the texels
    in `texels`; shadow_jaw (texels,): what a fully open jaw adds; vertex_shadow (b, n), vertex_jaw (n,); seen (t,):
    triangles that some pose shows; neck (t,); cylinder (n, 2): UV of neck vertices in the shadow map.
    """

    box: Box
    yaws: Floats
    pitches: Floats
    fixed: Bytes
    lift: Floats
    fixed_depth: Ints
    front: Bytes
    back: Bytes
    nodes: Floats
    origins: Floats
    texels: Ints
    shadow: Bytes
    shadow_jaw: Floats
    vertex_shadow: Bytes
    vertex_jaw: Floats
    seen: NDArray[np.bool_]
    neck: NDArray[np.bool_]
    cylinder: Floats


def _encode(pixels: Bytes, quality: int) -> Bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=6, exact=True, alpha_quality=90)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _decode(data: Bytes, mode: str) -> Bytes:
    with Image.open(io.BytesIO(data.tobytes())) as picture:
        return np.asarray(picture.convert(mode))


def _jpeg(pixels: Bytes, quality: int) -> Bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def save(layers: Layers, path: Path) -> None:
    """Writes the layers as one file, pictures as WebP and JPEG."""
    b = layers.box
    arrays: dict[str, Any] = {
        "version": np.array(VERSION),
        "box": np.array([b.x, b.y, b.width, b.height]),
        "yaws": layers.yaws,
        "pitches": layers.pitches,
        "fixed": _encode(layers.fixed, 94),
        "lift": np.round(layers.lift * 255).astype(np.uint8),
        "fixed_depth": (layers.fixed_depth >> 6).astype(np.uint16),
        "nodes": layers.nodes.astype(np.float16),
        "origins": np.round(layers.origins[..., :2] * 16).astype(np.int16),
        "near": np.packbits(layers.origins[..., 2] > 0),
        "texels": np.packbits(_mask(layers.texels)),
        "shadow_jaw": np.round(layers.shadow_jaw * 100).clip(-127, 127).astype(np.int8),
        "vertex_shadow": layers.vertex_shadow,
        "vertex_jaw": np.round(layers.vertex_jaw * 100).clip(-127, 127).astype(np.int8),
        "seen": np.packbits(layers.seen),
        "neck": np.packbits(layers.neck),
        "cylinder": layers.cylinder.astype(np.float16),
        "triangles": np.array(len(layers.seen)),
    }
    full = np.zeros((len(layers.yaws) * len(layers.pitches), SHADOW_HEIGHT * SHADOW_WIDTH), np.uint8)
    full[:, layers.texels] = layers.shadow
    for k in range(len(full)):
        arrays[f"shadow{k}"] = _jpeg(full[k].reshape(SHADOW_HEIGHT, SHADOW_WIDTH), 88)
        arrays[f"front{k}"] = _encode(layers.front[k], 86)
        arrays[f"back{k}"] = _encode(layers.back[k], 82)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)


def _mask(texels: Ints) -> NDArray[np.bool_]:
    mask = np.zeros(SHADOW_HEIGHT * SHADOW_WIDTH, bool)
    mask[texels] = True
    return mask


def load(path: Path) -> Layers:
    """Reads layers. Raises PersonError when the file is broken or of another version."""
    try:
        with np.load(path) as z:
            if int(z["version"]) != VERSION:
                raise PersonError(f"{path} is of version {z['version']}, this renderer reads {VERSION}")
            return _read(z)
    except (OSError, KeyError, ValueError) as error:
        raise PersonError(f"{path} holds no readable layers: {error}") from error


def _read(z: Any) -> Layers:
    yaws, pitches = z["yaws"].astype(np.float32), z["pitches"].astype(np.float32)
    buckets = len(yaws) * len(pitches)
    x, y, width, height = (int(v) for v in z["box"])
    nodes, places = z["nodes"].astype(np.float32), z["origins"]
    near = np.unpackbits(z["near"], count=int(np.prod(places.shape[:-1]))).reshape(*places.shape[:-1], 1)
    texels = np.nonzero(np.unpackbits(z["texels"], count=SHADOW_HEIGHT * SHADOW_WIDTH))[0]
    shadow = np.stack([_decode(z[f"shadow{k}"], "L").reshape(-1)[texels] for k in range(buckets)])
    triangles = int(z["triangles"])
    return Layers(
        box=Box(x, y, width, height),
        yaws=yaws,
        pitches=pitches,
        fixed=_decode(z["fixed"], "RGB"),
        lift=z["lift"].astype(np.float32) / 255,
        fixed_depth=z["fixed_depth"].astype(np.int32) << 6,
        front=np.stack([_decode(z[f"front{k}"], "RGBA") for k in range(buckets)]),
        back=np.stack([_decode(z[f"back{k}"], "RGBA") for k in range(buckets)]),
        nodes=nodes,
        origins=np.concatenate([places / 16.0, near], -1).astype(np.float32),
        texels=texels.astype(np.int32),
        shadow=shadow,
        shadow_jaw=z["shadow_jaw"].astype(np.float32) / 100,
        vertex_shadow=z["vertex_shadow"],
        vertex_jaw=z["vertex_jaw"].astype(np.float32) / 100,
        seen=np.unpackbits(z["seen"], count=triangles).astype(bool),
        neck=np.unpackbits(z["neck"], count=triangles).astype(bool),
        cylinder=z["cylinder"].astype(np.float32),
    )
