"""Smaller pictures of a publisher that sends one size only: decoded once, scaled and encoded for each rung. It costs a good part of a
core a broadcast, so it is off unless the configuration names heights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from hls.grid import VIDEO_RATE
from hls.sources import AccessUnit

_BITS_A_PIXEL = 0.1
_USUAL_RATE = 25
_LEAST_BPS = 80_000
_MOST_KEPT = 16
"""Pictures that the decoder may owe."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One picture in one size. As the media core's access units."""

    layer: int
    time: int
    clock_rate: int
    ntp_ms: float
    key_frame: bool
    data: bytes
    lost_before: bool
    kind: str = "video"
    codec: str = "h264"


@dataclass(slots=True)
class _Encoder:
    layer: int
    context: VideoCodecContext
    width: int
    height: int


class Ladder:
    """`heights` of the pictures to be made, in pixels. They become layers 1, 2, ... in that order; those that are no smaller than the
    source's are left out. Key frames are at the same pictures as the source's."""

    def __init__(self, heights: Sequence[int]) -> None:
        self._heights = tuple(heights)
        self._decoder: VideoCodecContext | None = None
        self._source = (0, 0)
        self._encoders: list[_Encoder] = []
        self._owed: dict[int, AccessUnit] = {}
        self._lost = False
        self.broken_units = 0

    def push(self, unit: AccessUnit) -> list[Rung]:
        """Takes the next picture of the source and returns it in every size. Blocks for as long as that takes: some milliseconds.
        What cannot be decoded is counted, and pictures are left out up to the next key frame."""
        if unit.key_frame:
            self._lost = False
        elif unit.lost_before or self._decoder is None:
            self._lost = True
        if self._lost:
            return []
        if self._decoder is None:
            self._decoder = _decoder()
        self._owed[unit.time] = unit
        if len(self._owed) > _MOST_KEPT:
            del self._owed[next(iter(self._owed))]
        packet = av.Packet(bytes(unit.data))
        packet.pts = packet.dts = unit.time
        packet.time_base = Fraction(1, VIDEO_RATE)
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            self.broken_units += 1
            self._lost = True
            self._decoder = None
            return []
        return [rung for frame in frames for rung in self._rungs(frame)]

    def _rungs(self, frame: av.VideoFrame) -> list[Rung]:
        source = self._owed.pop(frame.pts, None) if frame.pts is not None else None
        if source is None:
            return []
        if (frame.width, frame.height) != self._source:
            if not source.key_frame:
                return []
            self._resize(frame.width, frame.height)
        return [rung for encoder in self._encoders for rung in self._encoded(encoder, frame, source)]

    def _resize(self, width: int, height: int) -> None:
        self._source = width, height
        self._encoders = []
        for layer, wanted in enumerate(self._heights, start=1):
            if wanted < height:
                columns = max(2, round(width * wanted / height / 2) * 2)
                self._encoders.append(_Encoder(layer, _encoder(columns, wanted), columns, wanted))

    @staticmethod
    def _encoded(encoder: _Encoder, frame: av.VideoFrame, source: AccessUnit) -> list[Rung]:
        small = frame.reformat(encoder.width, encoder.height, "yuv420p")
        small.pts, small.time_base = source.time, Fraction(1, VIDEO_RATE)
        small.pict_type = PictureType.I if source.key_frame else PictureType.NONE
        return [
            Rung(
                encoder.layer,
                source.time,
                source.clock_rate,
                source.ntp_ms,
                bool(packet.is_keyframe),
                bytes(packet),
                source.lost_before and not source.key_frame,
            )
            for packet in encoder.context.encode(small)
        ]


def _decoder() -> VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)
    # WebRTC has no B frames: each picture comes out as it goes in.
    context.flags |= Flags.low_delay
    context.thread_count = 1
    return context


def _encoder(width: int, height: int) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuv420p"
    context.time_base = Fraction(1, VIDEO_RATE)
    context.framerate = Fraction(_USUAL_RATE)
    context.bit_rate = max(_LEAST_BPS, round(_BITS_A_PIXEL * width * height * _USUAL_RATE))
    context.gop_size = 100_000
    context.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "main",
        "forced-idr": "1",
        "maxrate": str(round(1.2 * context.bit_rate)),
        "bufsize": str(context.bit_rate),
        "x264-params": "scenecut=0:repeat-headers=1:annexb=1:threads=1",
    }
    return context
