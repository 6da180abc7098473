"""What one connection has to say: pieces of text become clauses, utterance by utterance, in the order in which they were begun. Pure.

        text                    end                       last clause sent
    ─────────► OPEN ─────────────────► COMPLETE ─────────────────────────► (over: done)
                 └───────── cancel ────────┴──────────────────────────────► (over: cancelled)

One clause is out at a time. What is cancelled is forgotten at once: a clause of it that is being made finds `live` false.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from speech.chunks import Chunker
from speech_service.endings import Broken

MOST_WAITING_CHARACTERS: Final = 20_000
"""Text that waits to be spoken: some 20 minutes of it."""
MOST_UTTERANCES: Final = 32
MOST_CLAUSE_CHARACTERS: Final = 200
"""A longer clause is cut, whatever it holds: it is one piece of work, for which others wait."""
_SLICE: Final = 100
"""Text goes to the chunker in such pieces: each costs as much as what it still holds."""
_REMEMBERED: Final = 256


@dataclass(slots=True, eq=False)
class Utterance:
    """One utterance. `epoch` tells it from an earlier one of the same id."""

    id: str
    epoch: int
    chunker: Chunker = field(default_factory=Chunker)
    clauses: deque[str] = field(default_factory=deque)
    complete: bool = False
    live: bool = True
    spoken: int = 0
    """Clauses sent."""
    sound_ms: float = 0.0
    sound_bytes: int = 0

    @property
    def waiting_characters(self) -> int:
        return self.chunker.held + sum(len(one) for one in self.clauses)


class Utterances:
    """The utterances of one connection. Raises Broken where a limit is passed."""

    def __init__(self) -> None:
        self._row: OrderedDict[str, Utterance] = OrderedDict()
        self._over: OrderedDict[str, bool] = OrderedDict()
        self._epochs = itertools.count(1)

    def __len__(self) -> int:
        return len(self._row)

    def text(self, utterance_id: str, piece: str) -> bool:
        """A piece of text. False when that utterance's text was complete; what comes late for a cancelled one is dropped (True)."""
        utterance = self._row.get(utterance_id)
        if utterance is None:
            if utterance_id in self._over:
                return self._over[utterance_id]
            utterance = self._begin(utterance_id)
        if utterance.complete:
            return False
        waiting = sum(one.waiting_characters for one in self._row.values())
        if waiting + len(piece) > MOST_WAITING_CHARACTERS:
            raise Broken(
                f"{waiting + len(piece)} characters wait to be spoken; {MOST_WAITING_CHARACTERS} may",
                code="text_too_long",
                hint="send text as it is spoken, or in several connections",
            )
        for at in range(0, len(piece), _SLICE):
            _take(utterance, utterance.chunker.push(piece[at : at + _SLICE]))
        return True

    def flush(self, utterance_id: str) -> bool:
        """What there is of it is to be spoken now. False when there is no such utterance."""
        utterance = self._row.get(utterance_id)
        if utterance is None:
            return self._over.get(utterance_id, False)
        _take(utterance, utterance.chunker.flush())
        return True

    def end(self, utterance_id: str) -> bool:
        """Its text is complete. False when there is no such utterance."""
        known = self.flush(utterance_id)
        if (utterance := self._row.get(utterance_id)) is not None:
            utterance.complete = True
        return known

    def end_all(self) -> None:
        """No more text will come for any."""
        for utterance_id in list(self._row):
            self.end(utterance_id)

    def cancel(self, utterance_id: str | None) -> list[Utterance]:
        """Forgets one or all, and returns them."""
        ids = [utterance_id] if utterance_id is not None else list(self._row)
        cancelled = []
        for one in ids:
            if (utterance := self._row.pop(one, None)) is not None:
                utterance.live = False
                utterance.clauses.clear()
                self._remember(one, cancelled=True)
                cancelled.append(utterance)
        return cancelled

    def asked(self) -> list[Utterance]:
        """Those that have a clause to be made and none spoken."""
        return [one for one in self._row.values() if one.clauses and not one.spoken]

    def poll(self) -> tuple[Utterance, str] | None:
        """The next clause to be made; None while there is none. The first utterance in the row has all turns until it is over."""
        for utterance in self._row.values():
            return (utterance, utterance.clauses.popleft()) if utterance.clauses else None
        return None

    def poll_done(self) -> Utterance | None:
        """The first utterance, if all of it has been spoken: it is over. Ask when no clause is out."""
        for utterance_id, utterance in self._row.items():
            if utterance.complete and not utterance.clauses:
                del self._row[utterance_id]
                self._remember(utterance_id, cancelled=False)
                return utterance
            return None
        return None

    def _begin(self, utterance_id: str) -> Utterance:
        if len(self._row) >= MOST_UTTERANCES:
            raise Broken(
                f"{MOST_UTTERANCES} utterances wait to be spoken already",
                code="too_many_utterances",
                hint="end or cancel some; an utterance is over when its text was ended and spoken",
            )
        utterance = self._row[utterance_id] = Utterance(utterance_id, next(self._epochs))
        return utterance

    def _remember(self, utterance_id: str, *, cancelled: bool) -> None:
        self._over[utterance_id] = cancelled
        while len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)


def _take(utterance: Utterance, clauses: list[str]) -> None:
    for clause in clauses:
        utterance.clauses.extend(_bounded(clause))


def _bounded(clause: str) -> list[str]:
    """A clause in pieces of at most MOST_CLAUSE_CHARACTERS, cut at a space where there is one."""
    pieces = []
    while len(clause) > MOST_CLAUSE_CHARACTERS:
        at = clause.rfind(" ", MOST_CLAUSE_CHARACTERS // 2, MOST_CLAUSE_CHARACTERS)
        at = at if at > 0 else MOST_CLAUSE_CHARACTERS
        pieces.append(clause[:at])
        clause = clause[at:].lstrip()
    return [*pieces, clause] if clause else pieces
