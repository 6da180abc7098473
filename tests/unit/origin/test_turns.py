"""Whose turn it is, and what is remembered."""

from __future__ import annotations

import pytest

from origin.dialogue.brain import Speaker
from origin.dialogue.turns import MOST_WAITING, Kind, QueueFull, Turns


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
