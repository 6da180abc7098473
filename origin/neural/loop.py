"""The pictures of a person that a package brings: read once, bounded, fitted to the size of the stream, shown to and fro.

Films are decoded by FFmpeg from containers that are named here, pictures by Pillow; both are looked at before anything is decoded.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.renderer import Box
from origin.packages.package import Package

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

FILMS: Final = (".mp4", ".mkv", ".webm", ".mov")
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
MOST_SIDE: Final = 2048
MOST_FRAMES: Final = 1500
"""A minute."""
MOST_MEMORY: Final = 1 << 30
_FORMATS: Final = {".mp4": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska"}


@dataclass(frozen=True, slots=True)
class Loop:
    """n frames at the size of the stream: I420 (n, height * 3 // 2, width), boxes of the face (even), and `crops` (n, s, s, 3) RGB: what
    is in them, at the net's size.
    """

    width: int
    height: int
    frames: Bytes
    boxes: tuple[Box, ...]
    crops: Bytes

    def index(self, frame: int, *, to_and_fro: bool = True) -> int:
        """The frame of the loop that is shown at a frame of the stream."""
        count = len(self.boxes)
        if not to_and_fro or count < 2:
            return frame % count
        at = frame % (2 * count - 2)
        return min(at, 2 * count - 2 - at)


def read(
    package: Package,
    *,
    frames: str,
    boxes: str,
    size: tuple[int, int] | None,
    side: int,
    margin: int = 0,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> Loop:
    """Reads the loop for streams of `size` (None: its own), with crops of `side` that leave out `margin` pixels on each side.

    Raises PackageError.
    """
    width, height = size or (0, 0)
    places = _boxes(package, boxes)
    found: list[Bytes] = []
    crops: list[Bytes] = []
    shown: list[Box] = []
    for picture in _pictures(package, frames):
        number = len(found)
        if not width:
            width, height = picture.width // 2 * 2, picture.height // 2 * 2
        if len(places) > 1 and number >= len(places):
            raise package.refuse(
                "person.boxes",
                f"{boxes} has {len(places)} rows and there are more frames",
                "one row for each",
            )
        if (number + 1) * width * height * 3 // 2 > MOST_MEMORY or number >= MOST_FRAMES:
            raise package.refuse(
                "person.frames",
                f"more than {number} frames do not fit at {width}x{height}",
                "make the loop shorter",
            )
        box, crop = _fitted(
            package, picture, places[min(number, len(places) - 1)], (width, height), side + 2 * margin
        )
        found.append(_framed(picture, width, height))
        crops.append(crop[margin : margin + side, margin : margin + side])
        shown.append(box)
        progress("Reading the person", min(0.99, number / max(len(places), 50)))
    if not found:
        raise package.refuse("person.frames", f"{frames} holds no picture")
    if len(places) > 1 and len(places) != len(found):
        raise package.refuse(
            "person.boxes",
            f"{boxes} has {len(places)} rows for {len(found)} frames",
            "one row for each, or a single one",
        )
    return Loop(width, height, np.stack(found), tuple(shown), np.stack(crops))


def _pictures(package: Package, name: str) -> Iterator[Image.Image]:
    """The frames in their order, RGB."""
    folder = package.folder / name
    if folder.is_dir() and not folder.is_symlink() and "/" not in name and not name.startswith("."):
        files = sorted(one.name for one in folder.iterdir() if one.suffix.lower() in PICTURES)
        for file in files:
            yield still(package, "person.frames", f"{name}/{file}")
        return
    path = package.file("person.frames", name, suffixes=(*FILMS, *PICTURES), most_bytes=512 << 20)
    if path.suffix.lower() in PICTURES:
        yield still(package, "person.frames", name)
        return
    yield from _film(package, path)


def still(package: Package, where: str, name: str, mode: str = "RGB") -> Image.Image:
    """A picture file of the package. Raises PackageError."""
    path = package.file(where, name, suffixes=PICTURES, most_bytes=64 << 20)
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            _check_size(package, where, name, *picture.size)
            return picture.convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise package.refuse(
            where, f"{name} is no picture ({error})"[:200], "save it as PNG or JPEG"
        ) from None


def _film(package: Package, path: Path) -> Iterator[Image.Image]:
    try:
        with av.open(
            str(path), format=_FORMATS[path.suffix.lower()], options={"protocol_whitelist": "file"}
        ) as film:
            if not film.streams.video:
                raise package.refuse("person.frames", f"{path.name} has no pictures")
            stream = film.streams.video[0]
            _check_size(package, "person.frames", path.name, stream.width, stream.height)
            for frame in film.decode(stream):
                _check_size(package, "person.frames", path.name, frame.width, frame.height)
                yield Image.fromarray(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, OSError) as error:
        raise package.refuse(
            "person.frames", f"{path.name} is no film ({error})"[:200], "save it as H.264 in MP4"
        ) from None


def _check_size(package: Package, where: str, name: str, width: int, height: int) -> None:
    if not (16 <= width <= MOST_SIDE and 16 <= height <= MOST_SIDE):
        raise package.refuse(where, f"{name} is {width}x{height}; sides are 16 to {MOST_SIDE}", "scale it")


def _boxes(package: Package, name: str) -> list[tuple[float, float, float, float]]:
    """Rows of x, y, width, height in pixels of the frames."""
    path = package.file("person.boxes", name, suffixes=(".csv",), most_bytes=1 << 20)
    rows: list[tuple[float, float, float, float]] = []
    try:
        for row in csv.reader(io.StringIO(path.read_text("utf-8"))):
            if row and not row[0].strip().startswith("#"):
                x, y, width, height = (float(value) for value in row)
                if not all(math.isfinite(v) and abs(v) <= MOST_SIDE for v in (x, y, width, height)):
                    raise ValueError("a number is out of range")
                if width < 8 or height < 8:
                    raise ValueError(f"a box is {width:g}x{height:g}")
                rows.append((x, y, width, height))
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise package.refuse(
            "person.boxes",
            f"row {len(rows) + 1} of {name} is no box ({error})"[:200],
            "write x,y,width,height in pixels, a row a frame",
        ) from None
    if not 0 < len(rows) <= MOST_FRAMES:
        raise package.refuse("person.boxes", f"{name} has {len(rows)} boxes; 1 to {MOST_FRAMES} are allowed")
    return rows


def _scale(picture: Image.Image, size: tuple[int, int]) -> tuple[float, float, float]:
    """How a frame covers the stream: scale, and what is cut off at the left and the top, in pixels of the stream."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    return scale, (picture.width * scale - size[0]) / 2, (picture.height * scale - size[1]) / 2


def _framed(picture: Image.Image, width: int, height: int) -> Bytes:
    """The frame at the stream's size, its middle if the shape is another: I420."""
    scale, left, top = _scale(picture, (width, height))
    if picture.size != (width, height):
        box = (left / scale, top / scale, (left + width) / scale, (top + height) / scale)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC, box)
    return to_i420(np.asarray(picture), width, height)


def _fitted(
    package: Package,
    picture: Image.Image,
    place: tuple[float, float, float, float],
    size: tuple[int, int],
    side: int,
) -> tuple[Box, Bytes]:
    """The box in the stream, on even pixels, and just what is in it, `side` x `side`."""
    scale, left, top = _scale(picture, size)
    x, y, width, height = place
    x0, y0 = (round((v * scale - cut) / 2) * 2 for v, cut in ((x, left), (y, top)))
    w, h = (max(8, round(v * scale / 2) * 2) for v in (width, height))
    if x0 < 0 or y0 < 0 or x0 + w > size[0] or y0 + h > size[1]:
        raise package.refuse(
            "person.boxes",
            f"the box {x:g},{y:g},{width:g},{height:g} is not within the picture of {size[0]}x{size[1]}",
            "use frames of the stream's shape, with the face in the middle",
        )
    source = ((x0 + left) / scale, (y0 + top) / scale, (x0 + w + left) / scale, (y0 + h + top) / scale)
    inside = (
        max(source[0], 0.0),
        max(source[1], 0.0),
        min(source[2], picture.width),
        min(source[3], picture.height),
    )
    exact = all(v == int(v) for v in inside) and inside[2] - inside[0] == side == inside[3] - inside[1]
    if exact:
        crop = picture.crop(inside)
    else:
        crop = picture.resize((side, side), Image.Resampling.BICUBIC, inside)
    return Box(x0, y0, w, h), np.asarray(crop)


def to_i420(rgb: Bytes, width: int, height: int) -> Bytes:
    """RGB (h, w, 3) as I420 of another size (BT.601, limited range)."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return np.asarray(
        frame.reformat(width, height, "yuv420p", interpolation="BICUBIC").to_ndarray(), np.uint8
    )


def scaled(mask: Floats, width: int, height: int) -> Floats:
    """A mask at another size."""
    picture = Image.fromarray(np.ascontiguousarray(mask, np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32).clip(0, 1)
