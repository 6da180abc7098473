"""A node that is drained: who is told when, who is ended when, and how it is undone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.drain import Drain, Phase


def test_viewers_are_told_over_a_while_and_the_rest_is_ended_in_time() -> None:
    drain = Drain()
    assert drain.follow(60.0, 100.0, 40)
    assert not drain.follow(59.0, 101.0, 40), "the same again is no news"
    assert [drain.told_by(100.0 + after) for after in (0, 5, 10, 20, 50)] == [0, 10, 20, 40, 40]
    assert drain.phase(149.0, 12) is Phase.MOVING
    assert drain.end_now(149.0, 12) == 0
    assert drain.phase(150.0, 12) is Phase.ENDING
    assert drain.end_now(150.0, 12) == 0
    assert drain.end_now(155.0, 12) == 6
    assert drain.end_now(160.0, 6) == 6
    assert drain.phase(160.0, 0) is Phase.EMPTY


def test_a_drain_can_be_undone_and_begun_again() -> None:
    drain = Drain()
    drain.follow(60.0, 0.0, 3)
    assert drain.follow(None, 55.0, 3)
    assert (drain.phase(56.0, 3), drain.told_by(56.0), drain.end_now(200.0, 3)) == (Phase.SERVING, 0, 0)
    drain.follow(60.0, 300.0, 2)
    assert drain.phase(301.0, 2) is Phase.MOVING


def test_a_short_drain_hurries_and_its_deadline_can_be_moved() -> None:
    drain = Drain()
    drain.follow(6.0, 0.0, 30)
    assert [drain.told_by(after) for after in (1.0, 2.0)] == [15, 30], "all are told in a third of the time"
    assert drain.phase(4.9, 30) is Phase.MOVING
    assert drain.phase(5.1, 30) is Phase.ENDING
    assert not drain.follow(600.0, 5.2, 30), "more time is no new drain"
    assert drain.phase(5.2, 30) is Phase.MOVING
    assert drain.end_now(5.2, 30) == 0


@given(sessions=st.integers(0, 2000), ticks=st.lists(st.floats(0.01, 5.0), max_size=60))
def test_whatever_the_ticks_nobody_is_left_at_the_end(sessions: int, ticks: list[float]) -> None:
    drain = Drain()
    drain.follow(60.0, 0.0, sessions)
    now, left = 0.0, sessions
    for tick in [*ticks, 60.0]:
        now += tick
        ended = drain.end_now(now, left)
        assert 0 <= ended <= left
        assert ended == 0 or now >= 50.0
        left -= ended
    assert left == 0
