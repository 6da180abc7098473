"""What waits to be sent on one connection: bounded, and what an interruption has made void is taken out of it. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

MOST_MESSAGES: Final = 2_000
"""More control messages than a client that reads can leave unread."""
FULL_BYTES: Final = 512 * 1024
"""Sound that may wait before no more is made: 11 s at 24 kHz."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message: JSON text, or sound. `tag` is what it belongs to and may be dropped with."""

    data: str | bytes
    tag: int | None = None

    @property
    def sound_bytes(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else 0


class Outbox:
    """A queue of messages with a count of its sound."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self.sound_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """No more sound is to be made until some was sent."""
        return self.sound_bytes >= FULL_BYTES

    @property
    def overflowing(self) -> bool:
        """The client does not read what it is told."""
        return len(self._waiting) > MOST_MESSAGES

    def push(self, message: Outgoing) -> None:
        """Behind the others."""
        self._waiting.append(message)
        self.sound_bytes += message.sound_bytes

    def push_first(self, message: Outgoing) -> None:
        """Before all others: what must be known at once."""
        self._waiting.appendleft(message)
        self.sound_bytes += message.sound_bytes

    def pop(self) -> Outgoing | None:
        """The next one."""
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        self.sound_bytes -= message.sound_bytes
        return message

    def holds(self, tag: int) -> bool:
        """Whether something of `tag` waits."""
        return any(one.tag == tag for one in self._waiting)

    def drop(self, tag: int) -> int:
        """Takes out all that carries `tag`. Returns how many bytes of sound it was."""
        dropped = sum(one.sound_bytes for one in self._waiting if one.tag == tag)
        self._waiting = deque(one for one in self._waiting if one.tag != tag)
        self.sound_bytes -= dropped
        return dropped
