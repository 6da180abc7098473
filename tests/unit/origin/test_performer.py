"""Sound and pose of a tick belong together, to the sample."""

from __future__ import annotations

import numpy as np

from origin.avatar import Presence
from origin.avatar.faceunits import UNIT
from origin.clock import FRAME_SAMPLES, Clock, video_rtp_time
from origin.performer import Performer, Tick
from origin.speech_buffer import BufferState
from speech.voice import MILLISECOND
from tests.harness.speaking import spoken


def ticks(performer: Performer, count: int) -> list[Tick]:
    return [performer.tick() for _ in range(count)]


def jaw(tick: Tick) -> float:
    return float(tick.pose.weights[UNIT["jawOpen"]])


def test_frame_k_covers_1920_samples() -> None:
    performer = Performer(1)
    for k, tick in enumerate(ticks(performer, 5)):
        assert tick.frame == k and tick.pcm.size == FRAME_SAMPLES
    assert video_rtp_time(25) == 90_000
    assert Clock(5).due_ns(48_000) == 1_000_000_005 and Clock(0).frame(79_999_999) == 1


def test_the_mouth_is_open_while_there_is_sound_and_rests_otherwise() -> None:
    performer = Performer(1)
    ticks(performer, 10)
    performer.begin(1)
    performer.push(spoken("aaa", 800), 1)
    performer.end(1)
    seen = ticks(performer, 60)
    loud = [t for t in seen if np.abs(t.pcm).mean() > 0.4]
    last = loud[-1].frame
    quiet = [t for t in seen if t.frame > last + 5]
    assert min(jaw(t) for t in loud[2:-2]) > 3 * max(jaw(t) for t in quiet)
    assert quiet[-1].state is BufferState.IDLE


def test_a_caption_comes_when_its_clause_begins_to_be_heard() -> None:
    performer = Performer(1)
    performer.begin(1)
    performer.push(spoken("hello there", 400), 1)
    performer.end(1)
    with_caption = [t for t in ticks(performer, 20) if t.captions]
    (caption,) = with_caption[0].captions
    assert caption.text == "hello there" and caption.end - caption.start == 400 * MILLISECOND
    start = with_caption[0].frame * FRAME_SAMPLES
    assert start <= caption.start < start + FRAME_SAMPLES


def test_an_interruption_is_silence_within_100_ms_and_a_closed_mouth_soon() -> None:
    performer = Performer(1)
    performer.begin(1)
    performer.push(spoken("one two three four five", 5000), 1)
    ticks(performer, 40)
    assert performer.interrupt(2) == "one"
    after = ticks(performer, 12)
    silent_from = 10 * MILLISECOND
    pcm = np.concatenate([t.pcm for t in after])
    assert not pcm[silent_from:].any() and silent_from <= 100 * MILLISECOND
    assert jaw(after[6]) < 0.05


def test_twenty_interruptions_in_a_row_leave_a_performer_that_speaks() -> None:
    performer = Performer(1)
    for epoch in range(1, 21):
        performer.begin(epoch)
        performer.push(spoken("never mind", 2000), epoch)
        ticks(performer, 7)
        performer.interrupt(epoch + 1)
    performer.begin(21)
    performer.push(spoken("still here", 400), 21)
    performer.end(21)
    pcm = np.concatenate([t.pcm for t in ticks(performer, 20)])
    assert np.count_nonzero(pcm[FRAME_SAMPLES:] == 0.5) == 400 * MILLISECOND


def test_it_thinks_until_there_is_speech_then_speaks_then_rests() -> None:
    performer = Performer(1)
    performer.begin(1)
    ticks(performer, 3)
    assert performer.animator.presence is Presence.THINKING
    performer.push(spoken("yes", 300), 1)
    performer.end(1)
    ticks(performer, 2)
    assert performer.animator.presence is Presence.SPEAKING
    ticks(performer, 20)
    assert performer.animator.presence is Presence.IDLE


def test_the_same_seed_and_speech_give_the_same_performance() -> None:
    def run() -> list[bytes]:
        performer = Performer(7)
        performer.begin(1)
        performer.push(spoken("same again", 500), 1)
        performer.end(1)
        return [t.pose.weights.tobytes() for t in ticks(performer, 30)]

    assert run() == run()
