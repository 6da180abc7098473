"""The life of a CDN distribution that is made and removed by an API: the state machine. Pure: answers and the time in, the next step out.

    UNKNOWN ──LOOK──► ABSENT ──CREATE──► DEPLOYING ──LOOK──► READY ──DISABLE──► RETIRING ──LOOK──► RETIRED ──DELETE──► ABSENT
                                              ▲                                    │                  │
                                              └──────────────ENABLE────────────────┴──────────────────┘  (wanted again)

Theory: what the API says is the truth, what is remembered here is only when to ask again. So an orchestrator that starts, or that takes
over from another, looks first and goes on from what it finds, and whatever was changed by hand is taken as it is. A distribution takes
minutes to deploy and minutes to retire, so it is used again rather than made again, and is kept for `idle_s` after it was last needed. Any
step may fail: it is tried again after a wait that doubles, longer when the API throttles; after a failed change comes a look, because the
change may have happened. Steps that change something are for the orchestrator on duty alone; the others only look.

While it is not READY there is no address, so nobody is sent to it: viewers stay on WebRTC.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class CdnPhase(enum.StrEnum):
    """Where the distribution is in its life."""

    UNKNOWN = "unknown"
    """Nobody has looked yet."""
    ABSENT = "absent"
    DEPLOYING = "deploying"
    """It is there and on its way to the edges."""
    READY = "ready"
    RETIRING = "retiring"
    """It was turned off, and the edges still hear of it."""
    RETIRED = "retired"
    """Off everywhere: it may be deleted, or turned on again."""


class Step(enum.StrEnum):
    """What is to be asked of the API."""

    LOOK = "look"
    CREATE = "create"
    ENABLE = "enable"
    DISABLE = "disable"
    DELETE = "delete"


class Trouble(enum.StrEnum):
    """How a step failed."""

    THROTTLED = "throttled"
    """The API wants fewer requests."""
    STALE = "stale"
    """What was to be changed is no longer as it was, or no longer there."""
    FAILED = "failed"
    """Anything else: no answer, no rights, a limit of the account."""


@dataclass(frozen=True, slots=True)
class Found:
    """A distribution as the API tells it. `version` is its ETag."""

    id: str
    domain: str
    enabled: bool
    deployed: bool
    version: str = ""
    current: bool = True
    """It is as it would be made now; false: its packagers have moved."""


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds."""

    idle_s: float = 3600.0
    """It is kept so long after it was last wanted."""
    deploying_s: float = 15.0
    """Between two looks while something is under way."""
    settled_s: float = 300.0
    """Between two looks while nothing is: somebody may have changed it by hand."""
    first_wait_s: float = 2.0
    longest_wait_s: float = 120.0
    throttled_s: float = 15.0
    """First wait after the API said that it is asked too often."""


_CHANGES = frozenset(Step) - {Step.LOOK}


class Life:
    """One distribution. Times are the caller's seconds."""

    def __init__(self, times: Times, now: float) -> None:
        self.times = times
        self.phase = CdnPhase.UNKNOWN
        self.found: Found | None = None
        self.wanted = False
        self.trouble: str | None = None
        """Why the last step failed; None: it did not."""
        self.failures = 0
        self._wanted_at = now
        """When it was last wanted, or first seen: an orchestrator that takes over gives it its hour."""
        self._due_at = now
        self._held_until = float("-inf")
        self._under_way: Step | None = None
        self._failed: Step | None = None
        self._must_look = True

    @property
    def url(self) -> str | None:
        """The base URL, while it serves everywhere."""
        return (
            f"https://{self.found.domain}"
            if self.phase is CdnPhase.READY and self.found is not None
            else None
        )

    def retry_s(self, now: float) -> float:
        """Seconds until a step is tried that failed; 0: none waits."""
        return max(0.0, self._held_until - now)

    def want(self, wanted: bool, now: float) -> None:
        """Does an audience need it?"""
        self.wanted = wanted
        if wanted:
            self._wanted_at = now

    def step(self, now: float, *, may_change: bool) -> Step | None:
        """What to ask of the API now; None: nothing. Whoever gets a step tells by `done` or `failed` what came of it."""
        if self._under_way is not None or now < self._held_until:
            return None
        step = self._change(now) if may_change and not self._must_look else None
        if step is None and now >= self._due_at:
            step = Step.LOOK
        self._under_way = step
        return step

    def _change(self, now: float) -> Step | None:
        match self.phase:
            case CdnPhase.ABSENT if self.wanted:
                return Step.CREATE
            case CdnPhase.RETIRING | CdnPhase.RETIRED if self.wanted:
                return Step.ENABLE
            case CdnPhase.READY | CdnPhase.DEPLOYING if (
                self.wanted and self.found is not None and not self.found.current
            ):
                return Step.ENABLE
            case CdnPhase.RETIRED:
                return Step.DELETE
            case CdnPhase.READY | CdnPhase.DEPLOYING if (
                not self.wanted and now - self._wanted_at >= self.times.idle_s
            ):
                return Step.DISABLE
        return None

    def done(self, found: Found | None, now: float) -> None:
        """The step succeeded: the distribution as it is after it, None when there is none."""
        step, self._under_way = self._under_way, None
        self.found, self._must_look = found, False
        if found is None:
            self.phase = CdnPhase.ABSENT
        elif found.enabled:
            self.phase = CdnPhase.READY if found.deployed else CdnPhase.DEPLOYING
        else:
            self.phase = CdnPhase.RETIRED if found.deployed else CdnPhase.RETIRING
        # A look that succeeds after a change that failed does not make the change a success: its next try waits longer.
        if step in _CHANGES or self._failed is Step.LOOK or self._change(now) is None:
            self.trouble, self.failures, self._failed = None, 0, None
        moving = self.phase in (CdnPhase.DEPLOYING, CdnPhase.RETIRING)
        self._due_at = now + (self.times.deploying_s if moving else self.times.settled_s)

    def failed(self, trouble: Trouble, detail: str, now: float, drawn: float) -> None:
        """The step failed. `drawn` is 0..1: waits are spread, so that several who failed together do not come back together."""
        step, self._under_way = self._under_way, None
        self._due_at, self._must_look = now, True  # a change that was not answered may have happened
        if trouble is Trouble.STALE and self.failures == 0:
            self.failures, self._failed = 1, step
            return
        self.trouble, self._failed = detail, step
        self.failures += 1
        first = self.times.throttled_s if trouble is Trouble.THROTTLED else self.times.first_wait_s
        wait_s = min(self.times.longest_wait_s, first * 2 ** min(self.failures - 1, 16))
        self._held_until = now + wait_s * (0.5 + drawn / 2)
