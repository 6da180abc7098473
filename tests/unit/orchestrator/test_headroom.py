"""What a node says of its capacity, corrected by what is measured of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.directory import NodeReport, Role
from orchestrator.headroom import LEAST_VIEWERS, REFUSED_S, Headroom


def report(capacity: int = 1000, busiest: float = 0.0, refused: int = 0) -> NodeReport:
    return NodeReport(
        id="r1",
        role=Role.RELAY,
        url="http://r1",
        epoch=1,
        capacity=capacity,
        busiest_ratio=busiest,
        refused=refused,
    )


def test_a_node_that_is_idle_is_believed() -> None:
    headroom = Headroom()
    headroom.heard(report(busiest=0.01), 3, 0)
    assert headroom.capacity(report(), 0) == 1000


def test_a_node_that_says_too_much_gets_what_its_busiest_worker_carries() -> None:
    headroom = Headroom()
    for beat in range(10):
        headroom.heard(report(10_000, busiest=0.4), 150, beat * 2.5)
    assert headroom.capacity(report(10_000), 25) == 300


def test_a_node_that_has_no_room_left_gets_nobody() -> None:
    headroom = Headroom()
    for beat in range(10):
        headroom.heard(report(10_000, busiest=0.95), 400, beat * 2.5)
    assert headroom.capacity(report(10_000), 25) < 400


def test_one_that_says_too_little_is_an_operators_wish() -> None:
    headroom = Headroom()
    headroom.heard(report(50, busiest=0.3), 40, 0)
    assert headroom.capacity(report(50), 0) == 50


def test_one_that_refuses_gets_no_more_than_it_has_for_a_while() -> None:
    headroom = Headroom()
    headroom.heard(report(refused=7), 5, 0)  # before this orchestrator knew it
    assert headroom.capacity(report(), 0) == 1000
    headroom.heard(report(refused=8), 6, 10)
    assert headroom.capacity(report(), 10) == 6
    headroom.heard(report(refused=8), 4, 12.5)
    assert headroom.capacity(report(), 12.5) == 6, "the places of two that left are free"
    assert headroom.capacity(report(), 10 + REFUSED_S) == 1000


def test_what_was_measured_is_forgotten_when_there_is_nothing_to_measure() -> None:
    headroom = Headroom()
    headroom.heard(report(busiest=0.8), 100, 0)
    assert headroom.capacity(report(), 0) == 100
    seen = []
    for beat in range(40):
        headroom.heard(report(busiest=0.0), 0, beat * 2.5)
        seen.append(headroom.capacity(report(), beat * 2.5))
    assert seen == sorted(seen)
    assert seen[-1] == 1000


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 4), st.integers(0, 50)), max_size=60),
    st.integers(0, 5000),
)
def test_it_never_says_more_than_the_node_nor_less_than_none(
    beats: list[tuple[int, float, int]], said: int
) -> None:
    headroom, refused = Headroom(), 0
    for at, (viewers, busiest, more) in enumerate(beats):
        refused += more
        heard = report(said, busiest, refused)
        headroom.heard(heard, viewers, at * 2.5)
        assert 0 <= headroom.capacity(heard, at * 2.5) <= said
        if more == 0 and viewers < LEAST_VIEWERS and at == 0:
            assert headroom.capacity(heard, 0) == said
