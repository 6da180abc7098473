"""Durable state in SQL: SQLite in the data folder, PostgreSQL by URL. Tables are declared where they are used, on `Base`.

The schema is made and moved by the Alembic migrations that ship in common/migrations; they run at start, one process at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, DateTime, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from common.errors import Unavailable

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x41564143  # "AVAC": PostgreSQL's advisory lock while one orchestrator migrates


class Base(DeclarativeBase):
    """All tables of the product."""


class Instant(TypeDecorator[dt.datetime]):
    """A moment in UTC; SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value

    def process_result_value(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


class DatabaseDown(Unavailable):
    """SQL does not answer; reads go on from caches, writes are refused."""

    code = "database_unavailable"


class Database:
    """One engine and its sessions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    async def open(cls, url: str, data: Path) -> Database:
        """Connects and migrates. `url` as operators write it (postgresql://..., sqlite:///...); empty is SQLite in `data`.

        Raises ValueError when the URL names another kind of database, DatabaseDown when it does not answer.
        """
        database = cls(_engine(url, data))
        try:
            async with database._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    await connection.execute(
                        text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                    )
                await connection.run_sync(_upgrade)
        except (OSError, OperationalError, InterfaceError) as error:
            await database.close()
            raise DatabaseDown(f"the database does not answer: {error}", retry_after_s=5) from error
        return database

    async def close(self) -> None:
        """Closes the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session in a transaction, committed at the end. Raises DatabaseDown; integrity errors pass through."""
        try:
            async with self._sessions.begin() as session:
                yield session
        except (OSError, OperationalError, InterfaceError) as error:
            raise DatabaseDown("the database does not answer", retry_after_s=5) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseDown("the database does not answer", retry_after_s=5) from error
            raise


def _engine(url: str, data: Path) -> AsyncEngine:
    if not url:
        data.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{data / 'avacast.db'}"
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        raise ValueError("DATABASE_URL is not of the form postgresql://user:password@host/name") from None
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        return create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            pool_pre_ping=True,
            pool_timeout=5,
            connect_args={"timeout": 5, "command_timeout": 10},
        )
    if kind != "sqlite":
        raise ValueError(f"DATABASE_URL: {kind} is not supported; use postgresql:// or sqlite:///")
    engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": 5})
    event.listen(engine.sync_engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
