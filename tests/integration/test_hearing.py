"""Hearing as it is: our own voice is understood, word by word and in time; noise, hum and breath are not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from speech.hearing.events import RATE, Event, Final, Partial, Sound, SpeechStarted, TurnEnded
from speech.hearing.hearing import Hearing
from speech.hearing.vad import Silero
from speech.hearing.whisper import Whisper
from speech.inference import resampled
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from speech.voice import Speech

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models() -> tuple[Silero, Whisper]:
    return Silero(), Whisper()


@pytest.fixture(scope="module")
def voice() -> Piper:
    return Piper()


def at_16_khz(speech: Speech) -> Sound:
    return resampled(speech.pcm, 3 * SAMPLE_RATE)  # a third of the samples


def heard(models: tuple[Silero, Whisper], sound: Sound) -> list[Event]:
    """All that is told of a sound that comes in packets of 20 ms and is read as soon as something can be read."""
    silero, whisper = models
    hearing = Hearing(silero.detector())
    events: list[Event] = []
    for start in range(0, sound.size, RATE // 50):
        events += hearing.push(sound[start : start + RATE // 50])
        while job := hearing.poll_job():
            events += hearing.handle_transcript(job, whisper.transcribe(job.sound, timed=job.timed))
    return events


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def test_two_sentences_are_understood_each_with_partials_before_its_end(
    models: tuple[Silero, Whisper], voice: Piper
) -> None:
    question = voice.synthesise("What is the name of the largest ocean on this planet?")
    wish = voice.synthesise("Please tell me more about the weather in London.")
    quiet = np.zeros(RATE, np.float32)
    sound = np.concatenate([quiet, at_16_khz(question), quiet, at_16_khz(wish), quiet])
    events = heard(models, sound)
    finals = [event for event in events if isinstance(event, Final)]
    assert [words(final.text) for final in finals] == [words(question.text), words(wish.text)]
    for turn in (1, 2):
        story = [event for event in events if event.turn == turn]
        assert isinstance(story[0], SpeechStarted) and isinstance(story[1], Partial)
        assert isinstance(story[-2], TurnEnded) and isinstance(story[-1], Final)
        partials = [event for event in story if isinstance(event, Partial)]
        assert len(partials) >= 3 and partials[-1].stable >= 3
    for mark, word in zip(question.words, finals[0].words, strict=True):
        assert abs(1 + mark.start / SAMPLE_RATE - word.start_s) < 0.3, (mark, word)


@pytest.mark.parametrize("text", ["Yes.", "What is your name?", "How old are you?", "Thank you."])
def test_short_words_are_said_once(models: tuple[Silero, Whisper], voice: Piper, text: str) -> None:
    quiet = np.zeros(RATE, np.float32)
    events = heard(models, np.concatenate([quiet, at_16_khz(voice.synthesise(text)), quiet]))
    assert [words(event.text) for event in events if isinstance(event, Final)] == [words(text)]


def test_it_is_as_sure_of_a_word_or_two_as_whisper_is(models: tuple[Silero, Whisper], voice: Piper) -> None:
    """The limit for doubt is that of Whisper's authors, so what is held against it is measured as theirs: the end counts as a token."""
    _, whisper = models
    sound = np.zeros(30 * RATE, np.float32)
    spoken = at_16_khz(voice.synthesise("Golden rabbit."))
    sound[RATE : RATE + spoken.size] = spoken
    theirs, _ = whisper._whisper.transcribe(
        sound, language="en", beam_size=1, temperature=0.0, without_timestamps=True
    )
    (segment,) = theirs
    ours = whisper.transcribe(sound)
    assert ours.text == segment.text.strip()
    assert ours.logprob == pytest.approx(segment.avg_logprob, abs=0.01)


def test_noise_hum_breath_and_clicks_make_no_words(models: tuple[Silero, Whisper]) -> None:
    chance = np.random.default_rng(5)
    seconds = np.arange(6 * RATE) / RATE
    noise = chance.normal(0, 0.05, seconds.size)
    breath = np.convolve(noise, np.ones(6) / 6, "same") * np.clip(np.sin(2 * np.pi * seconds / 3), 0, None)
    clicks = np.where(np.arange(seconds.size) % 8000 < 80, noise * 6, 0)
    hum = 0.2 * np.sin(2 * np.pi * 50 * seconds) + 0.1 * np.sin(2 * np.pi * 150 * seconds)
    for name, sound in {"noise": noise, "hum": hum, "breath": 3 * breath, "clicks": clicks}.items():
        events = heard(models, sound.astype(np.float32))
        assert not [event for event in events if isinstance(event, SpeechStarted | Partial | Final)], name


def test_a_voice_in_noise_is_understood(models: tuple[Silero, Whisper], voice: Piper) -> None:
    speech = np.concatenate([np.zeros(RATE), at_16_khz(voice.synthesise("How old are you?")), np.zeros(RATE)])
    noise = np.random.default_rng(6).normal(0, 0.01, speech.size)
    events = heard(models, (speech + noise).astype(np.float32))
    assert [words(event.text) for event in events if isinstance(event, Final)] == [words("How old are you?")]
