"""Rollouts in virtual time: who gets the new version when, what takes it back, and what chance must not do."""

from __future__ import annotations

import datetime as dt
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.directory import Health, Role
from orchestrator.rollout import plan
from orchestrator.rollout.figures import Cause, Reading, RolloutLimits, VersionFigures, Window, judge, surely
from orchestrator.rollout.plan import (
    BUCKETS,
    PHASES,
    Happened,
    NewRollout,
    Rollout,
    RolloutPhase,
    RolloutState,
    bucket,
)
from orchestrator.simulation.rollout import NEW, OLD, Course, faults, play

BEGIN = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
GOOD = VersionFigures(nodes=1, requests=1000, latency_total_ms=180_000, latency_count=1000, sessions=50)


def day(number: float) -> dt.datetime:
    return BEGIN + dt.timedelta(days=number)


def begun(**facts: object) -> Rollout:
    return plan.begun(NewRollout(stable=OLD, candidate=NEW, **facts), "ro_1", BEGIN)


def test_a_bucket_is_the_md5_of_the_user() -> None:
    assert bucket("zoe") == int(hashlib.md5(b"zoe").hexdigest()[:8], 16) % 100
    counts = [0] * BUCKETS
    for at in range(20_000):
        counts[bucket(f"user-{at}")] += 1
    assert min(counts) > 100 and max(counts) < 320


@given(user=st.text(max_size=64), percents=st.tuples(st.integers(1, 100), st.integers(1, 100)))
def test_who_has_the_new_version_keeps_it_when_more_get_it(user: str, percents: tuple[int, int]) -> None:
    few, many = sorted(percents)
    assert not (bucket(user) < few) or bucket(user) < many


def test_the_phases_follow_each_other_in_fifteen_days() -> None:
    one, told = begun(), []
    for hour in range(16 * 24 + 1):
        one, happened = plan.step(one, {OLD: GOOD, NEW: GOOD}, 100, day(hour / 24))
        if happened is not None:
            told.append((hour / 24, happened, one.percent))
    assert told == [
        (3.0, Happened.PHASE, 25),
        (8.0, Happened.PHASE, 50),
        (15.0, Happened.PHASE, 100),
        (pytest.approx(15.0, abs=0.05), Happened.DONE, 100),
    ]
    assert one.state is RolloutState.DONE
    assert {one.version_for(f"user-{at}") for at in range(100)} == {NEW}


def test_a_phase_that_saw_too_little_waits_and_says_so() -> None:
    one, happened = plan.step(begun(), {OLD: GOOD}, 3, day(4))
    assert (one.percent, happened) == (10, None)
    assert "3 requests of 2.0" in one.reason
    one, happened = plan.step(one, {OLD: GOOD, NEW: GOOD}, 197, day(4.1))
    assert (one.percent, happened) == (25, Happened.PHASE)


def test_a_pause_stops_the_time_but_not_the_triggers() -> None:
    one, _ = plan.step(begun(), {NEW: GOOD}, 500, day(2))
    one = plan.paused(one, "a holiday", day(2))
    one, happened = plan.step(one, {NEW: GOOD}, 500, day(9))
    assert (one.state, one.percent, happened) == (RolloutState.PAUSED, 10, None)
    resumed = plan.resumed(one, day(9))
    resumed, happened = plan.step(resumed, {NEW: GOOD}, 1, day(9.9))
    assert happened is None, "a tenth of a day is left"
    resumed, happened = plan.step(resumed, {NEW: GOOD}, 1, day(10))
    assert happened is Happened.PHASE
    bad = GOOD.model_copy(update={"errors": 100})
    one, happened = plan.step(one, {NEW: bad}, 1, day(9))
    assert (one.state, one.percent, happened) == (RolloutState.ROLLED_BACK, 0, Happened.ROLLED_BACK)


def test_what_was_taken_back_begins_anew_with_the_same_users() -> None:
    one = plan.rolled_back(begun(), "no", day(4))
    assert {one.version_for(f"user-{at}") for at in range(1000)} == {OLD}
    fresh = plan.again(one, day(6))
    assert (fresh.state, fresh.percent, fresh.attempt, fresh.running_s) == (RolloutState.RUNNING, 10, 2, 0.0)
    chosen = [f"user-{at}" for at in range(1000) if fresh.version_for(f"user-{at}") == NEW]
    assert chosen == [f"user-{at}" for at in range(1000) if begun().version_for(f"user-{at}") == NEW]


@pytest.mark.parametrize(
    ("cause", "bad"),
    [
        (Cause.ERRORS, {"errors": 30}),
        (Cause.LATENCY, {"latency_total_ms": 271_000.0}),
        (Cause.UNDERRUNS, {"underruns": 501}),
        (Cause.GPU_MEMORY, {"gpu_memory_errors": 1}),
    ],
)
def test_each_trigger_takes_it_back_and_just_below_it_does_not(cause: Cause, bad: dict[str, float]) -> None:
    found = judge(GOOD.model_copy(update=bad), 180.0, RolloutLimits())
    assert found is not None and found.cause is cause
    for name, value in bad.items():
        less = GOOD.model_copy(update={name: type(value)(value * 0.99 if value > 30 else value // 4)})
        assert judge(less, 180.0, RolloutLimits()) is None


def test_what_is_seen_too_seldom_says_nothing() -> None:
    few = VersionFigures(
        requests=199, errors=199, latency_total_ms=1e6, latency_count=199, sessions=9, underruns=900
    )
    assert judge(few, 180.0, RolloutLimits()) is None
    assert judge(VersionFigures(), None, RolloutLimits()) is None
    no_stable = GOOD.model_copy(update={"latency_total_ms": 1e9})
    assert judge(no_stable, None, RolloutLimits()) is None, "with nothing to compare it with"


def test_chance_takes_nothing_back() -> None:
    """A version that fails as often as it may, seen a thousand times by chance, is not taken back more than one time in ten."""
    chance, taken = random.Random(5), 0
    for _ in range(1000):
        errors = sum(chance.random() < 0.01 for _ in range(300))
        taken += judge(VersionFigures(requests=300, errors=errors), None, RolloutLimits()) is not None
    assert taken < 100
    assert surely(0, 0) == 0.0
    assert surely(5, 200) < 5 / 200 < 0.05


@given(errors=st.integers(0, 500), more=st.integers(0, 500))
def test_certainty_grows_with_what_was_seen_and_never_exceeds_it(errors: int, more: int) -> None:
    requests = errors + more
    assert 0.0 <= surely(errors, requests) <= (errors / requests if requests else 0.0) + 1e-12
    assert surely(errors * 10, requests * 10) >= surely(errors, requests) - 1e-12


def health(requests: int, **facts: float) -> Health:
    return Health(requests=requests, **facts)


def test_a_window_counts_what_grew_and_forgets_what_is_old() -> None:
    window = Window(100.0)
    assert window.take({"a": Reading(NEW, 1, health(1000, errors=50))}, 0.0) == {}
    assert window.figures()[NEW].requests == 0, "its past is not ours"
    assert window.take({"a": Reading(NEW, 1, health(1010, errors=52))}, 50.0) == {NEW: 10}
    assert (window.figures()[NEW].requests, window.figures()[NEW].errors) == (10, 2)
    window.take({"a": Reading(NEW, 1, health(1030, errors=52))}, 120.0)
    window.take({"a": Reading(NEW, 1, health(1040, errors=52))}, 160.0)
    assert (window.figures()[NEW].requests, window.figures()[NEW].errors) == (30, 0)


def test_a_node_that_is_started_again_or_leaves_keeps_what_it_did_for_a_while() -> None:
    window = Window(100.0)
    window.take({"a": Reading(NEW, 1, health(0))}, 0.0)
    window.take({"a": Reading(NEW, 1, health(40))}, 10.0)
    assert window.take({"a": Reading(NEW, 2, health(3))}, 20.0) == {}, "a new count"
    assert window.take({"a": Reading(NEW, 2, health(5))}, 30.0) == {NEW: 2}
    assert (window.figures()[NEW].requests, window.figures()[NEW].nodes) == (42, 1)
    window.take({}, 40.0)
    assert (window.figures()[NEW].requests, window.figures()[NEW].nodes) == (42, 0)
    window.take({}, 141.0)
    assert NEW not in window.figures()


def test_an_avatar_that_ran_before_the_window_is_a_session_of_it() -> None:
    window = Window(100.0)
    window.take({"a": Reading(NEW, 1, health(0, sessions=7, sessions_live=3, underruns=90))}, 0.0)
    window.take({"a": Reading(NEW, 1, health(0, sessions=9, sessions_live=5, underruns=140))}, 50.0)
    assert window.figures()[NEW].underruns_a_session == 50 / (3 + 2)


def test_a_long_window_keeps_few_readings() -> None:
    window = Window(3600.0)
    for at in range(5_000):
        window.take({"a": Reading(NEW, 1, health(at))}, float(at))
    assert 3_500 <= window.figures()[NEW].requests <= 3_700
    assert len(window._tracks["a"].readings) <= 130


@pytest.mark.parametrize(
    "bad",
    [
        {"stable": NEW},
        {"role": Role.PACKAGER},
        {"candidate": "a b"},
        {"candidate": "x" * 65},
        {"phases": []},
        {"phases": [RolloutPhase(percent=50, days=1)]},
        {
            "phases": [
                RolloutPhase(percent=50, days=1),
                RolloutPhase(percent=50, days=1),
                RolloutPhase(percent=100),
            ]
        },
        {"phases": [RolloutPhase(percent=50), RolloutPhase(percent=100)]},
        {"phases": [RolloutPhase(percent=at, days=1) for at in range(1, 14)]},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewRollout(**{"stable": OLD, "candidate": NEW, **bad})


def test_it_survives_being_written() -> None:
    one, _ = plan.step(begun(), {OLD: GOOD, NEW: GOOD}, 10, day(1))
    assert Rollout.model_validate_json(one.model_dump_json()) == one
    assert one.phases == PHASES


# whole courses --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_good_version_is_rolled_out_in_fifteen_days() -> None:
    played = faults()["no fault"]
    assert [(round(when), happened) for when, happened, _ in played.events] == [
        (3, Happened.PHASE),
        (8, Happened.PHASE),
        (15, Happened.PHASE),
        (15, Happened.DONE),
    ]
    at = {round(one.at_s / 86_400, 2): one for one in played.moments}
    assert [at[when].percent for when in (1.0, 5.0, 10.0, 15.5)] == [10, 25, 50, 100]
    assert at[1.0].on_new < at[5.0].on_new < at[10.0].on_new < at[15.5].on_new
    assert played.moved == 0


@pytest.mark.parametrize("cause", list(Cause))
def test_a_version_that_turns_bad_is_taken_back_within_hours_and_its_sessions_move(cause: Cause) -> None:
    played = faults()[f"{cause} from day 4"]
    assert played.state is RolloutState.ROLLED_BACK
    when, happened, why = played.events[-1]
    assert happened is Happened.ROLLED_BACK
    assert why.startswith(str(cause))
    assert 4.0 <= when < 4.5
    last = played.moments[-1]
    assert (last.percent, last.on_new) == (0, 0)
    assert played.moved > 0


@pytest.mark.parametrize("seed", range(2, 4))
def test_chance_does_not_take_a_good_version_back(seed: int) -> None:
    assert all(one[1] is not Happened.ROLLED_BACK for one in play(Course(days=6.0, seed=seed)).events)


def test_what_is_repaired_is_rolled_out_again() -> None:
    played = faults()["repaired on day 5"]
    assert [happened for _, happened, _ in played.events] == [
        Happened.PHASE,
        Happened.ROLLED_BACK,
        Happened.AGAIN,
        Happened.PHASE,
    ]
    assert played.moments[-1].percent == 25
