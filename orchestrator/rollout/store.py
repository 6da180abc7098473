"""Rollouts in SQL, with what happened to each; a copy in memory answers all reads."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import CursorResult, ForeignKey, Index, Integer, String, Text, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, Instant
from common.directory import Role
from common.errors import Conflict, NotFound
from common.registry import Duty
from orchestrator import fences
from orchestrator.rollout.figures import VersionFigures
from orchestrator.rollout.plan import ACTIVE, Happened, Rollout

_FIGURES = TypeAdapter(dict[str, VersionFigures])
MOST_KEPT = 1_000
"""Rollouts that are read back; older ones stay in the table."""
_WHY = 500


class RolloutChanged(Conflict):
    """What was to be written follows from what is no longer so."""

    code = "rollout_changed"

    def __init__(self, id: str) -> None:
        super().__init__(f"the rollout {id!r} has just been changed", retry_after_s=1)


class RolloutRow(Base):
    """The table. `revision` grows with each write: who writes on an older one is refused. `under_way` is the role of one that runs or is
    paused: of a pool there is one such."""

    __tablename__ = "rollouts"
    __table_args__ = (
        Index("rollouts_made", "role", "created_at"),
        Index("rollouts_under_way", "under_way", unique=True),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    revision: Mapped[int] = mapped_column(Integer)
    under_way: Mapped[str | None] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)


class EventRow(Base):
    """What happened to them."""

    __tablename__ = "rollout_events"
    __table_args__ = (Index("rollout_events_of", "rollout", "id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    rollout: Mapped[str] = mapped_column(ForeignKey("rollouts.id"))
    at: Mapped[dt.datetime] = mapped_column(Instant)
    happened: Mapped[str] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(100))
    attempt: Mapped[int] = mapped_column(Integer)
    percent: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(_WHY))
    figures: Mapped[str] = mapped_column(Text)


class RolloutEvent(BaseModel):
    """One thing that happened to a rollout."""

    model_config = ConfigDict(frozen=True)

    at: dt.datetime
    happened: Happened
    by: str = Field(description="operator, or system: by the rules.")
    attempt: int
    percent: int = Field(description="Of the users, from then on.")
    reason: str
    figures: dict[str, VersionFigures] = Field(description="By version, at that time.")


class Rollouts:
    """All rollouts. Reads never touch SQL but for `history`; `refresh` takes over what other orchestrators wrote."""

    def __init__(self, database: Database) -> None:
        self.told: Callable[[AsyncSession, Happened, Rollout], Awaitable[None]] | None = None
        """Hears of what happens to one, in the transaction that writes it."""
        self._database = database
        self._all: dict[str, Rollout] = {}
        self._current: dict[Role, Rollout] = {}
        self._writing = asyncio.Lock()

    def __iter__(self) -> Iterator[Rollout]:
        """Newest first."""
        return iter(list(self._all.values()))

    def require(self, id: str) -> Rollout:
        """The rollout. Raises NotFound."""
        found = self._all.get(id)
        if found is None:
            raise NotFound(
                f"there is no rollout {id!r}", code="rollout_unknown", hint="GET /api/rollouts lists them"
            )
        return found

    def current(self, role: Role) -> Rollout | None:
        """The rollout that a pool goes by: its newest."""
        return self._current.get(role)

    async def refresh(self) -> None:
        """Reads them from SQL. Raises DatabaseDown."""
        async with self._writing:
            query = select(RolloutRow).order_by(RolloutRow.created_at.desc(), RolloutRow.id.desc())
            async with self._database.session() as session:
                rows = (await session.scalars(query.limit(MOST_KEPT))).all()
            self._keep({row.id: _known(row) for row in rows})

    async def create(self, new: Rollout, by: str) -> Rollout:
        """Makes one. Raises Conflict while another of its pool is under way, DatabaseDown."""
        async with self._writing:
            async with self._database.session() as session:
                session.add(
                    RolloutRow(
                        id=new.id,
                        role=new.role,
                        created_at=new.created_at,
                        revision=0,
                        under_way=_under_way(new),
                        document=_document(new),
                    )
                )
                with _alone(new.role):
                    await session.flush()
                await self._tell(session, new, Happened.BEGUN, by)
            self._keep({new.id: new, **self._all})
        return new

    async def save(
        self, one: Rollout, happened: Happened | None, by: str, *, duty: Duty | None = None
    ) -> Rollout:
        """Writes what became of one. Raises RolloutChanged when somebody else was quicker, StaleEpoch, DatabaseDown."""
        saved = one.model_copy(update={"revision": one.revision + 1})
        async with self._writing:
            async with self._database.session() as session:
                if duty is not None:
                    await fences.hold(session, duty)
                mine = update(RolloutRow).where(RolloutRow.id == one.id, RolloutRow.revision == one.revision)
                facts = {"under_way": _under_way(saved), "document": _document(saved)}
                with _alone(one.role):
                    written = await session.execute(mine.values(revision=saved.revision, **facts))
                assert isinstance(written, CursorResult), "an UPDATE has no other result"
                if not written.rowcount:
                    raise RolloutChanged(one.id)
                if happened is not None:
                    await self._tell(session, saved, happened, by)
            self._keep({**self._all, one.id: saved})
        return saved

    async def history(self, id: str) -> list[RolloutEvent]:
        """What happened to one, oldest first. Raises DatabaseDown."""
        query = select(EventRow).where(EventRow.rollout == id).order_by(EventRow.id).limit(MOST_KEPT)
        async with self._database.session() as session:
            rows = (await session.scalars(query)).all()
        return [
            RolloutEvent(
                at=row.at,
                happened=Happened(row.happened),
                by=row.by,
                attempt=row.attempt,
                percent=row.percent,
                reason=row.reason,
                figures=_FIGURES.validate_json(row.figures),
            )
            for row in rows
        ]

    async def _tell(self, session: AsyncSession, one: Rollout, happened: Happened, by: str) -> None:
        session.add(_event(one, happened, by))
        if self.told is not None:
            await self.told(session, happened, one)

    def _keep(self, found: dict[str, Rollout]) -> None:
        self._all = found
        current: dict[Role, Rollout] = {}
        for one in found.values():
            current.setdefault(one.role, one)
        self._current = current


@contextmanager
def _alone(role: Role) -> Iterator[None]:
    """A write that must leave one rollout under way. Raises Conflict."""
    try:
        yield
    except IntegrityError:
        raise Conflict(
            f"a rollout of {role} nodes is under way",
            code="rollout_running",
            hint="GET /api/rollouts has it: roll it back, or wait until it is done",
        ) from None


def _under_way(one: Rollout) -> str | None:
    return one.role if one.state in ACTIVE else None


def _document(one: Rollout) -> str:
    return one.model_dump_json(exclude={"revision"})


def _known(row: RolloutRow) -> Rollout:
    return Rollout.model_validate_json(row.document).model_copy(update={"revision": row.revision})


def _event(one: Rollout, happened: Happened, by: str) -> EventRow:
    return EventRow(
        rollout=one.id,
        at=one.counted_at,
        happened=happened,
        by=by[:100],
        attempt=one.attempt,
        percent=one.percent,
        reason=one.reason[:_WHY],
        figures=_FIGURES.dump_json(dict(one.figures)).decode(),
    )
