"""Pauses and stressed words: written as SSML or as in a chat, streamed in any pieces, and never harmful."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.chunks import chunks
from speech.g2p import Token, pronouncer
from speech.markup import MOST_PAUSES_MS, Markup, parts, plain
from speech.normalise import pieces


def read(text: str, step: int) -> str:
    markup = Markup()
    out = "".join(markup.push(text[at : at + step]) for at in range(0, len(text), step))
    return re.sub(r"\s+", " ", out + markup.flush()).strip()


def tokens(text: str) -> list[Token]:
    return list(pronouncer().phrase(text).tokens)


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("written", "marked"),
    [
        ("It is <emphasis>not at all</emphasis> late.", "It is *not* *at* *all* late."),
        ('It is <emphasis level="strong">late!</emphasis>', "It is *late*!"),
        ('It is <emphasis level="reduced">late</emphasis>.', "It is late."),
        ("Ready? <break time='0.8s'/> Go!", "Ready? <800ms> Go!"),
        ('Ready?<break strength="weak"/>Go!', "Ready? <250ms> Go!"),
        ("Wait <break/> here", "Wait <500ms> here"),
        ('Call <say-as interpret-as="digits">4711</say-as> now.', "Call 4 7 1 1 now."),
        ('Spell <say-as interpret-as="characters">Ava</say-as>.', "Spell A V A."),
        ('The <sub alias="World Wide Web">WWW</sub> is big.', "The World Wide Web is big."),
        ("<speak><p><s>One.</s> <s>Two.</s></p></speak>", "One. Two."),
        ("<prosody rate='slow'>Slowly</prosody> now", "Slowly now"),
        ("AT&amp;T, R&D, a < b, I <3 you", "AT&T, R&D, a < b, I <3 you"),
        ("I <emphasis>never close this", "I *never* *close* *this*"),
        ("An <open tag", "An <open tag"),
    ],
)
def test_marks_are_read_as_they_come(written: str, marked: str, step: int) -> None:
    assert read(written, step) == marked


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("<emphasis>a <emphasis>b</emphasis> cd</emphasis> ef", "*a* *b* *cd* ef"),
        ("<emphasis><emphasis></emphasis>word ", "*word*"),
        ("<emphasis/>no <emphasis>word</emphasis>", "no *word*"),
        ("<emphasis>" + "a long passage " * 40 + "ends", "*a* *long* *passage* " * 40 + "*ends*"),
    ],
)
def test_stressed_words_are_whole_however_they_come(text: str, marks: str) -> None:
    for step in (1, 2, 3, 7, len(text)):
        assert read(text, step) == marks


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "<break/>|<emphasis>|</emphasis>|<sub alias='x'>|</sub>|word |*|**|<|&|<9999999ms>|a.b |\ue000".split("|")
        )
        | st.text(max_size=12),
        max_size=40,
    ),
    st.integers(1, 50),
)  # fmt: skip
@pytest.mark.slow
def test_whatever_comes_is_read_the_same_in_any_pieces_and_pauses_are_bounded(
    pieces_of_text: list[str], step: int
) -> None:
    text = "".join(pieces_of_text)
    if len(text) < 400:  # elements that are longer are not waited for
        assert read(text, step) == read(text, len(text) + 1)
    clauses = chunks(text)
    paused = [part for clause in clauses for part in parts(clause) if isinstance(part, int)]
    assert sum(paused) <= MOST_PAUSES_MS
    for clause in clauses:
        pronouncer().phrase(clause)


def test_a_stressed_word_has_its_strong_form_and_the_main_stress() -> None:
    said = {t.text: t for t in tokens("I said *the* car, *not* a car, *and* **no other thing**.")}
    assert {t for t in said if said[t].stressed} == {"the", "not", "and", "no", "other", "thing"}
    assert said["the"].phonemes == "ðˈi" and said["and"].phonemes == "ˈænd"
    assert all("ˈ" in t.phonemes for t in said.values() if t.stressed)


def test_stars_that_stress_nothing_are_left_out_and_captions_show_none() -> None:
    assert not any(t.stressed for t in tokens("2 * 3 * 4, a*b*c, * one\n* two"))
    assert plain("I said *really important* things <800ms> now.") == "I said really important things now."
    assert [p.written for p in pieces("see *https://a.io/x* *now*.")] == ["see", "https://a.io/x", "now", "."]
