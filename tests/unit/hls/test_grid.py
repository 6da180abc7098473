"""The frozen numbers."""

from __future__ import annotations

import pytest

from hls.grid import AUDIO_RATE, ERA_MS, VIDEO_RATE, date_time, first_msn, scaled, ticks, tier, unix_ms


def test_the_default_tier_is_exact_for_pictures_aac_and_opus() -> None:
    grid = tier(0.32)
    assert grid.part_ticks(VIDEO_RATE) == 8 * 3600
    assert grid.part_ticks(AUDIO_RATE) == 15 * 1024 == 16 * 960
    assert grid.segment_ticks(AUDIO_RATE) == 90 * 1024
    assert grid.segment_ms == 6 * grid.part_ms


@pytest.mark.parametrize("part_s", [0.2, 0.32, 1.0])
def test_hold_backs_keep_three_targets_distance(part_s: float) -> None:
    grid = tier(part_s)
    assert grid.part_hold_back_ms >= 3 * grid.part_ms
    assert grid.hold_back_ms >= 3000 * grid.target_duration_s
    assert grid.skip_until_s >= 6 * grid.target_duration_s
    assert round(grid.longest_segment_ms / 1000) <= grid.target_duration_s


def test_an_unknown_tier_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"0\.2, 0\.32 or 1\.0"):
        tier(0.5)


def test_numbers_of_a_later_start_are_above_all_of_an_earlier_one() -> None:
    start = ERA_MS + 10_000_000
    # Segments last longer than half a second, so after a minute at most 120 numbers are used.
    assert first_msn(start + 60_000) >= first_msn(start) + 120
    assert first_msn(0) == 1, "a clock before our time must still give a number above zero"


def test_times_go_to_the_timeline_and_back() -> None:
    at = ERA_MS + 123_456.789
    assert unix_ms(ticks(at, VIDEO_RATE), VIDEO_RATE) == pytest.approx(at, abs=0.01)
    assert date_time(ticks(ERA_MS + 1500, AUDIO_RATE), AUDIO_RATE) == "2026-01-01T00:00:01.500Z"
    assert scaled(1, VIDEO_RATE, AUDIO_RATE) == 1, "rounded up"
    assert scaled(3600, VIDEO_RATE, AUDIO_RATE) == 1920
