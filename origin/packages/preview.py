"""A package shown without a session: moments of invented speech, and a sheet of the mouths that it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from origin.avatar.articulation import SHAPES
from origin.avatar.fullpicture import to_rgb
from origin.avatar.pose import Pose
from origin.clock import FRAME_SAMPLES
from origin.faces import Face, Moment
from speech.voice import Pcm

_SETTLE: Final = 4
"""Frames after which a mouth has come."""
_COLUMNS: Final = 5
_TILE: Final = 300


def syllables(samples: int) -> Pcm:
    """Something like a voice: harmonics that rise and fall, three syllables a second."""
    t = np.arange(samples) / 48_000
    pitch = 2 * np.pi * 140 * t + 3 * np.sin(2 * np.pi * 1.3 * t)
    tone = sum(np.sin(k * pitch) / k for k in range(1, 25))
    return np.asarray(0.12 * tone * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1), np.float32)


def spoken(face: Face, frames: int) -> list[Moment]:
    """Moments of somebody who speaks all the time."""
    before, after = face.reach.before, face.reach.after
    pcm = syllables(frames * FRAME_SAMPLES + before + after) if before + after else np.zeros(0, np.float32)
    shapes = list(SHAPES.values())
    return [
        Moment(
            k,
            Pose(shapes[1 + k // 3 % (len(shapes) - 1)]),
            pcm[k * FRAME_SAMPLES : k * FRAME_SAMPLES + before + after],
        )
        for k in range(frames)
    ]


def sheet(face: Face, out: Path) -> None:
    """Writes a picture of the mouths: each viseme for a face that knows poses, louder and louder for one that hears."""
    size = face.reach.before + face.reach.after
    pictures: list[NDArray[np.uint8]] = []
    frame = 0
    names = list(SHAPES) if not size else [f"{level:.0%}" for level in np.linspace(0, 1, 2 * _COLUMNS)]
    for k, name in enumerate(names):
        face.cut()
        level = 0.0 if not size else k / (len(names) - 1)
        sound = syllables(size) * np.float32(level) if size else np.zeros(0, np.float32)
        for _ in range(_SETTLE):
            picture = face.show(Moment(frame, Pose(SHAPES[name] if not size else SHAPES["sil"]), sound))
            frame += 1
        pictures.append(to_rgb(picture))
    box = _moving(np.stack(pictures))
    tiles = []
    for name, rgb in zip(names, pictures, strict=True):
        tile = Image.fromarray(rgb).crop(box).resize(_fitting(box), Image.Resampling.LANCZOS)
        ImageDraw.Draw(tile).text((6, 4), name, fill=(255, 255, 255))
        tiles.append(tile)
    width, height = tiles[0].size
    whole = Image.new("RGB", (_COLUMNS * width, -(-len(tiles) // _COLUMNS) * height), (20, 20, 22))
    for k, tile in enumerate(tiles):
        whole.paste(tile, (k % _COLUMNS * width, k // _COLUMNS * height))
    whole.save(out)


def _moving(pictures: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Where pictures (n, h, w, 3) differ, and some way round it: left, top, right, bottom."""
    _, height, width, _ = pictures.shape
    change = np.ptp(pictures.max(3), axis=0) > 24
    rows, columns = np.nonzero(change.any(1))[0], np.nonzero(change.any(0))[0]
    if not rows.size:
        return 0, 0, width, height
    half = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) * 0.6 + 8
    y, x = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    left, top = int(max(0, x - half)), int(max(0, y - half))
    return left, top, int(min(width, x + half)), int(min(height, y + half))


def _fitting(box: tuple[int, int, int, int]) -> tuple[int, int]:
    width, height = box[2] - box[0], box[3] - box[1]
    scale = _TILE / max(width, height)
    return round(width * scale), round(height * scale)
