"""The ledger: tallies in SQL, a row for each broadcast, minute and orchestrator; after two days one for each broadcast and hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Index, Integer, String, Text, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, Instant
from common.registry import Duty
from orchestrator import fences
from orchestrator.analytics.tally import Tally

MINUTE_S = 60
HOUR_S = 3600
MINUTES_KEPT = dt.timedelta(days=2)
_ROWS = 2000
"""Rows that are read at once."""


class TallyRow(Base):
    """One tally. `writer` is the orchestrator that made it, empty for an hour."""

    __tablename__ = "analytics"
    __table_args__ = (Index("analytics_span", "span_s", "at"),)

    broadcast: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(Instant, primary_key=True)
    span_s: Mapped[int] = mapped_column(Integer, primary_key=True)
    writer: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tally and what it is of; `at` is the begin of its `span_s` seconds."""

    broadcast: str
    at: dt.datetime
    tally: Tally
    span_s: int = MINUTE_S


class Ledger:
    """Writes and reads. Every call raises DatabaseDown."""

    def __init__(self, database: Database, *, days: int) -> None:
        self._database = database
        self._days = days

    async def write(self, entries: Iterable[Entry], writer: str) -> None:
        """Keeps minutes of one orchestrator; the same minute again takes the place of the first."""
        async with self._database.session() as session:
            for one in entries:
                await session.merge(
                    TallyRow(
                        broadcast=one.broadcast,
                        at=one.at,
                        span_s=one.span_s,
                        writer=writer,
                        body=one.tally.encode(),
                    )
                )

    async def read(self, broadcast: str, since: dt.datetime, until: dt.datetime) -> AsyncIterator[Entry]:
        """The tallies that begin in [since, until), in the order of time."""
        after: tuple[dt.datetime, int, str] | None = None
        while True:
            query = select(TallyRow).where(
                TallyRow.broadcast == broadcast, TallyRow.at >= since, TallyRow.at < until
            )
            if after is not None:
                at, span_s, writer = after
                query = query.where(
                    (TallyRow.at > at)
                    | ((TallyRow.at == at) & (TallyRow.span_s > span_s))
                    | ((TallyRow.at == at) & (TallyRow.span_s == span_s) & (TallyRow.writer > writer))
                )
            query = query.order_by(TallyRow.at, TallyRow.span_s, TallyRow.writer).limit(_ROWS)
            async with self._database.session() as session:
                rows = (await session.scalars(query)).all()
            for row in rows:
                yield Entry(broadcast, row.at, Tally.decode(row.body), row.span_s)
            if len(rows) < _ROWS:
                return
            after = (rows[-1].at, rows[-1].span_s, rows[-1].writer)

    async def roll_up(self, duty: Duty, now: dt.datetime) -> int:
        """Minutes of before two days become hours, a bounded number at once; how many rows did. Raises StaleEpoch."""
        oldest = hour_of(now - MINUTES_KEPT)
        query = (
            select(TallyRow)
            .where(TallyRow.span_s == MINUTE_S, TallyRow.at < oldest)
            .order_by(TallyRow.broadcast, TallyRow.at)
            .limit(_ROWS)
        )
        async with self._database.session() as session:
            await fences.hold(session, duty)
            rows = (await session.scalars(query)).all()
            for (broadcast, hour), some in groupby(rows, lambda row: (row.broadcast, hour_of(row.at))):
                # An hour that the limit cuts in two is met again, and what is left is added.
                await self._add(session, broadcast, hour, list(some))
        return len(rows)

    async def _add(
        self, session: AsyncSession, broadcast: str, hour: dt.datetime, minutes: list[TallyRow]
    ) -> None:
        row = await session.get(TallyRow, (broadcast, hour, HOUR_S, ""))
        total = Tally.decode(row.body) if row is not None else Tally()
        for one in minutes:
            total.merge(Tally.decode(one.body))
            await session.delete(one)
        if row is None:
            row = TallyRow(broadcast=broadcast, at=hour, span_s=HOUR_S, writer="")
            session.add(row)
        row.body = total.encode()

    async def sweep(self, duty: Duty, now: dt.datetime) -> None:
        """Forgets what is older than it is to be kept. Raises StaleEpoch."""
        async with self._database.session() as session:
            await fences.hold(session, duty)
            oldest = now - dt.timedelta(days=self._days)
            for span_s in (MINUTE_S, HOUR_S):
                await session.execute(delete(TallyRow).where(TallyRow.span_s == span_s, TallyRow.at < oldest))


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The begin of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
