"""What is given up under overload, in which order, and how it comes back; and what a device takes at all."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from origin.batch.budget import FULL, Budget
from origin.batch.governor import (
    BAD,
    DOWN_AFTER,
    NOTHING,
    SPARE,
    UP_AFTER,
    Governor,
    Measures,
    Priority,
    last_level,
    plan,
)

FRAME_RATE = 25
PRIORITIES = st.builds(Priority, st.booleans(), st.integers(0, 50))
SESSIONS = st.dictionaries(st.integers(0, 100), PRIORITIES, min_size=1, max_size=80)


def demand(measures: dict[int, Measures]) -> float:
    return sum(FRAME_RATE / one.every for one in measures.values())


@dataclass
class Load:
    """A device that draws `capacity` frames a second, and its sessions, in virtual seconds."""

    capacity: float
    sessions: dict[int, Priority]

    def run(self, governor: Governor, seconds: int) -> list[int]:
        levels = []
        for _ in range(seconds):
            asked = demand(plan(governor.level, self.sessions))
            below = demand(plan(max(governor.level - 1, 0), self.sessions))
            late = max(0.0, asked - self.capacity)
            governor.judge(round(asked), round(late), below / self.capacity, len(self.sessions))
            levels.append(governor.level)
        return levels


def audience(sessions: int) -> dict[int, Priority]:
    return {k: Priority(k % 2 == 0, k) for k in range(sessions)}


def test_the_order_is_rest_then_rate_of_the_least_then_the_encoder() -> None:
    sessions = {
        1: Priority(talking=True, viewers=9),
        2: Priority(talking=False, viewers=90),
        3: Priority(talking=True, viewers=1),
    }
    assert set(plan(0, sessions).values()) == {NOTHING}
    assert plan(1, sessions) == dict.fromkeys(sessions, Measures(rest=True))
    halved = [{s for s, m in plan(level, sessions).items() if m.every == 2} for level in (2, 3, 4)]
    assert halved == [{2}, {2, 3}, {1, 2, 3}], "who is silent first, then who has the fewest viewers"
    assert not any(m.thrifty for m in plan(4, sessions).values())
    assert last_level(3) == 5 and all(m.thrifty for m in plan(5, sessions).values())


@given(SESSIONS, st.integers(0, 12))
def test_a_level_keeps_what_the_one_below_gave_up(sessions: dict[int, Priority], level: int) -> None:
    below, above = plan(level, sessions), plan(level + 1, sessions)
    for session in sessions:
        assert above[session].rest >= below[session].rest
        assert above[session].every >= below[session].every
        assert above[session].thrifty >= below[session].thrifty
    assert demand(plan(last_level(len(sessions)), sessions)) == len(sessions) * FRAME_RATE / 2


@pytest.mark.parametrize(("sessions", "share"), [(6, 0.8), (12, 0.7), (72, 0.6), (72, 0.51)])
def test_an_overload_is_answered_and_the_end_of_it_too(sessions: int, share: float) -> None:
    load = Load(sessions * FRAME_RATE * share, audience(sessions))
    governor = Governor()
    load.run(governor, UP_AFTER * (2 + 8) + 1)
    given_up = plan(governor.level, load.sessions)
    assert demand(given_up) <= load.capacity * (1 + 2 * BAD), (
        "what is left fits, but for what a viewer does not see"
    )
    load.sessions = dict(itertools.islice(load.sessions.items(), max(1, sessions // 4)))
    load.run(governor, DOWN_AFTER * (2 + 8) + 1)
    assert governor.level == 0


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(1, 72), st.floats(0.3, 1.5))
def test_a_constant_load_does_not_make_it_flutter(sessions: int, share: float) -> None:
    load = Load(sessions * FRAME_RATE * share, audience(sessions))
    governor = Governor()
    load.run(governor, 60)
    levels = load.run(governor, 300)
    assert len(set(levels)) == 1


def test_one_bad_second_changes_nothing() -> None:
    governor = Governor()
    for second in range(50):
        governor.judge(100, 60 if second % 5 == 0 else 0, 0.5, 4)
    assert governor.level == 0


def test_a_step_is_not_taken_back_while_the_device_could_not_carry_it() -> None:
    governor = Governor()
    for _ in range(2 * UP_AFTER):
        governor.judge(100, 50, 1.2, 4)
    assert governor.level == 2
    for _ in range(10 * DOWN_AFTER):
        governor.judge(75, 0, SPARE + 0.01, 4)
    assert governor.level == 2
    for _ in range(2 * DOWN_AFTER):
        governor.judge(75, 0, SPARE - 0.01, 4)
    assert governor.level == 0


def test_a_device_takes_what_its_measured_time_carries() -> None:
    budget = Budget(lanes=2, frame_rate=FRAME_RATE)
    assert budget.room(0, 0) > 100, "nothing is known yet"
    budget.measured(0.010)
    assert budget.usage(100) == pytest.approx(0.5)
    assert budget.room(0, 0) == int(FULL * 2 / (FRAME_RATE * 0.010))
    assert budget.room(4, 4 * FRAME_RATE) == 3
    assert budget.room(7, 7 * FRAME_RATE) == 0
    assert budget.room(7, 7) == 6, "who rests asks for little"
    for _ in range(1000):
        budget.measured(0.020)
    assert budget.room(4, 4 * FRAME_RATE) == 0, "corrected by what was seen live"


def test_the_first_avatar_is_taken_by_a_slow_machine_too() -> None:
    budget = Budget(lanes=1, frame_rate=FRAME_RATE)
    budget.measured(0.5)
    assert budget.room(0, 0) == 1 and budget.room(1, FRAME_RATE) == 0


def test_a_dearer_face_is_admitted_by_its_own_cost() -> None:
    budget = Budget(lanes=2, frame_rate=FRAME_RATE)
    budget.measured(0.010)
    assert budget.room(2, 2 * FRAME_RATE) == 5
    assert budget.room(2, 2 * FRAME_RATE, 0.040) == 1
    assert budget.room(2, 2 * FRAME_RATE, 0.080) == 0, "though one more of the others would fit"
    assert budget.room(0, 0, 3.0) == 1


def test_the_operators_limit_holds() -> None:
    budget = Budget(lanes=16, frame_rate=FRAME_RATE, most=3)
    assert [budget.room(n, 0) for n in range(5)] == [3, 2, 1, 0, 0]


def test_a_device_that_had_no_memory_takes_one_less_and_tries_again_when_some_is_freed() -> None:
    budget = Budget(lanes=16, frame_rate=FRAME_RATE)
    budget.out_of_memory(5)
    assert budget.room(5, 0) == 0 and budget.room(3, 0) == 1
    budget.session_ended()
    assert budget.room(4, 0) == 1


@given(st.floats(1e-4, 0.2), st.integers(1, 64), st.integers(0, 100))
def test_what_is_admitted_fits(cost_s: float, lanes: int, sessions: int) -> None:
    budget = Budget(lanes, FRAME_RATE)
    budget.measured(cost_s)
    rate = sessions * FRAME_RATE
    room = budget.room(sessions, rate)
    assert room >= 0
    if sessions and room:
        assert budget.usage(rate + room * FRAME_RATE) <= FULL + 1e-6
