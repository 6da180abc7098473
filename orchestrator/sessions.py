"""Sessions: one person with an avatar. Each is a private broadcast of the same id, with a time to live and a dialogue that outlives
the origin it was held on. Durable in SQL, with a copy in memory that answers all reads."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import Float, Index, String, Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, Instant
from common.dialogue import Dialogue, Said
from common.errors import NotFound, TooMany
from common.ids import new_id
from orchestrator.broadcasts import AvatarName, Change

AFFINITY_S = 3600.0
"""A session without a viewer or a word for so long is over."""
_SEEN_EVERY_S = 30.0
"""How exactly the last sign of life is kept."""
_SAID = TypeAdapter(list[Said])


class NewSession(BaseModel):
    """A session to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    avatar: AvatarName = Field("ava", description="Who is talked to.")
    persona: str | None = Field(None, max_length=4000, description="Who the avatar is, by name.")
    user: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Your name for the person. Whoever has a session gets the same one again, at the same origin, with its dialogue.",
    )
    ttl_s: float = Field(
        AFFINITY_S, ge=60, le=86_400, description="Seconds without a viewer or a word after which it ends."
    )


class Session(BaseModel):
    """A session as kept. `dialogue_count` is the origin's count of what was said."""

    model_config = ConfigDict(frozen=True)

    id: str
    user: str | None
    account: str | None = None
    """The API key that made it; None: an operator did."""
    ttl_s: float
    created_at: dt.datetime
    seen_at: dt.datetime
    dialogue: tuple[Said, ...] = ()
    dialogue_count: int = 0

    def over(self, now: dt.datetime) -> bool:
        """Whether nobody has come for its time to live."""
        return (now - self.seen_at).total_seconds() > self.ttl_s


class SessionRow(Base):
    """The table. What was said in a session is deleted when it ends."""

    __tablename__ = "sessions"
    __table_args__ = (Index("sessions_live", "ended_at", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str | None] = mapped_column(String(64))
    account: Mapped[str | None] = mapped_column(String(16))
    ttl_s: Mapped[float] = mapped_column(Float)
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    seen_at: Mapped[dt.datetime] = mapped_column(Instant)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    dialogue: Mapped[str] = mapped_column(Text)


class Sessions:
    """All sessions that are not over. Reads never touch SQL; `refresh` takes over what other orchestrators wrote."""

    def __init__(self, database: Database) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        """The clock of lives."""
        self._database = database
        self._live: dict[str, Session] = {}
        self._writing = asyncio.Lock()
        self.told: Callable[[AsyncSession, Change, Session], Awaitable[None]] | None = None
        """Hears of what is made and ended, and may write with it."""

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def find(self, session: str) -> Session | None:
        """The session; None when there is none or it is over."""
        return self._live.get(session)

    def require(self, session: str) -> Session:
        """The session. Raises NotFound."""
        found = self._live.get(session)
        if found is None:
            raise NotFound(
                f"there is no session {session!r}, or it is over",
                code="session_over",
                hint="POST /api/sessions makes one",
            )
        return found

    def of_user(self, user: str, account: str | None = None) -> Session | None:
        """The session that a person of an account has, the newest if several. Two accounts may have a person of one name."""
        own = (one for one in reversed(self._live.values()) if one.account == account)
        return next((one for one in own if one.user == user), None)

    def of_account(self, account: str) -> list[Session]:
        """The sessions that an API key has made."""
        return [one for one in self._live.values() if one.account == account]

    def user(self, session: str) -> str:
        """The person of a session, or its own name when nobody said; that of what is no session too."""
        found = self._live.get(session)
        return session if found is None or found.user is None else found.user

    def dialogue(self, session: str) -> tuple[Said, ...]:
        """What was said, as far as it is known here; empty for what is no session."""
        found = self._live.get(session)
        return found.dialogue if found is not None else ()

    async def refresh(self) -> None:
        """Reads all from SQL. Raises DatabaseDown."""
        async with self._writing:
            query = select(SessionRow).where(SessionRow.ended_at.is_(None)).order_by(SessionRow.created_at)
            async with self._database.session() as session:
                rows = (await session.scalars(query)).all()
            self._live = {row.id: self._known(row) for row in rows}

    async def create(self, new: NewSession, account: str | None = None, most: int = 0) -> Session:
        """Makes a session; its broadcast is the caller's to make. Raises DatabaseDown, and TooMany for an account that has `most`
        already (0: any number). Several orchestrators see each other's with a delay of two seconds."""
        now = self.now()
        name = new_id("s").lower().replace("_", "-")
        session = Session(
            id=name, user=new.user, account=account, ttl_s=new.ttl_s, created_at=now, seen_at=now
        )
        async with self._writing:
            if account is not None and most:
                self._hold(account, most, now)
            async with self._database.session() as writing:
                writing.add(
                    SessionRow(**session.model_dump(exclude={"dialogue", "dialogue_count"}), dialogue="")
                )
                if self.told is not None:
                    await self.told(writing, Change.MADE, session)
            self._live[name] = session
        return session

    def _hold(self, account: str, most: int, now: dt.datetime) -> None:
        own = self.of_account(account)
        if len(own) < most:
            return
        ends = min((one.seen_at + dt.timedelta(seconds=one.ttl_s) - now).total_seconds() for one in own)
        raise TooMany(
            f"the API key {account} has {most} sessions, as many as it may",
            code="session_limit",
            hint="end one: DELETE /api/sessions/{session}",
            retry_after_s=min(max(1.0, ends), 60.0),
            members={"limit": {"name": "sessions", "most": most}},
        )

    async def seen(self, session: str) -> None:
        """Somebody is there. Raises DatabaseDown; a session that is over stays so."""
        now = self.now()
        found = self._live.get(session)
        if found is not None and (now - found.seen_at).total_seconds() > _SEEN_EVERY_S:
            await self._write(session, found.model_copy(update={"seen_at": now}))

    async def keep(self, session: str, dialogue: Dialogue) -> None:
        """What was said, by the origin's account. Raises DatabaseDown."""
        found = self._live.get(session)
        if found is not None:
            told = {"dialogue": tuple(dialogue.said), "dialogue_count": dialogue.count}
            await self._write(session, found.model_copy(update=told))

    async def end(self, session: str) -> None:
        """Ends it for good, and forgets what was said. Raises DatabaseDown."""
        async with self._writing:
            async with self._database.session() as writing:
                row = await writing.get(SessionRow, session, with_for_update=True)
                if row is not None and row.ended_at is None:
                    row.ended_at, row.dialogue = self.now(), ""
                    if self.told is not None:
                        await self.told(writing, Change.ENDED, self._known(row))
            self._live.pop(session, None)

    async def _write(self, name: str, changed: Session) -> None:
        async with self._writing:
            if name not in self._live:
                return
            self._live[name] = changed
            async with self._database.session() as writing:
                row = await writing.get(SessionRow, name)
                if row is not None and row.ended_at is None:
                    row.seen_at = changed.seen_at
                    row.dialogue = _SAID.dump_json(list(changed.dialogue)).decode()

    def _known(self, row: SessionRow) -> Session:
        before = self._live.get(row.id)
        return Session(
            id=row.id,
            user=row.user,
            account=row.account,
            ttl_s=row.ttl_s,
            created_at=row.created_at,
            seen_at=row.seen_at,
            dialogue=tuple(_SAID.validate_json(row.dialogue)) if row.dialogue else (),
            dialogue_count=before.dialogue_count if before is not None else 0,
        )
