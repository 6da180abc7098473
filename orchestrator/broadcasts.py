"""Broadcasts: what people see. Durable in SQL, with a copy in memory that answers all reads, so that SQL may be gone for minutes."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Boolean, Index, String, select
from sqlalchemy import false as sa_false
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, Instant
from common.errors import Conflict, NotFound
from common.ids import new_id, parse_broadcast_id

_NAME = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"
BroadcastName = Annotated[
    str, AfterValidator(parse_broadcast_id), Field(json_schema_extra={"pattern": _NAME, "maxLength": 64})
]
AvatarName = Annotated[str, StringConstraints(pattern=_NAME)]


class NewBroadcast(BaseModel):
    """A broadcast to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: BroadcastName | None = Field(
        None, description="Name in URLs, 1 to 64 of a-z 0-9 _ -; made when missing.", examples=["town-hall"]
    )
    title: str = Field("", max_length=200, description="What people read; the id when empty.")
    public: bool = Field(False, description="Anybody may watch; else a viewer token is needed.")
    avatar: AvatarName | None = Field(
        None, description="The avatar that speaks, such as ava; none: a publisher sends."
    )
    persona: str | None = Field(None, max_length=4000, description="Who the avatar is, in words or by name.")
    open_mic: bool = Field(
        False, description="Viewers may talk to the avatar without a token, within a rate limit."
    )
    moderated: bool = Field(
        False, description="Questions to the avatar wait on the host's desk until they are approved."
    )
    webrtc_only: bool = Field(
        False, description="Never HLS, whatever the audience: so it is neither cached by a CDN nor recorded."
    )


class Changes(BaseModel):
    """What is to be different; what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str | None = Field(None, min_length=1, max_length=200)
    open_mic: bool | None = None
    moderated: bool | None = None


class Broadcast(BaseModel):
    """A broadcast as kept."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    title: str
    public: bool
    avatar: str | None
    persona: str | None
    open_mic: bool
    moderated: bool
    webrtc_only: bool
    created_at: dt.datetime


class Change(enum.StrEnum):
    """What others hear of in the transaction that does it."""

    MADE = "made"
    ENDED = "ended"


class BroadcastRow(Base):
    """The table. A broadcast that is over keeps its row until its id is used again."""

    __tablename__ = "broadcasts"
    __table_args__ = (Index("broadcasts_live", "ended_at", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    public: Mapped[bool] = mapped_column(Boolean)
    avatar: Mapped[str | None] = mapped_column(String(64))
    persona: Mapped[str | None] = mapped_column(String(4000))
    open_mic: Mapped[bool] = mapped_column(Boolean)
    moderated: Mapped[bool] = mapped_column(Boolean, server_default=sa_false())
    webrtc_only: Mapped[bool] = mapped_column(Boolean, server_default=sa_false())
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Instant)


class Broadcasts:
    """All broadcasts that are not over. Reads never touch SQL; `refresh` takes over what other orchestrators wrote."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._live: dict[str, Broadcast] = {}
        self._writing = asyncio.Lock()
        self.told: Callable[[AsyncSession, Change, Broadcast], Awaitable[None]] | None = None
        """Hears of what is made and ended, and may write with it."""

    def __iter__(self) -> Iterator[Broadcast]:
        return iter(self._live.values())

    def __len__(self) -> int:
        return len(self._live)

    def find(self, broadcast: str) -> Broadcast | None:
        """The broadcast, None when there is none or it is over."""
        return self._live.get(broadcast)

    def require(self, broadcast: str) -> Broadcast:
        """The broadcast. Raises NotFound."""
        found = self._live.get(broadcast)
        if found is None:
            raise unknown(broadcast)
        return found

    async def past(self, broadcast: str) -> tuple[Broadcast, dt.datetime]:
        """A broadcast that is over, and when it ended. Raises NotFound, DatabaseDown."""
        async with self._database.session() as session:
            row = await session.get(BroadcastRow, broadcast)
        if row is None or row.ended_at is None:
            raise unknown(broadcast)
        return Broadcast.model_validate(row), row.ended_at

    async def refresh(self) -> bool:
        """Reads all from SQL; True when something changed. Raises DatabaseDown."""
        async with self._writing:
            query = (
                select(BroadcastRow).where(BroadcastRow.ended_at.is_(None)).order_by(BroadcastRow.created_at)
            )
            async with self._database.session() as session:
                rows = (await session.scalars(query)).all()
            live = {row.id: Broadcast.model_validate(row) for row in rows}
            changed, self._live = live != self._live, live
            return changed

    async def create(self, new: NewBroadcast) -> Broadcast:
        """Makes a broadcast; an id is free again once its broadcast is over. Raises Conflict, DatabaseDown."""
        name = new.id or new_id("b").lower().replace("_", "-")
        async with self._writing:
            try:
                async with self._database.session() as session:
                    row = await session.get(BroadcastRow, name, with_for_update=True)
                    if row is not None and row.ended_at is None:
                        raise _taken(name)
                    row = _filled(row or BroadcastRow(id=name), new)
                    session.add(row)
                    await session.flush()
                    await self._tell(session, Change.MADE, row)
            except IntegrityError:  # another orchestrator was quicker
                raise _taken(name) from None
            broadcast = Broadcast.model_validate(row)
            self._live[name] = broadcast
        return broadcast

    async def change(self, broadcast: str, changes: Changes) -> Broadcast:
        """Changes a broadcast. Raises NotFound, DatabaseDown."""
        async with self._writing:
            self.require(broadcast)
            async with self._database.session() as session:
                row = await session.get(BroadcastRow, broadcast)
                if row is None or row.ended_at is not None:
                    raise unknown(broadcast)
                for field, value in changes.model_dump(exclude_none=True).items():
                    setattr(row, field, value)
            changed = self._live[broadcast] = Broadcast.model_validate(row)
        return changed

    async def end(self, broadcast: str) -> None:
        """Ends a broadcast for good. Raises NotFound, DatabaseDown."""
        async with self._writing:
            self.require(broadcast)
            async with self._database.session() as session:
                row = await session.get(BroadcastRow, broadcast, with_for_update=True)
                if row is not None and row.ended_at is None:
                    row.ended_at = dt.datetime.now(dt.UTC)
                    await self._tell(session, Change.ENDED, row)
            self._live.pop(broadcast, None)

    async def _tell(self, session: AsyncSession, change: Change, row: BroadcastRow) -> None:
        if self.told is not None:
            await self.told(session, change, Broadcast.model_validate(row))


def _filled(row: BroadcastRow, new: NewBroadcast) -> BroadcastRow:
    for field, value in new.model_dump(exclude={"id", "title"}).items():
        setattr(row, field, value)
    row.title = new.title or row.id
    row.created_at, row.ended_at = dt.datetime.now(dt.UTC), None
    return row


def _taken(broadcast: str) -> Conflict:
    return Conflict(f"there is a broadcast {broadcast!r}", code="broadcast_exists", hint="choose another id")


def unknown(broadcast: str) -> NotFound:
    """The answer to a name that no broadcast has."""
    return NotFound(
        f"there is no broadcast {broadcast!r}",
        code="broadcast_unknown",
        hint="GET /api/broadcasts lists them",
    )
