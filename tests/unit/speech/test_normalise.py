"""Written English is said as a person would say it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech import numbers
from speech.normalise import pieces, spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It costs $5.20.", "It costs five dollars and twenty cents."),
        ("€1,200 a year", "one thousand two hundred euros a year"),
        ("$3.5 million", "three point five million dollars"),
        ("at 3:05 pm", "at three oh five P M"),
        ("on Nov 21, 2026", "on November twenty-first, twenty twenty-six"),
        ("2026-11-21", "November twenty-first, twenty twenty-six"),
        ("in 1984 and the 1990s", "in nineteen eighty-four and the nineteen nineties"),
        ("ava@avacast.dev", "ava at avacast dot dev"),
        ("https://www.avacast.dev/docs?x=1.", "avacast dot dev slash docs."),
        (
            "854x480 at 25 fps",
            "eight hundred fifty-four by four hundred eighty at twenty-five frames per second",
        ),
        ("1.5 Mbit/s, 40 ms, 50%", "one point five megabits per second, forty milliseconds, fifty percent"),
        ("Dr. Smith vs. Mrs. Jones", "doctor Smith versus missus Jones"),
        ("e.g. the 21st of 1/2", "for example the twenty-first of one half"),
        ("call 555-1234", "call five five five one two three four"),
        ("pages 10-20", "pages ten to twenty"),
        ("**Bold**, `code` and [a link](http://x.y)", "Bold, code and a link"),
        ("version 1.2.3", "version one point two point three"),
        ("-3 and 007", "minus three and zero zero seven"),
        ("I'm #1 & you're café", "I'm number one and you're cafe"),
        ("great 😀 stuff", "great stuff"),
    ],
)
def test_reads_as_a_person_would(written: str, said: str) -> None:
    assert spoken(written) == said


def test_captions_keep_what_was_written() -> None:
    assert [(p.written, p.spoken) for p in pieces("Pay $5, ok?")] == [
        ("Pay", "Pay"),
        ("$5", "five dollars"),
        (",", ","),
        ("ok", "ok"),
        ("?", "?"),
    ]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_without_error(text: str) -> None:
    for piece in pieces(text):
        assert not any(c.isdigit() and c.isascii() for c in piece.spoken)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**19))
def test_numbers_become_words_only(number: int) -> None:
    assert all(c.isalpha() or c in " -" for c in numbers.cardinal(number))


@pytest.mark.parametrize(
    ("number", "words"), [(1, "first"), (12, "twelfth"), (20, "twentieth"), (101, "one hundred first")]
)
def test_ordinals(number: int, words: str) -> None:
    assert numbers.ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1900, "nineteen hundred"),
        (1905, "nineteen oh five"),
        (2000, "two thousand"),
        (2008, "two thousand eight"),
    ],
)
def test_years(number: int, words: str) -> None:
    assert numbers.year(number) == words
