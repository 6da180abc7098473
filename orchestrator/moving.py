"""What leaves a node: orders to drain, what is left there, and the broadcasts that one origin hands over to another.

The shell of draining.py and handover.py: it gathers the facts from a hub's view and puts what was decided back into it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from common.desk import Carried
from common.dialogue import Said
from common.directory import DrainOrder, NodeReport, Role, StreamReport
from common.log import log
from common.metrics import counter
from orchestrator import handover
from orchestrator.broadcasts import Broadcast
from orchestrator.draining import Drain, DrainCause, DrainPhase, Left, phase
from orchestrator.handover import Facts, Handover, Stage
from orchestrator.nodes import Node, NodeState

if TYPE_CHECKING:
    from orchestrator.hub import Hub

_log = log("orchestrator")

_COLLECT_S = 2.0
"""Longest that a hand-over waits for an origin to say what was said there."""
_LATE_MS = 60_000
"""So long a broadcast that is to leave, but must not by a certain time, waits for the end of a sentence."""
_HANDOVERS = counter("avacast_handovers_total", "Broadcasts that origins handed over", ("outcome",))

Collect = Callable[[str, Node], Awaitable[Sequence[Said]]]
Give = Callable[[str, Node], Awaitable[Carried | None]]
Take = Callable[[Carried, Node], Awaitable[bool]]


async def _nothing(_broadcast: str, _origin: Node) -> Sequence[Said]:
    return ()


async def _no_desk(_broadcast: str, _origin: Node) -> Carried | None:
    return None


async def _no_taker(_carried: Carried, _origin: Node) -> bool:
    return False


class Moves:
    """Of one hub. `drains` and `handovers` are shared with other orchestrators by the registry."""

    def __init__(self, hub: Hub) -> None:
        self.drains: dict[str, Drain] = {}
        """What ops ordered, by node."""
        self.handovers: dict[str, Handover] = {}
        self.collect: Collect = _nothing
        """Asks an origin what was said in a broadcast; empty when it does not answer."""
        self.give: Give = _no_desk
        """Has an origin give away what waits at an avatar; None when it does not answer."""
        self.take: Take = _no_taker
        """Has an origin take that; whether it did."""
        self.unwanted: Callable[[Node], bool] = lambda _node: False
        """Whether what runs on an origin is to leave it though it does not drain."""
        self._hub = hub
        self._phases: dict[str, DrainPhase] = {}
        self._by_itself: set[str] = set()
        """Nodes that drain though no ops said so."""

    # drains -----------------------------------------------------------------------------------------------------------

    def drain_of(self, node: Node) -> Drain | None:
        """Why a node drains, and until when; None when it does not."""
        if node.report.leaving is not None:
            return _own(node)
        return node.drain

    def left(self, node: Node) -> Left:
        """What is still on a node."""
        reports = node.report.streams
        match node.report.role:
            case Role.ORIGIN:
                held = sum(1 for one in reports if one.live and not self._released(one.stream, node))
            case Role.PACKAGER:
                held = len(node.report.packages)
            case Role.RELAY:
                held = 0
        return Left(node.viewers, sum(one.downstream_nodes for one in reports), held)

    def order(self, node: Node) -> DrainOrder | None:
        """What a node is told of its drain."""
        if node.drain is None:
            return None
        left_s = node.drain.left_s(_wall_ms())
        return DrainOrder(why=node.drain.why, left_s=left_s, deadline_ms=node.drain.deadline_ms)

    def tell(self) -> None:
        """Logs and publishes how far drains are, where that has changed."""
        now_ms, hub = _wall_ms(), self._hub
        phases: dict[str, DrainPhase] = {}
        for node in hub.nodes:
            drain = self.drain_of(node)
            if drain is None:
                continue
            left = self.left(node)
            now = phases[node.id] = phase(drain, left, now_ms)
            before = self._phases.get(node.id)
            if before is now:
                continue
            if before is None and drain.cause is not DrainCause.OPERATOR:
                self._by_itself.add(node.id)
                _log.info("node:leaving", node=node.id, why=drain.why, left_s=drain.left_s(now_ms))
                hub.feed.publish("node", {"id": node.id, "change": "draining", "why": drain.why})
                if hub.on_duty or hub.registry.embedded:
                    hub.audited("node", f"/api/nodes/{node.id}/drain")
            if now is not DrainPhase.MOVING:
                change = "drained" if now is DrainPhase.EMPTY else "overdue"
                _log.info(f"node:{change}", node=node.id, viewers=left.viewers, streams=left.streams)
                hub.feed.publish(
                    "node",
                    {"id": node.id, "change": change, "viewers": left.viewers, "streams": left.streams},
                )
        for name in self._by_itself - phases.keys():
            self._by_itself.discard(name)
            if hub.nodes.find(name) is not None:
                _log.info("node:stays", node=name)
                hub.feed.publish("node", {"id": name, "change": "undrained"})
        self._phases = phases

    # hand-overs -------------------------------------------------------------------------------------------------------

    def leaving(self, node: Node) -> bool:
        """Whether an origin is to give up what it runs."""
        return self.drain_of(node) is not None or self.unwanted(node)

    async def decide(self) -> None:
        """Takes every hand-over one step on. Only the orchestrator on duty does."""
        hub, now_ms = self._hub, _wall_ms()
        leaving = {one.id for one in hub.nodes.of_role(Role.ORIGIN) if self.leaving(one)}
        if not leaving and not self.handovers:
            return
        for name in self.handovers.keys() - {one.id for one in hub.broadcasts}:
            del self.handovers[name]
        steps: list[tuple[Broadcast, Handover | None, Handover | None]] = []
        for broadcast in hub.broadcasts:
            before = self.handovers.get(broadcast.id)
            if before is None and not leaving:
                continue
            facts = self._facts(broadcast, before, now_ms)
            after = handover.step(before, facts, now_ms, partial(self._another, broadcast))
            if after is not None:
                self.handovers[broadcast.id] = after
            else:
                self.handovers.pop(broadcast.id, None)
            if after != before:
                steps.append((broadcast, before, after))
        await asyncio.gather(*(self._carry_out(*one) for one in steps))
        moved = [name for name, one in self.handovers.items() if one.stage is Stage.MOVED]
        await asyncio.gather(*(self._carry(name) for name in moved if self._speaks(name)))

    async def _carry_out(self, broadcast: Broadcast, before: Handover | None, after: Handover | None) -> None:
        hub, name = self._hub, broadcast.id
        if after is None:
            outcome = "done" if before is not None and before.stage is Stage.MOVED else "dropped"
            _HANDOVERS.labels(outcome).inc()
            _log.info("broadcast:handover", broadcast=name, outcome=outcome)
            return
        source = hub.nodes.find(after.source)
        if source is not None and broadcast.avatar is not None:
            said = tuple(await self._said(name, source)) or after.said or tuple(hub.dialogue(name))
            after = self.handovers[name] = after.model_copy(update={"said": said})
        if after.stage is Stage.MOVED:
            hub.moved(name, after.target)
        _log.info(
            "broadcast:handover",
            broadcast=name,
            outcome=after.stage,
            source=after.source,
            target=after.target,
        )
        facts = {"id": name, "change": "handover", "stage": after.stage, "source": after.source}
        hub.feed.publish("broadcast", {**facts, "target": after.target}, broadcast=name)

    async def _carry(self, name: str) -> None:
        """What waits at the source comes to the target. Again and again: somebody may ask at the source what was on its way."""
        move = self.handovers[name]
        source, target = (self._hub.nodes.find(one) for one in (move.source, move.target))
        if move.carried is None and source is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_COLLECT_S):
                    given = await self.give(name, source)
                    if given is not None and not given.nothing:
                        move = move.model_copy(update={"carried": given, "carried_ms": _wall_ms()})
        if move.carried is not None and target is not None:
            waited_s = (_wall_ms() - move.carried_ms) / 1000
            with suppress(TimeoutError):
                async with asyncio.timeout(_COLLECT_S):
                    if await self.take(move.carried.later(waited_s), target):
                        _log.info("broadcast:desk_moved", broadcast=name, target=target.id)
                        move = move.model_copy(update={"carried": None})
        self.handovers[name] = move

    def _speaks(self, name: str) -> bool:
        broadcast = self._hub.broadcasts.find(name)
        return broadcast is not None and broadcast.avatar is not None

    async def _said(self, name: str, source: Node) -> Sequence[Said]:
        try:
            async with asyncio.timeout(_COLLECT_S):
                return await self.collect(name, source)
        except TimeoutError:
            return ()

    def _facts(self, broadcast: Broadcast, before: Handover | None, now_ms: int) -> Facts:
        hub, name = self._hub, broadcast.id
        live = hub.nodes.find(hub.live_on(name) or "")
        facts = Facts(source=live.id if live is not None else None)
        if live is not None:
            drain, stream = self.drain_of(live), live.stream(name)
            waited_ms = 0 if before is None else now_ms - before.since_ms
            facts = replace(
                facts,
                leaving=self.leaving(live),
                late=drain.late(now_ms) if drain is not None else waited_ms >= _LATE_MS,
                resting=stream is None or stream.resting is not False,
            )
        if before is None:
            return facts
        source, target = hub.nodes.find(before.source), hub.nodes.find(before.target)
        at_source = source.stream(name) if source is not None else None
        at_target = target.stream(name) if target is not None else None
        return replace(
            facts,
            left=0 if at_source is None else _takers(at_source),
            source_there=source is not None and at_source is not None and at_source.live,
            target_there=target is not None
            and not self.leaving(target)
            and name not in target.report.avatars_refused,
            target_gone=target is None,
            target_live=at_target is not None and at_target.live,
            comes=broadcast.avatar is None,
        )

    def _another(self, broadcast: Broadcast, but: frozenset[str]) -> str | None:
        """An origin that can take a broadcast, and is none of these."""
        hub, now = self._hub, time.monotonic()
        coming = Counter(one.target for one in self.handovers.values() if one.stage is Stage.OPENING)
        able = frozenset(
            node.id
            for node in hub.nodes.of_role(Role.ORIGIN)
            if node.id not in but
            and node.state(now) is not NodeState.SUSPECT
            and not self.leaving(node)
            and _has_room(node.report, broadcast, coming[node.id])
        )
        if not able:
            return None
        best = hub.origin_for(broadcast, able)
        return best.id if best is not None else None

    def _released(self, name: str, node: Node) -> bool:
        found = self.handovers.get(name)
        return found is not None and found.stage is Stage.MOVED and found.source == node.id

    def publish_to(self, name: str) -> Node | None:
        """The origin to which a publisher goes who comes now: the one that is to take the broadcast over, or that has it."""
        found = self.handovers.get(name)
        target = self._hub.nodes.find(found.target) if found is not None else None
        return target or self._hub.origin_of(name)

    def learn(self, handovers: Mapping[str, str]) -> None:
        """Takes over what the orchestrator on duty has written."""
        found = ((name, handover.decode(document)) for name, document in handovers.items())
        self.handovers = {name: one for name, one in found if one is not None}


def _own(node: Node) -> Drain:
    leaving = node.report.leaving
    assert leaving is not None, "asked for nodes that drain by themselves only"
    age_s = time.monotonic() - node.heard_at
    deadline_ms = round((time.time() - age_s + leaving.left_s) * 1000)
    since_ms = deadline_ms - round(leaving.drain_s * 1000)
    return Drain(
        cause=DrainCause.PROCESS if leaving.ends else DrainCause.POD,
        why=leaving.why,
        since_ms=max(0, since_ms),
        deadline_ms=deadline_ms,
    )


def _takers(stream: StreamReport) -> int:
    return stream.subscribers_interactive + stream.subscribers_passive + stream.downstream_nodes


def _has_room(report: NodeReport, broadcast: Broadcast, coming: int) -> bool:
    if broadcast.avatar is None:
        return True
    if not report.avatar or broadcast.id in report.avatars_refused:
        return False
    return report.avatars_free is None or report.avatars_free > coming


def _wall_ms() -> int:
    return int(time.time() * 1000)
