"""What a brain is: a question and what was said before go in, text comes out as it is thought."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Speaker(StrEnum):
    VISITOR = "user"
    AVATAR = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. An avatar's is what was heard of it, not what it wanted to say."""

    speaker: Speaker
    text: str
    asker: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a visitor asked. `asker` tells visitors apart (None: unknown); `at` is the local time."""

    text: str
    at: datetime
    asker: str | None = None
    history: Sequence[Message] = field(default_factory=tuple)


class BrainError(Exception):
    """The brain cannot answer; the message is for the log."""


class Brain(Protocol):
    """Answers questions. Raises BrainError, at once or after some of the text."""

    def reply(self, question: Question) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...
