"""A film for tests: a moving test card and a tone, made by ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path


def film_of(path: Path, *, seconds: int) -> Path:
    """Writes 320x240 at 25 fps (H.264) with 440 Hz (AAC) to `path` and returns it."""
    inputs = (f"testsrc2=size=320x240:rate=25:duration={seconds}", f"sine=440:duration={seconds}")
    sources = [part for name in inputs for part in ("-f", "lavfi", "-i", name)]
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run(["ffmpeg", "-v", "error", *sources, *codecs, str(path)], check=True)
    return path
