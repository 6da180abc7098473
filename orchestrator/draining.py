"""A node that drains: why, since when, until when, and what is still there. Pure: time is an argument (Unix ms).

    (none) ──ops, or its process is to end──► MOVING ──deadline──► OVERDUE
      ▲                                         │ nobody left        │ nobody left
      └── who wants it takes it back (no process that ends) ───── EMPTY ◄──┘

Nobody is cut: a node that has somebody left at the deadline is said to be overdue, and keeps who has nowhere to go.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

DRAIN_S = 60.0
"""How long a drain takes when nobody says otherwise (requirement B8)."""
_LATE_PART = 3
"""In the last third (at most LATE_S) of a drain nothing waits for the end of a sentence any more."""
_LATE_MS = 25_000


class DrainCause(enum.StrEnum):
    """Who wants it."""

    OPERATOR = "operator"
    PROCESS = "process"
    """The process of the node is to end (SIGTERM)."""
    POD = "pod"
    """Its pod is annotated with `drain=true`."""


class DrainPhase(enum.StrEnum):
    """See the module's text."""

    MOVING = "moving"
    OVERDUE = "overdue"
    EMPTY = "empty"


class Drain(BaseModel):
    """An order to get empty, as orchestrators share it. Times are Unix ms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cause: DrainCause = DrainCause.OPERATOR
    why: str = Field("", max_length=200)
    since_ms: int = Field(0, ge=0)
    deadline_ms: int = Field(0, ge=0)

    def left_s(self, now_ms: int) -> float:
        """Seconds until the deadline, 0 after it."""
        return max(0.0, (self.deadline_ms - now_ms) / 1000)

    def late(self, now_ms: int) -> bool:
        """Whether there is no time any more to wait for a good moment."""
        return now_ms >= self.deadline_ms - min(_LATE_MS, (self.deadline_ms - self.since_ms) // _LATE_PART)


@dataclass(frozen=True, slots=True)
class Left:
    """What is still on a node."""

    viewers: int = 0
    nodes: int = 0
    """Relays and packagers that pull from it."""
    streams: int = 0
    """Avatars and publishers that no other origin has taken over; on a packager, broadcasts that it makes HLS of."""

    @property
    def nothing(self) -> bool:
        return not (self.viewers or self.nodes or self.streams)


def phase(drain: Drain, left: Left, now_ms: int) -> DrainPhase:
    """How far a drain is."""
    if left.nothing:
        return DrainPhase.EMPTY
    return DrainPhase.MOVING if now_ms < drain.deadline_ms else DrainPhase.OVERDUE


def ordered(document: str, now_ms: int) -> Drain:
    """An order as the registry has it. What cannot be read is an order without a reason: the node stays drained."""
    try:
        found = Drain.model_validate_json(document)
    except ValidationError:
        found = Drain()
    if found.deadline_ms:
        return found
    return found.model_copy(update={"deadline_ms": (found.since_ms or now_ms) + int(DRAIN_S * 1000)})
