"""A portrait: a photo with the landmarks of its face, and the package of kind "portrait" that holds it.

`avatar.toml` names three files: the picture; the landmarks as 478 x 3 float32 (little endian; x, y, z in pixels of the
picture): the 468 points of the mesh, then 5 of each iris; and the matte, a grey PNG of the picture's size, white where the person is,
which may be retouched in any image editor or left out. All is found once; whoever opens the package needs no net.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from origin.packages.package import FORMAT, SHEET, Package, Strict
from origin.portrait.landmarks import EYE_CORNERS, POINTS, Points

MOST_PICTURE_BYTES: Final = 32 << 20
MOST_SIDE: Final = 8192
LEAST_SIDE: Final = 64
_MARKS: Final = POINTS + 10
_MARKS_BYTES: Final = _MARKS * 3 * 4
_QUALITY: Final = 95


@dataclass(frozen=True, slots=True)
class Portrait:
    """`picture` RGB; `mesh` (468, 3) and `irises` (2, 5, 2) in its pixels, as `landmarks.Landmarks` has them; `matte` (mode L) of its
    size, None where it is not known which pixels are the person's.
    """

    name: str
    picture: Image.Image
    mesh: Points
    irises: NDArray[np.float32]
    matte: Image.Image | None = None


class Files(Strict):
    """The table [portrait]."""

    picture: str = Field(max_length=200)
    landmarks: str = Field(max_length=200)
    matte: str | None = Field(default=None, max_length=200)


class Tables(Strict):
    portrait: Files


def write(portrait: Portrait, folder: Path, *, license: str = "private", credit: str = "") -> None:
    """Makes the package. Raises OSError; FileExistsError when there is one already."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / SHEET).open("x", encoding="utf-8") as sheet:
        portrait.picture.save(folder / "picture.webp", "WEBP", quality=_QUALITY, method=4)
        irises = np.concatenate([portrait.irises.reshape(10, 2), np.zeros((10, 1), np.float32)], 1)
        marks = np.concatenate([portrait.mesh, irises]).astype("<f4")
        (folder / "landmarks.f32").write_bytes(marks.tobytes())
        # a JSON string is a TOML string, for what names can hold
        lines = [f"format = {FORMAT}", 'kind = "portrait"', f"name = {json.dumps(portrait.name)}"]
        lines += [f"license = {json.dumps(license)}", f"credit = {json.dumps(credit)}", "", "[portrait]"]
        lines += ['picture = "picture.webp"', 'landmarks = "landmarks.f32"']
        if portrait.matte is not None:
            portrait.matte.save(folder / "matte.png", "PNG", optimize=True)
            lines += ['matte = "matte.png"']
        sheet.write("\n".join([*lines, ""]))


def open_portrait(package: Package) -> Portrait:
    """The portrait of a package. Raises PackageError."""
    files = package.sheet(Tables).portrait
    picture = _image(package, "picture", files.picture, ("WEBP", "PNG", "JPEG")).convert("RGB")
    matte = None
    if files.matte is not None:
        matte = _image(package, "matte", files.matte, ("PNG",)).convert("L")
        if matte.size != picture.size:
            what = f"{files.matte} is {matte.width}x{matte.height} pixels, its picture {picture.width}x{picture.height}"
            raise package.refuse("portrait.matte", what, "save it in the picture's size, or leave it out")
    path = package.file("portrait.landmarks", files.landmarks, suffixes=(".f32",), most_bytes=_MARKS_BYTES)
    marks = np.frombuffer(path.read_bytes(), "<f4")
    if marks.size != _MARKS * 3 or not sound(points := marks.reshape(_MARKS, 3), picture.size):
        what = f"{files.landmarks} does not hold {_MARKS} points of a face in the picture"
        raise package.refuse("portrait.landmarks", what, "make the package again from its photo")
    mesh = points[:POINTS].astype(np.float32)
    irises = points[POINTS:, :2].reshape(2, 5, 2).astype(np.float32)
    return Portrait(package.name, picture, mesh, irises, matte)


def _image(package: Package, key: str, name: str, formats: tuple[str, ...]) -> Image.Image:
    """A picture of the package, read. Raises PackageError."""
    suffixes = tuple(s for f in formats for s in ({"JPEG": (".jpg", ".jpeg")}.get(f) or (f".{f.lower()}",)))
    field = f"portrait.{key}"
    path = package.file(field, name, suffixes=suffixes, most_bytes=MOST_PICTURE_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(path, formats=formats)
            if not LEAST_SIDE <= min(picture.size) <= max(picture.size) <= MOST_SIDE:
                raise ValueError(
                    f"it is {picture.width}x{picture.height} pixels, {LEAST_SIDE} to {MOST_SIDE} are allowed"
                )
            picture.load()
            return picture
    except Exception as error:  # decoders raise whatever a broken file makes them
        what = f"{name} cannot be read: {str(error)[:160]}"
        raise package.refuse(field, what, "make the package again from its photo") from None


def sound(points: NDArray[np.float32], size: tuple[int, int]) -> bool:
    """Whether points can be those of a face in a picture of that size: finite, near it, and the right way up."""
    if not np.isfinite(points).all() or (np.abs(points) > 2 * max(size)).any():
        return False
    left, right = (points[list(pair), :2].mean(0) for pair in EYE_CORNERS)
    wide = float(np.linalg.norm(right - left))
    tall = float(np.linalg.norm(points[152, :2] - points[10, :2]))
    lids = min(float(np.linalg.norm(points[a, :2] - points[b, :2])) for a, b in EYE_CORNERS)
    iris = min(float(np.linalg.norm(points[k] - points[k + 1])) for k in (POINTS, POINTS + 5))
    return right[0] - left[0] > 8 and wide > 8 and tall > wide and lids > 4 and iris > 0.5


def facts(package: Package) -> Mapping[str, str]:
    """What a check shows."""
    portrait = open_portrait(package)
    left, right = (portrait.mesh[list(pair), :2].mean(0) for pair in EYE_CORNERS)
    apart = float(np.linalg.norm(right - left))
    return {
        "picture": f"{portrait.picture.width}x{portrait.picture.height}",
        "eyes apart": f"{apart:.0f} pixels (85 are drawn at 854x480, 190 at 1920x1080)",
        "background": "can be replaced" if portrait.matte else "that of the photo: there is no matte",
    }
