"""`avacast backup`: what is durable, in a store: the database as rows, and the node's own avatar packages. A backup is restored into an
empty database of either kind, so it is also the way from SQLite to PostgreSQL.

    backups/20261123T035700Z/database.jsonl.gz      a line that says what it is, then a line a row
    backups/20261123T035700Z/avatars.tar.gz         where there are any

Secrets are not in it: who has AVACAST_CLUSTER_SECRET and a backup has the cluster, who has one of them has not.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Base, Database
from common.errors import Conflict, NotFound, Problem
from common.store.opening import open_store
from common.store.store import NotStored, Store

_TOP: Final = "backups"
_DATABASE, _AVATARS = "database.jsonl.gz", "avatars.tar.gz"
_FORMAT: Final = 1
_ROWS: Final = 500
_MOST_BYTES: Final = 20 << 30
_FORMING = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Place:
    """Where what is durable lives, and where backups go."""

    store: str
    data: Path
    database_url: str


def make(place: Place, keep: int, console: Console) -> str:
    """Makes a backup and forgets all but the newest `keep` (0: none is forgotten). Its name. Raises Problem, StoreError, DatabaseDown."""
    store = open_store(place.store)
    name = dt.datetime.now(dt.UTC).strftime(_FORMING)
    with TemporaryDirectory(prefix="avacast-backup-") as folder:
        database = Path(folder) / _DATABASE
        rows = asyncio.run(_dump(place, database, console))
        avatars = place.data / "avatars"
        packed = Path(folder) / _AVATARS
        if avatars.is_dir() and any(avatars.iterdir()):
            with tarfile.open(packed, "w:gz") as tar:
                tar.add(avatars, "avatars")
            _put(store, f"{_TOP}/{name}/{_AVATARS}", packed)
        _put(store, f"{_TOP}/{name}/{_DATABASE}", database)  # last: one without it is none
        size = database.stat().st_size + (packed.stat().st_size if packed.exists() else 0)
    console.print(f"[green]✓[/green] {name}: {rows:,} rows, {size / 1e6:.1f} MB")
    if keep:
        for old in names(store)[keep:]:
            store.delete([one.name for one in store.names(f"{_TOP}/{old}/")])
            console.print(f"  {old} is deleted: the newest {keep} are kept")
    return name


def names(store: Store) -> list[str]:
    """The backups that are whole, the newest first. Raises StoreError."""
    found: list[str] = []
    after = ""
    while page := store.names(f"{_TOP}/", after):
        found += [one.name.split("/")[1] for one in page if one.name.endswith(f"/{_DATABASE}")]
        after = page[-1].name
    return sorted(found, reverse=True)


def restore(place: Place, name: str, console: Console) -> None:
    """Puts a backup (`latest`: the newest) into an empty database. Raises Problem, StoreError, DatabaseDown."""
    store = open_store(place.store)
    there = names(store)
    if name == "latest" and there:
        name = there[0]
    if name not in there:
        raise NotFound(
            f"there is no backup {name!r}",
            code="backup_unknown",
            hint="avacast backup list tells what there is",
        )
    with TemporaryDirectory(prefix="avacast-backup-") as folder:
        database = _get(store, f"{_TOP}/{name}/{_DATABASE}", Path(folder) / _DATABASE)
        rows = asyncio.run(_load(place, database, console))
        console.print(f"[green]✓[/green] {rows:,} rows of {name} are in the database")
        try:
            packed = _get(store, f"{_TOP}/{name}/{_AVATARS}", Path(folder) / _AVATARS)
        except NotStored:
            return
        with tarfile.open(packed, "r:gz") as tar:
            tar.extractall(place.data, filter="data")
        console.print(f"[green]✓[/green] avatar packages are in {place.data / 'avatars'}")


async def _dump(place: Place, file: Path, console: Console) -> int:
    """All rows of one moment. Returns how many."""
    count = 0
    async with _opened(place) as database, database.session() as session:
        postgresql = session.get_bind().dialect.name == "postgresql"
        one_moment = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY" if postgresql else "BEGIN"
        await session.execute(text(one_moment))
        head = {"avacast": _FORMAT, "revision": await _revision(session)}
        with (
            gzip.open(file, "wt", encoding="utf-8") as out,
            Progress(console=console, transient=True) as bars,
        ):
            out.write(json.dumps(head) + "\n")
            for table in bars.track(_tables(), description="reading"):
                order = list(table.primary_key.columns)
                async for row in await session.stream(select(table).order_by(*order)):
                    out.write(json.dumps({"table": table.name, "row": _plain(row._mapping)}) + "\n")
                    count += 1
    return count


async def _load(place: Place, file: Path, console: Console) -> int:
    """Into an empty database. Returns how many rows."""
    tables = {table.name: table for table in _tables()}
    count = 0
    with gzip.open(file, "rt", encoding="utf-8") as lines, Progress(console=console, transient=True) as bars:
        head = json.loads(next(lines, "{}"))
        async with _opened(place) as database, database.session() as session:
            revision = await _revision(session)
            if head.get("avacast") != _FORMAT or head.get("revision") != revision:
                raise Conflict(
                    f"the backup is of the schema {head.get('revision')}, this version has {revision}",
                    code="backup_other_version",
                    hint="restore it with the version that made it; that database is then upgraded at start",
                )
            for table in tables.values():
                if await session.scalar(select(func.count()).select_from(table)):
                    raise Conflict(
                        f"the database is not empty: there are rows in {table.name}",
                        code="backup_not_empty",
                        hint="name an empty one: --database-url, or another --data",
                    )
            task = bars.add_task("writing", total=None)
            for name, rows in _batches(lines):
                await session.execute(insert(tables[name]), rows)
                count += len(rows)
                bars.advance(task, len(rows))
            if session.get_bind().dialect.name == "postgresql":
                for table in tables.values():
                    await _count_on(session, table)
    return count


async def _count_on(session: AsyncSession, table: Table) -> None:
    """PostgreSQL gives the next number of a table by a sequence, which knows nothing of rows that came with theirs."""
    column = table.autoincrement_column
    if column is not None:
        following = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        await session.execute(select(func.setval(sequence, following, False)))


def _batches(lines: Iterator[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of one table at a time, as many as go well in one statement."""
    name, rows = "", list[dict[str, Any]]()
    for line in lines:
        told = json.loads(line)
        if rows and (told["table"] != name or len(rows) == _ROWS):
            yield name, rows
            rows = []
        name = told["table"]
        rows.append(_typed(told["row"]))
    if rows:
        yield name, rows


def _tables() -> list[Table]:
    """All of ours, those before that others refer to."""
    import orchestrator.app  # noqa: F401 - tables are declared where they are used

    return list(Base.metadata.sorted_tables)


def _plain(row: Any) -> dict[str, Any]:
    return {
        name: {"at": value.isoformat()} if isinstance(value, dt.datetime) else value
        for name, value in row.items()
    }


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dt.datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
        for name, value in row.items()
    }


async def _revision(session: AsyncSession) -> str:
    return str(await session.scalar(text("SELECT version_num FROM alembic_version")))


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator[Database]:
    try:
        database = await Database.open(place.database_url, place.data)
    except ValueError as error:
        raise Problem(str(error), code="bad_database_url") from None
    try:
        yield database
    finally:
        await database.close()


def _put(store: Store, name: str, file: Path) -> None:
    store.put(name, file, content_type="application/gzip", cache_control="private, no-store")


def _get(store: Store, name: str, file: Path) -> Path:
    """Raises NotStored."""
    had = 0
    with file.open("wb") as out:
        for piece in store.read(name):
            had += len(piece)
            if had > _MOST_BYTES:
                raise Problem(f"{name} has more than {_MOST_BYTES >> 30} GB", code="backup_too_large")
            out.write(piece)
    return file
