"""When a delivery is tried again, when it is given up, and when its endpoint is. Pure: outcome, time and a draw in, the next state out.

Theory: exponential back-off, so that an endpoint that is down for long is asked rarely, with jitter, so that all that waits for it does
not come at once when it is back. After 5 s, 20 s, 80 s, ... each pause four times the one before, at most 4 h, each between 3/4 and 5/4 of
that; a delivery is given up a day after its first try. An endpoint that has refused everything for as long is turned off: who does
not answer for a day is not there, and each try costs both sides.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, replace

FIRST_S = 5.0
GROWTH = 4.0
LONGEST_S = 4 * 3600.0
GIVE_UP_S = 24 * 3600.0
ASKED_S = 3600.0
"""Longest wait that an endpoint may ask for by Retry-After."""


class SendState(enum.StrEnum):
    """Where a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try. `error` is None when it was taken; `gone`: the endpoint wants nothing any more (410)."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A delivery: how often it was tried, since when, and when it is tried next."""

    state: SendState
    attempts: int
    first_at: dt.datetime | None
    next_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint: since when all tries have failed (None: the last one did not), and why it was turned off."""

    failing_since: dt.datetime | None = None
    disabled: str | None = None


def pause_s(attempts: int, draw: float) -> float:
    """Seconds after so many failed tries (1..) until the next; `draw` is 0..1."""
    steps = min(attempts - 1, 16)  # beyond that the longest stands, and powers stay small
    return min(LONGEST_S, FIRST_S * GROWTH**steps) * (0.75 + 0.5 * draw)


def step(
    progress: Progress, standing: Standing, outcome: Outcome, now: dt.datetime, draw: float
) -> tuple[Progress, Standing]:
    """Both after a try that ended `now`."""
    first_at = progress.first_at or now
    tried = replace(progress, attempts=progress.attempts + 1, first_at=first_at)
    if outcome.error is None:
        return replace(tried, state=SendState.DELIVERED), Standing()
    failing_since = standing.failing_since or now
    if outcome.gone:
        return replace(tried, state=SendState.FAILED), Standing(failing_since, "it answered 410 Gone")
    if (now - failing_since).total_seconds() >= GIVE_UP_S:
        hours = int((now - failing_since).total_seconds() // 3600)
        why = f"all tries have failed for {hours} hours, the last with: {outcome.error}"
        return replace(tried, state=SendState.FAILED), Standing(failing_since, why[:300])
    wait = pause_s(tried.attempts, draw)
    if outcome.retry_after_s is not None:
        wait = max(wait, min(outcome.retry_after_s, ASKED_S))
    next_at = now + dt.timedelta(seconds=wait)
    last_at = first_at + dt.timedelta(seconds=GIVE_UP_S)
    if now >= last_at:
        return replace(tried, state=SendState.FAILED), Standing(failing_since)
    return replace(tried, next_at=min(next_at, last_at)), Standing(failing_since)
