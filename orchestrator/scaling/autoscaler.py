"""The pools of a cluster, looked at every 15 s: what each should have, told as metrics, to KEDA, and (when told to) to Auto Scaling groups.

Nodes are started and ended by Kubernetes or by the groups, never from here. Every orchestrator sees all nodes and answers; only the one
on duty speaks to the groups. What was seen lives in memory: an orchestrator that starts begins with what is there and takes nothing
away for five minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from common.log import log
from common.metrics import counter, gauge
from common.tasks import end_tasks
from orchestrator.nodes import Node
from orchestrator.scaling.forecast import Forecast
from orchestrator.scaling.groups import Groups, GroupsDown
from orchestrator.scaling.pools import Bounds, PoolName, Reading, read
from orchestrator.scaling.rules import Decision, Memory, Rules, decide

_log = log("orchestrator")

LOOK_S = 15.0
_POOLS = 256
"""Pools that are looked at; more can only be made up by regions' names."""
_FORGET_S = 6 * 3600.0
"""A pool that is not configured and has had no node for this long is forgotten."""

_WANTED = gauge("avacast_scaling_wanted_nodes", "Nodes that a pool should have", ("role", "region"))
_HAS = gauge("avacast_scaling_nodes", "Nodes of a pool that take work", ("role", "region"))
_USED = gauge("avacast_scaling_used", "Viewers (packagers: broadcasts) of a pool", ("role", "region"))
_PLACES = gauge("avacast_scaling_places", "Places of a pool", ("role", "region"))
_EXPECTED = gauge("avacast_scaling_expected", "Viewers expected in five minutes", ("role", "region"))
_APPLIED = counter("avacast_scaling_applied_total", "Wanted capacities told to groups", ("outcome",))


@dataclass
class Pool:
    """One pool as last looked at."""

    name: PoolName
    bounds: Bounds
    reading: Reading = field(default_factory=Reading)
    decision: Decision | None = None
    expected: float = 0.0
    forecast: Forecast = field(default_factory=Forecast)
    memory: Memory = field(default_factory=Memory)
    places_a_node: float = 1000.0
    changed_at: float = float("-inf")
    """When `wanted` last changed, in the caller's seconds."""
    seen_at: float = 0.0
    told: int | None = None
    """What its group was last told."""
    trouble: str | None = None
    """Why its group could not be told."""


class Autoscaler:
    """Pools and their decisions. `look` is pure but for the metrics; `run` calls it."""

    def __init__(
        self,
        bounds: Mapping[PoolName, Bounds] | None = None,
        rules: Rules | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.bounds = dict(bounds or {})
        self.rules = rules or Rules()
        self.pools: dict[PoolName, Pool] = {}
        self._groups = groups
        self._task: asyncio.Task[None] | None = None

    @property
    def dry_run(self) -> bool:
        """Nobody is told but who asks."""
        return self._groups is None

    def look(self, nodes: Iterable[Node], now: float) -> None:
        """Reads all pools and decides for each."""
        members = list(nodes)
        for name, reading in read(members, self.bounds).items():
            pool = self.pools.get(name)
            if pool is None:
                if len(self.pools) >= _POOLS and name not in self.bounds:
                    continue
                pool = self.pools[name] = Pool(name, self.bounds.get(name, Bounds()))
            pool.seen_at = now
            if reading.nodes:
                pool.places_a_node = max(1.0, reading.places / reading.nodes)
            self._decide(pool, reading, now)
        for name in [one for one, pool in self.pools.items() if self._gone(pool, now)]:
            del self.pools[name]
        self._measure()

    def _gone(self, pool: Pool, now: float) -> bool:
        if pool.name in self.bounds:
            return False
        if pool.seen_at < now:
            self._decide(pool, Reading(), now)
        return now - pool.seen_at > _FORGET_S

    def _decide(self, pool: Pool, reading: Reading, now: float) -> None:
        pool.reading = reading
        pool.forecast.observe(now, reading.used)
        pool.expected = pool.forecast.ahead()
        before = pool.decision
        pool.decision = decide(
            reading, pool.expected, pool.places_a_node, pool.bounds, self.rules, pool.memory, now
        )
        if before is None or before.wanted != pool.decision.wanted:
            pool.changed_at = now
            _log.info(
                "scaling:wanted",
                pool=str(pool.name),
                wanted=pool.decision.wanted,
                nodes=reading.nodes,
                trigger=pool.decision.trigger,
            )

    def _measure(self) -> None:
        for one in (_WANTED, _HAS, _USED, _PLACES, _EXPECTED):
            one.clear()
        for name, pool in self.pools.items():
            labels = (name.role, name.region)
            _WANTED.labels(*labels).set(pool.decision.wanted if pool.decision else 0)
            _HAS.labels(*labels).set(pool.reading.nodes)
            _USED.labels(*labels).set(pool.reading.used)
            _PLACES.labels(*labels).set(pool.reading.places)
            _EXPECTED.labels(*labels).set(pool.expected)

    # groups -----------------------------------------------------------------------------------------------------------

    async def apply(self) -> None:
        """Tells each pool's group what is wanted, where that is not what it has."""
        if self._groups is None:
            return
        for pool in self.pools.values():
            if pool.bounds.group is None or pool.decision is None:
                continue
            try:
                pool.told = await asyncio.to_thread(
                    self._groups.want, pool.name.region, pool.bounds.group, pool.decision.wanted
                )
                pool.trouble = None
                _APPLIED.labels("told").inc()
            except GroupsDown as error:
                if pool.trouble is None:
                    _log.warning("scaling:group_down", pool=str(pool.name), error=str(error))
                pool.trouble = str(error)
                _APPLIED.labels("failed").inc()

    # life -------------------------------------------------------------------------------------------------------------

    def start(self, nodes: Callable[[], Iterable[Node]], on_duty: Callable[[], bool]) -> None:
        """Begins to look."""
        self.look(nodes(), time.monotonic())
        self._task = asyncio.create_task(self._run(nodes, on_duty), name="orchestrator autoscaler")

    async def close(self) -> None:
        """Ends it."""
        await end_tasks(self._task)

    async def _run(self, nodes: Callable[[], Iterable[Node]], on_duty: Callable[[], bool]) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self.look(nodes(), time.monotonic())
                if on_duty():
                    await self.apply()
            except Exception as error:
                _log.error("scaling_failed", exc_info=error)
