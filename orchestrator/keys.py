"""API keys: what apps and people other than the operators call us with. A key is an account: it has a name, scopes and limits.

    avk_1a2b3c4d_<43 characters>        the prefix names the key, the rest is 256 random bits
    └─ prefix ─┘ └─── secret ───┘

Of the secret only its SHA-256 is kept; a hash that is slow would protect words that people think of, which this is not. Durable in SQL,
with a copy in memory that answers all requests: a check costs no SQL, however wrong the key, and what another orchestrator made,
rotated or revoked is taken over within REFRESH_S.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Index, Integer, String, Text, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Database, DatabaseDown, Instant
from common.errors import Conflict, NotFound, Unauthorized
from common.log import log
from common.tasks import end_tasks

_log = log("orchestrator")

REFRESH_S = 2.0
"""Within so many seconds every orchestrator knows of a key that was made, rotated or revoked at another."""
MOST_KEYS = 1_000
_AGAIN_S = 1.0
"""Least time between two readings of SQL that unknown keys ask for: a flood of them costs no more."""
_USED_EVERY_S = 30.0
_TEXT = re.compile(r"(avk_[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NEVER = "0" * 64
"""No digest is this one."""
MOST_NAMES = 50


class Scope(StrEnum):
    """What a key lets its holder do."""

    READ = "read"
    """See what operators see: all broadcasts, nodes, figures, costs, recordings."""
    SPEAK = "speak"
    """Talk to avatars, and have them talk: say, ask, interrupt, a host's desk."""
    BROADCASTS = "broadcasts"
    """Make, change and end broadcasts, their tokens, their delivery and recordings."""
    SESSIONS = "sessions"
    """Make, read, talk in and end sessions."""
    JOBS = "jobs"
    """Upload photos and recordings, have films made of them: its own ones only."""
    NODE = "node"
    """Register nodes (`AVACAST_NODE_KEY`), and be told who watches and publishes what."""
    ADMIN = "admin"
    """Everything, keys and the audit log too."""


_UNBOUND = frozenset({Scope.NODE, Scope.ADMIN})
"""Scopes of the whole cluster: what they open cannot be limited to names."""

NamePattern = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\*?$")]


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Whose it is, for you."
    )
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope), description="What it allows.")
    only: list[NamePattern] | None = Field(
        None,
        min_length=1,
        max_length=MOST_NAMES,
        description="Broadcasts that it is limited to, by name or beginning (shop-*); it has the sessions it makes.",
    )
    expires_in_s: int | None = Field(
        None, ge=60, le=10 * 366 * 86_400, description="Seconds that it is valid; null: until it is revoked."
    )
    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="Its own limit in the place of AVACAST_REQUEST_LIMIT."
    )
    makes_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="Its own limit in the place of AVACAST_MAKE_LIMIT."
    )
    sessions: int | None = Field(
        None, ge=1, le=1_000_000, description="Its own limit in the place of AVACAST_ACCOUNT_SESSIONS."
    )

    @model_validator(mode="after")
    def _sound(self) -> NewKey:
        whole = _UNBOUND.intersection(self.scopes)
        if self.only is not None and whole:
            raise ValueError(
                f"only: not with the scope {', '.join(sorted(whole))}, which is of the whole cluster"
            )
        return self


class Key(BaseModel):
    """A key as kept: never its secret."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str = Field(description="Its prefix: what its secret begins with.")
    name: str
    scopes: tuple[Scope, ...]
    only: tuple[str, ...] | None = Field(
        None, description="Names, or their beginnings with *, of the broadcasts that it is limited to."
    )
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None = Field(description="Its last request, to half a minute.")
    rotated_at: dt.datetime | None
    old_until: dt.datetime | None = Field(description="Until then the secret before this one is taken too.")
    old_used_at: dt.datetime | None = Field(description="The last request with that one since.")
    requests_per_minute: int | None
    makes_per_minute: int | None
    sessions: int | None

    def may(self, scope: Scope) -> bool:
        """Whether its holder may do this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def covers(self, name: str) -> bool:
        """Whether a broadcast of this name is among those that it is limited to."""
        return self.only is None or any(
            name.startswith(one[:-1]) if one.endswith("*") else name == one for one in self.only
        )


class KeyRow(Base):
    """The table. Of a key that was revoked its name and times stay."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_live", "revoked_at"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(String(200))
    only_names: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    old_digest: Mapped[str] = mapped_column(String(64))
    old_until: Mapped[dt.datetime | None] = mapped_column(Instant)
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    expires_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    used_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    old_used_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    rotated_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    makes_per_minute: Mapped[int | None] = mapped_column(Integer)
    sessions: Mapped[int | None] = mapped_column(Integer)


@dataclass(frozen=True, slots=True)
class _Held:
    """A key in memory, with the digests that open it."""

    key: Key
    digest: str
    old_digest: str

    @property
    def opens(self) -> tuple[object, ...]:
        """What its secrets open, in a form that compares."""
        key = self.key
        return self.digest, self.old_digest, key.old_until, key.expires_at, key.scopes, key.only


def is_key(token: str | None) -> bool:
    """Whether a bearer token is meant to be a key."""
    return token is not None and token.startswith("avk_")


class Keys:
    """All keys that are not revoked. `shared`: other orchestrators write to the same SQL."""

    def __init__(self, database: Database, *, shared: bool) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        """The clock of lives."""
        self.narrowed: Callable[[], None] = lambda: None
        """Called when a secret opens less than before: revoked, rotated or changed, here or elsewhere, or past its time."""
        self._database = database
        self._shared = shared
        self._held: dict[str, _Held] = {}
        self._used: dict[tuple[str, bool], dt.datetime] = {}
        self._read_at = float("-inf")
        self._looked_at = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Key]:
        return iter([self.require(name) for name in self._held])

    def __len__(self) -> int:
        return len(self._held)

    # life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Reads the keys, and begins to keep up. Raises DatabaseDown."""
        await self.refresh()
        self._task = asyncio.create_task(self._run(), name="orchestrator keys")

    async def close(self) -> None:
        """Ends it; when keys were used last is written."""
        await end_tasks(self._task)
        with suppress(DatabaseDown):
            await self.flush()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        flush_at = loop.time() + _USED_EVERY_S
        while True:
            await asyncio.sleep(REFRESH_S)
            self.look()
            try:
                if loop.time() >= flush_at:
                    flush_at = loop.time() + _USED_EVERY_S
                    await self.flush()
                if self._shared:
                    await self.refresh()
            except DatabaseDown:
                pass
            except Exception as error:
                _log.error("keys_failed", exc_info=error)

    # checks -----------------------------------------------------------------------------------------------------------

    async def check(self, token: str) -> Key:
        """The key of this secret, which is being used. Raises Unauthorized: unknown, revoked, expired, or past its time after a
        rotation."""
        if self._open(token) is None:
            await self._look_again()
        key, now = self.valid(token), self.now()
        self._used[key.id, False] = now
        if not _same(token, self._held[key.id].digest):
            self._used[key.id, True] = now
        return key

    def valid(self, token: str) -> Key:
        """The key of this secret as it is known here. Raises Unauthorized, as `check`."""
        held = self._open(token)
        if held is None:
            raise Unauthorized(
                "the API key is not valid, or was revoked",
                code="key_invalid",
                hint="GET /api/keys lists those that are; a secret is shown once, when it is made",
            )
        key, old, now = held.key, not _same(token, held.digest), self.now()
        if key.expires_at is not None and key.expires_at <= now:
            raise Unauthorized(
                f"the API key {key.id} has expired", code="key_expired", hint="ask for another"
            )
        if old and (key.old_until is None or key.old_until <= now):
            raise Unauthorized(
                f"the API key {key.id} was rotated", code="key_expired", hint="use its new secret"
            )
        return key

    def look(self) -> None:
        """Tells when the time of a key, or of the secret before its rotation, has ended since the last look."""
        since, self._looked_at = self._looked_at, self.now()
        ends = (end for one in self._held.values() for end in (one.key.expires_at, one.key.old_until))
        if any(end is not None and since < end <= self._looked_at for end in ends):
            self.narrowed()

    def _open(self, token: str) -> _Held | None:
        """The key that this secret is of, also one that has expired. All comparisons take the same time."""
        parts = _TEXT.fullmatch(token) if len(token) < 100 else None
        held = self._held.get(parts[1]) if parts else None
        now_it_is = _same(token, held.digest if held else _NEVER)
        once_it_was = _same(token, held.old_digest if held else _NEVER)
        return held if now_it_is or once_it_was else None

    async def _look_again(self) -> None:
        """Reads SQL, unless this was done a moment ago: another orchestrator may have made the key just now."""
        if self._shared and asyncio.get_running_loop().time() - self._read_at >= _AGAIN_S:
            with suppress(DatabaseDown):
                await self.refresh()

    # what is there ----------------------------------------------------------------------------------------------------

    def require(self, key: str) -> Key:
        """The key of this prefix. Raises NotFound."""
        held = self._held.get(key)
        if held is None:
            raise unknown(key)
        used, old_used = self._used.get((key, False)), self._used.get((key, True))
        return held.key.model_copy(
            update={"used_at": used or held.key.used_at, "old_used_at": old_used or held.key.old_used_at}
        )

    async def refresh(self) -> None:
        """Reads all from SQL. Raises DatabaseDown."""
        async with self._writing:
            self._read_at = asyncio.get_running_loop().time()
            query = select(KeyRow).where(KeyRow.revoked_at.is_(None)).order_by(KeyRow.created_at)
            async with self._database.session() as session:
                rows = (await session.scalars(query)).all()
            before, self._held = self._held, {row.id: _held(row) for row in rows}
        if any(name not in self._held or self._held[name].opens != one.opens for name, one in before.items()):
            self.narrowed()

    async def create(self, new: NewKey) -> tuple[Key, str]:
        """A new key and its secret, which is told this once. Raises Conflict when there are too many, DatabaseDown."""
        prefix, now = f"avk_{secrets.token_hex(4)}", self.now()
        secret = _secret(prefix)
        expires = None if new.expires_in_s is None else now + dt.timedelta(seconds=new.expires_in_s)
        row = KeyRow(
            id=prefix,
            name=new.name,
            scopes=",".join(one for one in Scope if one in new.scopes),
            only_names=None if new.only is None else ",".join(sorted(set(new.only))),
            digest=_digest(secret),
            old_digest="",
            created_at=now,
            expires_at=expires,
            **new.model_dump(include={"requests_per_minute", "makes_per_minute", "sessions"}),
        )
        async with self._writing:
            async with self._database.session() as session:
                count = select(func.count()).select_from(KeyRow).where(KeyRow.revoked_at.is_(None))
                if int(await session.scalar(count) or 0) >= MOST_KEYS:
                    raise Conflict(
                        f"there are {MOST_KEYS} keys", code="keys_full", hint="revoke those that are not used"
                    )
                session.add(row)
            held = self._held[prefix] = _held(row)
        return held.key, secret

    async def rotate(self, key: str, grace_s: int) -> tuple[Key, str]:
        """A new secret for a key; the one before it holds for `grace_s` seconds more, one older still no longer.

        Raises NotFound, DatabaseDown."""
        secret, now = _secret(key), self.now()
        async with self._writing:
            async with self._database.session() as session:
                row = await session.get(KeyRow, key)
                if row is None or row.revoked_at is not None:
                    raise unknown(key)
                row.old_digest = row.digest if grace_s else ""
                row.old_until = now + dt.timedelta(seconds=grace_s) if grace_s else None
                row.old_used_at, row.digest, row.rotated_at = None, _digest(secret), now
            self._used.pop((key, True), None)
            held = self._held[key] = _held(row)
        self.narrowed()
        return held.key, secret

    async def revoke(self, key: str) -> None:
        """Ends a key for good, at once here and within REFRESH_S elsewhere. Raises NotFound, DatabaseDown."""
        async with self._writing:
            async with self._database.session() as session:
                row = await session.get(KeyRow, key)
                if row is None or row.revoked_at is not None:
                    raise unknown(key)
                row.revoked_at, row.digest, row.old_digest = self.now(), "", ""
            self._held.pop(key, None)
        self.narrowed()

    async def flush(self) -> None:
        """Writes when keys were used last. Raises DatabaseDown."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._writing, self._database.session() as session:
                for (key, old), at in used.items():
                    column = {"old_used_at": at} if old else {"used_at": at}
                    await session.execute(update(KeyRow).where(KeyRow.id == key).values(column))
        except DatabaseDown:
            self._used = {**used, **self._used}
            raise
        for key, old in used:
            held = self._held.get(key)
            if held is not None:
                name = "old_used_at" if old else "used_at"
                told = held.key.model_copy(update={name: used[key, old]})
                self._held[key] = _Held(told, held.digest, held.old_digest)


def _secret(prefix: str) -> str:
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _same(token: str, digest: str) -> bool:
    return hmac.compare_digest(_digest(token), digest)


def _held(row: KeyRow) -> _Held:
    facts = {name: getattr(row, name) for name in Key.model_fields if name not in ("scopes", "only")}
    scopes = tuple(Scope(one) for one in row.scopes.split(",") if one in set(Scope))
    only = None if row.only_names is None else tuple(row.only_names.split(","))
    return _Held(Key(scopes=scopes, only=only, **facts), row.digest, row.old_digest)


def unknown(key: str) -> NotFound:
    """The answer to a prefix that no key has."""
    return NotFound(f"there is no API key {key!r}", code="key_unknown", hint="GET /api/keys lists them")
