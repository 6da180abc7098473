"""A microphone's packets become sound without holes, whatever they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.encoder import AudioEncoder
from origin.hearing.sound import OpusSound
from speech.hearing.events import RATE

PACKET = 960
"""48 kHz ticks of 20 ms."""


@dataclass(frozen=True)
class Packet:
    time: int
    data: bytes
    kind: str = "audio"


def tone(count: int, first: int = 0) -> list[Packet]:
    encoder = AudioEncoder()
    at = np.arange(count * PACKET)
    pcm = (0.4 * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.float32)
    packets = [encoder.encode(pcm[n * PACKET : (n + 1) * PACKET], n * PACKET) for n in range(count)]
    return [Packet(first + n * PACKET, data) for n, data in enumerate(packets)]


def test_a_tone_is_the_same_tone_at_16_khz() -> None:
    sound = OpusSound().decode(tone(50))
    assert sound.dtype == np.float32 and sound.size == pytest.approx(RATE, rel=0.05)
    middle = sound[RATE // 4 : RATE // 4 + 8000] * np.hanning(8000)
    assert int(np.argmax(np.abs(np.fft.rfft(middle)))) * RATE / 8000 == pytest.approx(440, abs=4)
    assert float(np.abs(middle).max()) == pytest.approx(0.4, rel=0.2)


def test_what_is_lost_is_silence_of_its_length() -> None:
    packets = tone(50)
    whole = OpusSound().decode(packets)
    holed = OpusSound().decode(packets[:20] + packets[30:])
    assert abs(holed.size - whole.size) <= RATE // 50
    assert float(np.abs(holed[int(0.42 * RATE) : int(0.58 * RATE)]).max()) == 0.0


def test_a_hole_of_an_hour_is_a_second() -> None:
    ears = OpusSound()
    ears.decode(tone(5))
    later = ears.decode(tone(1, first=3600 * 48_000))
    assert later.size <= RATE + RATE // 50


def test_of_what_has_piled_up_only_the_newest_is_heard() -> None:
    assert OpusSound().decode(tone(400)).size <= 3 * RATE


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=300)), max_size=20))
def test_any_bytes_are_sound_of_bounded_length(packets: list[tuple[int, bytes]]) -> None:
    ears = OpusSound()
    for time, data in packets:
        sound = ears.decode([Packet(time, data)])
        assert sound.size <= RATE + RATE // 8 and np.isfinite(sound).all()
