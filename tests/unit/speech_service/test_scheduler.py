"""Turns are fair, results are in order, and what was called off is never begun."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech_service.scheduler import Rota, Scheduler


def test_a_long_text_waits_for_the_others_between_its_clauses() -> None:
    rota: Rota[str, str] = Rota()
    for number in range(5):
        rota.add("long", f"long {number}")
    rota.add("short", "short 0")
    rota.add("other", "other 0")
    order = []
    while (taken := rota.take()) is not None:
        order.append(taken[1])
        rota.done(taken[0])
    assert order == ["long 0", "short 0", "other 0", "long 1", "long 2", "long 3", "long 4"]


def test_a_connection_has_one_piece_at_work() -> None:
    rota: Rota[str, int] = Rota()
    rota.add("a", 1)
    rota.add("a", 2)
    assert rota.take() == ("a", 1)
    assert rota.take() is None
    rota.done("a")
    assert rota.take() == ("a", 2)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.sampled_from(["add", "take", "done", "drop"])), max_size=80
    )
)
def test_nobody_is_passed_twice_whatever_comes_and_goes(steps: list[tuple[str, str]]) -> None:
    rota: Rota[str, int] = Rota()
    waiting: dict[str, list[int]] = {key: [] for key in "abcde"}
    at_work: set[str] = set()
    passed: dict[str, list[str]] = {}
    for number, (key, step) in enumerate(steps):
        if step == "add":
            rota.add(key, number)
            waiting[key].append(number)
        elif step == "done" and key in at_work:
            rota.done(key)
            at_work.discard(key)
        elif step == "drop" and waiting[key]:
            assert rota.drop(key, waiting[key].pop())
        elif step == "take":
            taken = rota.take()
            ready = {one for one in waiting if waiting[one] and one not in at_work}
            assert (taken is None) == (not ready)
            if taken is not None:
                assert taken[0] in ready and taken[1] == waiting[taken[0]].pop(0)
                at_work.add(taken[0])
                passed.pop(taken[0], None)
                for one in ready - {taken[0]}:
                    passed.setdefault(one, []).append(taken[0])
        for one in list(passed):
            if not waiting[one] or one in at_work:
                del passed[one]
            else:
                assert len(passed[one]) == len(set(passed[one])), (
                    f"{one} was passed twice by one of {passed[one]}"
                )
        assert len(rota) == sum(map(len, waiting.values()))


async def test_work_is_done_in_threads_and_what_was_called_off_is_not() -> None:
    scheduler = Scheduler(1)
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> str:
        begun.set()
        go.wait()
        return threading.current_thread().name

    try:
        held = scheduler.submit("a", first)
        await asyncio.to_thread(begun.wait)
        off = scheduler.submit("b", lambda: done.append("b"))
        last = scheduler.submit("c", lambda: done.append("c"))
        assert (scheduler.waiting, scheduler.running) == (2, 1)
        off.cancel()
        await asyncio.sleep(0)
        assert scheduler.waiting == 1
        go.set()
        assert (await held).startswith("speech")
        await last
        assert done == ["c"]
    finally:
        go.set()
        scheduler.close()


async def test_an_error_belongs_to_who_asked_and_others_go_on() -> None:
    scheduler = Scheduler(1)

    def fail() -> None:
        raise ValueError("mine")

    try:
        with pytest.raises(ValueError, match="mine"):
            await scheduler.submit("a", fail)
        assert await scheduler.submit("b", lambda: 7) == 7
    finally:
        scheduler.close()
