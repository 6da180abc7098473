"""Pictures to H.264, sound to Opus: the encoders of one live avatar. x264 and libopus through PyAV, which releases the GIL.

Video: Constrained Baseline level 3.1 (profile-level-id 42e01f, what every browser takes), Annex B, parameter sets before
each key frame, one slice, no look-ahead and no B frames: each frame leaves as it comes. A key frame at least every 2 s,
and when one is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from origin.clock import FRAME_RATE, PACKET_SAMPLES
from speech.marks import SAMPLE_RATE
from speech.voice import Pcm

GOP_FRAMES: Final = 2 * FRAME_RATE
SETTLED_PACKETS: Final = SAMPLE_RATE // PACKET_SAMPLES
"""Packets of silence after which they are all the same."""
I420 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """`bitrate_bps` is the most that leaves over half a second; a resting avatar needs half of it (`crf` decides)."""

    width: int = 854
    height: int = 480
    bitrate_bps: int = 1_200_000
    crf: int = 26
    preset: str = "superfast"
    gop_frames: int = GOP_FRAMES

    @classmethod
    def of_size(cls, width: int, height: int) -> VideoSettings:
        """The standard settings at a size: as many bits a pixel. Level 3.1 holds 1280x720, upright too."""
        return cls(width, height, round(cls().bitrate_bps * (width * height / (854 * 480)) ** 0.8))

    def thrifty(self) -> VideoSettings:
        """The same for a machine that is overloaded: about 0.6 of the time a picture, with fewer details and at most 0.7 of the bits."""
        return replace(self, preset="ultrafast", crf=self.crf + 6, bitrate_bps=self.bitrate_bps * 7 // 10)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One access unit in Annex B."""

    frame: int
    data: bytes
    key_frame: bool


def picture_of(picture: I420) -> av.VideoFrame:
    """A copy of the picture as encoders take it: it stays when the renderer draws the next one."""
    return av.VideoFrame.from_ndarray(picture, format="yuv420p")


class VideoEncoder:
    """One H.264 encoder. Not thread-safe; `encode` takes the time of the encoding in the caller's thread."""

    def __init__(self, settings: VideoSettings | None = None) -> None:
        self.settings = settings = settings or VideoSettings()
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext), "libx264 encodes video"
        context.width, context.height = settings.width, settings.height
        context.pix_fmt = "yuv420p"
        context.framerate = Fraction(FRAME_RATE)
        context.time_base = Fraction(1, FRAME_RATE)
        context.thread_count = 1
        context.color_range = 1
        context.options = {
            "preset": settings.preset,
            "tune": "zerolatency",
            "profile": "baseline",
            "level": "3.1",
            "crf": str(settings.crf),
            "maxrate": str(settings.bitrate_bps),
            "bufsize": str(settings.bitrate_bps // 2),
            "forced-idr": "1",
            "x264-params": f"keyint={16 * settings.gop_frames}:min-keyint=1:scenecut=0:repeat-headers=1:annexb=1:"
            "sliced-threads=0:threads=1:colormatrix=smpte170m:colorprim=bt709:transfer=bt709:fullrange=off",
        }
        context.open()
        self._context = context
        self._last_key: int | None = None

    def key_due(self, frame: int) -> bool:
        """Whether frame `frame` will be a key frame, as the first one and the next after a group of pictures."""
        return self._last_key is None or frame - self._last_key >= self.settings.gop_frames

    def encode(self, picture: I420 | av.VideoFrame, frame: int, *, key_frame: bool = False) -> EncodedFrame:
        """`picture` (height * 3 // 2, width, or a `picture_of`) as frame number `frame`. Numbers grow, and may have gaps."""
        due = self.key_due(frame)
        video = picture if isinstance(picture, av.VideoFrame) else picture_of(picture)
        video.pts = frame
        video.time_base = Fraction(1, FRAME_RATE)
        video.pict_type = PictureType.I if key_frame or due else PictureType.NONE
        packets = self._context.encode(video)
        data = b"".join(bytes(p) for p in packets)
        is_key = any(p.is_keyframe for p in packets)
        if is_key:
            self._last_key = frame
        return EncodedFrame(frame, data, is_key)

    def close(self) -> None:
        """Frees the encoder's memory."""
        self._context.encode(None)


class AudioEncoder:
    """One Opus encoder: 20 ms packets, mono at 48 kHz, in-band FEC for browsers behind lossy networks."""

    def __init__(self, bitrate_bps: int = 48_000) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext), "libopus encodes audio"
        context.sample_rate = SAMPLE_RATE
        context.format = "flt"
        context.layout = "mono"
        context.bit_rate = bitrate_bps
        context.time_base = Fraction(1, SAMPLE_RATE)
        context.options = {
            "application": "audio",
            "frame_duration": "20",
            "vbr": "on",
            "compression_level": "5",
            "packet_loss": "5",
            "fec": "1",
        }
        context.open()
        self._context = context
        self._silent = 0
        self._silence = b""

    def encode(self, pcm: Pcm, sample: int) -> bytes:
        """`pcm` (960 samples whose first is `sample`) as one Opus packet.

        After a second of silence its packet is sent again instead of made again: encoder and decoder have settled by then.
        """
        if pcm.size != PACKET_SAMPLES:
            raise ValueError(f"an Opus packet holds {PACKET_SAMPLES} samples, not {pcm.size}")
        self._silent = 0 if pcm.any() else self._silent + 1
        if self._silent > SETTLED_PACKETS:
            return self._silence
        frame = av.AudioFrame.from_ndarray(
            np.clip(pcm, -1.0, 1.0).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        frame.pts = sample
        frame.time_base = Fraction(1, SAMPLE_RATE)
        packet = b"".join(bytes(p) for p in self._context.encode(frame))
        self._silence = packet
        return packet
