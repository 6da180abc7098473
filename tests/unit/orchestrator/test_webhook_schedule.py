"""When webhooks are tried again and given up, in virtual time."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.webhooks.schedule import (
    GIVE_UP_S,
    LONGEST_S,
    Outcome,
    Progress,
    SendState,
    Standing,
    pause_s,
    step,
)

BEGAN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NEW = Progress(SendState.WAITING, 0, None, BEGAN)
REFUSED = Outcome(500, "it answered 500")
TAKEN = Outcome(204)


def after(seconds: float) -> dt.datetime:
    return BEGAN + dt.timedelta(seconds=seconds)


def test_pauses_grow_to_four_hours_and_are_jittered() -> None:
    assert [pause_s(n, 0.5) for n in (1, 2, 3, 4)] == [5, 20, 80, 320]
    assert pause_s(1, 0.0) == 3.75 and pause_s(1, 1.0) == 6.25
    assert pause_s(12, 0.5) == pause_s(1000, 0.5) == LONGEST_S


def test_a_delivery_that_is_refused_is_tried_for_a_day_and_the_endpoint_is_turned_off_then() -> None:
    progress, standing, times = NEW, Standing(), []
    while progress.state is SendState.WAITING:
        times.append((progress.next_at - BEGAN).total_seconds())
        progress, standing = step(progress, standing, REFUSED, progress.next_at, 0.5)
    assert times[:5] == [0, 5, 25, 105, 425]
    assert times[-1] == GIVE_UP_S
    assert 10 < len(times) < 20
    assert progress.state is SendState.FAILED
    assert standing.disabled == "all tries have failed for 24 hours, the last with: it answered 500"


def test_an_endpoint_that_takes_others_is_not_turned_off_when_one_is_given_up() -> None:
    stubborn, standing = NEW, Standing()
    while stubborn.state is SendState.WAITING:
        now = stubborn.next_at
        stubborn, standing = step(stubborn, standing, REFUSED, now, 0.5)
        if stubborn.state is SendState.WAITING:
            _, standing = step(NEW, standing, TAKEN, now, 0.5)
    assert stubborn.state is SendState.FAILED
    assert standing == Standing(failing_since=after(GIVE_UP_S))


def test_what_is_taken_ends_the_failing() -> None:
    progress, standing = step(NEW, Standing(), REFUSED, BEGAN, 0.5)
    assert standing.failing_since == BEGAN
    progress, standing = step(progress, standing, TAKEN, after(5), 0.5)
    assert (progress.state, progress.attempts, standing) == (SendState.DELIVERED, 2, Standing())


def test_gone_turns_the_endpoint_off_at_once() -> None:
    progress, standing = step(NEW, Standing(), Outcome(410, "it answered 410", gone=True), BEGAN, 0.5)
    assert progress.state is SendState.FAILED
    assert standing.disabled == "it answered 410 Gone"


def test_an_endpoint_may_ask_for_patience_of_an_hour_at_most() -> None:
    for asked, waited in ((60.0, 60.0), (1.0, 5.0), (1e8, 3600.0)):
        busy = Outcome(503, "it answered 503", retry_after_s=asked)
        progress, _ = step(NEW, Standing(), busy, BEGAN, 0.5)
        assert progress.next_at == after(waited)


@pytest.mark.slow
@given(
    draws=st.lists(st.floats(0, 1), min_size=40, max_size=40),
    late=st.lists(st.floats(0, 7200), min_size=40, max_size=40),
    asks=st.lists(st.none() | st.floats(0, 1e6), min_size=40, max_size=40),
)
def test_whatever_is_drawn_asked_and_late_a_refused_delivery_ends_within_a_day_and_what_it_was_late(
    draws: list[float], late: list[float], asks: list[float | None]
) -> None:
    progress, standing = NEW, Standing()
    for draw, behind, asked in zip(draws, late, asks, strict=True):
        now = progress.next_at + dt.timedelta(seconds=behind)
        before = progress
        progress, standing = step(progress, standing, Outcome(503, "no", asked), now, draw)
        assert progress.attempts == before.attempts + 1
        if progress.state is not SendState.WAITING:
            assert now >= after(GIVE_UP_S)
            return
        assert now < progress.next_at <= after(GIVE_UP_S) + dt.timedelta(seconds=behind + 7200)
    raise AssertionError("it never ended")
