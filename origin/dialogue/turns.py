"""Whose turn it is: the queue of lines, the epoch that interruption raises, and the record of what was really heard. Pure.

Every line carries the epoch in which it was taken. `interrupt` raises the epoch: what belongs to an older one is dropped wherever it
is, without anyone having to find it. The record of the avatar's side is written from what was heard, so an interrupted answer
is remembered only as far as it got.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from origin.dialogue.brain import Message, Speaker

MOST_WAITING: Final = 20
_MOST_REMEMBERED: Final = 64


class Kind(StrEnum):
    SAY = "say"
    """The text is spoken as it is."""
    ASK = "ask"
    """The text is a question; the brain answers."""


class QueueFull(Exception):
    """Too many lines wait; try again when some have been spoken."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One line that waits or is being spoken."""

    number: int
    kind: Kind
    text: str
    epoch: int
    asker: str | None = None


class Turns:
    """The turns of one avatar."""

    def __init__(self) -> None:
        self.epoch = 0
        self.history: deque[Message] = deque(maxlen=_MOST_REMEMBERED)
        self._waiting: deque[Turn] = deque()
        self._count = 0

    @property
    def waiting(self) -> int:
        """Lines that wait."""
        return len(self._waiting)

    def add(self, kind: Kind, text: str, asker: str | None = None) -> Turn:
        """A line at the end of the queue. Raises QueueFull."""
        if len(self._waiting) >= MOST_WAITING:
            raise QueueFull(f"{MOST_WAITING} lines wait already")
        self._count += 1
        turn = Turn(self._count, kind, text, self.epoch, asker)
        self._waiting.append(turn)
        return turn

    def take(self) -> Turn | None:
        """The next line; the epoch of the one that is being spoken."""
        return self._waiting.popleft() if self._waiting else None

    def interrupt(self, by: str | None = None) -> int:
        """Drops everything that waits or is being spoken; the new epoch. `by` a visitor: only what it asked itself is dropped of what
        waits, the others' turns come later."""
        self.epoch += 1
        kept = () if by is None else [replace(t, epoch=self.epoch) for t in self._waiting if t.asker != by]
        self._waiting = deque(kept)
        return self.epoch

    def stale(self, turn: Turn) -> bool:
        """Whether `turn` was interrupted."""
        return turn.epoch != self.epoch

    def asked(self, turn: Turn) -> None:
        """Records a visitor's question."""
        self.history.append(Message(Speaker.VISITOR, turn.text, turn.asker))

    def heard(self, text: str) -> None:
        """Records what was heard of a line; nothing when nothing was."""
        if text.strip():
            self.history.append(Message(Speaker.AVATAR, text.strip()))
