"""What a recogniser makes of a sound, whether it can be believed, how complete it looks, and which words two readings agree on. Pure.

A recogniser that was trained on films writes words into silence and noise ("Thank you.", "you", the same clause ten times). Each
sign of it has a limit here; the first three limits are those of Whisper's own authors.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

from speech.hearing.endpoint import Completeness
from speech.hearing.events import Word

_MOST_NO_SPEECH: Final = 0.6
_LEAST_LOGPROB: Final = -1.0
_MOST_COMPRESSION: Final = 2.4
_MOST_FILLER_NO_SPEECH: Final = 0.25
"""Above this the words that stand for silence are taken for silence."""
_MOST_WORDS_A_S: Final = 8.0
_FILLERS: Final = frozenset(
    """you|thank you|thanks|thanks for watching|thank you for watching|thank you very much|bye|bye bye|okay|oh|so|hmm|mm|uh|um|ah
    i|the|i'm sorry|please subscribe|subtitles by the amara.org community|music|applause|silence|blank audio|sighs|laughs""".replace(
        "\n", "|"
    ).split("|")
)
_HANGING: Final = frozenset(
    """a an the and but or nor so because if when while than that which whose of to into from with about my your his its our
    their um uh er hmm""".split()
)
_WORD: Final = re.compile(r"[\w']+")


@dataclass(frozen=True, slots=True)
class Transcript:
    """One reading. `logprob` is the mean of its tokens and its end, `no_speech` the recogniser's own doubt (0 to 1); `words` have
    times in seconds from the start of the sound, and are empty in a reading without times."""

    text: str
    logprob: float = 0.0
    no_speech: float = 0.0
    words: tuple[Word, ...] = ()


def doubt(transcript: Transcript, voiced_s: float) -> str | None:
    """Why these words cannot have been said in a sound with so much voice in it; None when they can."""
    words = plain(transcript.text)
    if not words:
        return "no words"
    if repeats(transcript.text):
        return "the same words again and again"
    if transcript.logprob < _LEAST_LOGPROB:
        return "hardly understood"
    if transcript.no_speech > _MOST_NO_SPEECH:
        return "no speech"
    if len(words) > 2 + _MOST_WORDS_A_S * voiced_s:
        return "more words than there was time for"
    if " ".join(words) in _FILLERS and transcript.no_speech > _MOST_FILLER_NO_SPEECH:
        return "a word for silence"
    bare = transcript.text.strip()
    if bare[0] + bare[-1] in ("[]", "()", "♪♪"):
        return "a description of a sound"
    return None


def repeats(text: str) -> bool:
    """Whether a text is the same words again and again: it compresses too well."""
    written = text.encode()
    return len(written) / len(zlib.compress(written)) > _MOST_COMPRESSION


def babbles(text: str, duration_s: float) -> bool:
    """Whether a recogniser has lost itself in a sound of this length."""
    return repeats(text) or len(plain(text)) > 2 + _MOST_WORDS_A_S * duration_s


def completeness(text: str) -> Completeness:
    """How complete words look, by their end."""
    bare, words = text.rstrip(), plain(text)
    if not words:
        return Completeness.OPEN
    if bare.endswith("?"):
        return Completeness.QUESTION
    if words[-1] in _HANGING or bare.endswith((",", "-", "—", "…", "...")):
        return Completeness.HANGING
    return Completeness.SENTENCE if bare.endswith((".", "!")) else Completeness.OPEN


def plain(text: str) -> list[str]:
    """The words of a text without marks, in lower case."""
    return _WORD.findall(text.lower())


class Agreement:
    """Which words of a growing utterance are stable: those at the start that two readings in a row have in common."""

    def __init__(self) -> None:
        self._last: list[str] = []
        self.stable = 0

    def push(self, text: str) -> int:
        """The next reading; how many of its words are stable. Never fewer than before, while the reading has so many."""
        words = plain(text)
        same = 0
        for ours, theirs in zip(words, self._last, strict=False):
            if ours != theirs:
                break
            same += 1
        self._last = words
        self.stable = min(max(self.stable, same), len(words))
        return self.stable
