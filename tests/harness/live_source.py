"""A live source without a network: synthetic pictures and sound, encoded by x264 and Opus, handed out as access units.

Each picture carries its capture time in its top rows: 32 squares for the bits of the wall clock in milliseconds (white is 1), and
below them the same bits inverted, so that a reader knows whether it read well. `read_clock` reads them back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

SQUARE = 16
BITS = 32


@dataclass(frozen=True, slots=True)
class Unit:
    """An access unit as the tap gives it."""

    kind: str
    time: int
    clock_rate: int
    ntp_ms: float
    key_frame: bool
    data: bytes
    codec: str = "h264"
    layer: int = 0
    lost_before: bool = False


def write_clock(luma: NDArray[np.uint8], value: int) -> None:
    """Writes `value` (32 bits) into the top rows of a luma plane at least 512 wide."""
    for bit in range(BITS):
        white = value >> (BITS - 1 - bit) & 1
        left = bit * SQUARE
        luma[:SQUARE, left : left + SQUARE] = 235 if white else 16
        luma[SQUARE : 2 * SQUARE, left : left + SQUARE] = 16 if white else 235


def read_clock(luma: NDArray[np.uint8]) -> int | None:
    """The capture time (ms, modulo 2^32) of a picture's luma plane, None when the squares cannot be read."""
    value = 0
    for bit in range(BITS):
        left = bit * SQUARE
        square = luma[4 : SQUARE - 4, left + 4 : left + SQUARE - 4]
        inverse = luma[SQUARE + 4 : 2 * SQUARE - 4, left + 4 : left + SQUARE - 4]
        difference = float(square.mean()) - float(inverse.mean())
        if abs(difference) < 60:
            return None
        value = value << 1 | (difference > 0)
    return value


class LiveSource:
    """Pictures every 1/`fps` s and Opus packets every 20 ms from `start_ms` on (Unix). The encoder makes key frames when asked
    (`ask_key_frame`), and every `gop` pictures if that is given. `sound_later_ms`: what sound takes longer than pictures to come."""

    def __init__(
        self,
        start_ms: float,
        *,
        width: int = 640,
        height: int = 360,
        fps: int = 25,
        bitrate_bps: int = 800_000,
        gop: int | None = None,
        video: bool = True,
        audio: bool = True,
        sound_later_ms: float = 0,
        seed: int = 1,
    ) -> None:
        self.start_ms = start_ms
        self.fps = fps
        self.size = (width, height)
        self.video, self.audio = video, audio
        self.sound_later_ms = sound_later_ms
        self._pictures = self._packets = 0
        self._gop = gop
        self._key_wanted = True
        self._noise = np.random.default_rng(seed).integers(0, 24, (height, width), dtype=np.uint8)
        # Random starting points, as RTP has them.
        self._first_video, self._first_audio = 1_234_567, 7_654_321
        self._x264 = self._open_x264(bitrate_bps) if video else None
        self._opus = self._open_opus() if audio else None

    def _open_x264(self, bitrate_bps: int) -> VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = self.size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, 90_000)
        context.framerate = Fraction(self.fps)
        context.bit_rate = bitrate_bps
        context.gop_size = 100_000
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "x264-params": "scenecut=0:repeat-headers=1:annexb=1:threads=1",
        }
        return context

    def _open_opus(self) -> AudioCodecContext:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = 48_000
        context.format = av.AudioFormat("s16")
        context.layout = av.AudioLayout("stereo")
        context.bit_rate = 64_000
        context.options = {"application": "lowdelay"}
        context.open()
        return context

    def ask_key_frame(self) -> None:
        """The next picture is a key frame."""
        self._key_wanted = True

    @property
    def next_ms(self) -> float:
        """When the next unit comes."""
        return min(self._next_picture_ms, self._next_packet_ms)

    @property
    def _next_picture_ms(self) -> float:
        return self.start_ms + self._pictures * 1000 / self.fps if self.video else math.inf

    @property
    def _next_packet_ms(self) -> float:
        return self.start_ms + self._packets * 20 + self.sound_later_ms if self.audio else math.inf

    def skip(self, duration_ms: float) -> None:
        """The source stands still for that long: nothing comes, its clock goes on."""
        self._pictures += round(duration_ms * self.fps / 1000)
        self._packets += round(duration_ms / 20)

    def until(self, now_ms: float) -> Iterator[Unit]:
        """The units that come up to `now_ms`, in order."""
        while self.next_ms <= now_ms:
            if self._next_picture_ms <= self._next_packet_ms:
                yield self._picture(self._next_picture_ms)
            else:
                yield self._packet(self.start_ms + self._packets * 20)

    def _picture(self, at_ms: float) -> Unit:
        assert self._x264
        width, height = self.size
        planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
        ramp = (np.arange(width, dtype=np.uint16) * 255 // width + 5 * self._pictures % 200) % 200
        planes[:height] = ramp.astype(np.uint8)[None, :] + self._noise
        write_clock(planes, round(at_ms) & 0xFFFFFFFF)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._pictures * 90_000 // self.fps
        frame.time_base = Fraction(1, 90_000)
        if self._gop and self._pictures % self._gop == 0:
            self._key_wanted = True
        if self._key_wanted:
            frame.pict_type = av.video.frame.PictureType.I
        self._key_wanted = False
        packets = self._x264.encode(frame)
        assert len(packets) == 1, "x264 with zerolatency gives a packet for each picture"
        self._pictures += 1
        time = self._first_video + frame.pts
        return Unit("video", time, 90_000, at_ms, bool(packets[0].is_keyframe), bytes(packets[0]))

    def _packet(self, at_ms: float) -> Unit:
        assert self._opus
        n = self._packets * 960 + np.arange(960)
        # A beep of 100 ms at each full second of the source, over a quiet hum.
        beep = 0.4 * np.sin(2 * np.pi * 1000 * n / 48_000) * ((n % 48_000) < 4_800)
        pcm = ((0.05 * np.sin(2 * np.pi * 220 * n / 48_000) + beep) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(pcm, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 48_000
        frame.pts = self._packets * 960
        packets = self._opus.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        time = self._first_audio + self._packets * 960
        self._packets += 1
        return Unit("audio", time, 48_000, at_ms, True, data, codec="opus")
