"""Writes a package of the contract `units`: the loop as a film, the boxes, the net, the sheet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from origin.clock import FRAME_RATE
from origin.packages.package import digest

FILM: Final = "person.mp4"
NET: Final = "mouth.onnx"
BOXES: Final = "boxes.csv"

_SHEET: Final = """\
format = 1
kind = "patch"
name = "{name}"
license = "Apache-2.0"
credit = "The avacast project: pictures of its own renderer, a net trained on them"
about = "{about}"
contract = "units"

[model]
file = "{net}"
sha256 = "{sha256}"

[person]
frames = "{film}"
boxes = "{boxes}"
"""


def film(pictures: NDArray[np.uint8], path: Path, crf: int = 17) -> None:
    """Writes pictures (n, h, w, 3) RGB as H.264."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FRAME_RATE, options={"crf": str(crf), "preset": "slow"})
        assert isinstance(stream, VideoStream), "libx264 makes video"
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, FRAME_RATE)
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def begin(folder: Path, pictures: NDArray[np.uint8], boxes: NDArray[np.int32]) -> None:
    """The person: film and boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    film(pictures, folder / FILM)
    rows = "".join(f"{x},{y},{w},{h}\n" for x, y, w, h in boxes.tolist())
    (folder / BOXES).write_text(f"# x, y, width, height of the mouth, a row a frame\n{rows}")


def complete(folder: Path, net: bytes, name: str, about: str) -> None:
    """The net, and the sheet that makes a package of it."""
    (folder / NET).write_bytes(net)
    sheet = _SHEET.format(
        name=name, about=about, net=NET, film=FILM, boxes=BOXES, sha256=digest(folder / NET)
    )
    (folder / "avatar.toml").write_text(sheet)


def crops(folder: Path, boxes: NDArray[np.int32]) -> NDArray[np.uint8]:
    """What the net will see: the boxes of the film as it was written, RGB."""
    with av.open(str(folder / FILM)) as stored:
        pictures = [frame.to_ndarray(format="rgb24") for frame in stored.decode(video=0)]
    return np.stack(
        [
            np.asarray(picture[y : y + h, x : x + w], np.uint8)
            for picture, (x, y, w, h) in zip(pictures, boxes.tolist(), strict=True)
        ]
    )
