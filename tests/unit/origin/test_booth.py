"""Voices take turns in a booth; one that hangs loses its clause, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from origin.booth import Booth, patience_s
from speech.voice import Halt, Speech, VoiceError
from tests.harness.speaking import spoken


class Hanging:
    """Hangs at "hang" until it is released, whoever asks it to stop; "stop" hangs until it is asked to."""

    name = "hanging"

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun = threading.Event()
        self.said: list[str] = []

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech:
        if text == "hang":
            self.begun.set()
            self.release.wait(60)
        if text == "stop":
            halted = threading.Event()
            assert halt is not None
            halt.by(halted.set)
            halted.wait(60)
            raise VoiceError("stopped")
        self.said.append(text)
        return spoken(text, 200)


@pytest.fixture
def voice() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.release.set()


def booth() -> Booth:
    return Booth(patience=lambda clause: 0.2 if clause in ("hang", "stop") else 60.0, grace_s=0.2)


async def test_who_waits_behind_a_voice_that_hangs_goes_on_in_a_new_thread(voice: Hanging) -> None:
    shared = booth()
    hanging = asyncio.create_task(shared.spoken(voice, "hang", Halt()))
    behind = [asyncio.create_task(shared.spoken(voice, f"Line {k}.", Halt())) for k in range(3)]
    with pytest.raises(VoiceError, match="did not speak 'hang'"):
        await hanging
    heard = await asyncio.gather(*behind)
    assert [speech.text for speech in heard] == voice.said == ["Line 0.", "Line 1.", "Line 2."]
    shared.close()


async def test_they_go_on_even_when_the_one_that_hangs_was_ended_meanwhile(voice: Hanging) -> None:
    shared = booth()
    hanging = asyncio.create_task(shared.spoken(voice, "hang", Halt()))
    await asyncio.to_thread(voice.begun.wait, 60)
    behind = asyncio.create_task(shared.spoken(voice, "Hello.", Halt()))
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert (await behind).text == "Hello."
    shared.close()


async def test_a_voice_that_stops_when_asked_keeps_its_thread(voice: Hanging) -> None:
    shared = booth()
    before = shared._thread
    with pytest.raises(VoiceError, match="stopped"):
        await shared.spoken(voice, "stop", Halt())
    assert shared._thread is before
    assert (await shared.spoken(voice, "Hello.", Halt())).text == "Hello."
    shared.close()


async def test_who_is_ended_while_it_waits_is_not_spoken(voice: Hanging) -> None:
    shared = Booth()
    hanging = asyncio.create_task(shared.spoken(voice, "hang", Halt()))
    await asyncio.to_thread(voice.begun.wait, 60)
    waiting = asyncio.create_task(shared.spoken(voice, "Never.", Halt()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    voice.release.set()
    await hanging
    assert (await shared.spoken(voice, "After.", Halt())).text == "After."
    assert "Never." not in voice.said
    shared.close()


def test_longer_clauses_have_longer() -> None:
    assert patience_s("Hello.") < patience_s("Hello. " * 20) < 60
