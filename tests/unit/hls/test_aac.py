"""Sound on the sample clock."""

from __future__ import annotations

import itertools

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from hls.aac import Transcoder
from tests.harness.live_source import LiveSource

RATE = 48_000
BITRATE = 128_000
ORIGIN = 1024 * 50_000


def sound(transcoder: Transcoder, frames: list[tuple[int, bytes]], origin: int) -> NDArray[np.float32]:
    """The left channel that a player hears from `origin` on."""
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.extradata = transcoder.config(BITRATE)
    heard = np.zeros(frames[-1][0] + 1024 - origin, dtype=np.float32)
    for start, data in frames:
        for frame in decoder.decode(av.Packet(data)):
            if start >= origin:
                heard[start - origin : start - origin + 1024] = frame.to_ndarray()[0]
    return heard


def packets(seconds: float) -> list[bytes]:
    source = LiveSource(0, video=False)
    return [unit.data for unit in source.until(seconds * 1000 - 20)]


def first_loud(heard: NDArray[np.float32], start: int = 0) -> int:
    return start + int(np.argmax(np.abs(heard[start:]) > 0.15))


def contiguous(frames: list[tuple[int, bytes]]) -> bool:
    return all(b[0] - a[0] == 1024 for a, b in itertools.pairwise(frames))


def test_priming_is_compensated_so_lips_are_not_late() -> None:
    transcoder = Transcoder((BITRATE,))
    frames = [
        f for n, one in enumerate(packets(3)) for f in transcoder.push(one, ORIGIN + 960 * n).get(BITRATE, [])
    ]
    heard = sound(transcoder, frames, ORIGIN)
    # The source beeps at each full second; Opus itself looks 2.5 to 6.5 ms ahead.
    assert abs(first_loud(heard, RATE // 2) - RATE) < RATE // 100
    assert contiguous(frames)
    assert all(start % 1024 == 0 for start, _ in frames), "two packagers cut the same frames"


def test_both_bitrates_have_the_same_frames() -> None:
    transcoder = Transcoder((128_000, 64_000))
    rows: dict[int, list[tuple[int, bytes]]] = {128_000: [], 64_000: []}
    for n, one in enumerate(packets(2)):
        for bitrate, frames in transcoder.push(one, ORIGIN + 960 * n).items():
            rows[bitrate] += frames
    assert [start for start, _ in rows[128_000]] == [start for start, _ in rows[64_000]]
    size = {bitrate: sum(len(data) for _, data in frames) for bitrate, frames in rows.items()}
    assert size[64_000] < size[128_000]


def test_discontinuous_transmission_becomes_silence_and_the_beep_stays_in_time() -> None:
    transcoder = Transcoder((BITRATE,))
    frames: list[tuple[int, bytes]] = []
    for n, one in enumerate(packets(3)):
        if not 60 <= n < 90:
            frames += transcoder.push(one, ORIGIN + 960 * n)[BITRATE]
    heard = sound(transcoder, frames, ORIGIN)
    assert contiguous(frames)
    assert np.abs(heard[61 * 960 + 2048 : 89 * 960]).max() < 0.01
    assert abs(first_loud(heard, RATE * 3 // 2) - 2 * RATE) < RATE // 100
    assert abs(transcoder.silence_samples - 30 * 960) < 20


def test_time_that_was_filled_is_not_played_again() -> None:
    transcoder = Transcoder((BITRATE,))
    rows = packets(1)
    for n in range(10):
        transcoder.push(rows[n], ORIGIN + 960 * n)
    transcoder.fill(ORIGIN + 960 * 20)
    cursor = transcoder.cursor
    transcoder.push(rows[15], ORIGIN + 960 * 15)
    assert transcoder.cursor == cursor
    assert transcoder.late_packets == 1


def test_a_slow_clock_is_taken_up_a_few_samples_at_a_time() -> None:
    transcoder = Transcoder((BITRATE,))
    frames: list[tuple[int, bytes]] = []
    for n, one in enumerate(packets(4)):
        frames += transcoder.push(one, ORIGIN + 961 * n)[BITRATE]
    assert contiguous(frames)
    assert transcoder.silence_samples == 0
    assert transcoder.cursor is not None
    assert abs(transcoder.cursor - (ORIGIN + 961 * 200)) <= 6


def test_a_broken_packet_counts_as_silence() -> None:
    transcoder = Transcoder((BITRATE,))
    rows = packets(1)
    transcoder.push(rows[0], ORIGIN)
    transcoder.push(b"", ORIGIN + 960)
    transcoder.push(b"\xff" * 7, ORIGIN + 1920)
    transcoder.push(rows[3], ORIGIN + 4 * 960)
    assert transcoder.cursor == ORIGIN + 5 * 960
    assert transcoder.broken_packets >= 1


def test_sound_that_never_began_can_be_silence_from_the_start() -> None:
    transcoder = Transcoder((BITRATE,))
    transcoder.fill(ORIGIN)
    frames = transcoder.fill(ORIGIN + RATE)[BITRATE]
    assert len(frames) > 40 and contiguous(frames)
