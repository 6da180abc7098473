"""Who did what: each request of an operator, an API key or a publisher that was to change something, with its outcome. Bodies are
not kept: they hold words and secrets. Requests without a valid token are not either: strangers must not be able to fill a table."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from contextlib import suppress
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Index, Integer, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, DatabaseDown, Instant
from common.log import log
from common.metrics import counter

_log = log("orchestrator")

_WAITING = 1_000
PATH = 300
_LAST_ID = 2**31 - 1
"""PostgreSQL refuses to compare its INTEGER with more."""
_SWEEP_S = 3_600.0
_AGAIN_S = 1.0

_ENTRIES = counter("avacast_audit_entries_total", "Entries of the audit log", ("outcome",))


class Actor(StrEnum):
    ADMIN = "admin"
    KEY = "key"
    PUBLISHER = "publisher"
    NODE = "node"
    """A node, of itself: its process is to end."""
    SYSTEM = "system"
    """The orchestrator, by its own rules; the entry is what an operator would have done."""


class Entry(BaseModel):
    """One thing that somebody did, or was refused."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: dt.datetime
    actor: Actor
    key_id: str = Field(description="The prefix of the API key that did it; empty when none did.")
    key_name: str = Field(description="Its name at that time.")
    address: str = Field(description="Where it came from; empty when unknown.")
    method: str
    path: str
    status: int = Field(description="How it was answered.")
    made: str = Field(description="The path of what it made; empty when it made nothing.")


class AuditRow(Base):
    """The table."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_at", "at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[dt.datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(45))
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(String(PATH))
    status: Mapped[int] = mapped_column(Integer)
    made: Mapped[str] = mapped_column(String(PATH))
    key_id: Mapped[str] = mapped_column(String(16), server_default="")
    key_name: Mapped[str] = mapped_column(String(100), server_default="")


class Audit:
    """Writes behind the answers: a database that is slow or away delays nobody. `days` that entries are kept."""

    def __init__(self, database: Database, *, days: int) -> None:
        self._database = database
        self._days = days
        self._waiting: deque[AuditRow] = deque()
        self._noted = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="audit log")

    async def close(self) -> None:
        """Writes what waits, and ends."""
        if self._task is not None:
            async with self._writing:  # half way it would not know what is in the table
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(DatabaseDown):
            await self.flush()

    def note(self, row: AuditRow) -> None:
        """Takes an entry. What cannot wait any more is in the program's log only."""
        if len(self._waiting) < _WAITING:
            self._waiting.append(row)
            self._noted.set()
        else:
            _ENTRIES.labels("lost").inc()
        _log.info(
            "audit",
            actor=row.actor,
            key=row.key_id,
            method=row.method,
            path=row.path,
            status=row.status,
            address=row.address,
        )

    def note_own(self, actor: str, path: str) -> None:
        """Takes an entry of what no request did: a POST of `path`, as an operator would have sent it."""
        now = dt.datetime.now(dt.UTC)
        self.note(
            AuditRow(
                at=now,
                actor=actor,
                address="",
                method="POST",
                path=path[:PATH],
                status=200,
                made="",
                key_id="",
                key_name="",
            )
        )

    async def flush(self) -> None:
        """Waits until all that was noted is in the table. Raises DatabaseDown."""
        async with self._writing:
            self._noted.clear()
            rows = list(self._waiting)
            if not rows:
                return
            try:
                async with self._database.session() as session:
                    session.add_all([_copy(row) for row in rows])
            except BaseException:
                self._noted.set()
                raise
            for _ in rows:
                self._waiting.popleft()
            _ENTRIES.labels("written").inc(len(rows))

    async def page(self, limit: int, before: int | None) -> list[Entry]:
        """The newest entries, or those before one. Raises DatabaseDown."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.id < min(before, _LAST_ID))
        async with self._database.session() as session:
            return [Entry.model_validate(row) for row in (await session.scalars(query)).all()]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        sweep_at = loop.time()
        while True:
            try:
                if loop.time() >= sweep_at:
                    await self._sweep()
                    sweep_at = loop.time() + _SWEEP_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SWEEP_S):
                        await self._noted.wait()
                await self.flush()
            except DatabaseDown:
                await asyncio.sleep(_AGAIN_S)
            except Exception as error:
                _log.error("audit_failed", waiting=len(self._waiting), exc_info=error)
                await asyncio.sleep(_AGAIN_S)

    async def _sweep(self) -> None:
        oldest = dt.datetime.now(dt.UTC) - dt.timedelta(days=self._days)
        async with self._database.session() as session:
            await session.execute(delete(AuditRow).where(AuditRow.at < oldest))


def _copy(row: AuditRow) -> AuditRow:
    """A row of its own for one try: one that was in a session that failed is bound to it."""
    names = ("at", "actor", "address", "method", "path", "status", "made", "key_id", "key_name")
    return AuditRow(**{name: getattr(row, name) for name in names})
