"""Webhooks, running: on the orchestrator on duty the witness looks and the courier sends, each second; finished recordings and what is
old are looked for less often. What others do is written by them, and found by the courier here."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database, DatabaseDown
from common.directory import Role
from common.log import log
from common.recordings import RecordingView
from common.registry import Duty, StaleEpoch
from common.tasks import end_tasks
from orchestrator import fences
from orchestrator.broadcasts import Broadcast, Change
from orchestrator.hub import Hub
from orchestrator.jobs.job import Job, JobState
from orchestrator.nodes import Node
from orchestrator.outreach import Outreach
from orchestrator.rollout.plan import Happened, Rollout
from orchestrator.sessions import Session, SessionRow, Sessions
from orchestrator.webhooks import outbox
from orchestrator.webhooks.courier import Courier
from orchestrator.webhooks.endpoints import Endpoints
from orchestrator.webhooks.events import (
    BroadcastFacts,
    EventType,
    Happening,
    JobFacts,
    RecordingFacts,
    RolloutFacts,
    SessionFacts,
)
from orchestrator.webhooks.outbox import EndpointRow
from orchestrator.webhooks.signing import Secrets
from orchestrator.webhooks.witness import Witness

_log = log("orchestrator")

LOOK_S = 1.0
RECORDINGS_S = 10.0
SWEEP_S = 3600.0
_PATIENCE_S = 2.0
_OF_ROLLOUTS = {
    Happened.BEGUN: EventType.ROLLOUT_BEGUN,
    Happened.AGAIN: EventType.ROLLOUT_BEGUN,
    Happened.PHASE: EventType.ROLLOUT_WIDENED,
    Happened.PAUSED: EventType.ROLLOUT_PAUSED,
    Happened.RESUMED: EventType.ROLLOUT_RESUMED,
    Happened.ROLLED_BACK: EventType.ROLLOUT_ROLLED_BACK,
    Happened.DONE: EventType.ROLLOUT_FINISHED,
}
_PAGES = 5
"""Of a hundred recordings each: one that ends behind so many newer ones is not noticed."""


class Webhooks:
    """All of it. What happens to each is written through `broadcast`, `session`, `job` and `rollout`; the API works on `endpoints`."""

    def __init__(
        self,
        hub: Hub,
        sessions: Sessions,
        outreach: Outreach,
        database: Database,
        *,
        secret: str,
        private: bool,
        days: int,
    ) -> None:
        secrets = Secrets(secret)
        self.endpoints = Endpoints(database, secrets, private=private)
        self.courier = Courier(database, secrets, private=private)
        self.witness = Witness(hub, sessions, database)
        self._hub = hub
        self._outreach = outreach
        self._database = database
        self._days = days
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    async def start(self) -> None:
        """Begins. Raises DatabaseDown."""
        if self._hub.registry.embedded:
            await fences.clear(self._database)
        self._tasks = [
            asyncio.create_task(self._every(LOOK_S, self._look), name="webhooks"),
            asyncio.create_task(self._every(RECORDINGS_S, self.recordings), name="webhooks of recordings"),
            asyncio.create_task(self._every(SWEEP_S, self._sweep), name="webhooks' past"),
        ]

    async def close(self) -> None:
        """Ends it, not half way through a write. What waits stays in the table."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PATIENCE_S)
        await end_tasks(*self._tasks)  # who is slow waits for a packager, or for SQL
        await self.courier.close()

    # written with the change ------------------------------------------------------------------------------------------

    async def broadcast(self, session: AsyncSession, change: Change, one: Broadcast) -> None:
        """A broadcast was made or ended in this transaction. Those of sessions are told as sessions."""
        if await session.get(SessionRow, one.id) is not None:
            return
        facts = BroadcastFacts(
            broadcast=one.id,
            title=one.title,
            public=one.public,
            avatar=one.avatar,
            created_at=one.created_at,
        )
        made = change is Change.MADE
        type = EventType.BROADCAST_CREATED if made else EventType.BROADCAST_ENDED
        await outbox.write(session, [Happening(type, facts, dt.datetime.now(dt.UTC))])

    async def session(self, session: AsyncSession, change: Change, one: Session) -> None:
        """A session was made or ended in this transaction."""
        facts = SessionFacts(session=one.id, user=one.user, created_at=one.created_at)
        type = EventType.SESSION_STARTED if change is Change.MADE else EventType.SESSION_ENDED
        await outbox.write(session, [Happening(type, facts, dt.datetime.now(dt.UTC))])

    async def job(self, session: AsyncSession, one: Job) -> None:
        """A job has ended in this transaction, with a film or without."""
        facts = JobFacts(
            job=one.id,
            account=one.account,
            created_at=one.created_at,
            node=one.node,
            size_bytes=one.size_bytes,
            error=one.error,
        )
        type = EventType.JOB_DONE if one.state is JobState.DONE else EventType.JOB_FAILED
        await outbox.write(session, [Happening(type, facts, dt.datetime.now(dt.UTC))])

    async def rollout(self, session: AsyncSession, happened: Happened, one: Rollout) -> None:
        """Something happened to a rollout in this transaction."""
        facts = RolloutFacts(
            rollout=one.id,
            role=one.role,
            stable=one.stable,
            candidate=one.candidate,
            attempt=one.attempt,
            percent=one.percent,
            reason=one.reason,
        )
        await outbox.write(session, [Happening(_OF_ROLLOUTS[happened], facts, dt.datetime.now(dt.UTC))])

    # on duty ----------------------------------------------------------------------------------------------------------

    async def _every(self, period_s: float, work: Callable[[Duty], Awaitable[object]]) -> None:
        while not self._closing.is_set():
            duty = self._hub.duty
            if duty is not None:
                try:
                    await work(duty)
                except (DatabaseDown, StaleEpoch) as error:
                    _log.debug("webhooks_later", error=error.detail)
                except Exception as error:
                    _log.error("webhooks_failed", exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(period_s if duty is not None else LOOK_S):
                    await self._closing.wait()

    async def _look(self, duty: Duty) -> None:
        try:
            await self.witness.round(duty)
        finally:
            await self.courier.round(lambda: self._hub.duty)

    async def _sweep(self, duty: Duty) -> None:
        async with self._database.session() as session:
            await fences.hold(session, duty)
            await outbox.sweep(session, self._oldest())

    def _oldest(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) - dt.timedelta(days=self._days)

    async def recordings(self, duty: Duty) -> None:
        """Tells recordings that have ended since somebody wants to hear of it. The key of each makes that once."""
        async with self._database.session() as session:
            endpoints = await session.scalars(select(EndpointRow).where(EndpointRow.disabled.is_(None)))
            wanting = [one.created_at for one in endpoints if one.wants(EventType.RECORDING_READY)]
        if not wanting:
            return
        # Half of what events are kept for: an event that is forgotten is not told again.
        since = max(min(wanting), dt.datetime.now(dt.UTC) - dt.timedelta(days=self._days) / 2)
        found: dict[str, Happening] = {}
        for node in self._hub.nodes.of_role(Role.PACKAGER):
            for one in await self._list(node):
                happening = self._finished(node, one, since)
                if happening is not None:
                    found.setdefault(happening.id, happening)
        if found:
            async with self._database.session() as session:
                await fences.hold(session, duty)
                await outbox.write(session, found.values())

    async def _list(self, node: Node) -> list[RecordingView]:
        listed: list[RecordingView] = []
        after = ""
        for _ in range(_PAGES):
            page = await self._outreach.recordings(node, 100, after)
            if page is None:
                break
            listed += page.recordings
            if not page.next:
                break
            after = page.next
        return listed

    def _finished(self, node: Node, one: RecordingView, since: dt.datetime) -> Happening | None:
        if one.state != "finished":
            return None
        try:
            started = dt.datetime.fromisoformat(one.started)
        except ValueError:
            return None
        started = started if started.tzinfo is not None else started.replace(tzinfo=dt.UTC)
        if started + dt.timedelta(seconds=one.duration_s) < since:
            return None
        base = (self._hub.cdn.url or node.report.url).rstrip("/")
        facts = RecordingFacts(
            recording=one.id,
            broadcast=one.broadcast,
            started=started,
            duration_s=one.duration_s,
            size_bytes=one.size_bytes,
            lost_segments=one.lost_segments,
            private=one.private,
            play=None if one.private else base + one.play,
            film=None if one.private or one.film is None else base + one.film,
        )
        return Happening(
            EventType.RECORDING_READY, facts, dt.datetime.now(dt.UTC), f"{one.broadcast}/{one.id}"
        )
