"""What a line of chat may be, and how often."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.channels import caption_of
from sfu.chat import MAX_NAME, MAX_TEXT, VIEWER_RATE, ChatRefused, Pace, guest, passed_on, plain, written


def refusal(message: str | bytes) -> str:
    with pytest.raises(ChatRefused) as refused:
        written(message, "session", 5)
    return refused.value.code


def test_a_line_is_its_text_or_says_a_name_too() -> None:
    line = written("hello  there", "session", 5)
    assert (line.text, line.name, line.at_ms) == ("hello there", guest("session"), 5)
    line = written('{"text": "hello", "name": "Ann"}', "session", 5)
    assert (line.text, line.name) == ("hello", "Ann")
    assert written("{no json", "session", 5).text == "{no json"
    assert "session" not in guest("session")


def test_what_is_no_text_is_taken_out_and_markup_stays_what_it_is() -> None:
    assert plain("a\u202eb\x00c\n\td\u200be", 99) == "abc de"
    assert plain("<script>alert(1)</script>", 99) == "<script>alert(1)</script>"
    assert plain("👩\u200d🔬", 99) == "👩\u200d🔬"


def test_lines_that_are_no_lines_are_refused_with_a_reason() -> None:
    assert refusal("x" * (MAX_TEXT + 1)) == "chat_too_long"
    assert refusal(" \n\u202e ") == "chat_empty"
    assert refusal(b"bytes") == "chat_not_text"
    assert len(written(json.dumps({"text": "x", "name": "n" * 500}), "s", 0).name) == MAX_NAME


def test_five_lines_at_once_and_then_one_a_second() -> None:
    pace = Pace(VIEWER_RATE, 100.0)
    for _ in range(5):
        pace.take(100.0)
    with pytest.raises(ChatRefused) as refused:
        pace.take(100.5)
    assert refused.value.code == "chat_too_fast"
    pace.take(101.0)
    with pytest.raises(ChatRefused):
        pace.take(101.5)


def test_nodes_pass_on_finished_lines_only() -> None:
    line = written("hello", "session", 5)
    assert passed_on(json.dumps(line.data())) == line
    for broken in (
        "hello",
        b"x",
        "[]",
        "{}",
        "[" * 50_000,
        json.dumps(line.data() | {"at_ms": True}),
        json.dumps(line.data() | {"id": "../../../../../"}),
        json.dumps(line.data() | {"text": "\u202e"}),
    ):
        with pytest.raises(ChatRefused):
            passed_on(broken)


@given(st.text(max_size=700))
def test_any_text_becomes_a_line_or_a_refusal(text: str) -> None:
    try:
        line = written(text, "session", 1)
    except ChatRefused:
        return
    assert 0 < len(line.text) <= MAX_TEXT and line.text == plain(line.text, MAX_TEXT)
    assert passed_on(json.dumps(line.data())) == line


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_caption_of_a_stranger_is_whole_or_none(message: str | bytes) -> None:
    caption = caption_of(message)
    assert caption is None or set(caption) == {"text", "start_ms", "end_ms"}


def test_captions_of_strangers_are_checked() -> None:
    good = {"text": "Hi", "start_ms": 1, "end_ms": 2}
    assert caption_of(json.dumps(good | {"more": "<i>"})) == good
    for broken in (good | {"text": 1}, good | {"start_ms": 3}, good | {"end_ms": 10**30}, {"text": "x"}, [1]):
        assert caption_of(json.dumps(broken)) is None
