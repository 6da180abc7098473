"""Whose turn it is: the queue of lines, the questions that wait for a host, the epoch that interruption raises, and the record of
what was really heard. Pure.

Every line carries the epoch in which it was taken. `interrupt` raises the epoch: what belongs to an older one is dropped wherever it
is, without anyone having to find it. The record of the avatar's side is written from what was heard, so an interrupted answer
is remembered only as far as it got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from common.dialogue import MOST_KEPT, Dialogue, Said, Speaker

MOST_WAITING: Final = 20
MOST_HELD: Final = 100
"""Questions that wait for the host."""
_MOST_REMEMBERED: Final = 64
_LONGEST: Final = 8_000


class Kind(StrEnum):
    SAY = "say"
    """The text is spoken as it is."""
    ASK = "ask"
    """The text is a question; the brain answers."""


class Place(StrEnum):
    """Where in the queue a line goes."""

    LAST = "last"
    BEFORE_QUESTIONS = "before_questions"
    FIRST = "first"


class QueueFull(Exception):
    """Too many lines wait; try again when some have been spoken."""


class LineUnknown(Exception):
    """No line of this number waits."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One line that waits or is being spoken."""

    number: int
    kind: Kind
    text: str
    epoch: int
    asker: str | None = None
    due_s: float | None = None
    """When it was due, seconds on the stage's clock; only lines of a script are."""


class Turns:
    """The turns of one avatar."""

    def __init__(self) -> None:
        self.epoch = 0
        self.history: deque[Said] = deque(maxlen=_MOST_REMEMBERED)
        self._waiting: deque[Turn] = deque()
        self._held: dict[int, Turn] = {}
        self._count = 0
        self._said = 0
        self._recalled = 0
        """Of what was said: recalled from elsewhere."""

    @property
    def waiting(self) -> int:
        """Lines that wait."""
        return len(self._waiting)

    @property
    def queue(self) -> list[Turn]:
        """The lines that wait, next first."""
        return list(self._waiting)

    @property
    def held(self) -> list[Turn]:
        """The questions that wait for the host, oldest first."""
        return list(self._held.values())

    def add(self, kind: Kind, text: str, asker: str | None = None, *, place: Place = Place.LAST) -> Turn:
        """A line in the queue. Raises QueueFull."""
        turn = self._new(kind, text, asker)
        self._insert(turn, place)
        return turn

    def cue(self, text: str, due_s: float) -> Turn:
        """A line of a script, before the questions. A script is bounded: the queue takes it however many wait."""
        turn = replace(self._new(Kind.SAY, text, None), due_s=due_s)
        self._place(turn, Place.BEFORE_QUESTIONS)
        return turn

    def hold(self, text: str, asker: str | None = None) -> Turn:
        """A question that waits until a host approves it. Raises QueueFull."""
        if len(self._held) >= MOST_HELD:
            raise QueueFull(f"{MOST_HELD} questions wait for the host already")
        turn = self._new(Kind.ASK, text, asker)
        self._held[turn.number] = turn
        return turn

    def approve(self, number: int) -> Turn:
        """A held question comes to the end of the queue. Raises LineUnknown, or QueueFull (then it is still held)."""
        if number not in self._held:
            raise LineUnknown(f"no question {number} waits for the host")
        turn = replace(self._held[number], epoch=self.epoch)
        self._insert(turn, Place.LAST)
        del self._held[number]
        return turn

    def drop(self, number: int) -> Turn:
        """Takes out a line that waits, or a question that is held. Raises LineUnknown."""
        if number in self._held:
            return self._held.pop(number)
        for turn in self._waiting:
            if turn.number == number:
                self._waiting.remove(turn)
                return turn
        raise LineUnknown(f"no line {number} waits: it was spoken, dropped or never there")

    def give_away(self) -> tuple[list[Turn], list[Turn]]:
        """All that waits, and all that is held: another origin's avatar takes them."""
        waiting, held = self.queue, self.held
        self._waiting.clear()
        self._held.clear()
        return waiting, held

    def take_over(self, waiting: Sequence[Turn], held: Sequence[Turn], *, late: bool = False) -> None:
        """What waited and was held elsewhere comes before what has come here meanwhile, or (`late`) after it, under its numbers where those
        are free: a host may be about to choose one. Bounded like a queue: what is last finds no place."""
        taken = {turn.number for turn in self._waiting} | self._held.keys()
        self._count = max(self._count, *(turn.number for turn in (*waiting, *held)), 0)

        def here(turn: Turn) -> Turn:
            number = turn.number
            if number in taken:
                self._count += 1
                number = self._count
            return replace(turn, number=number, epoch=self.epoch)

        def row(theirs: Sequence[Turn], ours: list[Turn]) -> list[Turn]:
            moved = [here(turn) for turn in theirs]
            return ours + moved if late else moved + ours

        self._waiting = deque(row(waiting, self.queue)[: max(MOST_WAITING, len(waiting))])
        self._held = {turn.number: turn for turn in row(held, self.held)[:MOST_HELD]}

    def _new(self, kind: Kind, text: str, asker: str | None) -> Turn:
        self._count += 1
        return Turn(self._count, kind, text, self.epoch, asker)

    def _insert(self, turn: Turn, place: Place) -> None:
        if len(self._waiting) >= MOST_WAITING and place is not Place.FIRST:
            raise QueueFull(f"{MOST_WAITING} lines wait already")
        self._place(turn, place)

    def _place(self, turn: Turn, place: Place) -> None:
        match place:
            case Place.FIRST:
                self._waiting.appendleft(turn)
            case Place.BEFORE_QUESTIONS:
                asked = (at for at, one in enumerate(self._waiting) if one.kind is Kind.ASK)
                self._waiting.insert(next(asked, len(self._waiting)), turn)
            case Place.LAST:
                self._waiting.append(turn)

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

    def cut(self) -> int:
        """Drops what is being spoken, and nothing else; the new epoch."""
        self.epoch += 1
        self._waiting = deque(replace(t, epoch=self.epoch) for t in self._waiting)
        return self.epoch

    def stale(self, turn: Turn) -> bool:
        """Whether `turn` was interrupted."""
        return turn.epoch != self.epoch

    def asked(self, turn: Turn) -> None:
        """Records a visitor's question."""
        self._record(Said(speaker=Speaker.VISITOR, text=turn.text, asker=turn.asker))

    def heard(self, text: str) -> None:
        """Records what was heard of a line; nothing when nothing was."""
        if text.strip():
            self._record(Said(speaker=Speaker.AVATAR, text=text.strip()[:_LONGEST]))

    def recall(self, said: Sequence[Said]) -> None:
        """Remembers what was said elsewhere, before anything is said here: again, and what came since, as long as that holds."""
        if self._said != self._recalled or list(said) == list(self.history):
            return
        self.history.clear()
        for one in said:
            self._record(one)
        self._recalled = self._said

    @property
    def dialogue(self) -> Dialogue:
        """The end of what was said."""
        return Dialogue(count=self._said, said=list(self.history)[-MOST_KEPT:])

    def _record(self, said: Said) -> None:
        self._said += 1
        self.history.append(said)
