"""From the publisher's clocks to the timeline."""

from __future__ import annotations

import itertools
import random

from hls.grid import ERA_MS, VIDEO_RATE, ticks
from hls.sync import TrackClock, WallClock

START = ERA_MS + 1_000_000.0


def test_a_steady_source_is_mapped_exactly() -> None:
    clock = TrackClock(VIDEO_RATE)
    mapped = [clock.map(777 + 3600 * n, START + 40 * n) for n in range(100)]
    assert mapped == [ticks(START, VIDEO_RATE) + 3600 * n for n in range(100)]


def test_jitter_of_arrival_does_not_move_pictures() -> None:
    draw = random.Random(1)
    clock = TrackClock(VIDEO_RATE)
    mapped = [clock.map(3600 * n, START + 40 * n + draw.uniform(-3, 3)) for n in range(500)]
    assert all(b - a == 3600 for a, b in itertools.pairwise(mapped))


def test_a_first_report_that_moves_the_line_is_followed_slowly() -> None:
    clock = TrackClock(VIDEO_RATE)
    mapped = [clock.map(3600 * n, START + 40 * n + (80 if n >= 50 else 0)) for n in range(400)]
    steps = [b - a - 3600 for a, b in itertools.pairwise(mapped)]
    assert max(abs(step) for step in steps) <= 45, "half a millisecond a picture"
    assert abs(mapped[-1] - ticks(START + 40 * 399 + 80, VIDEO_RATE)) <= 90
    assert clock.steps == 0


def test_drift_of_the_publishers_clock_never_grows() -> None:
    clock = TrackClock(VIDEO_RATE)
    for n in range(90_000):
        wall = START + 40 * n * 1.0001
        mapped = clock.map(3600 * n, wall)
    assert abs(mapped - ticks(wall, VIDEO_RATE)) < VIDEO_RATE // 100


def test_another_source_is_taken_over_at_once() -> None:
    clock = TrackClock(VIDEO_RATE)
    for n in range(50):
        clock.map(3600 * n, START + 40 * n)
    again = START + 7000
    assert clock.map(4_000_000_000, again) == ticks(again, VIDEO_RATE)
    assert clock.steps == 1


def test_one_wild_report_changes_nothing() -> None:
    clock = TrackClock(VIDEO_RATE)
    mapped = [clock.map(3600 * n, START + 40 * n + (900 if n == 60 else 0)) for n in range(100)]
    assert all(b - a == 3600 for a, b in itertools.pairwise(mapped))


def test_a_publisher_with_a_wrong_clock_is_put_on_ours() -> None:
    wall = WallClock()
    assert wall.corrected(START - 3_600_000, START) == START
    assert wall.corrected(START - 3_600_000 + 40, START + 55) == START + 40, "one correction for all tracks"
    assert wall.corrected(START - 3_600_000 + 80, START + 9000) == START + 80, (
        "a burst that was held up is no new clock"
    )
    for _ in range(200):
        stepped = wall.corrected(START + 10_000, START + 10_020)
    assert stepped == START + 10_000, "a publisher that has set its clock is believed in the end"
    near = WallClock()
    assert near.corrected(START - 150, START) == START - 150, "network delay is no error"
