"""Fences in SQL: what a duty writes is refused once a later holder of it has written, however long the earlier one slept."""

from __future__ import annotations

from sqlalchemy import BigInteger, CursorResult, String, delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database
from common.registry import Duty, StaleEpoch


class FenceRow(Base):
    """The latest epoch in which a duty has written."""

    __tablename__ = "duty_fences"

    duty: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger)


async def hold(session: AsyncSession, duty: Duty) -> None:
    """Makes this transaction one of the duty's, before anything else in it. Raises StaleEpoch when the duty has passed on."""
    mine = update(FenceRow).where(FenceRow.duty == duty.name, FenceRow.epoch <= duty.epoch)
    moved = await session.execute(mine.values(epoch=duty.epoch))
    assert isinstance(moved, CursorResult), "an UPDATE has no other result"
    if moved.rowcount:
        return
    if await session.get(FenceRow, duty.name) is None:
        try:
            async with session.begin_nested():
                session.add(FenceRow(duty=duty.name, epoch=duty.epoch))
            return
        except (
            IntegrityError
        ):  # another orchestrator has just written the first one: the next try will see it
            pass
    raise StaleEpoch(f"the duty {duty.name!r} has passed to another orchestrator")


async def clear(database: Database) -> None:
    """Forgets all epochs: right for the only orchestrator there is, whose epochs go by a clock that may have been set back."""
    async with database.session() as session:
        await session.execute(delete(FenceRow))
