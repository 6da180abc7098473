"""When a turn begins and ends, and what is told of it: scripted probabilities, a scripted recogniser, time in samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.hearing.endpoint import FRAME_MS, Change, Completeness, Endpointer, Endpointing, Phase
from speech.hearing.events import (
    RATE,
    End,
    Event,
    Final,
    Partial,
    Sound,
    SpeechStarted,
    TurnEnded,
    Unclear,
    Word,
)
from speech.hearing.hearing import Hearing, Job
from speech.hearing.transcript import Agreement, Transcript, completeness, doubt
from speech.hearing.vad import FRAME

PATIENCE = Endpointing().patience_ms


class Speaker:
    """Says what the test wants: voice or none by the millisecond, and what a recogniser reads of it."""

    def __init__(self, settings: Endpointing | None = None) -> None:
        self.probability = 0.0
        self.hearing = Hearing(self._detect, settings)
        self.events: list[Event] = []
        self.reads: Callable[[Job], Transcript | None] | None = None
        self.jobs: list[Job] = []

    def _detect(self, frame: Sound) -> float:
        assert frame.shape == (FRAME,) and frame.dtype == np.float32
        return self.probability

    def sound(self, ms: int, probability: float) -> list[Event]:
        """Time passes; readings are made at once where a test reads."""
        self.probability = probability
        new: list[Event] = []
        for _ in range(ms // FRAME_MS):
            new += self.hearing.push(np.full(FRAME, 0.1, np.float32))
            if self.reads is not None:
                while job := self.hearing.poll_job():
                    self.jobs.append(job)
                    new += self.hearing.handle_transcript(job, self.reads(job))
        self.events += new
        return new

    def voice(self, ms: int) -> list[Event]:
        return self.sound(ms, 0.95)

    def silence(self, ms: int) -> list[Event]:
        return self.sound(ms, 0.02)


def says(text: str, **more: float) -> Callable[[Job], Transcript]:
    return lambda job: Transcript(
        text, -0.2, more.get("no_speech", 0.02), (Word(text, 0.3, 0.9),) if job.timed else ()
    )


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_question_is_started_read_in_parts_ended_and_final() -> None:
    speaker = Speaker()
    speaker.silence(640)
    speaker.reads = says("What is")
    speaker.voice(960)
    speaker.reads = says("What is your name?")
    speaker.voice(320)
    speaker.silence(1600)
    assert kinds(speaker.events) == ["SpeechStarted", "Partial", "Partial", "TurnEnded", "Final"]
    started, first, second, ended, final = speaker.events
    assert isinstance(started, SpeechStarted) and started.at_s == pytest.approx(0.64)
    assert first == Partial(1, "What is", 0) and second == Partial(1, "What is your name?", 2)
    assert isinstance(ended, TurnEnded) and ended.end is End.SILENCE
    assert ended.voiced_until_s == pytest.approx(0.64 + 1.28)
    assert isinstance(final, Final) and final.text == "What is your name?"
    assert final.start_s == pytest.approx(0.64) and final.end_s == ended.voiced_until_s
    assert final.words[0].start_s == pytest.approx(0.64 - 0.32 + 0.3), "from the start of the speaker's sound"


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("How old are you?", PATIENCE[Completeness.QUESTION]),
        ("I like cats.", PATIENCE[Completeness.SENTENCE]),
        ("I like cats", PATIENCE[Completeness.OPEN]),
        ("I like cats and", PATIENCE[Completeness.HANGING]),
        ("Well,", PATIENCE[Completeness.HANGING]),
    ],
)
def test_patience_is_as_long_as_the_words_ask_for(text: str, wait: int) -> None:
    speaker = Speaker()
    speaker.reads = says(text)
    speaker.voice(960)
    speaker.silence(2400)
    ended = next(event for event in speaker.events if isinstance(event, TurnEnded))
    waited_ms = (ended.decided_s - ended.voiced_until_s) * 1000
    assert wait <= waited_ms < wait + FRAME_MS


def test_the_answer_is_there_when_the_turn_ends_because_the_pause_was_read() -> None:
    speaker = Speaker()
    speaker.reads = says("How old are you?")
    speaker.voice(960)
    last = speaker.silence(2400)
    assert kinds(last)[-2:] == ["TurnEnded", "Final"]
    assert speaker.jobs[-1].timed and speaker.jobs[-1].until / RATE == pytest.approx(0.96 + 0.096)


def test_a_pause_inside_a_sentence_does_not_end_it() -> None:
    speaker = Speaker()
    speaker.reads = says("Tell me about cats and")
    speaker.voice(960)
    speaker.silence(800)
    speaker.reads = says("Tell me about cats and dogs.")
    speaker.voice(640)
    speaker.silence(1600)
    assert kinds(speaker.events).count("TurnEnded") == 1
    assert isinstance(final := speaker.events[-1], Final) and final.text == "Tell me about cats and dogs."


def test_a_sentence_that_looked_complete_and_goes_on_is_waited_for_again() -> None:
    speaker = Speaker()
    speaker.reads = says("How old are you?")
    speaker.voice(960)
    speaker.silence(256)
    speaker.reads = says("How old are you in dog")
    speaker.voice(320)
    assert "TurnEnded" not in kinds(speaker.silence(PATIENCE[Completeness.QUESTION] + 64))
    assert "TurnEnded" in kinds(speaker.silence(PATIENCE[Completeness.OPEN]))


@pytest.mark.parametrize("ms", [32, 96, 160])
def test_a_cough_starts_nothing(ms: int) -> None:
    speaker = Speaker()
    speaker.reads = says("Thank you.")
    for _ in range(10):
        speaker.voice(ms)
        speaker.silence(480)
    assert speaker.events == [] and speaker.jobs == []


def test_two_hundred_milliseconds_of_voice_start_a_turn_at_once() -> None:
    speaker = Speaker()
    assert kinds(speaker.voice(192)) == []
    assert kinds(speaker.voice(32)) == ["SpeechStarted"]


def test_a_voice_that_wavers_is_one_turn() -> None:
    """Once a voice is believed, only a clear drop doubts it."""
    speaker = Speaker()
    speaker.voice(320)
    speaker.sound(1600, 0.4)
    assert speaker.hearing.speaking and kinds(speaker.events) == ["SpeechStarted"]
    quiet = Speaker()
    quiet.sound(3200, 0.4)
    assert quiet.events == []


def test_a_slow_recogniser_makes_the_end_wait_and_gets_no_second_job() -> None:
    speaker = Speaker()
    speaker.voice(960)
    late = speaker.hearing.poll_job()
    assert late is not None and not late.timed and speaker.hearing.poll_job() is None
    speaker.silence(1600)
    assert kinds(speaker.events) == ["SpeechStarted", "TurnEnded"], "nobody has read it"
    assert speaker.hearing.handle_transcript(late, Transcript("What is")) == []
    job = speaker.hearing.poll_job()
    assert job is not None and job.timed and job.turn == 1
    assert kinds(speaker.hearing.handle_transcript(job, Transcript("What is this?"))) == ["Final"]


def test_a_recogniser_that_never_answers_costs_a_bounded_memory() -> None:
    speaker = Speaker()
    for _ in range(12):
        speaker.voice(320)
        speaker.silence(960)
    given_up = [event.turn for event in speaker.events if isinstance(event, Unclear)]
    assert given_up == list(range(1, 9)), "the oldest first, four wait"


def test_a_recogniser_that_fails_leaves_a_turn_without_words() -> None:
    speaker = Speaker()
    speaker.reads = lambda _job: None
    speaker.voice(640)
    speaker.silence(1600)
    assert isinstance(last := speaker.events[-1], Unclear) and last.reason == "no words"


def test_speech_without_end_is_cut_and_nothing_of_it_is_read_twice() -> None:
    speaker = Speaker(Endpointing(longest_ms=3200))
    speaker.reads = says("and so on and so forth")
    speaker.voice(8000)
    ends = [event for event in speaker.events if isinstance(event, TurnEnded)]
    assert [event.end for event in ends] == [End.LIMIT, End.LIMIT]
    finals = [job for job in speaker.jobs if job.timed]
    assert all(job.sound.size <= 3.6 * RATE for job in finals)
    assert finals[1].until - finals[1].sound.size >= finals[0].until


def test_who_goes_away_in_the_middle_is_still_understood() -> None:
    speaker = Speaker()
    speaker.voice(640)
    assert kinds(speaker.hearing.finish()) == ["TurnEnded"]
    job = speaker.hearing.poll_job()
    assert job is not None
    assert kinds(speaker.hearing.handle_transcript(job, Transcript("Goodbye Ava"))) == ["Final"]
    assert speaker.hearing.finish() == []


@pytest.mark.slow
def test_sound_in_any_pieces_is_the_same_sound() -> None:
    def heard(sizes: Iterator[int]) -> list[Event]:
        hearing = Hearing(lambda frame: float(frame.mean() > 0.05))
        sound = np.concatenate((np.zeros(8000), np.full(16000, 0.1), np.zeros(16000))).astype(np.float32)
        events: list[Event] = []
        while sound.size:
            size = next(sizes)
            events += hearing.push(sound[:size])
            sound = sound[size:]
        return events

    whole = heard(iter([40_000]))
    assert kinds(whole) == ["SpeechStarted", "TurnEnded"]
    assert heard(iter([1] * 40_000)) == heard(iter([320] * 125)) == whole


@given(st.lists(st.floats(0, 1), max_size=400), st.randoms(use_true_random=False))
def test_any_probabilities_and_any_reader_leave_a_story_in_order(probabilities: list[float], chance) -> None:  # type: ignore[no-untyped-def]
    """Started, then partials, then the end, then one conclusion: for every turn, whatever comes when."""
    script = iter(probabilities)
    hearing = Hearing(lambda _frame: next(script), Endpointing(longest_ms=2000))
    out: Job | None = None
    events: list[Event] = []
    for _ in probabilities:
        events += hearing.push(np.zeros(FRAME, np.float32))
        out = out or hearing.poll_job()
        if out is not None and chance.random() < 0.3:
            text = chance.choice(["", "Yes.", "What is it?", "and", "you you you you you you you you"])
            events += hearing.handle_transcript(out, Transcript(text))
            out = None
    events += hearing.finish()
    while (job := out or hearing.poll_job()) is not None:
        out = None
        events += hearing.handle_transcript(job, Transcript("The end."))
    stories: dict[int, list[str]] = {}
    for event in events:
        stories.setdefault(event.turn, []).append(type(event).__name__)
    for story in stories.values():
        assert story[0] == "SpeechStarted" and story[-2] == "TurnEnded" and story[-1] in ("Final", "Unclear")
        assert set(story[1:-2]) <= {"Partial"}


def test_the_machine_says_what_it_is_doing() -> None:
    endpointer = Endpointer()
    assert endpointer.push(0.9) is Change.RISEN and endpointer.phase is Phase.RISING
    changes = [endpointer.push(0.0) for _ in range(10)]
    assert changes[-1] is Change.DISMISSED and endpointer.phase is Phase.QUIET


@pytest.mark.parametrize(
    ("transcript", "voiced_s", "reason"),
    [
        (Transcript(""), 1.0, "no words"),
        (Transcript("you", -1.5, 0.3), 1.0, "hardly understood"),
        (Transcript("You are there.", -0.3, 0.8), 1.0, "no speech"),
        (Transcript("Thank you.", -0.5, 0.4), 1.0, "a word for silence"),
        (Transcript("Thanks for watching!", -0.5, 0.4), 1.0, "a word for silence"),
        (Transcript("[wind blowing]", -0.5, 0.1), 1.0, "a description of a sound"),
        (Transcript("What is it? " * 12, -0.1, 0.1), 9.0, "the same words again and again"),
        (
            Transcript("one two three four five six seven", -0.1, 0.1),
            0.3,
            "more words than there was time for",
        ),
    ],
)
def test_what_cannot_have_been_said_is_not_believed(
    transcript: Transcript, voiced_s: float, reason: str
) -> None:
    assert doubt(transcript, voiced_s) == reason


@pytest.mark.parametrize("text", ["Thank you.", "Yes.", "No, stop!", "Okay, how does it work?"])
def test_what_was_clearly_said_is_believed(text: str) -> None:
    assert doubt(Transcript(text, -0.4, 0.05), 0.6) is None


def test_words_that_two_readings_agree_on_are_stable() -> None:
    agreement = Agreement()
    assert agreement.push("What is") == 0
    assert agreement.push("what is, your") == 2
    assert agreement.push("What is your name?") == 3
    assert agreement.push("Watt is your name?") == 3, "what was stable stays so"
    assert agreement.push("What") == 1


def test_how_complete_words_look() -> None:
    assert completeness("") is completeness("I like cats") is Completeness.OPEN
    assert completeness("Tell me about the.") is Completeness.HANGING
    assert completeness("Is it?") is Completeness.QUESTION
    assert completeness("It is!") is Completeness.SENTENCE
