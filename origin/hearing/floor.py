"""Who has the floor in a broadcast: what an avatar does about what its ears tell. Pure; times are seconds of any one clock.

    a viewer begins to speak   the avatar stops (barge-in), listens, and begins nothing new
    the turn is over           it may speak again; the words become a question of that viewer
    the words are its own      an echo that the viewer's browser let through: nothing is asked
    a turn without end         after the longest turn the floor is free until the viewer has been silent

Several may speak at once: the avatar listens until the last has done, and answers in the order in which they ended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from speech.hearing.events import End, Event, SpeechStarted, TurnEnded
from speech.hearing.events import Final as FinalWords
from speech.hearing.transcript import plain

_ECHO_S: Final = 12.0
"""What the avatar said is remembered for so long."""
_ECHO_AFTER_S: Final = 1.0
"""A turn that begins so soon after the avatar's voice may be its echo."""
_ECHO_SHARE: Final = 0.7
_LEAST_ECHO_WORDS: Final = 3
_BREATH_S: Final = 1.0
"""Who was cut off for speaking too long has the floor again after this much silence."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The avatar stops; what this viewer had asked before is forgotten, other viewers' questions wait on."""

    by: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question. `voiced_until_s` is when its last sound was heard."""

    asker: str
    text: str
    voiced_until_s: float


Action = Interrupt | Ask


class Floor:
    """The floor of one broadcast."""

    def __init__(self) -> None:
        self._speaking: set[str] = set()
        self._cut: dict[str, float] = {}
        """Who was cut off for length, and when."""
        self._suspect: dict[str, bool] = {}
        """Whether a viewer's turn began while the avatar could be heard."""
        self._ended: dict[str, float] = {}
        self._said: deque[tuple[float, list[str]]] = deque(maxlen=32)

    @property
    def taken(self) -> bool:
        """Whether somebody speaks to the avatar now."""
        return bool(self._speaking)

    def avatar_says(self, text: str, until_s: float) -> None:
        """A clause that the avatar is being heard with until `until_s`."""
        self._said.append((until_s, plain(text)))

    def handle(self, viewer: str, event: Event, now_s: float, talking: bool) -> list[Action]:
        """An event of a viewer's hearing. `talking`: the avatar speaks, or thinks of what it will say."""
        match event:
            case SpeechStarted():
                audible = any(until_s + _ECHO_AFTER_S > now_s for until_s, _ in self._said)
                self._suspect[viewer] = talking or audible
                if now_s - self._cut.pop(viewer, float("-inf")) < _BREATH_S:
                    return []
                self._speaking.add(viewer)
                return [Interrupt(viewer)] if talking else []
            case TurnEnded():
                self._speaking.discard(viewer)
                if event.end is End.LIMIT:
                    self._cut[viewer] = now_s
                self._ended[viewer] = now_s - (event.decided_s - event.voiced_until_s)
            case FinalWords():
                if not (self._suspect.get(viewer) and self.echoes(event.text, now_s)):
                    return [Ask(viewer, event.text, self._ended.get(viewer, now_s))]
        return []

    def leave(self, viewer: str) -> None:
        """A viewer's ear is gone; what it was saying no longer holds anybody up."""
        self._speaking.discard(viewer)
        for known in (self._cut, self._suspect, self._ended):
            known.pop(viewer, None)

    def echoes(self, text: str, now_s: float) -> bool:
        """Whether these words are what the avatar said just now: nearly all of them, in its order."""
        heard = plain(text)
        said = [word for until_s, words in self._said if now_s - until_s < _ECHO_S for word in words]
        if len(heard) < _LEAST_ECHO_WORDS:
            return False
        pairs = set(pairwise(said))
        same = sum(pair in pairs for pair in pairwise(heard))
        return same >= _ECHO_SHARE * (len(heard) - 1)
