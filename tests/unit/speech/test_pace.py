"""A line begins when the voice can keep up with its listener, and not later."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.pace import MOST_S, Pace


def clause(seconds: float) -> str:
    return "x" * round((seconds - 0.2) / 0.066)


def test_the_last_clause_begins_at_once() -> None:
    assert Pace(0.7).head_start_s(1.0, []) == 0


def test_a_long_clause_after_a_short_one_needs_a_head_start() -> None:
    assert Pace(0.7).head_start_s(0.9, [clause(2.0)]) == pytest.approx(0.5, abs=0.05)


def test_a_quick_voice_needs_none() -> None:
    assert Pace(0.08).head_start_s(0.5, [clause(4.0), clause(6.0)]) == 0


def test_a_voice_slower_than_real_time_waits_no_longer_than_the_most() -> None:
    assert Pace(3.0).head_start_s(1.0, [clause(5.0)] * 5) == MOST_S


def test_the_ratio_follows_what_was_measured_and_not_what_was_remembered() -> None:
    pace = Pace(0.6)
    pace.made(2.0, 0.001)
    assert pace.ratio == 0.6
    for _ in range(20):
        pace.made(2.0, 2.0)
    assert pace.ratio == pytest.approx(1.0, abs=0.01)


@settings(deadline=None)
@given(st.floats(0.05, 1.4), st.floats(0.3, 3), st.lists(st.floats(0.4, 6), max_size=6))
def test_with_the_head_start_no_clause_is_late(ratio: float, ready: float, lengths: list[float]) -> None:
    clauses = [clause(x) for x in lengths]
    durations = [len(c) * 0.066 + 0.2 for c in clauses]
    start = Pace(ratio).head_start_s(ready, clauses)
    if start == MOST_S:
        return
    made, heard_until = 0.0, start + ready
    for duration in durations:
        made += ratio * duration
        assert made <= heard_until + 1e-6
        heard_until += duration
