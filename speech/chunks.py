"""Text that is still being written -> clauses to be spoken, the first one short so that the voice starts at once.

The voice speaks one chunk while the next one is made. A chunk may hold more words than the one before by as much as the voice
is faster than real time, so that the listener does not wait: 8 words, then up to 12, 18, ... Cuts are at sentence ends,
else at clause ends, else before a word that starts a phrase; never inside a number, an address or after an abbreviation.
"""

from __future__ import annotations

import re
from typing import Final

from speech.markup import Markup
from speech.short_forms import ABBREVIATIONS

FIRST_WORDS: Final = 8
MOST_WORDS: Final = 32
_GROWTH: Final = 1.5
_LEAST_CLAUSE: Final = 3
"""A clause with fewer words than this is no chunk of its own: "Well, ..." goes on."""
_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|\n+")
_CLAUSE_END: Final = re.compile(r"[,;:](?=\s)|\s[—–-](?=\s)|—")
_STARTERS: Final = frozenset(
    "and but or so because that which who when while where if with without to in on at of for from by as than then".split()
)


def chunks(text: str, first_words: int = FIRST_WORDS) -> list[str]:
    """Those of a text that is whole."""
    chunker = Chunker(first_words)
    return [*chunker.push(text), *chunker.flush()]


class Chunker:
    """`push` text as it comes, `flush` at its end; both return the chunks that are complete. Tags of SSML become the short marks of
    markup.py."""

    def __init__(self, first_words: int = FIRST_WORDS, most_words: int = MOST_WORDS) -> None:
        self._text = ""
        self._markup = Markup()
        self._first_words = first_words
        self._limit = float(first_words)
        self._most = most_words
        self._is_first = True

    @property
    def held(self) -> int:
        """Characters that are in no chunk yet."""
        return len(self._text) + self._markup.held

    def push(self, text: str) -> list[str]:
        """More text."""
        self._text += self._markup.push(text)
        return self._cut(ended=False)

    def flush(self) -> list[str]:
        """The text is complete: the rest."""
        self._text += self._markup.flush()
        chunks = self._cut(ended=True)
        rest, self._text = self._text.strip(), ""
        return [*chunks, rest] if rest else chunks

    def _cut(self, *, ended: bool) -> list[str]:
        chunks: list[str] = []
        while (at := self._place(ended=ended)) is not None:
            chunk, self._text = self._text[:at].strip(), self._text[at:].lstrip()
            if chunk:
                chunks.append(chunk)
                self._is_first = False
                self._limit = min(self._most, max(self._first_words, len(chunk.split()) * _GROWTH))
        return chunks

    def _place(self, *, ended: bool) -> int | None:
        """Where the next chunk ends, None when more text is needed (or when all that is left is one chunk)."""
        text = self._text
        words = [m.end() for m in re.finditer(r"\S+", text)]
        limit = int(self._limit)
        for end in _sentence_ends(text):
            count = sum(1 for w in words if w <= end)
            if count <= limit:
                return end
            break
        if len(words) <= limit:
            return None
        reach = words[limit - 1]
        clauses = [m.end() for m in _CLAUSE_END.finditer(text) if m.end() <= reach]
        clauses = [c for c in clauses if sum(1 for w in words if w <= c) >= _LEAST_CLAUSE]
        if clauses:
            return clauses[0] if self._is_first else clauses[-1]
        if ended and len(words) <= limit + 3:
            return None
        for index in range(limit, max(_LEAST_CLAUSE, limit // 2), -1):
            start = words[index - 1]
            following = text[start : words[index]].strip().lower()
            if following in _STARTERS:
                return start
        return reach


def _sentence_ends(text: str) -> list[int]:
    ends: list[int] = []
    for match in _SENTENCE_END.finditer(text):
        before = text[: match.end()].rsplit(None, 1)
        word = before[-1] if before else ""
        if match.group().startswith("."):
            bare = word.lstrip("(\"'“‘[").lower()
            if bare in ABBREVIATIONS or re.fullmatch(r"(?:[a-z]\.)+", bare) or re.fullmatch(r"\d+\.", bare):
                continue
        ends.append(match.end())
    return ends
