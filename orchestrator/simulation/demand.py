"""A day of demand in virtual time: viewers of a region, the relays that should carry them, and the minutes that it takes to start one.

Judged are the minutes in which there was no place for somebody, and the node-hours that were paid for, against a pool that always has what
the peak needs, and against the same rules without the forecast.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

from orchestrator.scaling.forecast import Forecast
from orchestrator.scaling.pools import Bounds, Reading
from orchestrator.scaling.rules import Memory, Rules, decide

LOOK_S = 15
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Day:
    """What comes: a wave over the day, broadcasts that begin on the hour, and chance."""

    base: int = 400
    wave: int = 900
    broadcasts: tuple[tuple[float, float, int], ...] = ((9.0, 1.0, 500), (14.5, 0.75, 700), (20.0, 2.0, 1800))
    """Begin and length in hours, viewers. They come within a quarter of an hour."""
    places_a_node: int = 150
    start_s: tuple[int, int] = (90, 120)
    drain_s: int = 60
    bounds: Bounds = field(default_factory=lambda: Bounds(2, 40))
    rules: Rules = field(default_factory=Rules)
    forecast: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Moment:
    """One look."""

    at_s: int
    viewers: int
    nodes: int
    wanted: int
    expected: float


@dataclass
class Played:
    """What became of a day."""

    moments: list[Moment]
    short_minutes: float = 0.0
    """Minutes in which somebody had no place."""
    refused_share: float = 0.0
    """Of viewer-minutes."""
    node_hours: float = 0.0
    peak_hours: float = 0.0
    """Node-hours of a pool that always has what the peak needs."""
    changes: int = 0


def viewers(day: Day, at_s: float, noise: float) -> int:
    """The demand at a moment of the day."""
    hour = at_s / 3600
    found: float = day.base + day.wave * math.pow(max(0.0, math.sin((hour - 7) / 24 * 2 * math.pi)), 1.5)
    for begin, length, most in day.broadcasts:
        if begin - 0.05 <= hour <= begin + length + 0.3:
            rise = min(1.0, max(0.0, (hour - begin + 0.05) / 0.25))
            fall = min(1.0, max(0.0, (begin + length + 0.3 - hour) / 0.3))
            found += most * min(rise, fall)
    return max(0, round(found * (1 + noise)))


def play(day: Day) -> Played:
    """The day, look by look."""
    chance = random.Random(day.seed)
    enough = math.ceil(viewers(day, 0, 0.0) / (day.rules.places * day.places_a_node))
    working, starting, draining = day.bounds.clamp(enough), list[float](), list[float]()
    forecast, memory, noise = Forecast(), Memory(), 0.0
    played = Played([])
    short = asked = paid = 0.0
    for now in range(0, DAY_S, LOOK_S):
        noise = 0.95 * noise + 0.008 * chance.gauss(0, 1)
        want = viewers(day, now, noise)
        working += sum(at <= now for at in starting)
        starting = [at for at in starting if at > now]
        draining = [at for at in draining if at > now]
        places = working * day.places_a_node
        used = min(want, places)
        reading = Reading(
            nodes=working,
            draining=len(draining),
            places=places,
            used=used,
            cpu_ratio=0.75 * used / max(1, places),
        )
        forecast.observe(now, used)
        expected = forecast.ahead() if day.forecast else float(used)
        decision = decide(reading, expected, day.places_a_node, day.bounds, day.rules, memory, now)
        have = working + len(starting)
        if decision.wanted > have:
            played.changes += 1
            starting += [now + chance.randint(*day.start_s) for _ in range(decision.wanted - have)]
        elif decision.wanted < have:
            played.changes += 1
            gone = have - decision.wanted
            kept = max(0, len(starting) - gone)
            stop = gone - (len(starting) - kept)
            starting = starting[:kept]
            working -= stop
            draining += [now + day.drain_s] * stop
        asked += want
        short += want - used
        played.short_minutes += (want > places) * LOOK_S / 60
        paid += (working + len(starting) + len(draining)) * LOOK_S / 3600
        played.moments.append(Moment(now, want, working, decision.wanted, expected))
    played.node_hours, played.refused_share = paid, short / max(1.0, asked)
    most = max(one.viewers for one in played.moments)
    played.peak_hours = 24.0 * max(day.bounds.least, math.ceil(most / (day.rules.places * day.places_a_node)))
    return played


def compare(day: Day | None = None) -> dict[str, Played]:
    """The day with and without the forecast."""
    asked = day or Day()
    return {"with forecast": play(asked), "without": play(replace(asked, forecast=False))}
