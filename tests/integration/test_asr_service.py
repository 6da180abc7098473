"""Speech to text over WebSockets, with a real recogniser: turns with their words, at any rate, and nobody hears another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import onnxruntime
import pytest

from common.config import AsrConfig
from speech.inference import resampled
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from speech.voice import Voice
from speech.voices import Cached
from speech_service import asr
from speech_service.app import Service
from speech_service.asr import Ears
from speech_service.messages import MOST_MESSAGE_BYTES
from tests.harness.speech_clients import Client, client, serving

QUESTION = "What is the name of the largest ocean on this planet?"
WISH = "Please tell me more about the weather in London."
GREETING = "Good morning, everybody."
NUMBERED = [f"This is sentence number {number}." for number in range(20, 28)]


@pytest.fixture(scope="module")
def ears() -> Ears:
    return asr.load(AsrConfig(speech_threads=1))


@pytest.fixture(scope="module")
def voice() -> Voice:
    """The light voice, which says each text in one way: its noise has a seed, and all texts are said once and in one order."""
    onnxruntime.set_seed(7)
    cached = Cached(Piper())
    for text in (QUESTION, WISH, GREETING, *NUMBERED):
        cached.synthesise(text)
    return cached


@asynccontextmanager
async def service(ears: Ears, **settings: Any) -> AsyncIterator[tuple[str, Service]]:
    one = asr.serve(AsrConfig(**{"speech_threads": 1, **settings}), ears)
    async with serving(one) as url:
        yield url, one


def said(voice: Voice, *texts: str, rate: int = 16_000) -> bytes:
    """The texts as s16le, with a second of silence before, between and after them."""
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    sound = np.concatenate(
        [quiet, *itertools.chain(*((voice.synthesise(text).pcm, quiet) for text in texts))]
    )
    return (resampled(sound, SAMPLE_RATE * SAMPLE_RATE // rate) * 32767).astype("<i2").tobytes()


async def send(one: Client, sound: bytes, frame_bytes: int) -> None:
    for at in range(0, len(sound), frame_bytes):
        await one.ws.send_bytes(sound[at : at + frame_bytes])


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.mark.parametrize("rate", [16_000, 48_000])
async def test_turns_are_told_in_order_with_the_times_of_their_words(
    rate: int, ears: Ears, voice: Voice
) -> None:
    sound = said(voice, QUESTION, WISH, rate=rate)
    async with service(ears) as (url, _), client(url, "asr", sample_rate=rate) as one:
        await send(one, sound, rate // 50 * 2)
        await one.send("finish")
        told = await one.rest()
        assert one.ws.close_code == 1000
        finals = [message for message in told if message["type"] == "final"]
        assert [words(final["text"]) for final in finals] == [words(QUESTION), words(WISH)]
        for turn, final in enumerate(finals, 1):
            kinds = [message["type"] for message in told if message.get("turn") == turn]
            assert kinds[0] == "started" and kinds[-2:] == ["ended", "final"]
            assert set(kinds[1:-2]) <= {"partial"}
            assert [words(word["text"])[0] for word in final["words"]] == words(final["text"])
            starts = [word["start_ms"] for word in final["words"]]
            assert starts == sorted(starts)
            assert (
                final["start_ms"] - 700 <= starts[0] and final["words"][-1]["end_ms"] <= final["end_ms"] + 700
            )
        assert 900 <= finals[0]["start_ms"] <= 1200, "a second of silence stands before it"
        length_ms = len(sound) / 2 / rate * 1000
        assert told[-1]["type"] == "finished" and length_ms - 60 <= told[-1]["sound_ms"] <= length_ms + 1


async def test_partials_come_while_somebody_speaks_or_not_at_all(ears: Ears, voice: Voice) -> None:
    sound = said(voice, QUESTION)
    async with service(ears) as (url, _), client(url, "asr") as one:
        for at in range(0, len(sound), 16_000):  # each half second waits until the one before was read
            await one.ws.send_bytes(sound[at : at + 16_000])
            if at > 32_000 and not one.of("partial"):
                await one.until("partial")
        await one.send("finish")
        await one.rest()
        first = one.told.index(one.of("partial")[0])
        assert first < one.told.index(one.of("ended")[0])
        assert one.of("partial")[0]["text"]
    async with service(ears) as (url, _), client(url, "asr", partials=False) as one:
        await send(one, sound, 640)
        await one.send("finish")
        assert [message["type"] for message in await one.rest()] == ["started", "ended", "final", "finished"]


async def test_the_end_of_the_sound_ends_the_turn(ears: Ears, voice: Voice) -> None:
    sound = said(voice, GREETING)
    loud = np.flatnonzero(np.abs(np.frombuffer(sound, "<i2")) > 1000)
    async with service(ears) as (url, _), client(url, "asr") as one:
        await send(one, sound[: 2 * (int(loud[-1]) + 800)], MOST_MESSAGE_BYTES)
        await one.send("ping")
        await one.until("pong")
        await one.send("finish")
        told = await one.rest()
        (ended,) = [message for message in told if message["type"] == "ended"]
        assert ended["reason"] == "gone"
        assert words(told[-2]["text"]) == ["good", "morning", "everybody"]


async def test_silence_is_no_speech_and_says_nothing(ears: Ears) -> None:
    async with service(ears) as (url, _), client(url, "asr") as one:
        await send(one, bytes(96_000), 3_200)
        await one.send("finish")
        told = await one.rest()
        assert [message["type"] for message in told] == ["finished"] and 2_900 <= told[0]["sound_ms"] <= 3_000
    async with service(ears) as (url, _), client(url, "asr") as one:
        await one.send("finish")
        assert await one.rest() == [{"type": "finished", "sound_ms": 0}]


async def test_a_long_file_at_once_is_heard_to_its_end_and_others_are_served_meanwhile(
    ears: Ears, voice: Voice
) -> None:
    long = said(voice, *NUMBERED)
    short = said(voice, WISH)
    async with (
        service(ears) as (url, running),
        client(url, "asr") as greedy,
        client(url, "asr") as other,
    ):

        async def all_at_once() -> None:
            await send(greedy, long, MOST_MESSAGE_BYTES)
            await greedy.send("finish")

        sending = asyncio.ensure_future(all_at_once())
        reading = asyncio.ensure_future(greedy.rest())
        await send(other, short, 640)
        await other.send("finish")
        assert words((await other.until("final"))["text"]) == words(WISH)
        assert not reading.done(), "it is still being heard"
        await sending
        told = await reading
        text = " ".join(message["text"] for message in told if message["type"] == "final")
        assert [number for number in range(20, 28) if str(number) in words(text)] == list(range(20, 28)), text
        assert not [message for message in told if message["type"] in ("unclear", "error")]
        assert running.scheduler.waiting == 0


HOSTILE: list[tuple[str, list[str | bytes]]] = [
    ("not_started", [bytes(640)]),
    ("not_started", ['{"type":"finish"}']),
    ("language_unknown", ['{"type":"start","language":"tlh"}']),
    ("bad_message", ['{"type":"start"}', bytes(641)]),
    ("bad_message", ['{"type":"start"}', '{"type":"start"}']),
    ("bad_message", ['{"type":"start"}', '{"type":"text","utterance":"a","text":"x"}']),
    ("bad_message", ['{"type":"start"}', bytes(32_000), '{"type":"finish"}', bytes(640)]),
    ("message_too_large", ['{"type":"start"}', bytes(MOST_MESSAGE_BYTES + 2)]),
    ("flooding", ['{"type":"start"}', *['{"type":"ping"}'] * 20_000]),
]


@pytest.mark.parametrize(
    ("code", "frames"), HOSTILE, ids=[f"{code}-{n}" for n, (code, _) in enumerate(HOSTILE)]
)
async def test_who_breaks_the_rules_is_closed_with_the_reason(
    code: str, frames: list[str | bytes], ears: Ears
) -> None:
    async with (
        service(ears) as (url, _),
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/stream/asr") as ws,
    ):

        async def say() -> None:
            with contextlib.suppress(ConnectionError):
                for frame in frames:
                    await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))

        saying = asyncio.ensure_future(say())
        told = await Client(ws, "asr").rest()
        await saying
        assert told[-1]["code"] == code and told[-1]["fatal"] and told[-1]["hint"]


async def test_noise_of_any_kind_breaks_nothing(ears: Ears) -> None:
    noise = np.random.default_rng(7).integers(-32768, 32767, 32_000, dtype="<i2").tobytes()
    async with service(ears) as (url, _), client(url, "asr", sample_rate=8_000) as one:
        for at in range(0, len(noise), 2_000):
            await one.ws.send_bytes(noise[at : at + 2_000])
            await one.ws.send_bytes(b"")
        await one.send("finish")
        assert (await one.rest())[-1]["type"] == "finished"


async def test_health_names_the_models_and_a_recogniser_that_cannot_be_had_is_said_at_the_start(
    ears: Ears,
) -> None:
    async with service(ears) as (url, _), aiohttp.ClientSession() as http, client(url, "asr"):
        async with http.get(f"{url}/health") as answer:
            health = await answer.json()
        assert (health["active_connections"], health["limit"], health["compute_type"]) == (1, 50, "int8")
        assert health["models"] == ["whisper-tiny.en", "silero-vad"] and health["languages"] == ["en"]
    with pytest.raises(Exception, match="compute type") as error:
        await asr.start(AsrConfig(compute_type="int7"))
    assert getattr(error.value, "code", "") == "recogniser_missing"
