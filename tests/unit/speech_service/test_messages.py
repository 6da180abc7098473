"""Frames that are no messages are refused with a sentence; docs/asyncapi.yaml is made from the messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech_service import messages
from speech_service.asyncapi import page
from speech_service.endings import Broken

PAGE = Path(__file__).parents[3] / "docs/asyncapi.yaml"


def test_the_protocol_in_docs_is_the_one_of_the_messages() -> None:
    assert PAGE.read_text() == page(), "run: python -m speech_service.asyncapi > docs/asyncapi.yaml"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("not json", "Invalid JSON"),
        ("[]", "message"),
        ('{"type":"sing"}', "sing"),
        ('{"type":"start","sample_rat":16000}', "sample_rat"),
        ('{"type":"start","sample_rate":44000}', "sample_rate"),
        ('{"type":"text","utterance":"a b","text":"x"}', "utterance"),
        ('{"type":"text","utterance":"a"}', "text"),
        ('{"type":"text","utterance":"a","text":"' + "x" * 16_385 + '"}', "16384"),
        ('{"type":"text","utterance":"a","text":"\\ud800"}', "message"),
        ("[" * 5_000, "message"),
    ],
)
def test_a_bad_frame_says_what_is_wrong(frame: str, said: str) -> None:
    with pytest.raises(Broken, match=said) as error:
        messages.read(messages.SPEAKING, frame)
    assert error.value.code == "bad_message"
    assert len(error.value.detail) < 700


@given(st.one_of(st.text(), st.text(alphabet='{}[]":,\\typestar0123')))
def test_any_text_is_a_message_or_is_refused(frame: str) -> None:
    for adapter in (messages.SPEAKING, messages.HEARING):
        try:
            assert isinstance(messages.read(adapter, frame), messages.Message)  # type: ignore[arg-type]
        except Broken as error:
            assert error.code == "bad_message"
