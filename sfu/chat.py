"""Chat: what a viewer writes becomes a line of plain text for everyone who watches. Pure; time is an argument.

A viewer sends its text, alone or as ``{"text": ..., "name": ...}``; everyone hears ``{"id", "name", "text", "at_ms"}``. Nodes hand
finished lines on to each other as they are. Text is text: nothing in it is markup, and who shows it must not make it so.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any

MAX_TEXT = 500
"""Characters of a line."""
MAX_NAME = 40
"""Characters of a name."""
VIEWER_RATE = (1.0, 5.0)
"""Lines a second in the long run, and at once, of one viewer."""
NODE_RATE = (100.0, 200.0)
"""The same of a node, which hands on the lines of all who watch from it."""
_ID_BYTES = 8


class ChatRefused(ValueError):
    """A line that is not passed on. `code` is stable; the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def answer(self) -> dict[str, str]:
        """What the sender is told on its channel."""
        return {"error": self.code, "detail": str(self)}


@dataclass(frozen=True)
class Line:
    """One line of the chat. `at_ms` is Unix time at the node where it was written."""

    id: str
    name: str
    text: str
    at_ms: int

    def data(self) -> dict[str, Any]:
        """As everyone hears it."""
        return {"id": self.id, "name": self.name, "text": self.text, "at_ms": self.at_ms}


class Pace:
    """How many lines one session may write: `per_s` in the long run, `at_once` after silence."""

    def __init__(self, rate: tuple[float, float], now_s: float) -> None:
        self._per_s, self._at_once = rate
        self._left = self._at_once
        self._at_s = now_s

    def take(self, now_s: float) -> None:
        """Counts one more. Raises ChatRefused when it is too many."""
        self._left = min(self._at_once, self._left + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = max(now_s, self._at_s)
        if self._left < 1.0:
            raise ChatRefused("chat_too_fast", "wait a moment between two lines")
        self._left -= 1.0


def plain(text: str, most: int) -> str:
    """Text without what is no text: one line, no control or direction characters, white space collapsed, at most `most` characters."""
    kept = (" " if char.isspace() else char for char in text if char.isspace() or _is_text(char))
    return " ".join("".join(kept).split())[:most].rstrip()


def _is_text(char: str) -> bool:
    # Cc, Cf, Cs, Co, Cn: controls, direction marks and the like. The joiner is part of emoji and of some scripts.
    return unicodedata.category(char)[0] != "C" or char in "\u200c\u200d"


def guest(session: str) -> str:
    """A name for who gives none: steady for a session, and telling nothing of it (its name is its key)."""
    return f"guest {hashlib.sha256(session.encode()).hexdigest()[:4]}"


def written(message: str | bytes, session: str, now_ms: int) -> Line:
    """The line that a viewer has written. Raises ChatRefused."""
    if not isinstance(message, str):
        raise ChatRefused("chat_not_text", "send text, not bytes")
    text, name = message, ""
    if message.lstrip().startswith("{"):
        fields = _fields(message)
        if fields is not None and isinstance(fields.get("text"), str):
            text = fields["text"]
            name = fields["name"] if isinstance(fields.get("name"), str) else ""
    if len(text) > MAX_TEXT:
        raise ChatRefused("chat_too_long", f"a line has at most {MAX_TEXT} characters")
    text = plain(text, MAX_TEXT)
    if not text:
        raise ChatRefused("chat_empty", "there is nothing to read in it")
    return Line(secrets.token_hex(_ID_BYTES), plain(name, MAX_NAME) or guest(session), text, now_ms)


def passed_on(message: str | bytes) -> Line:
    """A finished line from another node, checked as if a stranger had sent it. Raises ChatRefused."""
    fields = _fields(message) if isinstance(message, str) else None
    if fields is None:
        raise ChatRefused("chat_not_json", "nodes pass on finished lines")
    name, text, one, at_ms = (fields.get(key) for key in ("name", "text", "id", "at_ms"))
    if not (isinstance(name, str) and isinstance(text, str) and isinstance(one, str) and type(at_ms) is int):
        raise ChatRefused("chat_not_a_line", "a line has id, name, text and at_ms")
    text, name = plain(text, MAX_TEXT), plain(name, MAX_NAME)
    if not text or not name or len(one) != 2 * _ID_BYTES or not one.isalnum() or not one.isascii():
        raise ChatRefused("chat_not_a_line", "its text, name or id cannot be used")
    return Line(one, name, text, at_ms)


def _fields(message: str) -> dict[str, Any] | None:
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
