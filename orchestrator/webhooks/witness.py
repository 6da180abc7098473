"""The witness: tells what nobody asked for but what came about: a broadcast goes live or silent, HLS is switched, a node joins, drains
or is lost, a session moves to another origin.

It compares what it sees with what it has told, which is kept in SQL and changed in the same transaction that writes the events. So a
change is told once, by whichever orchestrator is on duty then, also when the one before died between seeing and telling.

An orchestrator that has just started sees little: nodes report one after the other. What it has not seen itself is missed only after
`SETTLED_S`; until then silence means nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import String, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database
from common.directory import Role
from common.registry import Duty
from orchestrator import fences
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import Audience
from orchestrator.hub import Hub
from orchestrator.sessions import Session, SessionRow, Sessions
from orchestrator.webhooks import outbox
from orchestrator.webhooks.events import (
    BroadcastFacts,
    CdnFacts,
    EventType,
    Facts,
    Happening,
    NodeFacts,
    SessionFacts,
)

SETTLED_S = 15.0

Subject = tuple[str, str]
"""Its kind (broadcast, session, node) and its id."""
Told = dict[Subject, dict[str, Any]]


class ToldRow(Base):
    """What was told of a subject last, as JSON."""

    __tablename__ = "webhook_told"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class SeenBroadcast:
    """A broadcast that is no session, as it is now. Facts are made when they are told: most looks find nothing new."""

    made: float
    live: bool
    cdn_on: bool
    facts: Callable[[], BroadcastFacts]
    cdn: Callable[[], CdnFacts]


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session as it is now."""

    origin: str | None
    facts: Callable[[], SessionFacts]


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A node as it is now; `epoch` is another one after each start."""

    facts: NodeFacts
    epoch: int


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is told of, as it is now."""

    broadcasts: Mapping[str, SeenBroadcast] = field(default_factory=dict)
    sessions: Mapping[str, SeenSession] = field(default_factory=dict)
    nodes: Mapping[str, SeenNode] = field(default_factory=dict)


@dataclass
class Changes:
    """What is to be told, and what has been told then (None: the subject is gone)."""

    happenings: list[Happening] = field(default_factory=list)
    told: dict[Subject, dict[str, Any] | None] = field(default_factory=dict)


def compare(told: Told, scene: Scene, missed: Callable[[Subject], bool], at: dt.datetime) -> Changes:
    """What has changed since it was told. `missed`: silence of this subject means that it is gone."""
    changes = Changes()

    def tell(type: EventType, facts: Facts) -> None:
        changes.happenings.append(Happening(type, facts, at))

    for name, seen in scene.broadcasts.items():
        subject = ("broadcast", name)
        before = told.get(subject, {})
        if before.get("made", seen.made) != seen.made:  # the id of one that is over, used again
            before = {}
        live, was_live, was_on = seen.live, before.get("live", False), before.get("cdn", False)
        if was_live and not live and not missed(subject):
            live = True
        if live != was_live:
            tell(EventType.BROADCAST_LIVE if live else EventType.BROADCAST_SILENT, seen.facts())
        if seen.cdn_on != was_on:
            tell(EventType.CDN_ACTIVATED if seen.cdn_on else EventType.CDN_DEACTIVATED, seen.cdn())
        now = {"made": seen.made, "live": live, "cdn": seen.cdn_on}
        if told.get(subject, {"made": seen.made, "live": False, "cdn": False}) != now:
            changes.told[subject] = now
    for name, session in scene.sessions.items():
        subject = ("session", name)
        known = told.get(subject, {}).get("origin")
        if session.origin is not None and session.origin != known:
            if known is not None:
                tell(EventType.SESSION_MOVED, session.facts().model_copy(update={"origin_before": known}))
            changes.told[subject] = {"origin": session.origin}
    for name, node in scene.nodes.items():
        subject = ("node", name)
        before = told.get(subject, {})
        known_as = {"epoch": node.epoch, "draining": node.facts.draining, **_place(node.facts)}
        if before.get("epoch") != node.epoch:
            tell(EventType.NODE_JOINED, node.facts)
            if node.facts.draining:
                tell(EventType.NODE_DRAINING, node.facts)
        elif before.get("draining") != node.facts.draining:
            tell(EventType.NODE_DRAINING if node.facts.draining else EventType.NODE_RESUMED, node.facts)
        if before != known_as:
            changes.told[subject] = known_as
    for kind, name in told:
        here = {"broadcast": scene.broadcasts, "session": scene.sessions, "node": scene.nodes}.get(kind, {})
        if name in here:
            continue
        if kind == "node":
            if not missed((kind, name)):
                continue
            tell(EventType.NODE_LOST, _lost(name, told[kind, name]))
        changes.told[kind, name] = None
    return changes


def _place(facts: NodeFacts) -> dict[str, Any]:
    return {"role": facts.role.value, "region": facts.region}


def _lost(name: str, told: Mapping[str, Any]) -> NodeFacts:
    return NodeFacts(
        node=name,
        role=Role(told["role"]),
        region=str(told["region"]),
        draining=bool(told["draining"]),
    )


class Witness:
    """Looks at a hub. `round` does it once."""

    def __init__(
        self, hub: Hub, sessions: Sessions, database: Database, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hub = hub
        self._sessions = sessions
        self._database = database
        self._clock = clock
        self._settled_at = clock() + SETTLED_S
        self._seen: set[Subject] = set()
        """What was there since this process began, so that its silence means something."""
        self._told: Told | None = None
        self._epoch = -1
        self._sorted: dict[str, bool] = {}
        """Broadcast -> is it a session's?"""

    async def round(self, duty: Duty) -> bool:
        """Tells what has changed; True when that was something. Raises DatabaseDown, StaleEpoch."""
        if self._told is None or duty.epoch != self._epoch:
            self._told, self._epoch = await self._load(), duty.epoch
        scene = await self._look()
        changes = compare(self._told, scene, self._missed, dt.datetime.now(dt.UTC))
        if not changes.happenings and not changes.told:
            return False
        try:
            async with self._database.session() as session:
                await fences.hold(session, duty)
                for (kind, name), state in changes.told.items():
                    await session.execute(delete(ToldRow).where(ToldRow.kind == kind, ToldRow.id == name))
                    if state is not None:
                        session.add(ToldRow(kind=kind, id=name, state=json.dumps(state)))
                await outbox.write(session, changes.happenings)
        except BaseException:
            self._told = None  # it may be written or not: the table knows
            raise
        for subject, state in changes.told.items():
            if state is None:
                self._told.pop(subject, None)
            else:
                self._told[subject] = state
        return bool(changes.happenings)

    async def _load(self) -> Told:
        async with self._database.session() as session:
            rows = (await session.scalars(select(ToldRow))).all()
        return {(row.kind, row.id): json.loads(row.state) for row in rows}

    def _missed(self, subject: Subject) -> bool:
        return subject in self._seen or self._clock() >= self._settled_at

    async def _look(self) -> Scene:
        hub = self._hub
        await self._sort()
        broadcasts = {
            one.id: self._broadcast(one) for one in hub.broadcasts if not self._sorted.get(one.id, True)
        }
        sessions = {one.id: self._session(one) for one in self._sessions}
        nodes = {
            node.id: SeenNode(
                NodeFacts(
                    node=node.id,
                    role=node.report.role,
                    region=node.report.region,
                    draining=node.draining,
                ),
                node.report.epoch,
            )
            for node in hub.nodes
        }
        self._seen = {("node", name) for name in nodes} | {
            subject
            for subject in self._seen | {("broadcast", name) for name, one in broadcasts.items() if one.live}
            if subject[0] == "node" or subject[1] in broadcasts
        }
        return Scene(broadcasts, sessions, nodes)

    async def _sort(self) -> None:
        """A session is written before its broadcast, and its row stays: so the table knows which broadcasts are sessions'."""
        names = {one.id for one in self._hub.broadcasts}
        new = sorted(names - self._sorted.keys())
        for at in range(0, len(new), 500):
            some = new[at : at + 500]
            async with self._database.session() as session:
                found = set(
                    (await session.scalars(select(SessionRow.id).where(SessionRow.id.in_(some)))).all()
                )
            self._sorted.update({name: name in found for name in some})
        for name in self._sorted.keys() - names:
            del self._sorted[name]

    def _broadcast(self, one: Broadcast) -> SeenBroadcast:
        hub = self._hub
        hls = hub.delivery(one.id).hls
        live, audience = hub.scene.get(one.id, (False, Audience()))
        return SeenBroadcast(
            one.created_at.timestamp(),
            live,
            hls.on,
            lambda: BroadcastFacts(
                broadcast=one.id,
                title=one.title,
                public=one.public,
                avatar=one.avatar,
                created_at=one.created_at,
                **self._where(one.id),
            ),
            lambda: CdnFacts(broadcast=one.id, reason=hls.reason, viewers=audience.total),
        )

    def _session(self, one: Session) -> SeenSession:
        origin = self._hub.origin_of(one.id)
        return SeenSession(
            origin.id if origin is not None else None,
            lambda: SessionFacts(
                session=one.id, user=one.user, created_at=one.created_at, **self._where(one.id)
            ),
        )

    def _where(self, name: str) -> dict[str, str]:
        origin = self._hub.origin_of(name)
        return {} if origin is None else {"origin": origin.id, "region": origin.report.region}
