"""Files that a film can be: which codecs, how pictures become parts, how parts become the film.

Each part is encoded by an encoder of its own and begins with a key frame; the same pictures give the same bytes, whatever was
encoded before. One thread encodes: with more, x264 would split its work by their number.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from origin.avatar.background import Matte, unmultiplied
from origin.avatar.fullpicture import to_rgb
from origin.clock import FRAME_RATE
from origin.encoder import GOP_FRAMES, I420
from origin.film.parts import FilmError
from speech.marks import SAMPLE_RATE

_EXACT: Final = {"fflags": "+bitexact"}
"""Muxers then write no random numbers and no dates."""
_COLOURS: Final = "colormatrix=smpte170m:colorprim=bt709:transfer=bt709:fullrange=off"


@dataclass(frozen=True, slots=True)
class Container:
    """What a kind of file holds. `layout`: pixels as the encoder takes them."""

    format: str
    video: str
    layout: str
    audio: str
    options: dict[str, str] = field(default_factory=dict)
    audio_bps: int | None = None
    muxing: dict[str, str] = field(default_factory=dict)
    parts: str = "matroska"
    """Format of the parts."""


@cache
def _repeatable() -> str:
    """What x264 must be told so that it repeats itself: its AVX-512 code for macroblock trees reads memory that nobody wrote.

    Films of the same pictures then differ by what the process did before (docs/decisions.md). Without it the bytes are the same as of
    AVX2 and the speed too; only processors that would run it are named what they have.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split())
    except OSError:  # no Linux: x264 chooses
        return ""
    return (
        ":asm=SSE2,SSE3,SSSE3,SSE4.2,AVX,AVX2,FMA3,BMI1,BMI2" if {"avx512f", "avx2", "bmi2"} <= flags else ""
    )


def container_for(out: Path, *, alpha: bool) -> Container:
    """The kind of file that a name ends with. Raises FilmError when there is none, or it cannot be transparent."""
    kind = out.suffix.lower()
    if kind == ".webm":
        options = {
            "crf": "24",
            "b": "0",
            "deadline": "good",
            "cpu-used": "4",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "row-mt": "0",
            "g": str(2 * GOP_FRAMES),
        }
        layout = "yuva420p" if alpha else "yuv420p"
        return Container("webm", "libvpx-vp9", layout, "libopus", options, 96_000)
    if kind == ".mov":
        # not ProRes: where a width is no whole number of macroblocks FFmpeg's encoder leaves noise in the alpha
        return Container("mov", "png", "rgba" if alpha else "rgb24", "pcm_s16le", parts="mov")
    if kind == ".mp4" and not alpha:
        options = {
            "preset": "medium",
            "profile": "high",
            "crf": "18",
            "bf": "0",
            "x264-params": f"keyint={GOP_FRAMES}:threads=1:{_COLOURS}{_repeatable()}",
        }
        return Container("mp4", "libx264", "yuv420p", "aac", options, 128_000, {"movflags": "+faststart"})
    if kind == ".mp4":
        raise FilmError("an .mp4 cannot be transparent: name the film .webm (VP9) or .mov (PNG, lossless)")
    raise FilmError(f"a film cannot be a {kind or 'file without an ending'}: say .mp4, .webm or .mov")


def video_frame(picture: I420, matte: Matte | None, layout: str) -> av.VideoFrame:
    """A picture as the encoder takes it, with the matte as its alpha where there is one (the picture is over black then).

    Converted here and not by swscale, which at the right edge of odd widths reads what lies behind the rows.
    """
    if layout == "rgb24":
        return av.VideoFrame.from_ndarray(to_rgb(picture), format="rgb24")
    if layout == "rgba" and matte is not None:
        return av.VideoFrame.from_ndarray(
            np.dstack([to_rgb(unmultiplied(picture, matte)), matte]), format="rgba"
        )
    if matte is None:
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")
    height, width = matte.shape
    frame = av.VideoFrame(width, height, "yuva420p")
    whole = unmultiplied(picture, matte)
    chroma = whole[height:].reshape(2, height // 2, width // 2)
    for plane, values in zip(frame.planes, (whole[:height], chroma[0], chroma[1], matte), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    return frame


class PictureWriter:
    """Writes pictures into one part; encodes in a thread of its own, while the next picture is drawn."""

    def __init__(self, kind: Container, path: Path, width: int, height: int) -> None:
        self._kind = kind
        self._file = av.open(str(path), "w", format=kind.parts, options=_EXACT)
        stream = self._file.add_stream(kind.video, rate=FRAME_RATE, options=kind.options)
        assert isinstance(stream, VideoStream), "a codec for video"
        stream.width, stream.height, stream.pix_fmt = width, height, kind.layout
        stream.time_base = Fraction(1, FRAME_RATE)
        stream.codec_context.thread_count = 1
        stream.codec_context.color_range = 1
        self._stream = stream
        self._count = 0
        self._thread = ThreadPoolExecutor(1, "film-encoder")
        self._pending: Future[None] | None = None

    def write(self, picture: I420, matte: Matte | None) -> None:
        """One more picture; it is copied."""
        frame = video_frame(picture, matte, self._kind.layout)
        frame.pts = self._count
        frame.time_base = Fraction(1, FRAME_RATE)
        self._count += 1
        self._wait()
        self._pending = self._thread.submit(self._encode, frame)

    def close(self) -> None:
        """Ends the part."""
        try:
            self._wait()
            self._encode(None)
        finally:
            self._thread.shutdown()
            self._file.close()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._file.mux(packet)


def join(kind: Container, parts: list[tuple[Path, int]], sound: Path, out: Path) -> None:
    """The film `out` of parts, each with the number of its first frame, and of sound (16-bit mono at 48 kHz)."""
    with ExitStack() as opened:
        film = opened.enter_context(
            av.open(str(out), "w", format=kind.format, options={**_EXACT, **kind.muxing})
        )
        first = opened.enter_context(av.open(str(parts[0][0])))
        pictures = film.add_stream_from_template(first.streams.video[0], opaque=True)
        pictures.time_base = Fraction(1, FRAME_RATE)
        if kind.layout == "yuva420p":
            pictures.metadata["alpha_mode"] = "1"
        heard = film.add_stream(kind.audio, rate=SAMPLE_RATE, layout="mono")
        assert isinstance(heard, AudioStream), "a codec for sound"
        if kind.audio_bps:
            heard.bit_rate = kind.audio_bps
        streams = (_video_packets(parts, pictures), _audio_packets(sound, heard))
        for _, packet in heapq.merge(*streams, key=lambda pair: pair[0]):
            film.mux(packet)


def _video_packets(parts: list[tuple[Path, int]], stream: Any) -> Iterator[tuple[float, av.Packet[Any]]]:
    """Packets with their time in seconds."""
    for path, first in parts:
        with av.open(str(path)) as part:
            for packet in part.demux(video=0):
                if packet.pts is None or packet.time_base is None:
                    continue
                frame = first + round(packet.pts * packet.time_base * FRAME_RATE)
                packet.stream = stream
                packet.time_base = Fraction(1, FRAME_RATE)
                packet.pts = packet.dts = frame
                packet.duration = 1
                yield frame / FRAME_RATE, packet


def _audio_packets(sound: Path, stream: AudioStream) -> Iterator[tuple[float, av.Packet[Any]]]:
    at = 0
    for frame in itertools.chain(_blocks(sound), [None]):
        if frame is not None:
            frame.pts, at = at, at + frame.samples
        for packet in stream.encode(frame):
            yield at / SAMPLE_RATE, packet


def _blocks(sound: Path) -> Iterator[av.AudioFrame]:
    with sound.open("rb") as file:
        while data := file.read(2 * SAMPLE_RATE):
            pcm = np.frombuffer(data, np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            frame.time_base = Fraction(1, SAMPLE_RATE)
            yield frame
