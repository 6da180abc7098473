"""The jitter buffer in virtual time: every sample has its place, underruns are counted, an interruption is heard at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from origin.clock import FRAME_SAMPLES
from origin.speech_buffer import CUT_FADE, BufferSettings, BufferState, SpeechBuffer
from speech.voice import MILLISECOND
from tests.harness.speaking import spoken

LEAD = BufferSettings().lead_ms * MILLISECOND


def test_silence_while_nothing_is_said() -> None:
    block = SpeechBuffer().read(FRAME_SAMPLES)
    assert block.state is BufferState.IDLE and not block.pcm.any()


def test_speech_begins_a_lead_after_it_was_placed_and_is_heard_whole() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    assert buffer.push(spoken("a b", 200), 1)
    buffer.end(1)
    blocks = [buffer.read(FRAME_SAMPLES) for _ in range(10)]
    pcm = np.concatenate([b.pcm for b in blocks])
    assert blocks[0].placed[0].at == LEAD
    assert np.flatnonzero(pcm)[0] == LEAD and np.count_nonzero(pcm) == 200 * MILLISECOND
    assert [b.state for b in blocks][:3] == [BufferState.PREBUFFER, BufferState.PREBUFFER, BufferState.DRAIN]
    assert blocks[-1].state is BufferState.IDLE and buffer.underruns == 0


def test_a_following_clause_is_placed_right_behind() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    buffer.push(spoken("one", 500), 1)
    first = buffer.read(FRAME_SAMPLES).placed[0]
    buffer.push(spoken("two", 300), 1)
    assert buffer.read(FRAME_SAMPLES).placed[0].at == first.end


def test_little_speech_waits_for_more_unless_the_line_is_complete() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    buffer.push(spoken("a", 60), 1)
    assert not buffer.read(FRAME_SAMPLES).placed
    assert buffer.wants_more
    buffer.push(spoken("b", 80), 1)
    assert len(buffer.read(FRAME_SAMPLES).placed) == 2


def test_a_late_clause_is_one_underrun_and_then_goes_on() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    buffer.push(spoken("one", 200), 1)
    states = [buffer.read(FRAME_SAMPLES).state for _ in range(12)]
    assert BufferState.GAP in states and buffer.underruns == 1
    buffer.push(spoken("two", 200), 1)
    buffer.end(1)
    placed = [buffer.read(FRAME_SAMPLES) for _ in range(12)]
    assert sum(np.count_nonzero(b.pcm) for b in placed) == 200 * MILLISECOND
    assert placed[-1].state is BufferState.IDLE and buffer.underruns == 1


def test_an_interruption_leaves_a_fade_of_ten_milliseconds_and_nothing_else() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    buffer.push(spoken("one two three four", 4000), 1)
    for _ in range(30):
        buffer.read(FRAME_SAMPLES)
    heard = buffer.cut(2)
    assert heard == "one"
    pcm = buffer.read(FRAME_SAMPLES).pcm
    assert np.count_nonzero(pcm[CUT_FADE:]) == 0 and np.all(np.diff(pcm[:CUT_FADE]) <= 0)
    assert not buffer.push(spoken("five", 100), 1)
    assert buffer.state is BufferState.IDLE


def test_what_was_heard_ends_at_the_last_whole_word() -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    buffer.push(spoken("one two", 400), 1)
    buffer.push(spoken("three four", 400), 1)
    while buffer.position < LEAD + 650 * MILLISECOND:
        buffer.read(FRAME_SAMPLES)
    assert buffer.heard() == "one two three"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 12)), max_size=12), st.integers(200, 4000))
def test_every_sample_is_heard_once_and_in_order(clauses: list[tuple[int, int]], step: int) -> None:
    buffer = SpeechBuffer()
    buffer.begin(1)
    heard = []
    for number, (ms, reads) in enumerate(clauses, 1):
        buffer.push(spoken("x", ms, level=number / 100), 1)
        heard += [buffer.read(step).pcm for _ in range(reads)]
    buffer.end(1)
    while True:
        block = buffer.read(step)
        heard.append(block.pcm)
        if block.state is BufferState.IDLE:
            break
    pcm = np.concatenate(heard)
    expected = np.concatenate(
        [np.full(ms * MILLISECOND, n / 100, np.float32) for n, (ms, _) in enumerate(clauses, 1)]
        or [np.zeros(0)]
    )
    assert np.array_equal(pcm[pcm != 0], expected.astype(np.float32))
