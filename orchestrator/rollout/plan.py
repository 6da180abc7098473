"""A rollout: which users get the new version of a pool, when more of them do, and what takes it back. Pure: time is an argument.

    RUNNING ──phase over, and enough seen──► next phase ──after the last──► DONE
      │ ▲                                                                     │
    pause resume        a trigger, or ops (also from PAUSED and DONE)         │
      ▼ │                     │                                               │
    PAUSED                    └──► ROLLED_BACK ◄──────────────────────────────┘
                                        └──again──► RUNNING, first phase

A user's bucket is the first 8 hex digits of the MD5 of its id, mod 100: buckets below the phase's percent get the new version. So a
growing percent only ever adds users, and every orchestrator, and every attempt, puts the same users first.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.directory import Role
from orchestrator.rollout.figures import RolloutLimits, Trigger, VersionFigures, judge

BUCKETS = 100
MOST_PHASES = 12

Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x20\x7f]+$")]


def bucket(user: str) -> int:
    """0..99, the same everywhere and always."""
    digest = hashlib.md5(user.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % BUCKETS


class RolloutState(enum.StrEnum):
    """See the module's text."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ROLLED_BACK = "rolled_back"


ACTIVE = frozenset({RolloutState.RUNNING, RolloutState.PAUSED})
"""Of a pool one at most is in these."""


class RolloutPhase(BaseModel):
    """So many percent of the users, for so long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percent: int = Field(ge=1, le=100, description="Of the users.")
    days: float = Field(
        0, ge=0, le=365, allow_inf_nan=False, description="How long; the last phase has no end, 0 there."
    )


PHASES = (
    RolloutPhase(percent=10, days=3),
    RolloutPhase(percent=25, days=5),
    RolloutPhase(percent=50, days=7),
    RolloutPhase(percent=100),
)


class NewRollout(BaseModel):
    """A rollout to be made."""

    model_config = ConfigDict(extra="forbid")

    role: Literal[Role.ORIGIN, Role.RELAY] = Field(
        Role.ORIGIN, description="The pool: origins (avatars) or relays. Packagers have no users."
    )
    stable: Version = Field(description="The version that users have now.")
    candidate: Version = Field(description="The version that they are to get.")
    phases: tuple[RolloutPhase, ...] = Field(
        default_factory=lambda: PHASES,
        min_length=1,
        max_length=MOST_PHASES,
        description="10 % for 3 days, 25 % for 5, 50 % for 7, then all, when missing.",
    )
    limits: RolloutLimits = Field(default_factory=RolloutLimits)
    move_sessions: bool = Field(
        True,
        description="After a rollback what runs on the new version moves, with its dialogue; else it stays.",
    )

    @model_validator(mode="after")
    def _sound(self) -> NewRollout:
        if self.stable == self.candidate:
            raise ValueError("candidate: is the stable version already")
        percents = [one.percent for one in self.phases]
        if percents != sorted(set(percents)) or percents[-1] != BUCKETS:
            raise ValueError("phases: percents must grow, up to 100")
        if any(one.days <= 0 for one in self.phases[:-1]):
            raise ValueError("phases: days must be above 0, but for the last")
        return self


class Rollout(NewRollout):
    """One as kept. `running_s` is how long its phase has run, without pauses, up to `counted_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    state: RolloutState = RolloutState.RUNNING
    attempt: int = 1
    phase: int = 0
    running_s: float = 0.0
    counted_at: dt.datetime
    created_at: dt.datetime
    reason: str = Field("", description="Why it is as it is.")
    seen: int = Field(0, description="Requests of the new version in this phase, as measured.")
    stable_latency_ms: float | None = Field(
        None, description="What the stable version's latency was when it was last measured."
    )
    figures: Mapping[str, VersionFigures] = Field(
        default_factory=dict, description="By version, over the last half hour."
    )
    revision: int = 0

    @property
    def percent(self) -> int:
        """Of the users that get the new version."""
        return 0 if self.state is RolloutState.ROLLED_BACK else self.phases[self.phase].percent

    def version_for(self, user: str) -> str:
        """The version that a user gets."""
        return self.candidate if bucket(user) < self.percent else self.stable


class Happened(enum.StrEnum):
    """What the history tells."""

    BEGUN = "begun"
    PHASE = "phase"
    PAUSED = "paused"
    RESUMED = "resumed"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    AGAIN = "again"


def begun(new: NewRollout, id: str, now: dt.datetime) -> Rollout:
    """A rollout in its first phase."""
    return Rollout(**new.model_dump(), id=id, counted_at=now, created_at=now)


def counted(one: Rollout, now: dt.datetime) -> Rollout:
    """With the time that has run until now."""
    ran_s = (now - one.counted_at).total_seconds() if one.state is RolloutState.RUNNING else 0.0
    return one.model_copy(update={"running_s": one.running_s + max(0.0, ran_s), "counted_at": now})


def step(
    before: Rollout, figures: Mapping[str, VersionFigures], seen: int, now: dt.datetime
) -> tuple[Rollout, Happened | None]:
    """What becomes of a rollout by the figures of its versions (over a window), with `seen` more requests of the new version."""
    one = counted(before, now)
    if one.state not in ACTIVE:
        return one, None
    stable, candidate = (
        figures.get(one.stable, VersionFigures()),
        figures.get(one.candidate, VersionFigures()),
    )
    if stable.latency_count >= one.limits.least_requests and stable.latency_ms is not None:
        one = one.model_copy(update={"stable_latency_ms": stable.latency_ms})
    kept = {version: figures[version] for version in (one.stable, one.candidate) if version in figures}
    one = one.model_copy(update={"figures": kept, "seen": one.seen + seen})
    trigger = judge(candidate, one.stable_latency_ms, one.limits)
    if trigger is not None:
        return rolled_back(one, str(trigger), now), Happened.ROLLED_BACK
    if one.state is RolloutState.PAUSED:
        return one, None
    phase = one.phases[one.phase]
    if one.phase == len(one.phases) - 1:
        if one.running_s >= phase.days * 86_400:
            return _moved(one, one.phase, RolloutState.DONE, "all users have it"), Happened.DONE
        return one, None
    if one.running_s < phase.days * 86_400:
        return one.model_copy(update={"reason": ""}), None
    if one.seen < one.limits.least_requests:
        reason = f"waits: {one.seen} requests of {one.candidate} in this phase, {one.limits.least_requests} are needed to judge it"
        return one.model_copy(update={"reason": reason}), None
    return _moved(one, one.phase + 1, RolloutState.RUNNING, ""), Happened.PHASE


def paused(one: Rollout, why: str, now: dt.datetime) -> Rollout:
    """Its percent stays, its time stands still; triggers still take it back."""
    return counted(one, now).model_copy(update={"state": RolloutState.PAUSED, "reason": why})


def resumed(one: Rollout, now: dt.datetime) -> Rollout:
    """Goes on where it was paused."""
    return counted(one, now).model_copy(update={"state": RolloutState.RUNNING, "reason": ""})


def rolled_back(one: Rollout, why: str, now: dt.datetime) -> Rollout:
    """Nobody new gets the candidate."""
    return counted(one, now).model_copy(update={"state": RolloutState.ROLLED_BACK, "reason": why})


def again(one: Rollout, now: dt.datetime) -> Rollout:
    """Begins anew with its first phase, and the same users."""
    fresh = _moved(counted(one, now), 0, RolloutState.RUNNING, "")
    return fresh.model_copy(update={"attempt": one.attempt + 1, "figures": {}})


def _moved(one: Rollout, phase: int, state: RolloutState, reason: str) -> Rollout:
    changes = {"phase": phase, "state": state, "reason": reason, "running_s": 0.0, "seen": 0}
    return one.model_copy(update=changes)


__all__ = [
    "ACTIVE",
    "PHASES",
    "Happened",
    "NewRollout",
    "Rollout",
    "RolloutLimits",
    "RolloutState",
    "Trigger",
    "VersionFigures",
]
