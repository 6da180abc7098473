"""Whose turn it is, and what is remembered."""

from __future__ import annotations

import pytest

from common.dialogue import Said, Speaker
from origin.dialogue.turns import MOST_HELD, MOST_WAITING, Kind, LineUnknown, Place, QueueFull, Turns


def test_lines_are_taken_in_order() -> None:
    turns = Turns()
    first, second = turns.add(Kind.SAY, "one"), turns.add(Kind.ASK, "two")
    assert (turns.take(), turns.take(), turns.take()) == (first, second, None)


def test_one_interruption_drops_what_waits_and_what_is_being_spoken() -> None:
    turns = Turns()
    turns.add(Kind.SAY, "one")
    turns.add(Kind.SAY, "two")
    speaking = turns.take()
    assert speaking is not None
    turns.interrupt()
    assert turns.stale(speaking) and turns.take() is None
    assert not turns.stale(turns.add(Kind.SAY, "three"))


def test_the_queue_is_bounded() -> None:
    turns = Turns()
    for n in range(MOST_WAITING):
        turns.add(Kind.SAY, str(n))
    with pytest.raises(QueueFull):
        turns.add(Kind.SAY, "one too many")


def test_only_what_was_heard_is_remembered() -> None:
    turns = Turns()
    turns.asked(turns.add(Kind.ASK, "who are you?", "anna"))
    turns.heard("I am")
    turns.heard("  ")
    assert [(m.speaker, m.text) for m in turns.history] == [
        (Speaker.VISITOR, "who are you?"),
        (Speaker.AVATAR, "I am"),
    ]


def test_a_held_question_waits_for_the_host_and_then_in_the_queue() -> None:
    turns = Turns()
    held = [turns.hold(f"question {n}", f"v{n}") for n in range(3)]
    assert turns.take() is None and turns.held == held
    turns.interrupt()
    approved = turns.approve(held[1].number)
    assert not turns.stale(approved) and turns.take() == approved
    assert turns.drop(held[0].number) == held[0] and turns.held == [held[2]]
    for number in (held[0].number, held[1].number, 99):
        with pytest.raises(LineUnknown):
            turns.approve(number)
        with pytest.raises(LineUnknown):
            turns.drop(number)


def test_held_questions_are_bounded_and_one_that_finds_no_place_stays_held() -> None:
    turns = Turns()
    held = [turns.hold("?") for _ in range(MOST_HELD)]
    with pytest.raises(QueueFull):
        turns.hold("one too many")
    for _ in range(MOST_WAITING):
        turns.add(Kind.SAY, "line")
    with pytest.raises(QueueFull):
        turns.approve(held[0].number)
    assert turns.held == held


def test_a_line_of_a_script_comes_before_questions_and_after_what_the_host_said_before() -> None:
    turns = Turns()
    turns.add(Kind.SAY, "host")
    turns.add(Kind.ASK, "question")
    turns.add(Kind.SAY, "host later")
    turns.cue("script", 1.0)
    assert [t.text for t in turns.queue] == ["host", "script", "question", "host later"]


def test_a_line_said_now_cuts_what_is_spoken_and_keeps_what_waits() -> None:
    turns = Turns()
    speaking = turns.add(Kind.SAY, "long")
    assert turns.take() == speaking
    waiting = [turns.add(Kind.SAY, str(n)) for n in range(MOST_WAITING)]
    turns.cut()
    urgent = turns.add(Kind.SAY, "now", place=Place.FIRST)
    assert turns.stale(speaking) and turns.take() == urgent
    assert [t.number for t in turns.queue] == [t.number for t in waiting]
    assert not any(turns.stale(t) for t in turns.queue)


def test_what_was_said_elsewhere_is_taken_over_until_something_is_said_here() -> None:
    turns = Turns()
    first = [Said(speaker=Speaker.VISITOR, text="I am Zoe.")]
    more = [*first, Said(speaker=Speaker.AVATAR, text="Hello Zoe.")]
    turns.recall(first)
    turns.recall(more)
    assert list(turns.history) == more
    turns.asked(turns.add(Kind.ASK, "And you?"))
    turns.recall(first)
    assert [one.text for one in turns.history] == ["I am Zoe.", "Hello Zoe.", "And you?"]


def test_what_waited_elsewhere_comes_first_and_keeps_the_numbers_that_a_host_sees() -> None:
    there, here = Turns(), Turns()
    waiting, held = there.add(Kind.SAY, "line"), [there.hold(f"question {n}", "v1") for n in range(3)]
    meanwhile = here.add(Kind.ASK, "asked here first")  # number 1 here too
    here.take_over(*there.give_away())
    assert there.queue == [] and there.held == []
    assert [one.text for one in here.queue] == ["line", "asked here first"]
    assert here.queue[1] == meanwhile and here.queue[0].number not in (
        waiting.number,
        *(q.number for q in held),
    )
    assert here.held == held
    assert here.hold("the next").number > here.queue[0].number, "no number is given twice"


def test_what_is_taken_over_is_bounded_and_the_newest_finds_no_place() -> None:
    there, here = Turns(), Turns()
    for n in range(MOST_HELD):
        there.hold(f"old {n}")
        here.hold(f"new {n}")
    here.take_over(*there.give_away())
    assert [one.text for one in here.held] == [f"old {n}" for n in range(MOST_HELD)]
