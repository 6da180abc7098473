"""What a brain is: a question and what was said before go in, text comes out as it is thought."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from common.dialogue import Said


@dataclass(frozen=True, slots=True)
class Question:
    """What a visitor asked. `asker` tells visitors apart (None: unknown); `at` is the local time."""

    text: str
    at: datetime
    asker: str | None = None
    history: Sequence[Said] = field(default_factory=tuple)


class BrainError(Exception):
    """The brain cannot answer; the message is for the log."""


class Brain(Protocol):
    """Answers questions. Raises BrainError, at once or after some of the text."""

    def reply(self, question: Question) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...
