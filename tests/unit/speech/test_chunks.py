"""The first clause is short, no cut is inside a name or a number, and nothing is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from speech.chunks import FIRST_WORDS, MOST_WORDS, Chunker


def chunks(text: str, step: int = 5) -> list[str]:
    chunker = Chunker()
    found = [c for at in range(0, len(text), step) for c in chunker.push(text[at : at + step])]
    return found + chunker.flush()


LONG = (
    "I run on Avacast, which is a server for avatars that talk live to any number of people in the world without "
    "any delay that you would notice at all, and I like it very much because it is never late"
)


def test_first_chunk_is_short_and_ends_at_a_clause() -> None:
    assert chunks(LONG)[0] == "I run on Avacast,"


def test_a_long_clause_is_cut_before_a_phrase() -> None:
    assert (
        chunks("Well, that depends on what you mean by it when you say so.")[0]
        == "Well, that depends on what you mean"
    )


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    assert chunks("Dr. Smith paid $3.50 today. Then he left.") == [
        "Dr. Smith paid $3.50 today.",
        "Then he left.",
    ]


def test_the_first_chunk_comes_before_the_text_is_complete() -> None:
    chunker = Chunker()
    assert chunker.push("Hello there! How are") == ["Hello there!"]


def test_a_short_text_is_one_chunk() -> None:
    assert chunks("Yes.") == ["Yes."]


def test_blank_text_is_none() -> None:
    assert chunks("  \n ") == []


@settings(deadline=None)
@given(st.text(alphabet="ab ,.!?;\n-", max_size=400), st.integers(1, 9))
def test_nothing_is_lost_or_too_long(text: str, step: int) -> None:
    found = chunks(text, step)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(len(c.split()) <= MOST_WORDS + 3 for c in found)
    if found:
        assert len(found[0].split()) <= FIRST_WORDS + 3
