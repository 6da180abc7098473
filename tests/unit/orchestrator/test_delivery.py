"""Delivery in virtual time: thresholds, hysteresis, dwell, batches, what ops hold, what a lost packager does."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.directory import Delivery, in_hls_share
from orchestrator.delivery import Audience, Force, Policy, Stage, State, decode, encode, step


@dataclass
class Story:
    """A broadcast in virtual time: one look a second."""

    policy: Policy = field(default_factory=Policy)
    state: State = field(default_factory=State)
    now: float = 1000.0
    ready: bool = True
    changes: list[tuple[float, bool]] = field(default_factory=list)

    def watch(self, audience: Audience, seconds: int = 1) -> State:
        chance = random.Random(7)
        for _ in range(seconds):
            before = self.state.hls.on
            self.state = step(
                self.state, self.policy, audience, self.now, hls_ready=self.ready, jitter=chance.random
            )
            if self.state.hls.on != before:
                self.changes.append((self.now, self.state.hls.on))
            self.now += 1
        return self.state


def test_a_small_audience_is_served_directly() -> None:
    assert Story().watch(Audience(interactive=10, passive_webrtc=90), 100).stage is Stage.DIRECT


def test_one_viewer_more_than_the_threshold_moves_the_passive_ones_to_hls() -> None:
    story = Story()
    assert story.watch(Audience(10, 90)).stage is Stage.DIRECT
    state = story.watch(Audience(10, 91), 10)
    assert state.stage is Stage.HYBRID
    assert state.hls_share == 1.0
    assert state.mode is Delivery.HLS


def test_moving_viewers_to_hls_does_not_lower_what_the_switch_measures() -> None:
    story = Story()
    story.watch(Audience(10, 95), 5)
    assert story.watch(Audience(10, 0, hls=95), 600).stage is Stage.HYBRID
    assert len(story.changes) == 1


def test_the_switch_is_released_below_80_percent_after_its_dwell() -> None:
    story = Story()
    story.watch(Audience(120))
    assert story.watch(Audience(79), 29).hls.on
    assert not story.watch(Audience(79), 2).hls.on
    assert story.watch(Audience(90), 60).stage is Stage.DIRECT


def test_between_release_and_threshold_nothing_changes_either_way() -> None:
    story = Story()
    story.watch(Audience(120), 40)
    assert story.watch(Audience(81), 300).hls.on
    story.watch(Audience(79), 2)
    assert not story.watch(Audience(100), 300).hls.on


@given(st.lists(st.integers(60, 140), min_size=60, max_size=300))
def test_an_audience_that_swings_costs_one_change_a_dwell(sizes: list[int]) -> None:
    story = Story()
    for size in sizes:
        story.watch(Audience(0, size))
    moments = [at for at, _ in story.changes]
    assert all(b - a >= story.policy.dwell_s for a, b in itertools.pairwise(moments))


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), st.booleans()), max_size=100
    ),
    st.sampled_from(Force),
)
def test_whatever_happens_the_share_is_a_share_and_hybrid_means_hls(
    looks: list[tuple[int, int, int, bool]], force: Force
) -> None:
    story = Story()
    story.state = story.state.force_hls(force)
    for interactive, passive, hls, ready in looks:
        story.ready = ready
        state = story.watch(Audience(interactive, passive, hls))
        assert 0.0 <= state.hls_share <= 1.0
        assert (state.stage is Stage.HYBRID) == state.hls.on
        assert state.package or not state.hls.on
        if force is not Force.AUTO:
            assert state.hls.on == (force is Force.ON)


def test_a_large_audience_moves_in_batches_of_50() -> None:
    story = Story()
    audience = Audience(interactive=20, passive_webrtc=1000)
    shares = [story.watch(audience).hls_share for _ in range(60)]
    moved = [round((b - a) * 1000) for a, b in itertools.pairwise(shares)]
    assert max(moved) <= 50
    assert shares[-1] == 1.0
    viewers = [f"v_{index}" for index in range(1000)]
    halfway = {one for one in viewers if in_hls_share(one, shares[8]) is Delivery.HLS}
    later = {one for one in viewers if in_hls_share(one, shares[16]) is Delivery.HLS}
    assert halfway < later


def test_nobody_is_moved_before_the_packager_has_the_stream() -> None:
    story = Story(ready=False)
    state = story.watch(Audience(0, 150), 20)
    assert state.package
    assert state.hls_share == 0.0
    assert state.mode is Delivery.WEBRTC
    story.ready = True
    assert story.watch(Audience(0, 150), 20).hls_share == 1.0


def test_a_packager_that_loses_the_stream_is_given_up_after_a_while() -> None:
    story = Story()
    story.watch(Audience(0, 40, 100), 20)
    story.ready = False
    assert story.watch(Audience(0, 40, 100), 3).hls_share == 1.0
    state = story.watch(Audience(0, 40, 100), 20)
    assert state.hls_share == 0.0
    assert state.mode is Delivery.WEBRTC
    story.ready = True
    assert story.watch(Audience(0, 140), 20).hls_share == 1.0


def test_packaging_begins_before_the_threshold_and_lasts_a_little_longer() -> None:
    story = Story()
    assert not story.watch(Audience(79)).package
    assert story.watch(Audience(80)).package
    assert story.watch(Audience(65)).package
    assert not story.watch(Audience(63)).package
    assert Story(Policy(package_always=True)).watch(Audience()).package
    assert not Story(Policy(package_always=True, hls_enabled=False)).watch(Audience()).package


def test_relays_go_by_webrtc_viewers_only() -> None:
    story = Story(Policy(hls_enabled=False))
    assert story.watch(Audience(200)).stage is Stage.DIRECT
    assert story.watch(Audience(201)).stage is Stage.RELAYED
    many_by_hls = Story()
    state = many_by_hls.watch(Audience(interactive=150, hls=5000), 5)
    assert state.stage is Stage.HYBRID
    assert not state.relays.on


def test_hybrid_may_use_relays_too() -> None:
    state = Story().watch(Audience(interactive=300, hls=500), 5)
    assert state.stage is Stage.HYBRID
    assert state.relays.on


def test_a_threshold_of_0_is_for_everybody() -> None:
    story = Story(Policy(relay_above=0, hls_enabled=False))
    assert story.watch(Audience()).stage is Stage.DIRECT
    assert story.watch(Audience(1)).stage is Stage.RELAYED
    assert story.watch(Audience(1), 300).stage is Stage.RELAYED
    assert story.watch(Audience(), 300).stage is Stage.DIRECT


def test_ops_hold_hls_on_and_off_whatever_the_audience() -> None:
    story = Story()
    story.state = story.state.force_hls(Force.ON)
    assert story.watch(Audience(1, 2), 3).hls_share == 1.0
    story.state = story.state.force_hls(Force.OFF)
    state = story.watch(Audience(0, 0, 500), 30)
    assert not state.hls.on
    assert state.hls_share == 0.0


def test_letting_go_needs_no_dwell() -> None:
    story = Story()
    story.state = story.state.force_hls(Force.ON)
    story.watch(Audience(1))
    story.state = story.state.force_hls(Force.AUTO)
    assert not story.watch(Audience(1)).hls.on


@pytest.mark.parametrize(
    ("policy", "stage"),
    [
        (Policy(scaling_enabled=False), Stage.DIRECT),
        (Policy(hls_enabled=False), Stage.RELAYED),
        (Policy(hls_enabled=False, relays_enabled=False), Stage.DIRECT),
        (Policy(relays_enabled=False), Stage.HYBRID),
    ],
)
def test_what_is_turned_off_stays_off(policy: Policy, stage: Stage) -> None:
    assert Story(policy).watch(Audience(1000), 100).stage is stage


def test_a_state_survives_the_registry() -> None:
    story = Story()
    story.watch(Audience(0, 1000), 9)
    copy = decode(encode(story.state), story.now)
    assert copy.told == story.state.told or abs(copy.hls_share - story.state.hls_share) < 1e-6
    assert (copy.hls.since, copy.hls.reason) == (story.state.hls.since, story.state.hls.reason)
    never = decode(encode(State()), story.now)
    assert replace(never, ready_at=float("-inf")) == State()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"hls":1}', "nonsense", '{"relays":{"on":true,"force":"x","reason":"y"}}']
)
def test_a_broken_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text, 0.0)
