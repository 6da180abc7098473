"""Where segments and parts end."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from hls.audio_segmenter import AudioSegmenter
from hls.grid import AUDIO_RATE, VIDEO_RATE, scaled, tier
from hls.segmenter import VideoSegmenter
from hls.track import AAC_FRAME, Event, Part, SegmentEnd, SegmentStart
from tests.harness.segments import check

GRID = tier(0.32)
FRAME = 3600
PART = GRID.part_ticks(VIDEO_RATE)


def parts(events: Iterable[Event]) -> list[Part]:
    return [event for event in events if isinstance(event, Part)]


def ends(events: Iterable[Event]) -> list[SegmentEnd]:
    return [event for event in events if isinstance(event, SegmentEnd)]


def starts(events: Iterable[Event]) -> list[SegmentStart]:
    return [event for event in events if isinstance(event, SegmentStart)]


def steady(segmenter: VideoSegmenter, count: int, keys: set[int], *, first: int = 0) -> list[Event]:
    """`count` pictures at 25 fps, those in `keys` being key frames."""
    return [
        event
        for index in range(first, first + count)
        for event in segmenter.push(index * FRAME, b"x", key=index in keys)
    ]


def test_nothing_is_published_before_the_first_key_frame() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    assert steady(segmenter, 5, set()) == []
    assert segmenter.key_frame_needed
    assert starts(steady(segmenter, 1, {5}, first=5)) == [SegmentStart(7, 5 * FRAME, False)]
    assert not segmenter.key_frame_needed


def test_six_parts_of_eight_pictures_are_a_segment() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 97, {0, 48, 96})
    assert [part.duration for part in parts(events)] == [PART] * 12
    assert [part.index for part in parts(events)] == [0, 1, 2, 3, 4, 5] * 2
    assert [part.independent for part in parts(events)] == [True, *[False] * 5] * 2
    assert [(end.msn, end.duration) for end in ends(events)] == [(7, 48 * FRAME), (8, 48 * FRAME)]


def test_at_a_constant_rate_a_part_goes_out_with_its_last_picture() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    steady(segmenter, 48, {0})
    assert not parts(steady(segmenter, 7, {48}, first=48))
    # The eighth picture is held 40 ms by its nominal duration, not until the ninth comes.
    assert len(parts(steady(segmenter, 1, set(), first=55))) == 1


def test_a_part_is_cut_before_the_picture_that_would_cross() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = [e for n in range(60) for e in segmenter.push(n * 3000, b"x", key=n == 0)]
    assert {part.duration for part in parts(events)} == {9 * 3000}, (
        "nine pictures of 1/30 s are 0.3 s, ten cross"
    )


def test_rule_1_a_part_that_would_be_too_short_takes_the_next_picture_and_cuts_its_time() -> None:
    # 15 pictures a second: four of them are 83 % of a part, five would cross.
    segmenter = VideoSegmenter(GRID, 1)
    events = [event for n in range(45) for event in segmenter.push(n * 6000, b"x", key=n in (0, 29))]
    check(events, GRID, VIDEO_RATE)
    first = parts(events)[:5]
    assert [part.duration for part in first] == [28_800, 25_200, 28_800, 25_200, 28_800], "100 or 87.5 %"
    times = [
        part.start + sum(sample.duration for sample in part.samples[:n])
        for part in first
        for n in range(len(part.samples))
    ]
    assert all(0 <= n * 6000 - time < 6000 for n, time in enumerate(times)), "never a whole picture early"
    assert sum(n * 6000 == time for n, time in enumerate(times)) >= len(times) * 3 // 4


def test_a_segment_without_a_key_frame_is_cut_before_it_rounds_up() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 200, {0})
    assert all(end.duration == 7 * PART for end in ends(events)), "2.24 s; another part would make 2.56 s"
    assert len(ends(events)) >= 3
    assert segmenter.hard_cuts == len(ends(events))
    assert not any(part.independent for part in parts(events)[1:])


def test_a_publisher_with_key_frames_every_one_and_a_half_seconds_is_followed() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    keys = set(range(0, 380, 38))
    events = steady(segmenter, 380, keys)
    assert segmenter.hard_cuts == 0
    assert {end.duration for end in ends(events)[1:]} == {38 * FRAME}


def test_a_key_frame_that_comes_early_does_not_end_the_segment() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 49, {0, 10, 48})
    assert len(ends(events)) == 1
    assert [part.independent for part in parts(events)[:6]] == [True, True, False, False, False, False]


def test_changed_parameter_sets_cut_at_once_with_a_discontinuity() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    steady(segmenter, 12, {0})
    events = segmenter.push(12 * FRAME, b"x", key=True, init=b"other")
    assert starts(events) == [SegmentStart(8, 12 * FRAME, True, b"other")]
    assert ends(events)[0].duration == 12 * FRAME


def test_a_stall_becomes_gap_parts_on_time_and_a_key_frame_ends_it() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 52, {0, 48})
    events += segmenter.overdue(48 * FRAME + PART - 1)
    assert not any(part.gap for part in parts(events)), "not due yet"
    late = segmenter.overdue(48 * FRAME + 4 * PART)
    assert [part.gap for part in parts(late)] == [False, True, True, True]
    assert parts(late)[0].duration == PART, "the last picture is held to the end of its part"
    assert segmenter.key_frame_needed
    assert segmenter.push(48 * FRAME + 4 * PART + 10, b"x", key=False) == [], (
        "it could not be decoded after a gap"
    )
    resume = 48 * FRAME + 4 * PART + 9000
    back = segmenter.push(resume, b"x", key=True)
    assert [part.duration for part in parts(back)] == [9000], "the rest of the gap"
    assert ends(back)[0].gap
    assert starts(back) == [SegmentStart(10, resume, False)], "no discontinuity: the timeline goes on"
    check(events + late + back, GRID, VIDEO_RATE)


def test_pictures_for_a_time_that_was_published_as_a_gap_are_left_out() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    steady(segmenter, 10, {0})
    segmenter.overdue(10 * PART)
    assert segmenter.push(11 * FRAME, b"x", key=True) == []
    assert segmenter.dropped == 1


def test_after_a_loss_pictures_wait_for_a_key_frame() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 4, {0})
    assert segmenter.push(4 * FRAME, b"broken", key=False, lost_before=True) == []
    assert segmenter.key_frame_needed
    events += segmenter.push(5 * FRAME, b"broken", key=False)
    events += segmenter.push(6 * FRAME, b"whole", key=True)
    events += steady(segmenter, 10, set(), first=7)
    samples = [sample for part in parts(events) for sample in part.samples]
    assert not any(sample.data == b"broken" for sample in samples)
    assert samples[3].duration == 3 * FRAME, "the last good picture stands until the key frame"
    check(events, GRID, VIDEO_RATE)


def test_the_end_finishes_what_is_open() -> None:
    segmenter = VideoSegmenter(GRID, 7)
    events = steady(segmenter, 11, {0}) + segmenter.end()
    assert sum(len(part.samples) for part in parts(events)) == 11
    assert isinstance(events[-1], SegmentEnd)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    part_s=st.sampled_from([0.2, 0.32, 1.0]),
    interval=st.sampled_from([1500, 3000, 3003, 3600, 6000]),
    jitter=st.sampled_from([0, 30, 900, 4000]),
)
def test_no_source_breaks_the_grid(seed: int, part_s: float, interval: int, jitter: int) -> None:
    """Pictures that jitter, stand still, go back, stall, get lost; key frames at random; and followers after them."""
    draw = random.Random(seed)
    grid = tier(part_s)
    video, audio = VideoSegmenter(grid, 100), AudioSegmenter(grid, None)
    seen: list[Event] = []
    heard: list[Event] = []
    sample = 0

    def show(events: list[Event]) -> None:
        nonlocal sample
        seen.extend(events)
        for event in starts(events):
            audio.follow(event)
        heard.extend(audio.decide(video.decided))
        while sample < scaled(video.decided, VIDEO_RATE, AUDIO_RATE):
            heard.extend(audio.push(sample, b"a"))
            sample += AAC_FRAME

    at = 0
    for _ in range(300):
        at += interval + draw.randint(-jitter, jitter)
        if draw.random() < 0.02:
            at += draw.randint(0, 5 * VIDEO_RATE)
        if draw.random() < 0.3:
            show(video.overdue(at - draw.randint(0, VIDEO_RATE)))
        key = draw.random() < draw.choice([0.01, 0.3])
        show(
            video.push(
                at,
                b"v",
                key,
                lost_before=draw.random() < 0.02,
                init=b"other" if key and draw.random() < 0.1 else None,
            )
        )
    show(video.end())
    heard.extend(audio.end())
    check(seen, grid, VIDEO_RATE)
    check(heard, grid, AUDIO_RATE)
    numbers = {event.msn for event in starts(seen)}
    assert {event.msn for event in starts(heard)} <= numbers
    if heard:
        assert [event.discontinuity for event in starts(heard)] == [
            event.discontinuity for event in starts(seen) if event.msn in {one.msn for one in starts(heard)}
        ]


def test_the_same_source_is_always_cut_the_same_way() -> None:
    def run() -> list[Event]:
        draw = random.Random(5)
        segmenter = VideoSegmenter(GRID, 7)
        at, events = 0, []
        for index in range(500):
            at += 3000 + draw.randint(-500, 500)
            events += segmenter.push(at, b"%d" % index, key=index % 61 == 0)
        return events

    assert run() == run()


def test_audio_follows_the_boundaries_of_video() -> None:
    video, audio = VideoSegmenter(GRID, 7), AudioSegmenter(GRID, None)
    events: list[Event] = []
    sample = 0
    for index in range(150):
        shown = video.push(index * FRAME, b"v", key=index in (0, 50, 97))
        for start in starts(shown):
            audio.follow(start)
        events += audio.decide(video.decided)
        while sample < (index + 1) * 1920:
            events += audio.push(sample, b"a")
            sample += AAC_FRAME
    assert [start.msn for start in starts(events)] == [7, 8, 9]
    for start, picture in zip(starts(events), (0, 50, 97), strict=True):
        assert 0 <= start.start - picture * 1920 < AAC_FRAME, "the first frame at or after the boundary"
    assert {part.duration for part in parts(events)} >= {15 * AAC_FRAME}
    check(events, GRID, AUDIO_RATE)


def test_audio_waits_until_video_has_decided() -> None:
    audio = AudioSegmenter(GRID, None)
    for index in range(40):
        assert audio.push(index * AAC_FRAME, b"a") == []
    audio.follow(SegmentStart(7, 0, False))
    assert [part.msn for part in parts(audio.decide(VIDEO_RATE // 2))] == [7]
    assert len(parts(audio.decide(VIDEO_RATE))) == 1


def test_audio_alone_leads_with_exact_segments() -> None:
    audio = AudioSegmenter(GRID, 7)
    events = [event for index in range(300) for event in audio.push(index * AAC_FRAME, b"a")]
    assert {end.duration for end in ends(events)} == {90 * AAC_FRAME}
    assert {part.duration for part in parts(events)} == {15 * AAC_FRAME}
    check(events, GRID, AUDIO_RATE)
