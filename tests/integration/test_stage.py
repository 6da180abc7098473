"""The live stage with its real renderer, voice and encoders: what leaves it decodes, is in time, and lips and sound are together."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from origin.avatar.renderer import Renderer
from origin.clock import FRAME_RATE, FRAME_SAMPLES, PACKET_SAMPLES
from origin.faces import open_renderer
from origin.film import Made, Order, Text, make
from origin.performer import Caption
from origin.stage import Stage
from speech.chunks import chunks
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from speech.voice import Voice
from tests.harness.lips import MOUTH, lag_s

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LINE = "Hello everybody, papa and mama. One, two, three."


@dataclass
class Kept:
    """An output that keeps what comes, with its time of arrival."""

    pictures: list[tuple[bytes, int, bool, float]] = field(default_factory=list)
    packets: list[tuple[bytes, int, float]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        with self.changed:
            self.pictures.append((access_unit, rtp_time, key_frame, time.monotonic()))
            self.changed.notify_all()

    def audio(self, packet: bytes, rtp_time: int) -> None:
        with self.changed:
            self.packets.append((packet, rtp_time, time.monotonic()))
            self.changed.notify_all()

    def wait(self, what: str, reached: object, limit_s: float = 20.0) -> None:
        assert callable(reached)
        with self.changed:
            assert self.changed.wait_for(reached, limit_s), f"no {what} within {limit_s} s"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return open_renderer("ava")


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Piper()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def captions() -> list[tuple[Caption, int]]:
    """Each with the instant at which it is heard, in ns."""
    return []


@pytest.fixture
def stage(renderer: Renderer, kept: Kept, captions: list[tuple[Caption, int]]) -> Iterator[Stage]:
    live = Stage(
        "test", renderer, kept, on_caption=lambda caption, due_ns: captions.append((caption, due_ns))
    )
    live.start()
    yield live
    live.close()


def say(stage: Stage, voice: Voice, text: str, epoch: int = 1) -> None:
    stage.begin(epoch)
    for chunk in chunks(text):
        stage.push(voice.synthesise(chunk), epoch)
    stage.end(epoch)


def sound(kept: Kept) -> np.ndarray:
    """The Opus packets, decoded."""
    decoder = av.CodecContext.create("opus", "r")
    decoder.sample_rate = SAMPLE_RATE  # type: ignore[attr-defined]
    decoder.layout = "mono"  # type: ignore[attr-defined]
    frames = [f for data, _, _ in kept.packets for f in decoder.decode(av.Packet(data))]
    return np.concatenate([f.to_ndarray().reshape(-1) for f in frames])  # type: ignore[union-attr]


def test_a_line_leaves_as_h264_and_opus_on_one_clock(
    stage: Stage, kept: Kept, voice: Voice, captions: list[tuple[Caption, int]]
) -> None:
    say(stage, voice, LINE)
    kept.wait("end of the line", lambda: stage.quiet)
    assert [t for _, t, _ in kept.packets] == [PACKET_SAMPLES * n for n in range(len(kept.packets))]
    times = [t for _, t, _, _ in kept.pictures]
    assert all(t % 3600 == 0 for t in times) and all(b > a for a, b in itertools.pairwise(times))
    assert kept.pictures[0][2], "the first picture is a key frame"
    keys = [t for _, t, key, _ in kept.pictures if key]
    assert all(b - a <= 2 * 90_000 + 5 * 3600 for a, b in itertools.pairwise(keys))
    decoder = av.CodecContext.create("h264", "r")
    decoded = [f for data, _, _, _ in kept.pictures for f in decoder.decode(av.Packet(data))]
    decoded += decoder.decode(None)
    assert len(decoded) == len(kept.pictures)
    assert (decoded[0].width, decoded[0].height) == (854, 480)  # type: ignore[union-attr]
    assert np.abs(sound(kept)).max() > 0.2
    assert "".join(c.text for c, _ in captions).replace(" ", "") == LINE.replace(" ", "")
    began = {due_ns - c.start * 1_000_000_000 // SAMPLE_RATE for c, due_ns in captions}
    assert max(began) - min(began) <= 1, "captions are where their sound is, however late the pacer was"


def test_sound_leaves_every_20_ms_whatever_the_picture_does(stage: Stage, kept: Kept) -> None:
    kept.wait("three seconds of sound", lambda: len(kept.packets) >= 150)
    arrivals = np.array([at for _, _, at in kept.packets])
    due = arrivals[0] + np.arange(arrivals.size) * 0.020
    late = arrivals - due
    assert np.median(np.abs(late)) < 0.040
    assert np.abs(late[-50:]).min() < 0.020, "a delay is made up for: the clock does not drift"


def test_an_interruption_is_silence_within_100_ms(stage: Stage, kept: Kept, voice: Voice) -> None:
    say(
        stage,
        voice,
        "This is a very long line that nobody wants to hear to its end, so it will be cut short now.",
    )
    kept.wait("second of speech", lambda: len(kept.packets) >= 100)
    before = time.monotonic()
    heard = stage.interrupt(2)
    kept.wait("half a second more", lambda: kept.packets[-1][2] > before + 0.5)
    pcm = sound(kept)
    loud = np.flatnonzero(np.abs(pcm) > 0.01)
    last = int(loud[-1]) // PACKET_SAMPLES
    after = sum(at > before for _, _, at in kept.packets[: last + 1])
    assert after * PACKET_SAMPLES <= SAMPLE_RATE // 10
    assert heard and LINE not in heard and not heard.endswith("now.")


def test_a_key_frame_comes_when_one_is_asked_for(stage: Stage, kept: Kept) -> None:
    kept.wait("ten pictures", lambda: len(kept.pictures) >= 10)
    at = len(kept.pictures)
    stage.request_key_frame()
    kept.wait("key frame", lambda: any(key for _, _, key, _ in kept.pictures[at : at + 6]))


def test_speech_is_seen_in_packets_within_400_ms(stage: Stage, kept: Kept, voice: Voice) -> None:
    speech = voice.synthesise("Hello there.")
    for epoch in range(1, 6):
        stage.begin(epoch)
        stage.push(speech, epoch)
        stage.end(epoch)
        kept.wait("end of the line", lambda: stage.quiet)
    assert len(stage.latencies_s) == 5
    assert min(stage.latencies_s) < 0.400, "the others may have met a busy machine"


def test_at_rest_with_nobody_watching_few_pictures_are_drawn(renderer: Renderer, kept: Kept) -> None:
    hour_ns = 3600 * 10**9
    offset = 0
    stage = Stage("rest", renderer, kept, clock_ns=lambda: time.monotonic_ns() + offset)
    stage.watched(False)
    offset = hour_ns
    stage.start()
    try:
        kept.wait("two seconds", lambda: len(kept.packets) >= 100)
        resting = len(kept.pictures)
        assert 5 <= resting <= 15
        stage.watched(True)
        kept.wait("thirty pictures more", lambda: len(kept.pictures) >= resting + 30)
        assert len(kept.packets) < 250, "at rest they would have taken five seconds"
    finally:
        stage.close()


@pytest.fixture(scope="module")
def filmed(renderer: Renderer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path]:
    out = tmp_path_factory.mktemp("film") / "ava.mp4"
    order = Order(Text("Papa, mama. Bob may pay a map. Papa, mama. Baba, map.", "piper"))
    made = make(order, out, renderer=renderer)
    return made, out


def test_a_film_has_picture_and_sound_of_the_same_length(filmed: tuple[Made, Path]) -> None:
    made, out = filmed
    with av.open(str(out)) as file:
        pictures = sum(1 for _ in file.decode(video=0))
    with av.open(str(out)) as file:
        samples = sum(f.samples for f in file.decode(audio=0))
    assert pictures == made.frames
    assert abs(samples - made.frames * FRAME_SAMPLES) < 3 * 1024
    assert [w.text for w in made.words][:3] == ["Papa,", "mama.", "Bob"]


def test_lips_open_with_the_sound_within_45_ms(filmed: tuple[Made, Path]) -> None:
    _, out = filmed
    with av.open(str(out)) as file:
        mouth = np.array([f.to_ndarray(format="gray")[MOUTH].mean() for f in file.decode(video=0)])
    with av.open(str(out)) as file:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in file.decode(audio=0)])
    lag, fit = lag_s(
        (np.arange(len(mouth)) + 0.5) / FRAME_RATE,
        -mouth,
        np.arange(pcm.size) / SAMPLE_RATE,
        pcm.astype(float) ** 2,
    )
    assert fit > 0.5, "the mouth follows the sound"
    assert abs(lag) <= 0.045, f"the picture is {lag * 1000:.0f} ms after the sound"
    assert FRAME_RATE == 25
