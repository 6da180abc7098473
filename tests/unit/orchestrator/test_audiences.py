"""Whole audiences through the delivery machine in virtual time: no flapping, dwell and limits kept, who takes part stays."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.delivery import Policy
from orchestrator.simulation.audiences import TRACES, Carried, Stage, Trace, carry, oscillation, wanted


def check(found: Carried, stage: Stage, trace: Trace) -> None:
    """What holds for every audience."""
    policy = stage.policy
    assert found.interactive_moved == 0
    assert found.before_ready == 0
    for moments in found.switches.values():
        assert all(b - a >= policy.dwell_s for a, b in itertools.pairwise(moments))
    for one in found.samples:
        assert one.origin <= stage.origin
        assert one.relay <= sum(stage.relays)
        assert one.total == wanted(trace, one.at_s) - one.refused


@pytest.mark.parametrize("name", TRACES)
def test_an_audience_is_carried_within_all_limits_and_nobody_is_refused(name: str) -> None:
    stage = Stage()
    found = carry(TRACES[name], stage)
    check(found, stage, TRACES[name])
    assert not any(one.refused for one in found.samples)
    assert len(found.switches["hls"]) <= 2
    assert len(found.switches["relays"]) <= 2
    if name != "around the threshold":
        last = found.samples[-1]
        assert last.hls == 0
        assert not last.state.hls.on


def test_an_audience_that_swings_around_the_threshold_moves_once() -> None:
    found = carry(oscillation(100, 12, 20, 1200))
    assert len(found.switches["hls"]) == 1
    # Nobody who watches all the while is moved twice: what moves later are joins into the share.
    assert sum(one.moved for one in found.samples) <= 120


def test_an_audience_that_swings_beyond_the_release_rests_for_the_dwell() -> None:
    trace = oscillation(90, 40, 15, 900)
    found = carry(trace)
    check(found, Stage(), trace)
    assert len(found.switches["hls"]) <= 900 / Policy().dwell_s


def test_of_a_flash_crowd_the_passive_ones_are_on_hls_within_half_a_minute() -> None:
    found = carry(TRACES["flash crowd"])
    settled = next(one for one in found.samples if one.at_s == 75)
    assert settled.hls > 500
    assert settled.origin + settled.relay < 100


def test_relays_carry_those_who_all_take_part() -> None:
    stage = Stage(interactive=1.0)
    found = carry(TRACES["flash crowd"], stage)
    check(found, stage, TRACES["flash crowd"])
    assert max(one.hls for one in found.samples) == 0
    assert max(one.relay for one in found.samples) > 300


def test_a_packager_that_loses_the_stream_gives_its_viewers_back() -> None:
    trace: Trace = ((0, 0), (30, 150), (240, 150))
    found = carry(trace, ready=lambda now: not 100 <= now < 160)
    check(found, Stage(), trace)
    at = {one.at_s: one for one in found.samples}
    assert at[99].hls > 100
    assert at[130].hls == 0
    assert at[200].hls > 100


def test_with_scaling_off_everybody_stays_on_webrtc() -> None:
    stage = Stage(Policy(scaling_enabled=False))
    found = carry(TRACES["ramp"], stage)
    assert found.switches == {"hls": [], "relays": []}
    assert max(one.hls for one in found.samples) == 0


traces = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 320)), min_size=1, max_size=8).map(
    lambda steps: tuple(
        (sum(length for length, _ in steps[: at + 1]), viewers) for at, (_, viewers) in enumerate(steps)
    )
)


@settings(max_examples=15, deadline=None)
@given(
    traces,
    st.floats(0, 1),
    st.integers(50, 150),
    st.integers(0, 60),
    st.sets(st.integers(0, 300), max_size=30),
)
def test_whatever_comes_the_limits_hold(
    trace: Trace, interactive: float, origin: int, relay: int, gaps: set[int]
) -> None:
    stage = Stage(origin=origin, relays=(relay, relay), interactive=interactive)
    check(carry(trace, stage, ready=lambda now: now not in gaps), stage, trace)
