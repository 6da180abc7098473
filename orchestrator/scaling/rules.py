"""How many nodes a pool should have, and why. Pure: a reading, the forecast and the time in, a decision out.

Each trigger asks for as many nodes as bring its measure back to its target (target tracking, as the Horizontal Pod Autoscaler does:
nodes x measure / target); the one that asks for most decides.

    trigger       target    measure
    places        80 %      viewers (or broadcasts) / places
    forecast      80 %      the same, as expected in five minutes
    cpu           70 %      mean of the nodes
    gpu_memory    80 %      mean of the nodes that have one
    memory        80 %      mean of the nodes

Up at once, then not again for `up_s` unless the demand exceeds what was asked for by half; down only to the most that was asked for in
the last `down_s`, so that a dip costs nothing. A node that drains counts as gone. Measures of nodes (CPU, memory) never ask for fewer
than places do, nor, when there is no node to measure, for any.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass, field

from orchestrator.scaling.pools import Bounds, Reading


class Trigger(enum.StrEnum):
    """What asked for so many nodes."""

    PLACES = "places"
    FORECAST = "forecast"
    CPU = "cpu"
    GPU_MEMORY = "gpu_memory"
    MEMORY = "memory"
    LEAST = "least"
    """The pool's fewest."""


class Held(enum.StrEnum):
    """What keeps a decision from what the triggers ask for."""

    MOST = "most"
    """The pool's most."""
    UP_COOL_DOWN = "up_cool_down"
    DOWN_COOL_DOWN = "down_cool_down"


@dataclass(frozen=True, slots=True)
class Rules:
    """Targets in 0..1, times in seconds."""

    places: float = 0.8
    cpu: float = 0.7
    gpu_memory: float = 0.8
    memory: float = 0.8
    up_s: float = 60.0
    down_s: float = 300.0
    urgent: float = 1.5
    tolerance: float = 0.1
    """A measure within this part of its target asks for no change: else noise would."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`wanted` nodes, since this trigger asks for them; `asked`: what each trigger asks for; `held`: what kept it from that."""

    wanted: int
    trigger: Trigger
    asked: dict[Trigger, int]
    held: Held | None = None


@dataclass
class Memory:
    """What a pool's decisions remember."""

    wanted: int | None = None
    raised_at: float = float("-inf")
    asked: deque[tuple[float, int]] = field(default_factory=deque)
    """Highest first: what was asked for in the last `down_s`, without what a later and higher one covers."""


def asked(reading: Reading, expected: float, places_a_node: float, rules: Rules) -> dict[Trigger, int]:
    """What each trigger asks for. `expected`: viewers in five minutes; `places_a_node` of a node that would be started."""
    node = max(1.0, places_a_node)
    found = {
        Trigger.PLACES: math.ceil(reading.used / (rules.places * node) - 1e-9),
        Trigger.FORECAST: math.ceil(expected / (rules.places * node) - 1e-9),
    }
    for trigger, measure, target in (
        (Trigger.CPU, reading.cpu_ratio, rules.cpu),
        (Trigger.MEMORY, reading.memory_ratio, rules.memory),
        (Trigger.GPU_MEMORY, reading.gpu_memory_ratio, rules.gpu_memory),
    ):
        if measure is None or not reading.nodes:
            continue
        ratio = measure / target
        found[trigger] = (
            reading.nodes if abs(ratio - 1) <= rules.tolerance else math.ceil(reading.nodes * ratio - 1e-9)
        )
    return found


def decide(
    reading: Reading,
    expected: float,
    places_a_node: float,
    bounds: Bounds,
    rules: Rules,
    memory: Memory,
    now: float,
) -> Decision:
    """The decision now; `memory` is brought up to date."""
    found = asked(reading, expected, places_a_node, rules)
    trigger = max(found, key=lambda one: found[one])
    want = found[trigger]
    if want < bounds.least:
        want, trigger = bounds.least, Trigger.LEAST
    held = None
    if want > bounds.most:
        want, held = bounds.most, Held.MOST
    while memory.asked and memory.asked[-1][1] <= want:
        memory.asked.pop()
    memory.asked.append((now, want))
    while memory.asked[0][0] <= now - rules.down_s:
        memory.asked.popleft()
    current = memory.wanted
    if current is None:
        # A beginning: what is there is what was wanted, and nothing is taken away before it was watched for a while.
        current = max(want, bounds.clamp(reading.nodes))
        memory.asked.appendleft((now, current))
        memory.wanted = current
    if want > current:
        if now - memory.raised_at < rules.up_s and want < rules.urgent * current:
            return Decision(current, trigger, found, Held.UP_COOL_DOWN)
        memory.raised_at = now
    elif want < current:
        recent = bounds.clamp(memory.asked[0][1])
        if recent > want:
            want, held = min(current, recent), Held.DOWN_COOL_DOWN
    memory.wanted = want
    return Decision(want, trigger, found, held)
