"""How one origin hands a broadcast over to another, so that nobody is cut. Pure: facts and the time in, a stage out.

    (none) ──it is to leave──► OPENING ──live there, and silent here──► MOVED ──nobody left here──► (none)
      ▲                          │  ▲                                     │
      │ it may stay, or has died │  │ refused, gone, or not live in       │ the source is gone, or GIVE_UP_MS
      └──────────────────────────┘  └─ OPENING_MS: another one            └──────────────► (none)

OPENING: the target begins the avatar with the dialogue so far; all still watch and talk at the source. MOVED: who joins and who talks
goes to the target, which hears what was said meanwhile and is given what waits (lines, questions, a script); the source lets its
viewers go when its avatar has ended its sentence.

Where a person publishes: OPENING, the source asks the publisher to come to the target too, and whoever publishes anew goes there. MOVED:
viewers and relays go to the target, whose media is the same; when nobody is left the source ends the publisher's session.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.desk import Carried
from common.dialogue import MOST_KEPT, Said

OPENING_MS = 45_000
"""A target that has not begun by then is given up: a voice or a renderer may have to be loaded first."""
GIVE_UP_MS = 300_000
"""Who has not left a source by then is let go."""
SETTLED_MS = 4_000
"""A source is believed to be without viewers after this: a report and a player on its way take so long."""


class Stage(enum.StrEnum):
    """See the module's text."""

    OPENING = "opening"
    MOVED = "moved"


class Handover(BaseModel):
    """One that is under way. Times are Unix ms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str
    target: str
    stage: Stage = Stage.OPENING
    since_ms: int = Field(0, ge=0)
    """Of the stage."""
    failed: tuple[str, ...] = ()
    """Targets that did not begin."""
    said: tuple[Said, ...] = Field((), max_length=MOST_KEPT)
    """What was said at the source, as last asked."""
    carried: Carried | None = None
    """What waited at the source, and the target has not taken yet."""
    carried_ms: int = Field(0, ge=0)
    """When the source gave it away."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one broadcast now."""

    source: str | None
    """The origin where it is live; None: nowhere."""
    leaving: bool = False
    """That origin is to give it up."""
    late: bool = False
    """There is no time to wait for the end of a sentence."""
    resting: bool = True
    """Its avatar is silent at the source."""
    left: int = 0
    """Viewers and nodes that take it at the source of the handover."""
    source_there: bool = True
    """The source of the handover still reports."""
    target_there: bool = False
    """The target takes work, and has not refused this."""
    target_gone: bool = False
    """It reports no more."""
    target_live: bool = False
    comes: bool = False
    """It is a publisher's, who comes to the target or does not: the target has not failed by being without it."""


def step(
    before: Handover | None, facts: Facts, now_ms: int, choose: Callable[[frozenset[str]], str | None]
) -> Handover | None:
    """What becomes of a handover. `choose(but not these)` names an origin that can take it, None when there is none."""
    if before is not None and before.stage is Stage.MOVED:
        lasted = now_ms - before.since_ms
        left = facts.source_there and (facts.left > 0 or lasted < SETTLED_MS)
        over = facts.target_gone or lasted >= GIVE_UP_MS or not (left or before.carried)
        return None if over else before
    if facts.source is None or not facts.leaving:
        return None
    if before is not None and before.source == facts.source:
        if facts.target_there and facts.target_live and (facts.resting or facts.late):
            return before.model_copy(update={"stage": Stage.MOVED, "since_ms": now_ms})
        patient = facts.target_live or facts.comes or now_ms - before.since_ms < OPENING_MS
        if facts.target_there and patient:
            return before
    failed = () if before is None else (*before.failed, before.target)[-8:]
    target = choose(frozenset((*failed, facts.source))) or choose(frozenset({facts.source}))
    if target is None:
        return None
    return Handover(
        source=facts.source,
        target=target,
        since_ms=now_ms,
        failed=failed,
        said=() if before is None else before.said,
    )


def decode(document: str) -> Handover | None:
    """A handover as the registry has it; None when it cannot be read."""
    try:
        return Handover.model_validate_json(document)
    except ValidationError:
        return None
