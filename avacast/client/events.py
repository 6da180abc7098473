"""Server-sent events, read from bytes as they come (WHATWG HTML, section 9.2.6). Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 1024 * 1024
"""An event is a few hundred bytes; a line without an end must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `name` such as `viewers` or `cdn:activated`, with its facts."""

    name: str
    data: dict[str, Any]


class EventReader:
    """Bytes in, whole events out."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._held = 0

    def read(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes. Raises ValueError for one that is too long or no JSON object."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = [event for line in lines if (event := self._line(line.removesuffix(b"\r"))) is not None]
        if len(self._rest) + self._held > MOST_BYTES:
            raise ValueError(f"an event has more than {MOST_BYTES} bytes")
        return found

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._end()
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._held += len(line)
        return None

    def _end(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data, self._held = "", [], 0
        if not data:
            return None
        facts = json.loads("\n".join(data))
        if not isinstance(facts, dict):
            raise ValueError("an event's data is no JSON object")
        return Event(name or "message", facts)
