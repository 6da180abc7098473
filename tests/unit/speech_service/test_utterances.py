"""Text becomes clauses in the order of utterances; what is cancelled is gone; everything has a limit."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from speech_service.endings import Broken
from speech_service.utterances import MOST_CLAUSE_CHARACTERS, MOST_UTTERANCES, Utterances


def clauses(utterances: Utterances) -> list[tuple[str, str]]:
    """All that can be spoken now: (utterance, clause)."""
    found = []
    while (turn := utterances.poll()) is not None or utterances.poll_done() is not None:
        if turn is not None:
            found.append((turn[0].id, turn[1]))
    return found


def test_pieces_of_a_language_model_become_clauses_as_soon_as_they_are_whole() -> None:
    utterances = Utterances()
    for piece in ("Hel", "lo there", ". How ", "are"):
        assert utterances.text("a", piece)
    assert clauses(utterances) == [("a", "Hello there.")]
    assert utterances.flush("a")
    assert clauses(utterances) == [("a", "How are")]
    assert utterances.text("a", " you today?")
    assert utterances.end("a")
    assert clauses(utterances) == [("a", "you today?")]
    assert not utterances.text("a", "more") and not utterances.end("a")


def test_an_utterance_waits_for_the_one_before_it() -> None:
    utterances = Utterances()
    utterances.text("a", "One. ")
    utterances.text("b", "Two. ")
    utterances.end("b")
    assert clauses(utterances) == [("a", "One.")]
    utterances.end("a")
    assert clauses(utterances) == [("b", "Two.")]


def test_what_is_cancelled_is_gone_and_its_late_pieces_are_dropped() -> None:
    utterances = Utterances()
    utterances.text("a", "One. Two. Three. ")
    turn = utterances.poll()
    assert turn is not None
    (cancelled,) = utterances.cancel(None)
    assert cancelled is turn[0] and not cancelled.live
    assert utterances.text("a", "Late. "), "a language model may be behind"
    assert clauses(utterances) == [] and len(utterances) == 0
    assert utterances.cancel("a") == []
    utterances.text("b", "On we go. ")
    utterances.end_all()
    assert clauses(utterances) == [("b", "On we go.")]


def test_too_much_text_and_too_many_utterances_are_refused() -> None:
    utterances = Utterances()
    with pytest.raises(Broken, match="characters wait") as error:
        for _ in range(3):
            utterances.text("a", "word " * 2_000)
    assert error.value.code == "text_too_long"
    utterances = Utterances()
    with pytest.raises(Broken) as error:
        for number in range(MOST_UTTERANCES + 1):
            utterances.text(f"u{number}", "x")
    assert error.value.code == "too_many_utterances"


def test_text_that_has_been_spoken_makes_room() -> None:
    utterances = Utterances()
    for _ in range(20):
        utterances.text("a", "Some words that are spoken at once. " * 100)
        assert clauses(utterances)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["a" * 15_000, ". " * 7_500, "9" * 15_000, "1. " * 5_000, "\n" * 15_000, "," * 15_000]
)
def test_hostile_text_is_cut_into_pieces_of_bounded_work(text: str) -> None:
    utterances = Utterances()
    utterances.text("a", text)
    utterances.end("a")
    found = [clause for _, clause in clauses(utterances)]
    assert all(0 < len(clause) <= MOST_CLAUSE_CHARACTERS for clause in found)
    assert "".join("".join(found).split()) == "".join(text.split())


@example(["\ue000", "AT&T &copy; &lt"])
@given(st.lists(st.text(max_size=40), max_size=20))
def test_no_letter_is_lost_or_made(pieces: list[str]) -> None:
    utterances = Utterances()
    utterances.text("a", "x")
    for piece in pieces:
        utterances.text("a", piece)
    utterances.end("a")
    spoken = "".join("".join(clause.split()) for _, clause in clauses(utterances))
    assert spoken == "".join("".join(["x", *pieces]).split())
