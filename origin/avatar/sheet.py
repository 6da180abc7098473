"""`python -m origin.avatar.sheet --out DIR [--name ava]`: contact sheets of one person and of all, and the two tiers side by side."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from origin.avatar.articulation import REST, SHAPES
from origin.avatar.faceunits import weights
from origin.avatar.full import FullTier
from origin.avatar.fullpicture import to_i420, to_rgb
from origin.avatar.person import load, shipped
from origin.avatar.pose import Pose
from origin.avatar.renderer import Box, Renderer

WIDTH, HEIGHT = 854, 480

EXPRESSIONS: Mapping[str, Pose] = {
    "neutral": Pose(REST),
    "smile": Pose(
        weights(
            mouthSmile=0.7,
            cheekSquint=0.5,
            eyeSquint=0.25,
            mouthUpperUp=0.4,
            jawOpen=0.08,
            mouthLowerDown=0.2,
        ),
        (0.05, 0.0, 0.03),
    ),
    "soft smile": Pose(weights(mouthSmile=0.42, cheekSquint=0.25, eyeSquint=0.15), (-0.04, 0.0, -0.02)),
    "surprise": Pose(weights(browInnerUp=0.8, browOuterUp=0.8, eyeWide=0.6, jawOpen=0.22), (0.0, -0.03, 0.0)),
    "doubt": Pose(weights(browDown=0.6, mouthPress=0.4, eyeSquint=0.3, mouthFrown=0.3), (0.06, 0.03, 0.04)),
    "blink": Pose(weights(eyeBlink=1.0, mouthSmile=0.1)),
    "listening": Pose(weights(mouthSmile=0.2, browInnerUp=0.2), (-0.03, 0.03, 0.05)),
    "thinking": Pose(
        weights(browDown=0.2, eyeLookUp=0.35, mouthPress=0.2), (0.10, -0.04, -0.03), (0.20, 0.16)
    ),
    "turn left": Pose(weights(mouthSmile=0.2), (-0.32, 0.0, 0.02)),
    "turn right": Pose(weights(mouthSmile=0.2), (0.32, 0.02, -0.02)),
}


def crop(rgb: NDArray[np.uint8], box: Box) -> Image.Image:
    return Image.fromarray(rgb[box.y : box.y + box.height, box.x : box.x + box.width])


def grid(tiles: Iterable[tuple[str, Image.Image]], columns: int, scale: float = 1.0) -> Image.Image:
    """Pictures of one size in rows, each with its name."""
    named = list(tiles)
    width, height = (int(v * scale) for v in named[0][1].size)
    rows = -(-len(named) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), (20, 20, 22))
    for k, (name, tile) in enumerate(named):
        small = tile.resize((width, height), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(small)
        draw.text((7, 5), name, fill=(0, 0, 0))
        draw.text((6, 4), name, fill=(255, 255, 255))
        sheet.paste(small, (k % columns * width, k // columns * height))
    return sheet


def contact_sheet(renderer: Renderer) -> Image.Image:
    """Expressions, then all visemes, by the light tier."""
    poses = dict(EXPRESSIONS) | {name: Pose(shape) for name, shape in SHAPES.items()}
    box = renderer.head_box
    tiles = []
    for name, pose in poses.items():
        renderer.cut()
        tiles.append((name, crop(to_rgb(renderer.render(pose)), box)))
    return grid(tiles, 9, 0.62)


def people_sheet() -> Image.Image:
    """All people who are shipped, in a row each: how they look, how they speak, how they turn."""
    neutral = ("soft smile", "smile", "surprise", "doubt", "blink", "turn left")
    poses = {name: EXPRESSIONS[name] for name in neutral} | {
        name: Pose(SHAPES[name]) for name in ("aa", "O", "E", "FF")
    }
    tiles = []
    for person in shipped():
        renderer = Renderer(load(person), WIDTH, HEIGHT)
        box = renderer.head_box
        middle = box.x + box.width // 2
        frame = Box(middle - 140, 0, 280, 400)
        for name, pose in poses.items():
            renderer.cut()
            tiles.append((f"{person}: {name}", crop(to_rgb(renderer.render(pose)), frame)))
    return grid(tiles, len(poses), 0.62)


def faces(folder: Path) -> None:
    """A small square picture of everybody, for pages on which one is chosen."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in shipped():
        renderer = Renderer(load(person), WIDTH, HEIGHT)
        picture = to_rgb(renderer.render(EXPRESSIONS["soft smile"]))
        box = renderer.head_box
        square = Box(box.x + box.width // 2 - 160, 8, 320, 320)
        crop(picture, square).resize((112, 112), Image.Resampling.LANCZOS).save(
            folder / f"{person}.jpg", quality=82
        )


def comparison(renderer: Renderer, full: FullTier) -> Image.Image:
    """The same poses: light tier above, full tier at 2x2 samples below."""
    names = ("neutral", "smile", "blink", "turn right")
    poses = [EXPRESSIONS[name] for name in names] + [Pose(SHAPES["aa"]), Pose(SHAPES["O"])]
    box, light, whole = renderer.head_box, [], []
    for name, pose in zip((*names, "aa", "O"), poses, strict=True):
        renderer.cut()
        light.append((f"light: {name}", crop(to_rgb(renderer.render(pose)), box)))
        whole.append((f"full: {name}", crop(to_rgb(to_i420(full.picture(pose))), box)))
    return grid(light + whole, len(poses), 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m origin.avatar.sheet", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--name", default="ava")
    parser.add_argument(
        "--faces", type=Path, help="write a small picture of everybody there, and nothing else"
    )
    arguments = parser.parse_args()
    if arguments.faces:
        faces(arguments.faces)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    avatar = load(arguments.name)
    renderer = Renderer(avatar, WIDTH, HEIGHT)
    renderer.warm()
    Image.fromarray(to_rgb(renderer.render(EXPRESSIONS["soft smile"]))).save(
        arguments.out / "avatar.jpg", quality=90
    )
    people_sheet().save(arguments.out / "people.jpg", quality=86)
    contact_sheet(renderer).save(arguments.out / "contact.jpg", quality=86)
    full = FullTier(avatar, WIDTH, HEIGHT, 2)
    comparison(renderer, full).save(arguments.out / "light_vs_full.jpg", quality=88)
    for path in sorted(arguments.out.glob("*.jpg")):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
