"""Reference pictures of the renderer: `PYTHONPATH=. python tests/harness/golden.py` draws them anew (look at them before you commit)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.articulation import SHAPES
from origin.avatar.fullpicture import to_rgb
from origin.avatar.person import load
from origin.avatar.pose import Pose
from origin.avatar.renderer import Renderer, Tier
from origin.avatar.sheet import EXPRESSIONS

FOLDER = Path(__file__).parents[1] / "data" / "golden"
POSES = {
    "smile": EXPRESSIONS["smile"],
    "turn": EXPRESSIONS["turn left"],
    "aa": Pose(SHAPES["aa"], (0.0, 0.04, -0.03), (0.05, 0.0), 0.6),
}
SEEN: tuple[tuple[str, Tier, int, int], ...] = (
    ("ava", "light", 854, 480),
    ("ben", "full", 320, 180),
    ("luma", "full", 180, 320),
)


def pictures(person: str, tier: Tier, width: int, height: int) -> dict[str, NDArray[np.uint8]]:
    """Each pose as RGB, the large ones at half size."""
    renderer = Renderer(load(person), width, height, tier)
    out = {}
    for name, pose in POSES.items():
        renderer.cut()
        rgb = to_rgb(renderer.render(pose))
        if width > 400:
            h, w = height // 2 * 2, width // 2 * 2
            rgb = rgb[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean((1, 3)).round().astype(np.uint8)
        out[f"{person}-{tier}-{name}"] = rgb
    return out


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal to noise, dB; 99 when they are alike."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seen in SEEN:
        for name, rgb in pictures(*seen).items():
            Image.fromarray(rgb).save(FOLDER / f"{name}.webp", lossless=True, method=6)
            print(name, (FOLDER / f"{name}.webp").stat().st_size)
