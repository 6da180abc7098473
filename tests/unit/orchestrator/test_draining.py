"""A drain and the hand-overs in it, in virtual time: nobody is cut, whatever the order of what happens."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.draining import Drain, DrainPhase, Left, ordered, phase
from orchestrator.handover import GIVE_UP_MS, OPENING_MS, SETTLED_MS, Facts, Handover, Stage, decode, step

MINUTE = Drain(since_ms=1_000, deadline_ms=61_000)


def test_a_drain_is_moving_then_overdue_and_empty_whenever_nobody_is_left() -> None:
    somebody = Left(viewers=1)
    assert phase(MINUTE, somebody, 1_000) is DrainPhase.MOVING
    assert phase(MINUTE, somebody, 61_000) is DrainPhase.OVERDUE
    assert phase(MINUTE, Left(streams=1), 62_000) is DrainPhase.OVERDUE
    assert phase(MINUTE, Left(), 2_000) is phase(MINUTE, Left(), 90_000) is DrainPhase.EMPTY
    assert (MINUTE.left_s(31_000), MINUTE.left_s(99_000)) == (30.0, 0.0)
    assert not MINUTE.late(30_000) and MINUTE.late(41_000)
    assert not Drain(since_ms=0, deadline_ms=600_000).late(570_000), "at most the last 25 seconds"


def test_an_order_without_a_deadline_gets_one_and_nonsense_is_an_order() -> None:
    assert ordered('{"since_ms": 5000}', 9_000) == Drain(since_ms=5_000, deadline_ms=65_000)
    assert ordered("[", 9_000).deadline_ms == 69_000
    assert ordered(MINUTE.model_dump_json(), 9_000) == MINUTE


@dataclass
class Origin:
    """One that runs an avatar, or is about to."""

    begins_at: int = 0
    live: bool = False
    viewers: int = 0


@dataclass
class World:
    """A broadcast that o1 runs, and other origins; each tick is 250 ms."""

    origins: dict[str, Origin]
    takes_ms: int = 2_000
    draining: set[str] = field(default_factory=set)
    busy_until: int = 0
    late_at: int = 10**9
    comes: bool = False
    """A person publishes."""
    now: int = 0
    move: Handover | None = None
    placed: str = "o1"

    def tick(self) -> None:
        self.now += 250
        alive = {name for name, one in self.origins.items() if one.live}
        source = self.placed if self.placed in alive else next(iter(sorted(alive)), None)
        move = self.move
        facts = Facts(
            source,
            leaving=source in self.draining,
            late=self.now >= self.late_at,
            resting=self.now >= self.busy_until,
        )
        if move is not None:
            at_source, at_target = self.origins.get(move.source), self.origins.get(move.target)
            facts = Facts(
                facts.source,
                facts.leaving,
                facts.late,
                facts.resting,
                left=at_source.viewers if at_source else 0,
                source_there=at_source is not None and at_source.live,
                target_there=at_target is not None and move.target not in self.draining,
                target_gone=at_target is None,
                target_live=at_target is not None and at_target.live,
                comes=self.comes,
            )
        after = step(move, facts, self.now, self._another)
        if (
            after is not None
            and after.stage is Stage.MOVED
            and (move is None or move.stage is not Stage.MOVED)
        ):
            assert self.origins[after.target].live, "nobody is sent to what is not there"
            self.placed = after.target
        self.move = after
        self._carry_out()

    def _another(self, but: frozenset[str]) -> str | None:
        free = sorted(self.origins.keys() - but - self.draining)
        return free[0] if free else None

    def _carry_out(self) -> None:
        """Origins begin and end what they are told; viewers of one that is released go one by one."""
        move = self.move
        for name, one in self.origins.items():
            told = name == self.placed or (move is not None and name in (move.source, move.target))
            if told and not one.live:
                one.begins_at = one.begins_at or self.now + self.takes_ms
                one.live = self.now >= one.begins_at
            elif not told and one.live:
                assert one.viewers == 0 or self.now > GIVE_UP_MS, f"{name} ended under its viewers"
                one.live, one.begins_at = False, 0
        if move is not None and move.stage is Stage.MOVED and self.origins[move.source].viewers:
            self.origins[move.source].viewers -= 1
            self.origins[move.target].viewers += 1

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            self.tick()


def world(*others: str, **facts: int) -> World:
    found = {"o1": Origin(live=True, viewers=3), **{name: Origin() for name in others}}
    return World(found, **facts)


def test_a_session_goes_on_elsewhere_before_it_ends_here() -> None:
    at = world("o2")
    at.draining.add("o1")
    at.tick()
    assert at.move is not None and at.move.stage is Stage.OPENING
    assert at.placed == "o1", "who joins meanwhile goes to where it is live"
    at.run(20)
    assert (at.placed, at.move, at.origins["o1"].live) == ("o2", None, False)
    assert at.origins["o2"].viewers == 3


def test_it_waits_for_the_end_of_a_sentence_but_not_beyond_the_deadline() -> None:
    at = world("o2", busy_until=15_000)
    at.draining.add("o1")
    at.run(14.5)
    assert at.placed == "o1" and at.origins["o2"].live
    at.run(1)
    assert at.placed == "o2"
    talks_on = world("o2", busy_until=10**8, late_at=30_000)
    talks_on.draining.add("o1")
    talks_on.run(29)
    assert talks_on.placed == "o1"
    talks_on.run(2)
    assert talks_on.placed == "o2"


def test_a_drain_that_is_undone_leaves_everything_where_it_is() -> None:
    at = world("o2", busy_until=60_000)
    at.draining.add("o1")
    at.run(10)
    assert at.origins["o2"].live
    at.draining.clear()
    at.run(1)
    assert (at.placed, at.move, at.origins["o2"].live) == ("o1", None, False)
    assert at.origins["o1"].viewers == 3


def test_a_target_that_does_not_begin_is_replaced_by_another() -> None:
    at = world("o2", "o3")
    at.origins["o2"].begins_at = 10**9
    at.draining.add("o1")
    at.run(OPENING_MS / 1000 + 5)
    assert at.placed == "o3"


def test_a_publisher_that_does_not_come_is_waited_for_where_it_is_expected() -> None:
    at = world("o2", "o3", comes=True)
    at.origins["o2"].begins_at = 5 * OPENING_MS
    at.draining.add("o1")
    at.run(4 * OPENING_MS / 1000)
    assert at.move is not None and (at.move.target, at.move.failed, at.placed) == ("o2", (), "o1")
    at.run(OPENING_MS / 1000 + 20)
    assert (at.placed, at.move, at.origins["o1"].live) == ("o2", None, False)


def test_without_another_origin_it_stays_and_moves_when_one_comes() -> None:
    at = world()
    at.draining.add("o1")
    at.run(90)
    assert (at.placed, at.origins["o1"].viewers, at.move) == ("o1", 3, None)
    at.origins["o2"] = Origin()
    at.run(20)
    assert (at.placed, at.origins["o2"].viewers) == ("o2", 3)


def test_a_source_with_viewers_that_never_go_is_let_go_in_the_end() -> None:
    move = Handover(source="o1", target="o2", stage=Stage.MOVED, since_ms=0)
    facts = Facts("o2", left=1, target_there=True, target_live=True)
    assert step(move, facts, GIVE_UP_MS - 1, lambda _but: None) == move
    assert step(move, facts, GIVE_UP_MS, lambda _but: None) is None
    empty = Facts("o2", target_there=True, target_live=True)
    assert step(move, empty, SETTLED_MS - 1, lambda _but: None) == move, "a player may be on its way"
    assert step(move, empty, SETTLED_MS, lambda _but: None) is None
    assert decode(move.model_dump_json()) == move
    assert decode("{}") is None


@pytest.mark.slow
@given(
    events=st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from(["drain o1", "drain o2", "undo", "talk", "o3 dies", "o3 comes"]),
        ),
        max_size=12,
    )
)
def test_whatever_happens_it_is_live_where_viewers_are_and_ends_up_on_one_origin(
    events: list[tuple[int, str]],
) -> None:
    at = world("o2", "o3")
    for ticks, event in events:
        for _ in range(ticks):
            at.tick()
            assert all(one.live for one in at.origins.values() if one.viewers)
        match event.split():
            case ["drain", name]:
                at.draining = {name}
            case ["undo"]:
                at.draining = set()
            case ["talk"]:
                at.busy_until = at.now + 8_000
            case ["o3", "dies"] if not at.origins.get("o3", Origin()).viewers and at.placed != "o3":
                at.origins.pop("o3", None)
            case ["o3", "comes"]:
                at.origins.setdefault("o3", Origin())
    at.draining = {"o1"}
    at.run(200)
    assert at.move is None
    assert [name for name, one in at.origins.items() if one.live] == [at.placed]
    assert at.placed != "o1"
    assert at.origins[at.placed].viewers == 3
