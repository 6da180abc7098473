"""H.264 access units: what goes into samples, what is read from parameter sets."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from hls import h264

START = b"\0\0\0\1"


def encoded(width: int, height: int, profile: str, pix_fmt: str = "yuv420p") -> bytes:
    """The first access unit of x264, Annex-B with parameter sets."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.time_base = Fraction(1, 25)
    context.options = {"tune": "zerolatency", "profile": profile, "x264-params": "annexb=1:repeat-headers=1"}
    packets = context.encode(av.VideoFrame(width, height, pix_fmt))
    return bytes(packets[0])


@pytest.mark.parametrize(
    ("width", "height", "profile", "pix_fmt", "codec"),
    [
        (854, 480, "baseline", "yuv420p", "avc1.42c0"),
        (640, 360, "main", "yuv420p", "avc1.4d"),
        (1920, 1080, "high", "yuv420p", "avc1.64"),
        (322, 182, "high444", "yuv444p", "avc1.f4"),
    ],
)
def test_size_and_codec_are_read_from_the_parameter_sets(
    width: int, height: int, profile: str, pix_fmt: str, codec: str
) -> None:
    picture = h264.picture(encoded(width, height, profile, pix_fmt))
    assert picture is not None and picture.sps is not None and picture.pps is not None
    sets = h264.parameter_sets(picture.sps, picture.pps)
    assert (sets.width, sets.height) == (width, height)
    assert sets.codec.startswith(codec)
    assert bool(sets.avcc_extension) == (profile in ("high", "high444"))


def test_samples_hold_lengths_and_no_parameter_sets_delimiters_or_filler() -> None:
    unit = (
        START + b"\x09\xf0" + START + b"\x67\x42\xc0\x1e" + START + b"\x68\xce" + START + b"\x06\x05\x01\x80"
        b"\0\0\1\x65\x88\x80" + START + b"\x65\x11\0\0" + START + b"\x0c\xff\x80"
    )
    picture = h264.picture(unit)
    assert picture == h264.Picture(
        b"\0\0\0\3\x65\x88\x80\0\0\0\2\x65\x11", True, b"\x67\x42\xc0\x1e", b"\x68\xce"
    )


def test_a_unit_without_a_picture_is_no_sample() -> None:
    assert h264.picture(START + b"\x67\x42\xc0\x1e") is None


def test_garbage_is_named_as_such() -> None:
    with pytest.raises(h264.BadBitstream, match="start code"):
        h264.picture(b"garbage")
    with pytest.raises(h264.BadBitstream, match="NAL units"):
        h264.picture(b"\0\0\1\x41\x80" * 2000)
    with pytest.raises(h264.BadBitstream):
        h264.parameter_sets(b"\x67\x42", b"\x68")
    with pytest.raises(h264.BadBitstream):
        h264.parameter_sets(b"\x67\x64\x00\x1f" + bytes(20), b"\x68")


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for read in (lambda: h264.picture(START + data), lambda: h264.parameter_sets(b"\x67" + data, b"\x68")):
        with contextlib.suppress(h264.BadBitstream):
            read()
