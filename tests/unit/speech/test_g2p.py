"""Words get the phonemes that the voices were trained on, unknown ones too."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.g2p import Pronouncer, ipa, pronouncer

SYMBOLS = set(
    json.loads(resources.files("speech").joinpath("data", "kokoro_symbols.json").read_text("utf-8"))
)


@pytest.fixture(scope="module")
def english() -> Pronouncer:
    return pronouncer()


def said(english: Pronouncer, text: str) -> list[str]:
    return [t.phonemes for t in english.phrase(text).tokens]


def test_articles_follow_the_next_sound(english: Pronouncer) -> None:
    assert said(english, "the apple the pear") == ["ði", "ˈæpᵊl", "ðə", "pˈɛɹ"]
    assert said(english, "to go")[0] == "tə"
    assert said(english, "to eat")[0] == "tʊ"


def test_noun_and_verb_differ(english: Pronouncer) -> None:
    noun, verb = said(english, "the record")[1], said(english, "to record")[1]
    assert noun.startswith("ɹˈɛk") and "ɹəkˈɔɹd" in verb


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [
        ("Avacast", "ˈɑvəkˌæst"),
        ("livestreams", "lˈIvstɹˌimz"),
        ("SFU", "ˌɛsˌɛfjˈu"),
        ("GPUs", "ʤˌipˌijˈuz"),
        ("dog's", "dˈɔɡz"),
        ("unmuted", "ˌʌnmjˈuɾᵻd"),
        ("rendering", "ɹˈɛndəɹɪŋ"),
    ],
)
def test_words_that_no_list_has(english: Pronouncer, word: str, phonemes: str) -> None:
    assert said(english, word) == [phonemes]


def test_mixed_case_is_split(english: Pronouncer) -> None:
    assert len(said(english, "WebRTC")) == 2


@settings(deadline=None)
@given(st.from_regex(r"[a-z]{2,18}", fullmatch=True))
def test_every_word_has_sounds_that_the_voice_knows(word: str) -> None:
    phonemes = pronouncer().word(word)
    assert phonemes and set(phonemes) <= SYMBOLS


@settings(deadline=None)
@given(st.text(max_size=120))
def test_any_text_makes_a_phrase(text: str) -> None:
    phrase = pronouncer().phrase(text)
    assert all(0 <= t.piece < len(phrase.pieces) for t in phrase.tokens)


def test_piper_gets_plain_ipa() -> None:
    assert "".join(s for s, _ in ipa("həlˈO")) == "həlˈoʊ"
    assert "".join(s for s, _ in ipa("bˈɜɹd")) == "bˈɜːd"
    assert "".join(s for s, _ in ipa("wˈɔɾəɹ")) == "wˈɔːɾɚ"
    assert [at for _, at in ipa("A")] == [0, 0]
