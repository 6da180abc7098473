"""Rollouts, running: each orchestrator places by them; the one on duty measures their versions, moves them on, and takes them back.

What nodes did within the window lives in memory: an orchestrator that comes on duty begins to measure anew, and the least numbers of the
limits keep it from judging by too little.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Sequence

from common.database import DatabaseDown
from common.directory import Role
from common.errors import Conflict
from common.ids import new_id
from common.log import log
from common.metrics import counter, gauge
from common.registry import StaleEpoch
from common.tasks import end_tasks
from orchestrator.hub import Hub
from orchestrator.nodes import Node
from orchestrator.rollout import plan
from orchestrator.rollout.figures import SAMPLE_S, Reading, Window
from orchestrator.rollout.plan import ACTIVE, Happened, NewRollout, Rollout, RolloutState
from orchestrator.rollout.store import RolloutChanged, Rollouts

_log = log("orchestrator")

REFRESH_S = 2.0
ROLES = (Role.ORIGIN, Role.RELAY)
_RACES = 5
"""Times that an order may find a rollout just changed."""

_PERCENT = gauge("avacast_rollout_percent", "Users that get the new version of a pool", ("role", "version"))
_EVENTS = counter("avacast_rollout_events_total", "What happened to rollouts", ("happened",))


class Deploying:
    """Runs from `start` to `close`; the API works on it."""

    def __init__(self, hub: Hub, rollouts: Rollouts) -> None:
        self.rollouts = rollouts
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        """The clock of phases."""
        self._hub = hub
        self._windows: dict[Role, tuple[tuple[str, int], Window]] = {}
        """Of what is measured: which rollout and attempt, and its window."""
        self._looked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        hub.wanted_version = self.wanted_version
        hub.moves.unwanted = self.unwanted

    async def start(self) -> None:
        """Reads the rollouts and begins. Raises DatabaseDown."""
        await self.rollouts.refresh()
        self._task = asyncio.create_task(self._run(), name="orchestrator rollouts")

    async def close(self) -> None:
        """Ends it."""
        await end_tasks(self._task)

    # placement --------------------------------------------------------------------------------------------------------

    def wanted_version(self, role: Role, user: str) -> str | None:
        """The version of a pool that a user is to get; None: any."""
        current = self.rollouts.current(role)
        return None if current is None else current.version_for(user)

    def unwanted(self, node: Node) -> bool:
        """Whether what runs on a node is to leave it: its version was taken back."""
        current = self.rollouts.current(node.report.role)
        return (
            current is not None
            and current.state is RolloutState.ROLLED_BACK
            and current.move_sessions
            and node.report.version == current.candidate
        )

    # operators --------------------------------------------------------------------------------------------------------

    async def create(self, new: NewRollout) -> Rollout:
        """Begins one. Raises Conflict, DatabaseDown."""
        one = await self.rollouts.create(plan.begun(new, new_id("ro"), self.now()), "operator")
        self._tell(one, Happened.BEGUN)
        return one

    async def pause(self, id: str, why: str) -> Rollout:
        """Its percent stays. Raises NotFound, Conflict, DatabaseDown."""
        return await self._order(
            id, Happened.PAUSED, (RolloutState.RUNNING,), lambda one: plan.paused(one, why, self.now())
        )

    async def resume(self, id: str) -> Rollout:
        """Goes on. Raises as `pause`."""
        return await self._order(
            id, Happened.RESUMED, (RolloutState.PAUSED,), lambda one: plan.resumed(one, self.now())
        )

    async def roll_back(self, id: str, why: str) -> Rollout:
        """Everybody gets the stable version again. Raises as `pause`."""
        why = why or "an operator wanted it"
        states = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.DONE)
        return await self._order(
            id, Happened.ROLLED_BACK, states, lambda one: plan.rolled_back(one, why, self.now())
        )

    async def again(self, id: str) -> Rollout:
        """Rolls out once more what was taken back. Raises as `pause`."""
        return await self._order(
            id, Happened.AGAIN, (RolloutState.ROLLED_BACK,), lambda one: plan.again(one, self.now())
        )

    async def _order(
        self,
        id: str,
        happened: Happened,
        states: Sequence[RolloutState],
        change: Callable[[Rollout], Rollout],
    ) -> Rollout:
        """Does what an operator wants, by what is in SQL: figures that are written meanwhile do not stop it, another order may."""
        races = 0
        while True:
            await self.rollouts.refresh()
            one = change(self._in(id, states))
            try:
                saved = await self.rollouts.save(one, happened, "operator")
            except RolloutChanged:
                races += 1
                if races == _RACES:
                    raise
                continue
            self._tell(saved, happened)
            return saved

    def _in(self, id: str, states: Sequence[RolloutState]) -> Rollout:
        one = self.rollouts.require(id)
        current = self.rollouts.current(one.role)
        if current is None or current.id != one.id:
            raise Conflict(
                f"{one.role} nodes go by a later rollout",
                code="rollout_state",
                hint="GET /api/rollouts: the first of a role is the one that counts",
            )
        if one.state not in states:
            raise Conflict(
                f"the rollout {id!r} is {one.state}",
                code="rollout_state",
                hint=f"this works while it is {' or '.join(states)}",
            )
        return one

    def _tell(self, one: Rollout, happened: Happened) -> None:
        _EVENTS.labels(happened).inc()
        _log.info(
            f"rollout:{happened}", rollout=one.id, role=one.role, candidate=one.candidate,
            percent=one.percent, reason=one.reason,
        )  # fmt: skip
        facts = {"id": one.id, "change": happened, "state": one.state, "percent": one.percent}
        self._hub.feed.publish("rollout", facts)
        self._hub.wake()

    # on duty ----------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                if not self._hub.registry.embedded:
                    await self.rollouts.refresh()
                if time.monotonic() - self._looked_at >= SAMPLE_S:
                    await self.look()
            except (DatabaseDown, Conflict, StaleEpoch) as error:
                _log.debug("rollouts_wait", reason=str(error))
            except Exception as error:
                _log.error("rollouts_failed", exc_info=error)

    async def look(self) -> None:
        """Measures, and does what follows. Raises DatabaseDown, Conflict, StaleEpoch: the next look does it."""
        now = self._looked_at = time.monotonic()
        _PERCENT.clear()
        for role in ROLES:
            one = self.rollouts.current(role)
            if one is None:
                continue
            _PERCENT.labels(role, one.candidate).set(one.percent)
            if one.state not in ACTIVE or not self._hub.on_duty:
                self._windows.pop(role, None)
                continue
            await self._judge(one, now)

    async def _judge(self, one: Rollout, now: float) -> None:
        key = (one.id, one.attempt)
        held = self._windows.get(one.role)
        if held is None or held[0] != key:
            held = self._windows[one.role] = (key, Window(one.limits.window_s))
        window = held[1]
        readings = {
            node.id: Reading(node.report.version, node.report.epoch, node.report.health)
            for node in self._hub.nodes.of_role(one.role)
            if node.report.health is not None
        }
        grown = window.take(readings, now)
        after, happened = plan.step(one, window.figures(), grown.get(one.candidate, 0), self.now())
        saved = await self.rollouts.save(after, happened, "system", duty=self._hub.duty)
        if happened is not None:
            self._tell(saved, happened)
            if happened is Happened.ROLLED_BACK:
                self._hub.audited("system", f"/api/rollouts/{one.id}/rollback")
            elif happened is Happened.PHASE:
                self._hub.audited("system", f"/api/rollouts/{one.id}/phase")
