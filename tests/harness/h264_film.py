"""H.264 byte streams as encoders make them: profiles, sizes, B-frames. Each picture shows its number (`read_clock` reads it)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from tests.harness.live_source import write_clock

Profile = Literal["baseline", "constrained baseline", "main", "high"]
PROFILE_IDC = {"baseline": 66, "constrained baseline": 66, "main": 77, "high": 100}
FPS = 25


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex-B stream."""
    return [part.rstrip(b"\0") for part in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]]


def encode(
    profile: Profile,
    *,
    first: int = 0,
    count: int = 2 * FPS,
    size: tuple[int, int] = (640, 360),
    b_frames: int = 0,
) -> bytes:
    """Pictures `first` to `first + count - 1` as an Annex-B stream in decoding order, with a key frame each second (FPS pictures) and one
    slice a picture. `size` is even and at least 512 wide."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, FPS)
    context.framerate = Fraction(FPS)
    context.bit_rate = 700_000
    context.options = {
        "preset": "veryfast",
        "profile": profile.rpartition(" ")[2],
        "x264-params": f"bframes={b_frames}:b-adapt=0:b-pyramid=none:keyint={FPS}:min-keyint={FPS}:scenecut=0:rc-lookahead=0"
        ":sync-lookahead=0:repeat-headers=1:annexb=1:threads=1:sliced-threads=0:open-gop=0",
    }
    packets = []
    for number in range(first, first + count):
        frame = av.VideoFrame.from_ndarray(_picture(number, size), format="yuv420p")
        frame.pts = number - first
        packets += context.encode(frame)
    packets += context.encode(None)
    stream = b"".join(bytes(packet) for packet in packets)
    if profile == "baseline":  # x264 says "constrained" (bits 0 and 1), which hardware encoders often do not
        for unit in {unit for unit in nal_units(stream) if unit[0] & 31 == 7}:
            stream = stream.replace(unit, unit[:2] + b"\0" + unit[3:])
    return stream


def _picture(number: int, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    width, height = size
    planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    planes[:height] = ((np.arange(width) * 255 // width + 5 * number) % 200).astype(np.uint8)[None, :]
    write_clock(planes, number)
    return planes
