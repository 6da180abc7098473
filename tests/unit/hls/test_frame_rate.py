"""FRAME-RATE is the highest that occurs, and steady."""

from __future__ import annotations

import pytest

from hls.frame_rate import FrameRate


def fed(*stretches: tuple[float, float], jitter: int = 0) -> FrameRate:
    """Pictures at a rate for so many seconds, one stretch after another; every other one is `jitter` ticks late."""
    rate, at = FrameRate(), 1_000.0
    for fps, seconds in stretches:
        for number in range(round(fps * seconds)):
            rate.saw(round(at) + jitter * (number % 2))
            at += 90_000 / fps
    return rate


@pytest.mark.parametrize("fps", [5, 12, 15, 24, 25, 29.97, 30, 60])
def test_a_constant_rate_is_told_as_it_is(fps: float) -> None:
    assert fed((fps, 5)).value(1) == pytest.approx(round(fps), abs=0.01)
    assert fed((fps, 5), jitter=900).value(1) == pytest.approx(round(fps), abs=0.01)


def test_of_a_varying_rate_the_highest_is_told() -> None:
    assert fed((10, 5), (30, 2), (10, 5)).value(1) == 30
    assert fed((30, 2), (5, 20)).value(1) == 30, "a rest is no other stream"


def test_a_rate_that_has_not_come_for_half_a_minute_is_forgotten() -> None:
    assert fed((30, 5), (10, 40)).value(1) == 10


def test_before_anything_is_measured_the_other_value_is_told() -> None:
    assert fed((25, 0.2)).value(24.9) == 25
    assert fed((25, 0.2)).value(33.3) == 33.3


def test_times_that_stand_still_or_go_back_measure_nothing() -> None:
    rate = FrameRate()
    for at in [9_000, 9_000, 5_000] * 100:
        rate.saw(at)
    assert rate.value(25) == 25
