"""The same avatar into a file: text to an MP4 on a virtual clock, as fast as the machine can.

    python -m origin.film --text "Hello!" --out hello.mp4 [--voice kokoro] [--frames DIR]

Performer, renderer and video encoder are those of the live stage; only the clock is missing. Sound is AAC, so that every
player takes the file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from origin.clock import FRAME_RATE, FRAME_SAMPLES
from origin.encoder import I420, VideoEncoder, VideoSettings
from origin.performer import Caption, Performer, Tick
from origin.speech_buffer import BufferState
from origin.stage import Renderer
from speech.chunks import Chunker
from speech.marks import SAMPLE_RATE
from speech.voice import Voice, WordMark

_TAIL_FRAMES = FRAME_RATE // 2


@dataclass(frozen=True, slots=True)
class Film:
    """What was filmed. Times are samples at 48 kHz."""

    frames: int
    captions: list[Caption] = field(default_factory=list)
    words: list[WordMark] = field(default_factory=list)


def perform(text: str, voice: Voice, seed: int = 1) -> Iterable[Tick]:
    """The ticks of `text` being spoken, from half a second of rest to half a second of rest."""
    performer = Performer(seed)
    for _ in range(_TAIL_FRAMES):
        yield performer.tick()
    chunker = Chunker()
    performer.begin(1)
    for chunk in [*chunker.push(text), *chunker.flush()]:
        performer.push(voice.synthesise(chunk), 1)
    performer.end(1)
    rest = 0
    while rest < _TAIL_FRAMES:
        tick = performer.tick()
        rest = rest + 1 if tick.state is BufferState.IDLE else 0
        yield tick


def film(
    text: str,
    voice: Voice,
    renderer: Renderer,
    out: Path,
    *,
    video: VideoSettings | None = None,
    seed: int = 1,
    on_frame: Callable[[Tick, I420], None] | None = None,
) -> Film:
    """Films `text` into `out` (MP4). `on_frame` sees each tick with its picture (valid during the call)."""
    settings = video or VideoSettings()
    encoder = VideoEncoder(settings)
    captions: list[Caption] = []
    words: list[WordMark] = []
    frames = 0
    ticks = iter(perform(text, voice, seed))
    with contextlib.ExitStack() as opened:
        container = opened.enter_context(av.open(str(out), "w", options={"movflags": "+faststart"}))
        pictures: VideoStream | None = None
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=96_000)
        assert isinstance(sound, AudioStream), "AAC is audio"
        for tick in ticks:
            picture = renderer.render(tick.pose)
            if on_frame:
                on_frame(tick, picture)
            encoded = encoder.encode(picture, tick.frame)
            if pictures is None:  # the container wants the parameter sets, which come with the first frame
                first = opened.enter_context(av.open(io.BytesIO(encoded.data), format="h264"))
                pictures = container.add_stream_from_template(first.streams.video[0], opaque=True)
                pictures.time_base = Fraction(1, FRAME_RATE)
            packet = av.Packet(encoded.data)
            packet.stream = pictures
            packet.pts = packet.dts = tick.frame
            packet.duration = 1
            packet.time_base = Fraction(1, FRAME_RATE)
            packet.is_keyframe = encoded.key_frame
            container.mux(packet)
            frame = av.AudioFrame.from_ndarray(
                np.clip(tick.pcm, -1, 1).reshape(1, -1), format="fltp", layout="mono"
            )
            frame.sample_rate = SAMPLE_RATE
            frame.pts = tick.frame * FRAME_SAMPLES
            container.mux(sound.encode(frame))
            captions += tick.captions
            words += [
                WordMark(w.text, p.at + w.start, p.at + w.end) for p in tick.placed for w in p.speech.words
            ]
            frames += 1
        container.mux(sound.encode(None))
    return Film(frames, captions, words)


def main() -> None:
    """The command line."""
    from rich.console import Console
    from rich.progress import Progress

    from origin.faces import open_renderer
    from speech.voices import load

    parser = argparse.ArgumentParser(description="Film an avatar that speaks a text.")
    parser.add_argument("--text", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voice", default="auto")
    parser.add_argument("--face", default="ava")
    parser.add_argument("--tier", choices=("light", "full"), default="light")
    parser.add_argument("--frames", type=Path, help="folder for every fifth frame as PNG")
    options = parser.parse_args()
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("preparing the renderer", total=None)
        renderer = open_renderer(
            options.face,
            tier=options.tier,
            progress=lambda what, share: progress.update(task, description=what, total=1.0, completed=share),
        )
        voice = load(options.voice)
        progress.update(task, description="filming", total=None)

        def keep(tick: Tick, picture: I420) -> None:
            progress.update(task, description=f"filming {tick.frame / FRAME_RATE:.1f} s")
            if options.frames and tick.frame % 5 == 0:
                options.frames.mkdir(parents=True, exist_ok=True)
                image = av.VideoFrame.from_ndarray(picture, format="yuv420p").to_image()  # type: ignore[no-untyped-call]
                image.save(options.frames / f"{tick.frame:05d}.png")

        made = film(options.text, voice, renderer, options.out, on_frame=keep)
    console.print(f"{options.out}: {made.frames / FRAME_RATE:.1f} s, {voice.name}")


if __name__ == "__main__":
    main()
