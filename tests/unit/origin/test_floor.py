"""Who has the floor: what the avatar does when viewers begin to speak, end, speak too long, or are its own echo."""

from __future__ import annotations

from origin.hearing.floor import Ask, Floor, Interrupt
from speech.hearing.events import End, Final, Partial, SpeechStarted, TurnEnded, Unclear


def started(turn: int = 1) -> SpeechStarted:
    return SpeechStarted(turn, 0.0)


def ended(turn: int = 1, end: End = End.SILENCE) -> TurnEnded:
    return TurnEnded(turn, 1.0, 1.4, end)


def final(text: str, turn: int = 1) -> Final:
    return Final(turn, text, (), 0.0, 1.0)


def test_a_voice_stops_an_avatar_that_speaks_and_becomes_a_question() -> None:
    floor = Floor()
    assert floor.handle("anna", started(), 10.0, talking=True) == [Interrupt("anna")]
    assert floor.taken
    assert floor.handle("anna", Partial(1, "How", 0), 10.5, talking=False) == []
    assert floor.handle("anna", ended(), 11.4, talking=False) == []
    assert not floor.taken
    assert floor.handle("anna", final("How are you?"), 11.4, talking=False) == [
        Ask("anna", "How are you?", 11.0)
    ]


def test_a_silent_avatar_is_not_interrupted_but_listens() -> None:
    floor = Floor()
    assert floor.handle("anna", started(), 10.0, talking=False) == []
    assert floor.taken


def test_two_who_speak_at_once_are_both_heard_out() -> None:
    floor = Floor()
    floor.handle("anna", started(), 10.0, talking=False)
    floor.handle("ben", started(), 10.2, talking=False)
    floor.handle("anna", ended(), 11.0, talking=False)
    assert floor.taken, "ben speaks on"
    floor.handle("ben", ended(), 12.0, talking=False)
    assert not floor.taken


def test_a_turn_without_words_asks_nothing() -> None:
    floor = Floor()
    floor.handle("anna", started(), 10.0, talking=False)
    floor.handle("anna", ended(), 11.0, talking=False)
    assert floor.handle("anna", Unclear(1, "no words"), 11.0, talking=False) == []


def test_who_leaves_in_the_middle_holds_nobody_up() -> None:
    floor = Floor()
    floor.handle("anna", started(), 10.0, talking=False)
    floor.leave("anna")
    assert not floor.taken


def test_who_speaks_without_end_has_not_the_floor_for_ever() -> None:
    floor = Floor()
    floor.handle("anna", started(1), 10.0, talking=False)
    floor.handle("anna", ended(1, End.LIMIT), 38.0, talking=False)
    assert floor.handle("anna", started(2), 38.3, talking=True) == [] and not floor.taken
    floor.handle("anna", ended(2, End.LIMIT), 66.0, talking=False)
    assert floor.handle("anna", started(3), 68.0, talking=True) == [Interrupt("anna")], "after a breath"


def test_the_avatars_own_words_are_no_question() -> None:
    floor = Floor()
    floor.avatar_says("I am Ava, and I am drawn for you, frame by frame.", 12.0)
    floor.handle("anna", started(1), 11.0, talking=True)
    floor.handle("anna", ended(1), 12.5, talking=False)
    assert floor.handle("anna", final("I am drawn for you frame by frame."), 12.5, talking=False) == []
    floor.handle("anna", started(2), 11.0, talking=True)
    floor.handle("anna", ended(2), 12.5, talking=False)
    other = floor.handle("anna", final("How are you drawn, frame by frame?", 2), 12.5, talking=False)
    assert isinstance(other[0], Ask)


def test_who_repeats_the_avatar_later_is_heard() -> None:
    floor = Floor()
    floor.avatar_says("Say it again, my friend.", 12.0)
    floor.handle("anna", started(), 14.0, talking=False)
    floor.handle("anna", ended(), 15.0, talking=False)
    assert floor.handle("anna", final("Say it again, my friend."), 15.0, talking=False) == [
        Ask("anna", "Say it again, my friend.", 14.6)
    ]
