"""Pictures of a recording: a poster, and a storyboard for the time line of players: sheets of small pictures, and a WebVTT file that says
which part of which sheet belongs to which time (the media fragment `#xywh=`, https://www.w3.org/TR/media-frags/).

Each picture is the key frame with which a segment begins; nothing else is decoded, one segment in memory at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from common.log import log
from common.store.store import NotStored
from hls.grid import VIDEO_RATE
from hls.store.film import Piece, Read
from hls.webvtt import timestamp

_log = log("hls.store")

POSTER: Final = "poster.jpg"
STORYBOARD: Final = "storyboard.vtt"
MOST_TILES: Final = 300
_EVERY_S: Final = (2, 5, 10, 15, 20, 30, 60, 120, 300)
_ACROSS: Final = 10
_DOWN: Final = 10
_TILE_PIXELS: Final = 160
"""The longer side of a tile."""
_POSTER_PIXELS: Final = 1280
_QUALITY: Final = "5"
"""mjpeg's quantiser, 2 (best) to 31."""
_BT601_LIMITED: Final = {"dst_colorspace": 5, "dst_color_range": 2}

Rgb = NDArray[np.uint8]
"""(height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A segment of the recording's pictures: from `start_s` to `end_s` of its time line; without a `piece` it is a gap."""

    start_s: float
    end_s: float
    piece: Piece | None


@dataclass(frozen=True, slots=True)
class Tile:
    """What a player shows for `start_s` to `end_s`."""

    start_s: float
    end_s: float
    piece: Piece


def tiles_of(scenes: Sequence[Scene]) -> list[Tile]:
    """One tile every so often, at most MOST_TILES: the picture that is seen at its beginning, in a gap the one before it (after it, at the
    very first)."""
    shown = [scene for scene in scenes if scene.piece]
    if not shown:
        return []
    length = scenes[-1].end_s
    every = next((step for step in _EVERY_S if length / step <= MOST_TILES), length / MOST_TILES)
    found: list[Tile] = []
    at = 0
    for number in range(min(MOST_TILES, math.ceil(length / every))):
        start = number * every
        while at + 1 < len(shown) and shown[at + 1].start_s <= start:
            at += 1
        piece = shown[at].piece
        assert piece is not None, "only scenes with pictures are left"
        found.append(Tile(start, min(start + every, length), piece))
    return found


class Gallery:
    """The pictures of `tiles`. `poster` makes them all, in the thread that calls; then `rest` has the storyboard."""

    def __init__(self, tiles: Sequence[Tile], read: Read) -> None:
        self._tiles = list(tiles)
        self._read = read
        self.rest: dict[str, bytes] = {}
        """File name -> bytes; empty until `poster` has been made."""

    def poster(self) -> Iterator[bytes]:
        """The poster as JPEG. Raises StoreError when the store does not answer; ValueError when none of the pictures can be decoded."""
        small: list[Rgb | None] = []
        before: tuple[Piece, Rgb | None] | None = None
        for tile in self._tiles:
            if before is None or before[0] != tile.piece:
                before = tile.piece, self._small(tile.piece)
            small.append(before[1])
        decoded = [one for one in small if one is not None]
        if not decoded:
            raise ValueError("no picture of the recording can be decoded")
        self.rest = self._storyboard(small, decoded[0])
        best = _telling(small)
        yield _jpeg(self._picture(self._tiles[best].piece, _POSTER_PIXELS))

    def _small(self, piece: Piece) -> Rgb | None:
        try:
            return self._picture(piece, _TILE_PIXELS)
        except (NotStored, ValueError, av.FFmpegError) as error:
            _log.warning("storyboard_without_a_picture", file=piece.file, reason=repr(error))
            return None

    def _picture(self, piece: Piece, pixels: int) -> Rgb:
        """The first picture of a segment, its longer side at most `pixels`."""
        data = self._read(piece.init) + self._read(piece.file)
        with closing(av.open(io.BytesIO(data), "r", format="mp4")) as container:
            frame = next(container.decode(video=0), None)
            if frame is None:
                raise ValueError("no picture in the segment")
            scale = min(1.0, pixels / max(frame.width, frame.height))
            width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
            return np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)

    def _storyboard(self, small: Sequence[Rgb | None], first: Rgb) -> dict[str, bytes]:
        height, width = first.shape[:2]
        lines, made = ["WEBVTT\n"], {}
        last = first
        for sheet in range(0, len(small), _ACROSS * _DOWN):
            name = f"storyboard-{sheet // (_ACROSS * _DOWN)}.jpg"
            these = small[sheet : sheet + _ACROSS * _DOWN]
            down = -(-len(these) // _ACROSS)
            canvas = np.zeros((down * height, min(len(these), _ACROSS) * width, 3), np.uint8)
            for index, picture in enumerate(these):
                last = last if picture is None else picture
                x, y = index % _ACROSS * width, index // _ACROSS * height
                _put(canvas[y : y + height, x : x + width], last)
                tile = self._tiles[sheet + index]
                times = " --> ".join(timestamp(round(s * VIDEO_RATE)) for s in (tile.start_s, tile.end_s))
                lines.append(f"{times}\n{name}#xywh={x},{y},{width},{height}\n")
            made[name] = _jpeg(canvas)
        return {**made, STORYBOARD: "\n".join(lines).encode()}


def _put(place: Rgb, picture: Rgb) -> None:
    """Lays a picture into the middle of a place; one of another shape (the source has changed it) keeps its own."""
    height, width = (min(a, b) for a, b in zip(place.shape[:2], picture.shape[:2], strict=True))
    y, x = (place.shape[0] - height) // 2, (place.shape[1] - width) // 2
    v, u = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    place[y : y + height, x : x + width] = picture[v : v + height, u : u + width]


def _telling(small: Sequence[Rgb | None]) -> int:
    """The picture that stands for all: the first after a tenth of the recording that is no fade or black: it has half the contrast of the
    one with most."""
    contrasts: list[float] = [0.0 if one is None else float(one.std()) for one in small]
    begin = len(small) // 10
    order = [*range(begin, len(small)), *range(begin)]
    best: int = next(i for i in order if contrasts[i] >= max(contrasts) / 2 and small[i] is not None)
    return best


def _jpeg(picture: Rgb) -> bytes:
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, VideoCodecContext), "JPEG is a picture"
    height, width = picture.shape[:2]
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.color_range = 2
    context.time_base = Fraction(1, 25)
    context.options = {"qmin": _QUALITY, "qmax": _QUALITY}
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p", **_BT601_LIMITED)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
