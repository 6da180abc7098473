"""The life of a CDN distribution, in virtual time, against an API that behaves as CloudFront's does, and as badly as one may."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cdn.life import CdnPhase, Found, Life, Step, Times, Trouble

TIMES = Times()
DEPLOY_S = 240.0


@dataclass
class Api:
    """A distribution that takes its time. `fails` says how each call to come fails; an answer may be lost after the deed was done."""

    now: float = 0.0
    there: dict[str, float | bool] | None = None
    made: int = 0
    calls: list[tuple[float, Step]] = field(default_factory=list)
    fails: list[Trouble | str | None] = field(default_factory=list)
    most_at_once: int = 0

    def found(self) -> Found | None:
        if self.there is None:
            return None
        deployed = self.now - float(self.there["since"]) >= DEPLOY_S
        return Found("E1", "d1.example.net", bool(self.there["enabled"]), deployed)

    def call(self, step: Step) -> Found | None:
        """Raises the trouble that was asked for."""
        self.calls.append((self.now, step))
        fault = self.fails.pop(0) if self.fails else None
        if isinstance(fault, Trouble):
            raise Failed(fault)
        match step:
            case Step.CREATE:
                if self.there is None:  # asked again with the same reference, it is the same one
                    self.made += 1
                    self.there = {"since": self.now, "enabled": True}
            case Step.ENABLE | Step.DISABLE:
                if self.there is None:
                    raise Failed(Trouble.STALE)
                self.there = {"since": self.now, "enabled": step is Step.ENABLE}
            case Step.DELETE:
                found = self.found()
                if found is None or found.enabled or not found.deployed:
                    raise Failed(Trouble.STALE)
                self.there = None
        if fault == "lost":
            raise Failed(Trouble.FAILED)
        return self.found()


class Failed(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


def play(
    life: Life, api: Api, seconds: float, *, wanted: bool, may_change: bool = True, tick_s: float = 1.0
) -> None:
    """Lets time pass."""
    until = api.now + seconds
    while api.now < until:
        life.want(wanted, api.now)
        while (step := life.step(api.now, may_change=may_change)) is not None:
            try:
                life.done(api.call(step), api.now)
            except Failed as error:
                life.failed(error.trouble, str(error), api.now, random.random())
        api.now += tick_s


def changes(api: Api) -> list[Step]:
    return [step for _, step in api.calls if step is not Step.LOOK]


def test_it_is_made_when_it_is_wanted_used_once_everywhere_and_removed_after_an_hour() -> None:
    api, life = Api(), Life(TIMES, 0)
    play(life, api, 100, wanted=False)
    assert life.phase is CdnPhase.ABSENT and changes(api) == []
    play(life, api, 30, wanted=True)
    assert (life.phase, life.url) == (CdnPhase.DEPLOYING, None), "nobody is sent to what is not everywhere"
    play(life, api, DEPLOY_S, wanted=True)
    assert (life.phase, life.url) == (CdnPhase.READY, "https://d1.example.net")
    play(life, api, 5000, wanted=True)
    assert life.phase is CdnPhase.READY and api.made == 1
    play(life, api, TIMES.idle_s - 2, wanted=False)
    assert life.phase is CdnPhase.READY
    play(life, api, 10, wanted=False)
    assert (life.phase, life.url) == (CdnPhase.RETIRING, None)
    play(life, api, DEPLOY_S + TIMES.deploying_s + 5, wanted=False)
    assert life.phase is CdnPhase.ABSENT and api.there is None
    assert changes(api) == [Step.CREATE, Step.DISABLE, Step.DELETE]


def test_it_is_asked_for_seldom() -> None:
    api, life = Api(), Life(TIMES, 0)
    play(life, api, 24 * 3600, wanted=False)
    assert len(api.calls) <= 24 * 3600 / TIMES.settled_s + 1


def test_an_audience_that_comes_back_finds_the_one_that_is_there() -> None:
    api, life = Api(), Life(TIMES, 0)
    play(life, api, DEPLOY_S + 60, wanted=True)
    play(life, api, TIMES.idle_s + 30, wanted=False)
    assert life.phase is CdnPhase.RETIRING
    play(life, api, DEPLOY_S + 60, wanted=True)
    assert life.phase is CdnPhase.READY and api.made == 1
    assert changes(api) == [Step.CREATE, Step.DISABLE, Step.ENABLE]


@pytest.mark.parametrize("enabled", [True, False])
def test_an_orchestrator_that_takes_over_goes_on_with_what_it_finds_and_gives_it_its_hour(
    enabled: bool,
) -> None:
    api = Api(now=10_000, there={"since": 0.0, "enabled": enabled}, made=1)
    life = Life(TIMES, api.now)
    play(life, api, 10, wanted=enabled)
    assert life.phase is (CdnPhase.READY if enabled else CdnPhase.ABSENT) and api.made == 1
    if enabled:
        play(life, api, TIMES.idle_s - 20, wanted=False)
        assert life.phase is CdnPhase.READY


def test_who_is_not_on_duty_only_looks() -> None:
    api, life = Api(), Life(TIMES, 0)
    play(life, api, 2000, wanted=True, may_change=False)
    assert changes(api) == [] and life.phase is CdnPhase.ABSENT
    api.there = {"since": api.now, "enabled": True}  # by the one on duty
    play(life, api, TIMES.settled_s + DEPLOY_S + 60, wanted=True, may_change=False)
    assert life.url == "https://d1.example.net"


def test_a_throttled_api_is_asked_ever_more_seldom_and_nobody_is_sent_to_what_is_not_there() -> None:
    api, life = Api(), Life(TIMES, 0)
    api.fails = [None, *[Trouble.THROTTLED] * 40]
    play(life, api, 1200, wanted=True)
    assert life.url is None and life.trouble == "throttled"
    waits = [
        after - before
        for (before, _), (after, _) in zip(api.calls[1:], api.calls[2:], strict=False)
        if after > before
    ]
    assert len(api.calls) < 20 and max(waits) >= TIMES.longest_wait_s / 2
    assert waits[-1] >= waits[0]
    api.fails.clear()
    play(life, api, TIMES.longest_wait_s + DEPLOY_S + 60, wanted=True)
    assert life.url is not None and life.trouble is None and api.made == 1


def test_no_rights_are_told_and_tried_again_without_haste() -> None:
    api, life = Api(), Life(TIMES, 0)
    for _ in range(60):  # looking is allowed, making is not
        life.want(True, api.now)
        step = life.step(api.now, may_change=True)
        if step is Step.LOOK:
            life.done(None, api.now)
        elif step is not None:
            api.calls.append((api.now, step))
            life.failed(Trouble.FAILED, "AccessDenied", api.now, 1.0)
        api.now += 5
    assert life.trouble == "AccessDenied" and life.retry_s(api.now) >= 0
    assert 3 <= len(api.calls) <= 8, "each wait is twice the one before, though looks succeed in between"


def test_an_answer_that_was_lost_makes_no_second_one() -> None:
    api, life = Api(), Life(TIMES, 0)
    api.fails = [None, "lost"]
    play(life, api, DEPLOY_S + 60, wanted=True)
    assert api.made == 1 and changes(api) == [Step.CREATE] and life.url is not None


def test_what_was_changed_by_hand_is_taken_as_it_is() -> None:
    api, life = Api(), Life(TIMES, 0)
    play(life, api, DEPLOY_S + 60, wanted=True)
    api.there = {"since": api.now, "enabled": False}
    play(life, api, TIMES.settled_s + 30, wanted=True)
    assert changes(api)[-1] is Step.ENABLE
    api.there = None
    play(life, api, TIMES.settled_s + DEPLOY_S + 60, wanted=True)
    assert api.made == 2 and life.phase is CdnPhase.READY


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.booleans(),
            st.floats(5, 5000),
            st.lists(st.sampled_from([*Trouble, "lost", None]), max_size=6),
        ),
        max_size=8,
    )
)
def test_whatever_happens_there_is_one_at_most_and_in_the_end_what_is_wanted(
    story: list[tuple[bool, bool, float, list[Trouble | str | None]]],
) -> None:
    api, life = Api(), Life(TIMES, 0)
    for wanted, may_change, seconds, fails in story:
        api.fails += fails
        play(life, api, seconds, wanted=wanted, may_change=may_change, tick_s=5)
        if life.url is not None:
            assert api.there is not None
    api.fails.clear()
    for wanted in (True, False):
        play(life, api, TIMES.idle_s + 2 * DEPLOY_S + 3 * TIMES.settled_s, wanted=wanted, tick_s=5)
        assert (life.url is not None) == wanted and (api.there is not None) == wanted
