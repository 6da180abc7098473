"""A kept process is started again, more slowly the more often it fails, and killed when it hangs. In virtual time."""

from __future__ import annotations

from avacast.speech.keeper import START_S, Action, Keeper, Phase


def up(keeper: Keeper, now: float) -> None:
    assert keeper.handle_timeout(now) is Action.START
    keeper.started(now)


def test_it_is_started_and_checked_every_thirty_seconds() -> None:
    keeper = Keeper()
    up(keeper, 0.0)
    assert keeper.phase is Phase.UP
    for now in (30.0, 60.0, 90.0):
        assert keeper.handle_timeout(now - 0.1) is None
        assert keeper.handle_timeout(now) is Action.CHECK
        keeper.checked(now, well=True)
    assert keeper.restarts == 0


def test_one_that_hangs_is_killed_after_two_checks_and_one_that_was_busy_is_not() -> None:
    keeper = Keeper()
    up(keeper, 0.0)
    assert keeper.handle_timeout(30.0) is Action.CHECK
    keeper.checked(35.0, well=False)
    assert keeper.handle_timeout(40.0) is Action.CHECK
    keeper.checked(40.0, well=True)
    assert keeper.handle_timeout(70.0) is Action.CHECK
    keeper.checked(75.0, well=False)
    assert keeper.handle_timeout(80.0) is Action.CHECK
    keeper.checked(85.0, well=False)
    assert keeper.handle_timeout(85.0) is Action.KILL
    keeper.exited(85.1)
    assert keeper.phase is Phase.DOWN and keeper.handle_timeout(86.0) is Action.START


def test_one_that_never_gets_ready_is_killed() -> None:
    keeper = Keeper()
    assert keeper.handle_timeout(0.0) is Action.START
    assert keeper.handle_timeout(START_S - 1) is None
    assert keeper.handle_timeout(START_S) is Action.KILL


def test_the_wait_doubles_up_to_half_a_minute_and_a_steady_run_forgets_it() -> None:
    keeper, now, waits = Keeper(), 0.0, []
    for _ in range(9):
        assert keeper.handle_timeout(now) is Action.START
        keeper.exited(now)
        waits.append(keeper.poll_timeout() - now)
        now = keeper.poll_timeout()
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    up(keeper, now)
    keeper.exited(now + 3600)
    assert keeper.poll_timeout() - now - 3600 == 0.5
