"""A shipped person: what a bake makes and a renderer draws. Arrays, pictures and a sheet of numbers in one folder.

Files of `people/NAME/`: person.json (landmarks, lights, colours), geometry.npz, hair.npz, surface.webp and relief.webp
(skin), backdrop.webp (the set), layers-WxH/ (the light tier's bake). Units: decimetres, as in the base mesh.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PEOPLE: Final = Path(__file__).parent / "people"

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_POSITION: Final = 1 / 6000.0
_TANGENT: Final = 1 / 127.0


class PersonError(ValueError):
    """A person's folder is missing or does not hold what it must."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Triangles of everything but hair, at rest. n vertices, t triangles.

    rest (n, 3), normal (n, 3), uv (n, 2), colour (n, 3) linear, occlusion (n,), turn (n,): how much of the head's
    turn a vertex follows, weld (n,): vertices of one point share a number, triangles (t, 3), material (t,).
    """

    rest: Floats
    normal: Floats
    uv: Floats
    colour: Floats
    occlusion: Floats
    turn: Floats
    weld: Ints
    triangles: Ints
    material: Ints


@dataclass(frozen=True, slots=True)
class FaceUnitTable:
    """Offsets of the 52 face units, sparse by vertex: vertex i has entries start[i]..start[i+1]."""

    start: Ints
    unit: Ints
    offset: Floats


@dataclass(frozen=True, slots=True)
class HairGuides:
    """Hair as ribbons along guides, g guides of m points: points and normals (g, m, 3), width (g, m), card (g,)
    which clump of the atlas, flipped (g,), tint (g,), occlusion (g, m)."""

    points: Floats
    normals: Floats
    width: Floats
    card: Ints
    flipped: Ints
    tint: Floats
    occlusion: Floats


@dataclass(frozen=True, slots=True)
class LightRig:
    """Directions are towards the light; colours linear."""

    key_dir: tuple[float, float, float]
    key: tuple[float, float, float]
    fill_dir: tuple[float, float, float]
    fill: tuple[float, float, float]
    rim_left_dir: tuple[float, float, float]
    rim_left: tuple[float, float, float]
    rim_right_dir: tuple[float, float, float]
    rim_right: tuple[float, float, float]
    ambient: tuple[tuple[float, float, float], ...]  # harmonics: constant, up, front, side
    exposure: float


@dataclass(frozen=True, slots=True)
class Traits:
    """Numbers of one person: places and colours."""

    eye_left: tuple[float, float, float]
    eye_right: tuple[float, float, float]
    eye_radius: float
    pivot: tuple[float, float, float]  # the head turns about this point
    iris_outer: tuple[float, float, float]
    iris_inner: tuple[float, float, float]
    hair_dark: tuple[float, float, float]
    hair_light: tuple[float, float, float]
    lights: LightRig


@dataclass(frozen=True, slots=True)
class Avatar:
    """Everything that is shared by all renderers of one person; immutable."""

    name: str
    folder: Path
    traits: Traits
    geometry: Geometry
    units: FaceUnitTable
    hair: HairGuides
    surface: Floats  # (h, w, 4) linear albedo, roughness
    relief: Floats  # (h, w, 4) height gradient u, v; gloss; cavity
    backdrop: Floats  # (h, w, 3) linear


def shipped() -> list[str]:
    """Names of the people who are shipped."""
    return sorted(p.parent.name for p in PEOPLE.glob("*/person.json"))


@cache
def load(name: str) -> Avatar:
    """A shipped person by name ("ava"). Cached: renderers share it. Raises PersonError when there is none."""
    folder = PEOPLE / name
    if not name.isidentifier() or not (folder / "person.json").exists():
        raise PersonError(f"no person {name!r} is shipped; there are: {', '.join(shipped()) or 'none'}")
    return read(folder)


def read(folder: Path) -> Avatar:
    """Reads a person from a folder. Raises PersonError when a file is missing or broken."""
    try:
        traits = _traits(json.loads((folder / "person.json").read_text()))
        with np.load(folder / "geometry.npz") as z:
            geometry, units = _geometry(z), _units(z)
        with np.load(folder / "hair.npz") as z:
            hair = _hair(z)
        surface = _surface(folder)
        relief = _relief(folder)
        backdrop = (np.square(_picture(folder / "backdrop.webp")) * BACKDROP_RANGE).astype(np.float32)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise PersonError(f"{folder} holds no readable person: {error}") from error
    return Avatar(folder.name, folder, traits, geometry, units, hair, surface, relief, backdrop)


def write(avatar: Avatar, folder: Path) -> None:
    """Packs a person into a folder; reading it back differs only by rounding."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "person.json").write_text(json.dumps(_as_json(avatar.traits), indent=2) + "\n")
    g, u, h = avatar.geometry, avatar.units, avatar.hair
    origin = np.round(g.rest.mean(0), 3)
    np.savez_compressed(
        folder / "geometry.npz",
        origin=origin,
        rest=np.round((g.rest - origin) / _POSITION).astype(np.int16),
        normal=np.round(g.normal / _TANGENT).astype(np.int8),
        uv=np.round(g.uv * 16384).astype(np.int16),
        colour=np.round(np.sqrt(g.colour) * 255).astype(np.uint8),
        occlusion=np.round(g.occlusion * 255).astype(np.uint8),
        turn=np.round(g.turn * 65535).astype(np.uint16),
        weld=np.asarray(g.weld, np.uint16),
        triangles=np.asarray(g.triangles, np.uint16),
        material=np.asarray(g.material, np.uint8),
        unit_count=np.diff(u.start).astype(np.uint8),
        unit=np.asarray(u.unit, np.uint8),
        offset=np.round(u.offset / _POSITION).astype(np.int16),
    )
    np.savez_compressed(
        folder / "hair.npz",
        origin=origin,
        points=np.round((h.points - origin) / _POSITION).astype(np.int16),
        normals=np.round(h.normals / _TANGENT).astype(np.int8),
        width=np.round(h.width * 1000).astype(np.uint16),
        card=np.asarray(h.card, np.uint8),
        flipped=np.asarray(h.flipped, np.uint8),
        tint=np.round(h.tint * 100).astype(np.uint8),
        occlusion=np.round(h.occlusion * 200).clip(0, 255).astype(np.uint8),
    )
    s, r = avatar.surface, avatar.relief
    _save(folder / "surface.webp", np.sqrt(s[..., :3]), 88)
    _save(folder / "detail.webp", np.dstack([s[..., 3], r[..., 2], r[..., 3]]), 80)
    _save(
        folder / "relief.webp", np.dstack([_squash(r[..., 0]), _squash(r[..., 1]), s[..., 3] * 0 + 0.5]), 80
    )
    _save(folder / "backdrop.webp", np.sqrt(avatar.backdrop / BACKDROP_RANGE), 90)


BACKDROP_RANGE: Final = 4.0
"""The brightest linear value of a set picture."""
_RELIEF: Final = 8.0


def _squash(gradient: Floats) -> Floats:
    return np.asarray(np.clip(gradient / _RELIEF + 0.5, 0, 1), np.float32)


def _save(path: Path, picture: Floats, quality: int) -> None:
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=6)
    path.write_bytes(buffer.getvalue())


def _picture(path: Path) -> Floats:
    with Image.open(path) as picture:
        return np.asarray(np.asarray(picture.convert("RGB"), np.float32) / np.float32(255), np.float32)


def _surface(folder: Path) -> Floats:
    albedo = np.square(_picture(folder / "surface.webp"))
    detail = _picture(folder / "detail.webp")
    return np.dstack([albedo, detail[..., 0]])


def _relief(folder: Path) -> Floats:
    detail, relief = _picture(folder / "detail.webp"), _picture(folder / "relief.webp")
    gradient = (relief[..., :2] - 128 / 255) * _RELIEF
    return np.dstack([gradient, detail[..., 1], detail[..., 2]])


def _geometry(z: Mapping[str, NDArray[Any]]) -> Geometry:
    f = np.float32
    return Geometry(
        rest=(z["rest"] * _POSITION + z["origin"]).astype(f),
        normal=(z["normal"] * _TANGENT).astype(f),
        uv=(z["uv"] / 16384).astype(f),
        colour=np.square(z["colour"] / 255).astype(f),
        occlusion=(z["occlusion"] / 255).astype(f),
        turn=(z["turn"] / 65535).astype(f),
        weld=z["weld"].astype(np.int32),
        triangles=z["triangles"].astype(np.int32),
        material=z["material"].astype(np.int32),
    )


def _units(z: Mapping[str, NDArray[Any]]) -> FaceUnitTable:
    start = np.concatenate([[0], np.cumsum(z["unit_count"], dtype=np.int64)]).astype(np.int32)
    return FaceUnitTable(start, z["unit"].astype(np.int32), (z["offset"] * _POSITION).astype(np.float32))


def _hair(z: Mapping[str, NDArray[Any]]) -> HairGuides:
    f = np.float32
    return HairGuides(
        points=(z["points"] * _POSITION + z["origin"]).astype(f),
        normals=(z["normals"] * _TANGENT).astype(f),
        width=(z["width"] / 1000).astype(f),
        card=z["card"].astype(np.int32),
        flipped=z["flipped"].astype(np.int32),
        tint=(z["tint"] / 100).astype(f),
        occlusion=(z["occlusion"] / 200).astype(f),
    )


def _as_json(traits: Traits) -> dict[str, Any]:
    names = [name for name in Traits.__slots__ if name != "lights"]
    sheet: dict[str, Any] = {name: getattr(traits, name) for name in names}
    sheet["lights"] = {name: getattr(traits.lights, name) for name in LightRig.__slots__}
    return sheet


def _vector(value: object) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"expected three numbers, got {value!r}")
    return float(value[0]), float(value[1]), float(value[2])


def _traits(sheet: Mapping[str, Any]) -> Traits:
    rig = sheet["lights"]
    scalars = {"ambient", "exposure"}
    lights = LightRig(
        **{name: _vector(rig[name]) for name in LightRig.__slots__ if name not in scalars},
        ambient=tuple(_vector(row) for row in rig["ambient"]),
        exposure=float(rig["exposure"]),
    )
    vectors = {n: _vector(sheet[n]) for n in Traits.__slots__ if n not in {"lights", "eye_radius"}}
    return Traits(**vectors, eye_radius=float(sheet["eye_radius"]), lights=lights)
