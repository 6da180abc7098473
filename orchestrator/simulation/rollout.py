"""A rollout in virtual time: users with sessions, nodes of two versions that count what they do, and a new version that may turn bad.

The plan, the window and the triggers are the orchestrator's own; invented is only what the nodes would have counted.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import random
from dataclasses import dataclass, field

from common.directory import Health
from orchestrator.rollout import plan
from orchestrator.rollout.figures import Cause, Reading, RolloutLimits, Window
from orchestrator.rollout.plan import Happened, NewRollout, Rollout, RolloutState

LOOK_S = 1200
DAY_S = 86_400
BEGIN = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
OLD, NEW = "1.0", "2.0"
_ERRORS = 0.002
"""Part of the requests that fails in any case."""
_LATENCY_MS = 180.0
_UNDERRUNS = 0.4
"""A session, in any case."""


@dataclass(frozen=True, slots=True)
class Course:
    """What happens. `fault` begins at `fault_day` on the new version; `again_day`: it is repaired, and rolled out once more."""

    fault: Cause | None = None
    fault_day: float = 4.0
    again_day: float | None = None
    days: float = 16.0
    users: int = 500
    nodes: int = 3
    """Of each version."""
    requests: int = 120
    """In a look, in the mean, of all: six a minute, so the window must be longer than a busy cluster's."""
    seed: int = 1
    new: NewRollout = field(
        default_factory=lambda: NewRollout(stable=OLD, candidate=NEW, limits=RolloutLimits(window_s=6 * 3600))
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """One look."""

    at_s: int
    percent: int
    on_new: int
    """Sessions on the new version, of `users`."""
    error_ratio: float
    latency_ms: float


@dataclass
class Played:
    """What became of it."""

    moments: list[Moment] = field(default_factory=list)
    events: list[tuple[float, Happened, str]] = field(default_factory=list)
    """Day, what, why."""
    state: RolloutState = RolloutState.RUNNING
    moved: int = 0
    """Sessions that went on elsewhere."""
    failed: int = 0
    """Requests that failed beyond those that always do."""


@dataclass
class _Node:
    version: str
    health: Health = field(default_factory=Health)


def play(course: Course) -> Played:
    """The course, look by look."""
    chance = random.Random(course.seed)
    one = plan.begun(course.new, "ro_simulated", BEGIN)
    nodes = {f"{version}-{at}": _Node(version) for version in (OLD, NEW) for at in range(course.nodes)}
    users = [f"user-{at}" for at in range(course.users)]
    sessions: dict[str, str] = {}
    played, window = Played(), Window(course.new.limits.window_s)
    for now in range(0, round(course.days * DAY_S), LOOK_S):
        day = now / DAY_S
        again = course.again_day is not None and day >= course.again_day
        if again and one.state is RolloutState.ROLLED_BACK:
            one = plan.again(one, _at(now))
            window = Window(course.new.limits.window_s)
            played.events.append((day, Happened.AGAIN, one.reason))
        bad = course.fault if course.fault is not None and day >= course.fault_day and not again else None
        _talk(course, one, users, sessions, nodes, played, bad, chance)
        readings = {name: Reading(node.version, 1, node.health) for name, node in nodes.items()}
        grown = window.take(readings, float(now))
        figures = window.figures()
        one, happened = plan.step(one, figures, grown.get(NEW, 0), _at(now))
        if happened is not None:
            played.events.append((day, happened, one.reason))
        if happened is Happened.ROLLED_BACK and course.new.move_sessions:
            for user, version in sessions.items():
                if version == NEW:
                    sessions[user] = OLD
                    played.moved += 1
        found = figures.get(NEW)
        played.moments.append(
            Moment(
                now,
                one.percent,
                sum(version == NEW for version in sessions.values()),
                (found.error_ratio or 0.0) if found is not None else 0.0,
                (found.latency_ms or 0.0) if found is not None else 0.0,
            )
        )
    played.state = one.state
    return played


def _talk(
    course: Course,
    one: Rollout,
    users: list[str],
    sessions: dict[str, str],
    nodes: dict[str, _Node],
    played: Played,
    bad: Cause | None,
    chance: random.Random,
) -> None:
    """Some users come, go and talk; their nodes count."""
    grew: dict[str, dict[str, float]] = {name: {} for name in nodes}
    for _ in range(round(chance.gauss(course.requests, math.sqrt(course.requests)))):
        user = chance.choice(users)
        begins = user not in sessions or chance.random() < 0.02
        if begins:
            sessions[user] = one.version_for(user)
        version = sessions[user]
        spoiled = bad if version == NEW else None
        added = grew[f"{version}-{chance.randrange(course.nodes)}"]
        errs = chance.random() < (0.05 if spoiled is Cause.ERRORS else _ERRORS)
        latency_ms = _LATENCY_MS * chance.lognormvariate(0, 0.3) * (1.8 if spoiled is Cause.LATENCY else 1.0)
        a_session = 40.0 if spoiled is Cause.UNDERRUNS else _UNDERRUNS
        short = spoiled is Cause.GPU_MEMORY and chance.random() < 0.02
        played.failed += errs and spoiled is Cause.ERRORS
        for name, value in (
            ("requests", 1.0),
            ("errors", float(errs)),
            ("latency_total_ms", latency_ms),
            ("latency_count", 1.0),
            ("sessions", float(begins)),
            ("underruns", float(round(chance.expovariate(1 / a_session))) if begins else 0.0),
            ("gpu_memory_errors", float(short)),
        ):
            added[name] = added.get(name, 0.0) + value
    for name, added in grew.items():
        before = nodes[name].health.model_dump()
        nodes[name].health = Health(**{key: before[key] + added.get(key, 0) for key in before})


def _at(now: float) -> dt.datetime:
    return BEGIN + dt.timedelta(seconds=now)


@functools.cache
def faults() -> dict[str, Played]:
    """A rollout without a fault, one with each of the four, and one that is repaired and rolled out again. Played once a process."""
    return {
        "no fault": play(Course()),
        **{f"{cause} from day 4": play(Course(fault=cause, days=5.0)) for cause in Cause},
        "repaired on day 5": play(Course(fault=Cause.ERRORS, again_day=5.0, days=12.0)),
    }
