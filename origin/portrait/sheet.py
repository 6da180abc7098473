"""`python -m origin.portrait.sheet [PHOTO] --out DIR`: contact sheets of a portrait, before several backgrounds too, and of portraits
made of pictures of our own people.

For these there is a truth to compare with: the person from whose picture the portrait was made, in the same pose.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.articulation import SHAPES
from origin.avatar.background import Background, Behind, Colour, Matte
from origin.avatar.full import FullTier
from origin.avatar.fullpicture import to_i420, to_rgb
from origin.avatar.person import load
from origin.avatar.pose import Pose
from origin.avatar.renderer import Box
from origin.avatar.sheet import EXPRESSIONS, crop, grid
from origin.portrait.photo import examined, portrait_of
from origin.portrait.portrait import Portrait
from origin.portrait.renderer import PortraitRenderer

PHOTO: Final = Path("tests/data/portrait/astronaut.jpg")
SIZE: Final = (854, 480)
_TURNS: Final = {
    "up": Pose(SHAPES["sil"], (0.0, -0.15, 0.0)),
    "down": Pose(SHAPES["sil"], (0.0, 0.15, 0.0)),
    "tilt": Pose(SHAPES["sil"], (0.05, 0.0, 0.12)),
    "aa, turned": Pose(SHAPES["aa"], (0.15, 0.05, 0.05)),
}
_BEFORE: Final = {
    "rest": Pose(),
    "breathed in": Pose(SHAPES["I"], breath=1.0),
    "aa, left": Pose(SHAPES["aa"], (-0.2, 0.0, 0.08)),
    "right, down": Pose(SHAPES["E"], (0.2, 0.1, -0.05), breath=0.5),
    "tilt": Pose(SHAPES["sil"], (0.0, -0.05, -0.2)),
}
_COMPARED: Final = ("sil", "aa", "O", "E", "FF")
_EXPRESSIONS: Final = ("smile", "blink", "turn left")
_COLUMNS: Final = 8


def whole(portrait: Portrait) -> Image.Image:
    """The photo, expressions, turns and all visemes."""
    renderer = PortraitRenderer(portrait, *SIZE)
    poses = dict(EXPRESSIONS) | _TURNS | {name: Pose(shape) for name, shape in SHAPES.items()}
    box = square(renderer)
    tiles = [("photo", crop(to_rgb(renderer._ready().plate), box))]
    tiles += [(name, crop(to_rgb(renderer.render(pose)), box)) for name, pose in poses.items()]
    return grid(tiles, _COLUMNS, 1800 / _COLUMNS / box.width)


def square(renderer: PortraitRenderer) -> Box:
    """The part of its pictures in which head and neck are."""
    mesh = renderer._ready().mesh
    half = int(min(0.75 * mesh.tall, renderer.height / 2)) // 2 * 2
    x, y = (int(v) - half for v in mesh.middle)
    y = min(max(y, 0), renderer.height - 2 * half)
    return Box(min(max(x, 0), renderer.width - 2 * half), y, 2 * half, 2 * half)


def pictured(name: str) -> Portrait:
    """The portrait of a picture of one of our own people."""
    photo = FullTier(load(name), 1280, 960, 2).picture(Pose())
    return examined(Image.fromarray(to_rgb(to_i420(photo))), name, name)


def compared(name: str) -> Image.Image:
    """A person as drawn, above; the portrait made of one picture of that person, below."""
    tier = FullTier(load(name), *SIZE, 2)
    portrait = pictured(name)
    renderer = PortraitRenderer(portrait, *SIZE)
    box = square(renderer)
    poses = {n: EXPRESSIONS[n] for n in _EXPRESSIONS} | {n: Pose(SHAPES[n]) for n in _COMPARED}
    drawn = Box(SIZE[0] // 2 - 200, 40, 400, 400)
    above = [
        (f"{name}: {n}", crop(to_rgb(to_i420(tier.picture(pose))), drawn).resize((box.width, box.height)))
        for n, pose in poses.items()
    ]
    below = [(f"photo: {n}", crop(to_rgb(renderer.render(pose)), box)) for n, pose in poses.items()]
    return grid(above + below, len(poses), 1800 / len(poses) / box.width)


def backgrounds(portrait: Portrait, name: str) -> Image.Image:
    """Turns, expressions and a breath before the photo's own room, a colour, and nothing (shown as a chequered board)."""
    rows: list[tuple[str, Background]] = [
        ("keep", Behind.SET),
        ("#284f6b", Colour(0x28, 0x4F, 0x6B)),
        ("transparent", Behind.NOTHING),
    ]
    tiles = []
    for label, background in rows:
        renderer = PortraitRenderer(portrait, *SIZE, background=background)
        for pose_name, pose in _BEFORE.items():
            rgb = to_rgb(renderer.render(pose))
            if renderer.matte is not None:
                rgb = _chequered(rgb, renderer.matte)
            tiles.append((f"{name} {label}: {pose_name}", crop(rgb, Box(127, 0, 600, 480))))
    return grid(tiles, len(_BEFORE), 1800 / len(_BEFORE) / 600)


def _chequered(rgb: NDArray[np.uint8], matte: Matte) -> NDArray[np.uint8]:
    """A picture over black before a chequered board."""
    y, x = np.indices(matte.shape) // 12
    board = np.where((x + y) % 2, 190.0, 235.0)[..., None]
    return np.clip(rgb + board * (1 - matte[..., None] / 255.0), 0, 255).astype(np.uint8)


def cost_ms(renderer: PortraitRenderer, frames: int = 100) -> float:
    """CPU milliseconds a frame of somebody who speaks and turns, in this thread."""
    shapes = list(SHAPES.values())
    poses = [Pose(shapes[k % len(shapes)], (0.1 * (k % 7 - 3) / 3, 0.02, 0.01)) for k in range(frames)]
    renderer.warm()
    began_s = time.thread_time()
    for pose in poses:
        renderer.render(pose)
    return (time.thread_time() - began_s) / frames * 1000


def stacked(rows: list[Image.Image]) -> Image.Image:
    """Pictures of one width, one below the other."""
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)))
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m origin.portrait.sheet", description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=PHOTO)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    portrait = portrait_of(arguments.photo)
    renderer = PortraitRenderer(portrait, *SIZE)
    picture = to_rgb(renderer.render(Pose(SHAPES["E"], (-0.08, 0.02, -0.02))))
    Image.fromarray(picture).save(arguments.out / "portrait.jpg", quality=88)
    whole(portrait).save(arguments.out / "portrait_contact.jpg", quality=84)
    before = [backgrounds(portrait, "photo"), backgrounds(pictured("ava"), "ava")]
    stacked(before).save(arguments.out / "portrait_backgrounds.jpg", quality=84)
    stacked([compared(name) for name in ("ava", "ben")]).save(
        arguments.out / "portrait_people.jpg", quality=84
    )
    for size in (SIZE, (1280, 720), (480, 854)):
        print(f"{size[0]}x{size[1]}: {cost_ms(PortraitRenderer(portrait, *size)):.1f} ms a frame")
    for path in sorted(arguments.out.glob("portrait*.jpg")):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
