"""A host's desk: what an avatar says, what waits to be said, the questions that wait for the host, and a script with times. All of it
moves with its avatar to another origin."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from common.message import Message

MOST_CUES = 500
MOST_CARRIED_BYTES = 8 << 20
_MOST_LINES = 1_000
"""More than any queue holds."""
Number = Annotated[int, Field(ge=1, le=2**53)]
"""A line's number, unique for as long as its avatar runs."""


class Cue(Message):
    """A line of a script."""

    at_s: float = Field(ge=0, le=86_400, description="Seconds from the script's start.")
    text: str = Field(
        min_length=1, max_length=2000, description="What is said; may hold pauses and stressed words."
    )


class Cues(Message):
    """A script: its lines in the order of their times."""

    cues: list[Cue] = Field(min_length=1, max_length=MOST_CUES)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for before, after in zip(self.cues, self.cues[1:], strict=False):
            if after.at_s < before.at_s:
                raise ValueError(
                    f"cues are in the order of their times: {after.at_s} s follows {before.at_s} s"
                )
        return self


class LineState(Message):
    """One line."""

    number: Number
    kind: str = Field(description="say: spoken as it is; ask: a question, which is answered.")
    text: str
    asker: str | None = Field(None, description="The viewer who asked.")


class ScriptState(Message):
    """How far a script is."""

    cues: int = Field(description="Its lines.")
    begun: int = Field(description="Those that have begun or wait for the line before them to end.")
    position_s: float = Field(description="Seconds since its start.")
    next_at_s: float | None = Field(description="When the next line is due; null after the last.")
    behind_s: float = Field(description="How late the latest line began: lines before it were longer.")


class Desk(Message):
    """What a host sees."""

    moderated: bool = Field(description="Questions wait here until they are approved.")
    speaking: LineState | None = None
    waiting: list[LineState] = Field(description="Next first.")
    held: list[LineState] = Field(description="Questions that wait for the host, oldest first.")
    script: ScriptState | None = None


class Carried(Message):
    """What waits at an avatar that another origin takes over: it is given away once, and taken once."""

    id: str = Field(max_length=64)
    """Names it, so that one that comes twice is taken once."""
    broadcast: str = Field(max_length=64)
    waiting: list[LineState] = Field(default_factory=list, max_length=_MOST_LINES)
    held: list[LineState] = Field(default_factory=list, max_length=_MOST_LINES)
    cues: list[Cue] = Field(default_factory=list, max_length=MOST_CUES)
    """The whole script that is being played; none when there is none, or no line of it is left."""
    begun: int = Field(0, ge=0, le=MOST_CUES)
    """Lines of it that have begun, or are in `waiting`."""
    position_s: float = Field(0, ge=0, le=2 * 86_400)
    """Seconds since its start."""

    @property
    def nothing(self) -> bool:
        return not (self.waiting or self.held or self.cues)

    def later(self, seconds: float) -> Carried:
        """The same, so many seconds after it was given away."""
        return (
            self.model_copy(update={"position_s": self.position_s + max(0.0, seconds)}) if self.cues else self
        )


class DeskOrder(Message):
    """What a host does, as an origin is told: `number` where it concerns a line, `cues` where a script is to begin."""

    broadcast: str = Field(max_length=64)
    number: Number | None = None
    cues: list[Cue] = Field(default_factory=list, max_length=MOST_CUES)
