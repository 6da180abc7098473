"""From a photo to a portrait: reads a file that may be anything, and says what is wrong with a photo that cannot be used.

Every refusal names what was seen and what to do, as it is read by somebody who has just taken a photo.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from origin.portrait import eyes, lips
from origin.portrait import topology as top
from origin.portrait.landmarks import EYE_CORNERS, Landmarks, Points, faces, locate
from origin.portrait.matte import Progress, matte_of
from origin.portrait.portrait import Portrait

MOST_BYTES: Final = 40 << 20
MOST_PIXELS: Final = 64_000_000
LEAST_SIDE: Final = 160
FORMATS: Final = ("JPEG", "PNG", "WEBP")
WORKING_SIDE: Final = 2560
"""Photos are made smaller than this before anything is looked for."""
LEAST_APART: Final = 36.0
"""Pixels between the eyes: at 854x480 a face is drawn with some 85."""
TALLEST: Final = 900.0
"""Pixels from chin to forehead that are kept; 1080 lines show a face of 500, at twice the density 1,000."""
YAW_MOST, PITCH_MOST, ROLL_MOST = 0.38, 0.42, 0.45
"""Radians (22, 24 and 26 degrees) that a face may look away from the camera."""
MOUTH_MOST: Final = 0.26
EYES_LEAST: Final = 0.13
"""Openings of mouth and eyes, as shares of their width."""
_OTHER_FACE: Final = 0.2
"""A second face of more than this share of the first one's area is a second person, not one far behind."""


class PhotoError(ValueError):
    """The photo cannot be used; the message says why and what to do."""


def portrait_of(path: Path, name: str | None = None, progress: Progress = lambda _share: None) -> Portrait:
    """The portrait that a photo gives; some seconds. Raises PhotoError."""
    picture = read(path)
    return examined(picture, path.name, name or path.stem, progress)


def read(path: Path) -> Image.Image:
    """The photo as RGB, upright as its EXIF says, at most WORKING_SIDE wide and tall. Raises PhotoError."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise PhotoError(
                f"{path.name} has {size >> 20} MB, at most {MOST_BYTES >> 20} are read: save it smaller"
            )
        if not path.is_file():
            raise PhotoError(f"{path} is no file: give a photo, a .jpg, .png or .webp")
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot read {path}: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            _bounded(picture, path.name)
            picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
            picture.load()
            picture = ImageOps.exif_transpose(picture)
    except UnidentifiedImageError:
        raise PhotoError(
            f"{path.name} is no photo that can be read: save it as .jpg, .png or .webp"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PhotoError(_too_large(path.name)) from None
    except PhotoError:
        raise
    except Exception as error:  # decoders raise whatever a broken file makes them
        raise PhotoError(
            f"{path.name} is broken ({str(error)[:120]}): save it again, or take another photo"
        ) from None
    if "A" in picture.getbands() or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", whole.size, (128, 128, 128, 255)), whole)
    picture = picture.convert("RGB")
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    return picture


def _bounded(picture: Image.Image, name: str) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise PhotoError(_too_large(name))
    if min(width, height) < LEAST_SIDE:
        raise PhotoError(
            f"{name} is {width}x{height} pixels, a side needs {LEAST_SIDE} at least: give a larger photo"
        )


def _too_large(name: str) -> str:
    return f"{name} has more than {MOST_PIXELS // 1_000_000} million pixels: save it smaller"


def examined(
    picture: Image.Image, source: str, name: str, progress: Progress = lambda _share: None
) -> Portrait:
    """The portrait in an RGB picture, if its one face can be animated. Raises PhotoError."""
    found = faces(picture)
    if not found:
        raise PhotoError(
            f"no face was found in {source}: give a photo of one person from the front, in good light, "
            "the face at least a fifth of the picture's height"
        )
    area = [face.box[2] * face.box[3] for face in found]
    first = int(np.argmax(area))
    others = sum(a > _OTHER_FACE * area[first] for a in area) - 1
    if others:
        raise PhotoError(f"{source} shows {others + 1} faces: crop it to one person")
    marks = locate(picture, found[first])
    if marks.presence < 0.5:
        raise PhotoError(
            f"the face in {source} is hidden or unclear: give a sharp photo without hands or a mask before it"
        )
    _check_place(marks.mesh, picture.size, source)
    _check_direction(marks.mesh, source)
    _check_expression(marks.mesh, source)
    return _kept(picture, marks, name, progress)


def _check_place(mesh: Points, size: tuple[int, int], source: str) -> None:
    apart = float(np.linalg.norm(np.subtract(*(mesh[list(pair), :2].mean(0) for pair in EYE_CORNERS))))
    if apart < LEAST_APART:
        raise PhotoError(
            f"the face in {source} is too small ({apart:.0f} pixels between the eyes, {LEAST_APART:.0f} are needed): "
            "go nearer, or give the photo in its full size"
        )
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    if (low < -0.02 * apart).any() or (high > np.array(size) + 0.02 * apart).any():
        raise PhotoError(
            f"the face in {source} is cut off by the edge: give a photo that shows all of the head"
        )


def _check_direction(mesh: Points, source: str) -> None:
    across, down = mesh[454] - mesh[234], mesh[top.CHIN] - mesh[top.FOREHEAD]
    yaw = float(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pitch = float(np.arctan2(down[2], np.hypot(down[0], down[1])))
    roll = float(np.arctan2(across[1], across[0]))
    for angle, most, what, remedy in (
        (yaw, YAW_MOST, "turned to the side", "look into the camera"),
        (pitch, PITCH_MOST, "turned up or down", "hold the camera at the height of the eyes"),
        (roll, ROLL_MOST, "tilted", "hold the head or the camera upright"),
    ):
        if abs(angle) > most:
            raise PhotoError(
                f"the face in {source} is {what} by {np.degrees(abs(angle)):.0f} degrees, at most "
                f"{np.degrees(most):.0f} can be animated: {remedy}"
            )


def _check_expression(mesh: Points, source: str) -> None:
    if lips.open_share(mesh) > MOUTH_MOST:
        raise PhotoError(
            f"the mouth in {source} is wide open: give a photo with the lips closed, or with a smile at most"
        )
    if min(eyes.open_share(mesh, side) for side in (0, 1)) < EYES_LEAST:
        raise PhotoError(f"an eye in {source} is closed: give a photo with both eyes open")


def _kept(picture: Image.Image, marks: Landmarks, name: str, progress: Progress) -> Portrait:
    """The part of the photo that pictures of any size show, no larger than they need; the lips' edges made exact."""
    mesh = lips.refined(picture, marks.mesh)
    tall = float(np.linalg.norm(mesh[top.CHIN, :2] - mesh[top.FOREHEAD, :2]))
    middle = mesh[:, :2].mean(0)
    reach = np.array([3.0, 2.6]) * tall
    x0, y0 = np.maximum(np.floor(middle - reach), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(middle + reach), picture.size).astype(int).tolist()
    scale = min(1.0, TALLEST / tall)
    part = picture.crop((x0, y0, x1, y1))
    if scale < 1.0:
        part = part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.LANCZOS)
    steps = np.array([part.width / (x1 - x0), part.height / (y1 - y0)])
    points = np.column_stack([(mesh[:, :2] - [x0, y0]) * steps, mesh[:, 2] * scale]).astype(np.float32)
    irises = ((marks.irises - [x0, y0]) * steps).astype(np.float32)
    cover = matte_of(part, points, progress)
    return Portrait(name, part, points, irises, None if cover is None else Image.fromarray(cover))
