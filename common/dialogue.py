"""What was said with an avatar, as an origin tells it and is told when a session moves to it."""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import ConfigDict, Field

from common.message import Message

MOST_KEPT = 32
"""Messages of a dialogue that move with it."""
MOST_AT_ONCE = 1_000
"""Dialogues of one question."""


class Speaker(enum.StrEnum):
    """Who said it; the words of chat models."""

    VISITOR = "user"
    AVATAR = "assistant"


class Said(Message):
    """One thing said. An avatar's is what was heard of it, not what it wanted to say."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    speaker: Speaker
    text: str = Field(max_length=8000)
    asker: str | None = Field(default=None, max_length=64)


class Dialogue(Message):
    """The end of a dialogue. `count` grows with each thing said."""

    count: int = Field(ge=0)
    said: list[Said] = Field(max_length=MOST_KEPT)


class DialogueQuery(Message):
    """Dialogues that somebody keeps, each with the `count` that is known; only those that differ are told."""

    known: dict[Annotated[str, Field(max_length=64)], Annotated[int, Field(ge=0)]] = Field(
        max_length=MOST_AT_ONCE
    )


class Dialogues(Message):
    """Those that differ, by broadcast."""

    dialogues: dict[str, Dialogue] = Field(max_length=MOST_AT_ONCE)
