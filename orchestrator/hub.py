"""The hub of an orchestrator: its view of nodes, broadcasts, delivery and viewers, kept fresh by one tick a second.

    heartbeats ──► nodes ─┐                         ┌─► directories ─► pushed to nodes, and replies to heartbeats
    SQL ───► broadcasts ──┼─► tick: share, count, ──┼─► registry (what others must know)
    players ► viewers ────┤   decide, tell          ├─► feed (console, pages)
    ops ───► orders ──────┘                         └─► metrics

Several orchestrators share one registry. Any of them answers any request from its own view; the one that holds the duty `steer`
decides (which origin runs a broadcast, how it is delivered), its epoch fences what it writes. Without the registry each goes on
with what it knows, and what was decided stays decided.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from common.auth import PathTokens
from common.config import OrchestratorConfig, weights
from common.dialogue import Said
from common.directory import NodeReport, Role
from common.errors import Conflict
from common.ids import new_id
from common.log import log
from common.metrics import counter, gauge
from common.registry import Duty, Registry, RegistryDown, Snapshot, StaleEpoch
from common.signing import PublicKey
from common.tasks import end_tasks
from orchestrator import delivery
from orchestrator.bookings import Bookings
from orchestrator.broadcasts import Broadcast, Broadcasts, Changes, NewBroadcast
from orchestrator.cdn.providers import Cdn, Pull
from orchestrator.delivery import Audience, Force, Policy, State, Switch
from orchestrator.directory import Told, View, directory_of, packager_of, told
from orchestrator.draining import Drain, ordered
from orchestrator.feed import Feed
from orchestrator.handover import Handover
from orchestrator.moving import Moves
from orchestrator.nodes import BOOKING_S, LEASE_S, Node, Nodes
from orchestrator.placement import Choice, Request, Weights, parse_region
from orchestrator.viewers import LISTENERS, audiences

_log = log("orchestrator")

TICK_S = 1.0
DUTY = "steer"
DUTY_MS = 5000
_REFRESH_S = 2.0
"""How old the copy of the broadcasts may be that other orchestrators may have changed."""

_BROADCASTS = gauge("avacast_broadcasts", "Broadcasts that are not over, by stage of delivery", ("stage",))
_NODES = gauge("avacast_nodes", "Nodes by role and state", ("role", "state"))
_REGISTRY_UP = gauge("avacast_registry_up", "1 while Redis answers")
_SWITCHES = counter("avacast_delivery_switches_total", "Changes of delivery", ("switch", "to", "reason"))
_TICK_FAILURES = counter(
    "avacast_tick_failures_total", "Ticks that could not do all of their work", ("part",)
)


@dataclass(frozen=True)
class _Outline:
    """What nodes must be told of at once, in a form that compares."""

    deliveries: dict[str, tuple[object, ...]] = field(default_factory=dict)
    origins: dict[str, str | None] = field(default_factory=dict)
    nodes: list[tuple[str, str, bool, Drain | None]] = field(default_factory=list)
    handovers: dict[str, Handover] = field(default_factory=dict)
    packages: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    broadcasts: list[Broadcast] = field(default_factory=list)
    cdn: str | None = None
    keys: list[str] = field(default_factory=list)


def policy_of_config(config: OrchestratorConfig) -> Policy:
    """What delivery goes by, from the settings."""
    return Policy(
        relay_above=config.relay_activation_threshold,
        hls_above=config.cdn_switch_threshold,
        relays_enabled=config.enable_relays,
        hls_enabled=config.hls_enabled,
        scaling_enabled=config.scaling_enabled,
        dwell_s=config.dwell_s,
        package_always=config.hls_packaging == "always",
    )


class Hub:
    """See the module's text. Created by orchestrator.app; `start` and `close` run its tick."""

    def __init__(self, config: OrchestratorConfig, registry: Registry, broadcasts: Broadcasts) -> None:
        self.config = config
        self.registry = registry
        self.broadcasts = broadcasts
        self.id = new_id("orch")
        self.policy = policy_of_config(config)
        self.nodes = Nodes(
            Weights(*weights(config.placement_weights)), dict(parse_region(one) for one in config.regions)
        )
        self.bookings = Bookings(BOOKING_S)
        """Those that this orchestrator made while the registry was away."""
        self.feed = Feed()
        self.cdn: Cdn = Pull(config.cdn_url)
        self.hls_port = config.hls_port
        self.dialogue: Callable[[str], Sequence[Said]] = lambda _name: ()
        """What was said in a session, for the origin that is to go on with it."""
        self.leaving: Callable[[str], Awaitable[None]] | None = None
        """Called with a broadcast that has ended, before its viewers are forgotten."""
        self.reporting: dict[str, int] = {}
        """Broadcast -> players that report, by any delivery, as last counted."""
        self.keys: Callable[[], Sequence[PublicKey]] = tuple
        """What verifies tokens, for all nodes."""
        self._path_tokens = PathTokens(config.secret())
        self.deliveries: dict[str, State] = {}
        self.audiences: dict[str, Audience] = {}
        self.version = int(time.time() * 1000)
        self.changed = asyncio.Event()
        """Set when some node's directory may have changed; the pusher clears it."""
        self._origins: dict[str, str] = {}
        self._live_on: dict[str, str] = {}
        """Broadcast -> the origin on which it is live."""
        self._view: View | None = None
        self._relays_told: tuple[View, Told] | None = None
        self._orders: dict[str, Force] = {}
        self.moves = Moves(self)
        self.wanted_version: Callable[[Role, str], str | None] = lambda _role, _user: None
        """The version of a pool that a user is to get; None: any."""
        self.user_of: Callable[[str], str] = lambda name: name
        """Whose bucket a broadcast is in: a session's person, or the broadcast itself."""
        self.audited: Callable[[str, str], None] = lambda _actor, _path: None
        """Notes in the audit log what was done by no request: by whom, and the path of what an operator would have done."""
        self._hls: dict[str, int] = {}
        self._duty: Duty | None = None
        self._written = _unwritten()
        self._decided = False
        """This orchestrator has written decisions since it came on duty."""
        self._memory = ""
        self._refreshed_at = float("-inf")
        self._wake = asyncio.Event()
        self._ticking = asyncio.Lock()
        self._closing = False
        self._outlined = _Outline()
        self._seen: dict[str, tuple[bool, Audience]] = {}
        self._task: asyncio.Task[None] | None = None

    # life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Reads the broadcasts and begins to tick."""
        await self.broadcasts.refresh()
        await self.tick()
        self._task = asyncio.create_task(self._run(), name="orchestrator tick")

    async def close(self) -> None:
        """Ends the tick and lets the duty go."""
        self._closing = True  # a cancellation may meet a timeout inside of a call, and be taken for it
        self._wake.set()
        await end_tasks(self._task)
        self.feed.close()
        if self._duty is not None:
            with suppress(RegistryDown):
                await self.registry.release_duty(self._duty)

    def wake(self) -> None:
        """Something happened that should not wait for the next tick."""
        self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            # Not wait_for: Python 3.11's loses a cancellation that meets the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.tick()
            except Exception as error:
                _TICK_FAILURES.labels("tick").inc()
                _log.error("tick_failed", exc_info=error)

    # requests ---------------------------------------------------------------------------------------------------------

    async def heartbeat(self, report: NodeReport) -> Told:
        """A node's report; answers with what it must know. Raises Conflict when the node was started again elsewhere."""
        known = self.nodes.find(report.id)
        before = (_live_streams(known.report), known.report.packages) if known is not None else None
        new = self.nodes.heartbeat(report, time.monotonic())
        if before != (_live_streams(report), report.packages):
            self.wake()
        document = json.dumps(
            {"hub": self.id, "report": report.model_dump(mode="json")}, separators=(",", ":")
        )
        try:
            await self.registry.lease_node(report.id, report.epoch, document, ttl_ms=int(LEASE_S * 1000))
        except RegistryDown:
            _REGISTRY_UP.set(0)
        except StaleEpoch as error:
            raise Conflict(error.detail, code=error.code, hint=error.hint) from None
        node = self.nodes.find(report.id)
        if node is None:
            raise Conflict(f"node {report.id!r} left while it reported", code="node_replaced")
        if new:
            self.nodes.drain(node.id, self.moves.drains.get(node.id), time.monotonic())
            _log.info("node:registered", node=node.id, role=report.role, region=report.region, url=report.url)
            self.feed.publish("node", {"id": node.id, "change": "registered", "role": report.role})
            await self.tick()
        return self.tell(node)

    async def drain(self, node_id: str, order: Drain | None) -> None:
        """Ops want a node drained, or (None) no longer."""
        if order is not None:
            self.moves.drains[node_id] = order
        else:
            self.moves.drains.pop(node_id, None)
        self.nodes.drain(node_id, order, time.monotonic())
        _log.info("node:undrain" if order is None else "node:drain", node=node_id)
        self.feed.publish("node", {"id": node_id, "change": "undrained" if order is None else "draining"})
        with suppress(RegistryDown):
            await self.registry.put_drain(node_id, None if order is None else order.model_dump_json())
        await self.tick()

    async def create(self, new: NewBroadcast) -> Broadcast:
        """Makes a broadcast and places it."""
        broadcast = await self.broadcasts.create(new)
        self.feed.doubt()  # the name may have been that of a public one which somebody still follows
        _log.info(
            "broadcast:created", broadcast=broadcast.id, public=broadcast.public, avatar=broadcast.avatar
        )
        self.feed.publish("broadcast", {"id": broadcast.id, "change": "created"}, broadcast=broadcast.id)
        await self.tick()
        return broadcast

    async def change(self, name: str, changes: Changes) -> Broadcast:
        """Changes what a broadcast is."""
        broadcast = await self.broadcasts.change(name, changes)
        _log.info(
            "broadcast:changed", broadcast=name, **changes.model_dump(exclude_none=True, exclude={"title"})
        )
        self.feed.publish("broadcast", {"id": name, "change": "changed"}, broadcast=name)
        await self.tick()
        return broadcast

    async def end(self, name: str) -> None:
        """Ends a broadcast."""
        await self.broadcasts.end(name)
        self.deliveries.pop(name, None)
        self._origins.pop(name, None)
        self._orders.pop(name, None)
        self._hls.pop(name, None)
        _log.info("broadcast:ended", broadcast=name)
        self.feed.publish("broadcast", {"id": name, "change": "ended"}, broadcast=name)
        with suppress(RegistryDown):
            if self.leaving is not None:
                await self.leaving(name)
            await self.registry.forget_broadcast(name)
        await self.tick()

    async def order(self, name: str, force: Force) -> State:
        """Ops hold HLS of a broadcast on or off, or let go (AUTO)."""
        self._orders[name] = force
        with suppress(RegistryDown):
            await self.registry.put_order(name, force.value)
        self.deliveries[name] = self.delivery(name).force_hls(force)
        await self.tick()
        return self.delivery(name)

    @property
    def on_duty(self) -> bool:
        """Does this orchestrator decide for all?"""
        return self.duty is not None

    @property
    def duty(self) -> Duty | None:
        """The duty that makes this orchestrator decide for all, while it holds it."""
        return self._duty if self._duty is not None and time.monotonic() < self._duty.until else None

    # view -------------------------------------------------------------------------------------------------------------

    def live_on(self, name: str) -> str | None:
        """The origin on which a broadcast is live; the one that it was placed on, where there are two."""
        return self._live_on.get(name)

    def moved(self, name: str, origin: str) -> None:
        """Another origin has taken a broadcast over."""
        self._origins[name] = self._live_on[name] = origin

    def origin_for(self, broadcast: Broadcast, able: frozenset[str]) -> Choice | None:
        """The best of these origins for a broadcast: of the version that its user is to get, or else of any."""
        wanted = self.wanted_version(Role.ORIGIN, self.user_of(broadcast.id))
        request = Request(frozenset({Role.ORIGIN}), only=able)
        if wanted is not None:
            best = self.nodes.field.place(replace(request, version=wanted), best=1).best
            if best is not None:
                return best
        best = self.nodes.field.place(request, best=1).best
        if best is not None and wanted is not None:
            _log.info("broadcast:other_version", broadcast=broadcast.id, wanted=wanted, origin=best.id)
        return best

    def origin_of(self, name: str) -> Node | None:
        """The origin that runs a broadcast: where it is live, else where it was placed."""
        live = self.nodes.find(self._live_on.get(name, ""))
        return live or self.nodes.find(self._origins.get(name, ""))

    def live(self, name: str) -> bool:
        """Is media flowing on the origin?"""
        origin = self.origin_of(name)
        return origin is not None and _live(origin, name)

    def packager(self, name: str) -> Node | None:
        """The packager of a broadcast, if it is to be packaged."""
        if not self.delivery(name).package:
            return None
        return packager_of(name, self.nodes.of_role(Role.PACKAGER))

    def hls_ready(self, name: str) -> bool:
        """Does the packager have the stream, and is the CDN there?"""
        packager = self.packager(name)
        return packager is not None and _live(packager, name) and self.cdn.ready

    def hls_url(self, name: str) -> str | None:
        """The multivariant playlist, through the CDN when there is one; None while nobody packages it. That of a private broadcast
        has a path token in it."""
        if self.packager(name) is None:
            return None
        base = self.cdn.url or self.config.hls_url or f"http://127.0.0.1:{self.hls_port}"
        broadcast = self.broadcasts.find(name)
        path = name if broadcast is None or broadcast.public else f"t/{self._path_tokens.issue(name)}/{name}"
        return f"{base.rstrip('/')}/hls/{path}/index.m3u8"

    def play_url(self, name: str) -> str:
        """Where a player asks how to watch."""
        base = self.config.public_url or f"http://127.0.0.1:{self.config.http_port}"
        return f"{base.rstrip('/')}/api/broadcasts/{name}/play"

    def policy_of(self, broadcast: Broadcast) -> Policy:
        """What delivery goes by."""
        return replace(self.policy, hls_enabled=False) if broadcast.webrtc_only else self.policy

    def delivery(self, name: str) -> State:
        """How a broadcast is delivered."""
        return self.deliveries.get(name, State())

    def audience(self, name: str) -> Audience:
        """Who watches a broadcast, as last counted."""
        return self.audiences.get(name, Audience())

    @property
    def scene(self) -> Mapping[str, tuple[bool, Audience]]:
        """Broadcast -> is it live, who watches, as of the last tick."""
        return self._seen

    def view(self) -> View:
        """What directories are computed from; made once a tick, however many nodes ask."""
        if self._view is not None and self._view.version == self.version:
            return self._view
        origins = ((one.id, self.origin_of(one.id)) for one in self.broadcasts)
        self._view = View(
            version=self.version,
            broadcasts=list(self.broadcasts),
            deliveries=self.deliveries,
            origins={name: origin for name, origin in origins if origin is not None},
            packagers=self.nodes.of_role(Role.PACKAGER),
            viewers=lambda name: self.audience(name).total,
            hls_url=self.hls_url,
            play_url=self.play_url,
            dialogue=self.dialogue,
            hls_packagers=self.config.hls_packagers,
            handovers=self.moves.handovers,
            order=self.moves.order,
            keys=self.keys(),
        )
        return self._view

    def tell(self, node: Node) -> Told:
        """What a node must know, ready to be sent; all relays are told the same, so it is made once for them."""
        view = self.view()
        if node.report.role is not Role.RELAY or node.drain is not None:
            return told(directory_of(node, view))
        if self._relays_told is None or self._relays_told[0] is not view:
            self._relays_told = view, told(directory_of(node, view))
        return self._relays_told[1]

    # tick -------------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Shares, counts, decides, tells. What fails (registry, SQL) is left for the next tick; the rest goes on."""
        async with self._ticking:
            await self._tick(time.monotonic())

    async def _tick(self, now: float) -> None:
        self._view = None
        before, states, scene = self._outlined, dict(self.deliveries), self._seen
        await self._share(now)
        await self._refresh(now)
        for node in self.nodes.expire(now):
            _log.warning("node:gone", node=node.id, role=node.report.role, url=node.report.url)
            self.feed.publish("node", {"id": node.id, "change": "gone", "role": node.report.role})
        self._index()
        await self._count()
        if self._duty is not None and now < self._duty.until:
            self._decide()
            await self.moves.decide()
            await self._write(self._duty)
        elif not self.registry.up:
            # Nobody can be on duty. What was decided stays decided, but what has no origin gets one, so that joins go on.
            for broadcast in self.broadcasts:
                self._assign(broadcast)
        self.cdn.want(
            any(
                delivery.needs_cdn(self.delivery(one.id), self.policy_of(one), self.audience(one.id))
                for one in self.broadcasts
            )
        )
        self._tell(states, before.origins)
        self.moves.tell()
        self._seen = self._scene()
        self._tell_scene(scene, self._seen)
        self._outlined = self._outline()
        if self._outlined != before:
            await self._bump()
        self._measure(now)

    def _outline(self) -> _Outline:
        return _Outline(
            {name: state.told for name, state in self.deliveries.items()},
            {one.id: getattr(self.origin_of(one.id), "id", None) for one in self.broadcasts},
            [(one.id, one.report.url, one.draining, one.drain) for one in self.nodes],
            dict(self.moves.handovers),
            {one.id: _packaged(one) for one in self.nodes.of_role(Role.PACKAGER)},
            list(self.broadcasts),
            self.cdn.url,
            [one.kid for one in self.keys()],
        )

    def _scene(self) -> dict[str, tuple[bool, Audience]]:
        """What people see of each broadcast: is it live, who watches."""
        return {one.id: (self.live(one.id), self.audience(one.id)) for one in self.broadcasts}

    async def _bump(self) -> None:
        self.version = max(self.version + 1, _wall_ms())
        with suppress(RegistryDown):
            self.version = max(self.version, await self.registry.bump_version())
        self.changed.set()

    async def _share(self, now: float) -> None:
        try:
            self._duty = await self.registry.take_duty(DUTY, self.id, ttl_ms=DUTY_MS)
            self._decided = self._decided and self._duty is not None
            if not self.registry.embedded:
                shared = await self.registry.snapshot()
                if self._memory not in ("", shared.memory):
                    await self._remind()
                else:
                    self._learn(shared, now)
                self._memory = shared.memory
        except RegistryDown as error:
            _TICK_FAILURES.labels("registry").inc()
            _log.debug("registry_down", error=error.detail)
        _REGISTRY_UP.set(float(self.registry.up))

    async def _remind(self) -> None:
        """Redis was restarted empty: what ops ordered is told to it again; nodes and decisions follow by themselves."""
        _log.warning("registry:empty", orders=len(self._orders), drains=len(self.moves.drains))
        self._written = _unwritten()
        for name, force in self._orders.items():
            await self.registry.put_order(name, force.value)
        for node, drain in self.moves.drains.items():
            await self.registry.put_drain(node, drain.model_dump_json())

    def _learn(self, shared: Snapshot, now: float) -> None:
        """Takes over what other orchestrators know and decided."""
        for lease in shared.nodes:
            with suppress(ValueError):
                facts = json.loads(lease.document)
                if facts["hub"] != self.id:
                    self.nodes.learn(
                        NodeReport.model_validate(facts["report"]), now, lease.remaining_ms / 1000
                    )
        self.moves.drains = {node: ordered(text, _wall_ms()) for node, text in shared.drains.items()}
        for node in self.nodes:
            self.nodes.drain(node.id, self.moves.drains.get(node.id), now)
        self._orders = {name: Force(text) for name, text in shared.orders.items() if text in set(Force)}
        if self._duty is None or not self._decided:
            # Not on duty, or new on it: goes on from what was decided; what the registry does not have stays as it was.
            self._origins = {**self._origins, **shared.origins}
            for name, text in shared.deliveries.items():
                with suppress(ValueError):
                    self.deliveries[name] = delivery.decode(text, time.time())
            self.moves.learn(shared.handovers)
            self._written = {
                "deliveries": dict(shared.deliveries),
                "origins": dict(shared.origins),
                "handovers": dict(shared.handovers),
            }
        self.version = max(self.version, shared.version)

    async def _refresh(self, now: float) -> None:
        if now - self._refreshed_at < _REFRESH_S or self.registry.embedded:
            return
        self._refreshed_at = now
        try:
            if await self.broadcasts.refresh():
                self.feed.doubt()
        except Exception as error:
            _TICK_FAILURES.labels("database").inc()
            _log.debug("database_down", error=str(error))

    async def _count(self) -> None:
        names = [one.id for one in self.broadcasts]
        try:
            counts = await self.registry.count_viewers(names)
            self._hls = {name: hls for name, (hls, _webrtc) in counts.items()}
            self.reporting = {name: hls + webrtc for name, (hls, webrtc) in counts.items()}
        except RegistryDown:
            _TICK_FAILURES.labels("count").inc()
        for name in self.deliveries.keys() - set(names):
            del self.deliveries[name]
        for name in self._origins.keys() - set(names):
            del self._origins[name]
        found = audiences(self.nodes, self._hls)
        self.audiences = {name: found.get(name, Audience()) for name in names}

    def _index(self) -> None:
        """Finds out on which origin each broadcast is live; the one that it was placed on goes first."""
        found: dict[str, str] = {}
        for node in self.nodes.of_role(Role.ORIGIN):
            for name in _live_streams(node.report):
                if name not in found or self._origins.get(name) == node.id:
                    found[name] = node.id
        self._live_on = found

    def _decide(self) -> None:
        for broadcast in self.broadcasts:
            self._assign(broadcast)
            before = self.delivery(broadcast.id)
            order = self._orders.get(broadcast.id, Force.AUTO)
            if before.hls.force is not order:
                before = before.force_hls(order)
            after = delivery.step(
                before,
                self.policy_of(broadcast),
                self.audience(broadcast.id),
                time.time(),
                hls_ready=self.hls_ready(broadcast.id),
                jitter=random.random,
            )
            self.deliveries[broadcast.id] = after

    def _assign(self, broadcast: Broadcast) -> None:
        """Every broadcast has an origin as soon as there is one that can run it, and keeps it while that lives and carries it."""
        fit = [
            one for one in self.nodes.of_role(Role.ORIGIN) if one.report.avatar or broadcast.avatar is None
        ]
        free = frozenset(one.id for one in fit if _carries(one.report, broadcast))
        current = self.origin_of(broadcast.id)
        stays = current is not None and (_live(current, broadcast.id) or not self.moves.leaving(current))
        if current is not None and stays and (broadcast.id not in current.report.avatars_refused or not free):
            self._origins[broadcast.id] = current.id
            return
        only = free or frozenset(one.id for one in fit)  # one that is full says so to who asks
        best = self.origin_for(broadcast, only)
        if best is None:
            if stays or current is None:
                self._origins.pop(broadcast.id, None)
            return
        self._origins[broadcast.id] = best.id
        _log.info("broadcast:placed", broadcast=broadcast.id, origin=best.id, score=round(best.score, 3))

    async def _write(self, duty: Duty) -> None:
        if self.registry.embedded:
            return
        now = {
            "deliveries": {name: delivery.encode(state) for name, state in self.deliveries.items()},
            "origins": dict(self._origins),
            "handovers": {name: one.model_dump_json() for name, one in self.moves.handovers.items()},
        }
        try:
            for kind, documents in now.items():
                await self.registry.put_decisions(duty, kind, _difference(self._written[kind], documents))
                self._written[kind] = documents
            self._decided = True
        except RegistryDown:
            _TICK_FAILURES.labels("write").inc()
        except StaleEpoch:
            self._duty, self._decided = None, False
            self._written = _unwritten()

    def _tell(self, was: Mapping[str, State], origins: Mapping[str, str | None]) -> None:
        """Logs, counts and publishes what has changed since."""
        for name, state in self.deliveries.items():
            old = was.get(name, State())
            for switch, then, this in (("hls", old.hls, state.hls), ("relays", old.relays, state.relays)):
                if then.on != this.on:
                    self._switched(name, switch, this)
            if (old.mode, old.hls_share) != (state.mode, state.hls_share) or old.stage is not state.stage:
                facts = {"id": name, "mode": state.mode, "stage": state.stage, "hls_share": state.hls_share}
                self.feed.publish("delivery", facts, broadcast=name)
        for one in self.broadcasts:
            origin = getattr(self.origin_of(one.id), "id", None)
            if origins.get(one.id) != origin:
                self.feed.publish(
                    "broadcast", {"id": one.id, "change": "placed", "origin": origin}, broadcast=one.id
                )

    def _tell_scene(
        self, before: Mapping[str, tuple[bool, Audience]], after: Mapping[str, tuple[bool, Audience]]
    ) -> None:
        for name, (live, audience) in after.items():
            was_live, was = before.get(name, (False, Audience()))
            if live != was_live:
                _log.info("broadcast:live" if live else "broadcast:silent", broadcast=name)
                change = "live" if live else "silent"
                self.feed.publish("broadcast", {"id": name, "change": change}, broadcast=name)
            if audience != was:
                facts = {"id": name, "total": audience.total, "webrtc": audience.webrtc, "hls": audience.hls}
                self.feed.publish("viewers", facts, broadcast=name)

    def _switched(self, name: str, switch: str, state: Switch) -> None:
        event = {"hls": "cdn", "relays": "relays"}[switch] + (":activated" if state.on else ":deactivated")
        audience = self.audience(name)
        _log.info(event, broadcast=name, reason=state.reason, viewers=audience.total)
        _SWITCHES.labels(switch, "on" if state.on else "off", state.reason).inc()
        self.feed.publish(
            event, {"id": name, "reason": state.reason, "viewers": audience.total}, broadcast=name
        )

    def _measure(self, now: float) -> None:
        stages = [self.delivery(one.id).stage for one in self.broadcasts]
        for stage in delivery.Stage:
            _BROADCASTS.labels(stage).set(stages.count(stage))
        _NODES.clear()
        for node in self.nodes:
            _NODES.labels(node.report.role, node.state(now) or "gone").inc()
        LISTENERS.clear()
        for name, audience in self.audiences.items():
            LISTENERS.labels(name, "webrtc").set(audience.webrtc)
            LISTENERS.labels(name, "hls").set(audience.hls)


def _carries(report: NodeReport, broadcast: Broadcast) -> bool:
    """Whether a node that can run the broadcast has room for its avatar."""
    return broadcast.avatar is None or (
        report.avatars_free != 0 and broadcast.id not in report.avatars_refused
    )


def _live_streams(report: NodeReport) -> frozenset[str]:
    return frozenset(one.stream for one in report.streams if one.live)


def _live(node: Node, name: str) -> bool:
    stream = node.stream(name)
    return stream is not None and stream.live


def _packaged(node: Node) -> list[tuple[str, bool]]:
    """The broadcasts of a packager, each with whether it has media."""
    live = _live_streams(node.report)
    return [(name, name in live) for name in node.report.packages]


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    changed: dict[str, str | None] = {name: text for name, text in after.items() if before.get(name) != text}
    return {**changed, **dict.fromkeys(before.keys() - after.keys())}


def _unwritten() -> dict[str, dict[str, str]]:
    return {"deliveries": {}, "origins": {}, "handovers": {}}


def _wall_ms() -> int:
    return int(time.time() * 1000)
