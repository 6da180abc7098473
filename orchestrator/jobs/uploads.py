"""Uploads: photos and recordings that jobs are made of. They are deleted after a week."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from common.database import Database
from common.errors import BadRequest, Conflict, NotFound, TooMany
from common.ids import new_id
from common.jobs import UploadKind
from common.store.store import Store
from orchestrator.jobs.files import deleted, kept
from orchestrator.jobs.formats import HEAD_BYTES, kind_of
from orchestrator.jobs.job import OPEN, Upload
from orchestrator.jobs.rows import JobRow, UploadRow

LIFE = dt.timedelta(days=7)
MOST_BYTES = {UploadKind.IMAGE: 10_000_000, UploadKind.AUDIO: 50_000_000}
_AT_ONCE = 100


class Uploads:
    """All uploads of a cluster. Every call raises DatabaseDown, and StoreDown where bytes move."""

    def __init__(self, database: Database, store: Store) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        self._database = database
        self._store = store

    async def take(self, chunks: AsyncIterator[bytes], account: str | None, most_mb: int) -> Upload:
        """Keeps a file. Raises BadRequest when it is nothing of use, or too large, and TooMany for an account that has `most_mb`
        already (0: any number)."""
        if account is not None and most_mb:
            await self._hold(account, most_mb)
        with TemporaryDirectory(prefix="avacast-upload-") as folder:
            file = Path(folder) / "upload"
            kind, format, size = await _received(chunks, file)
            now = self.now()
            row = UploadRow(
                id=new_id("up"),
                account=account,
                kind=kind.value,
                format=format,
                size_bytes=size,
                created_at=now,
                expires_at=now + LIFE,
            )
            await kept(self._store, name_of(row), file, "application/octet-stream")
        async with self._database.session() as session:
            session.add(row)
        return _view(row)

    async def require(self, upload: str, kind: UploadKind, account: str | None) -> UploadRow:
        """An upload of this kind: an account has its own, an operator (None) all. Raises NotFound."""
        async with self._database.session() as session:
            row = await session.get(UploadRow, upload)
        if row is None or row.kind != kind.value or account not in (None, row.account):
            raise _unknown(kind, upload)
        return row

    async def delete(self, upload: str, account: str | None) -> None:
        """Deletes one. Raises NotFound, and Conflict while a job needs it."""
        async with self._database.session() as session:
            row = await session.get(UploadRow, upload)
            if row is None or account not in (None, row.account):
                raise _unknown("upload", upload)
            if await session.scalar(_needing(upload).limit(1)) is not None:
                raise Conflict(
                    f"a job that is not over needs the upload {upload!r}",
                    code="upload_needed",
                    hint="wait for it, or cancel it",
                )
            await deleted(self._store, [name_of(row)])
            await session.delete(row)

    async def sweep(self) -> None:
        """Deletes what has expired, unless a job that is not over needs it."""
        needed = _needing(UploadRow.id).exists()
        query = select(UploadRow).where(UploadRow.expires_at < self.now(), ~needed).limit(_AT_ONCE)
        async with self._database.session() as session:
            rows = (await session.scalars(query)).all()
            await deleted(self._store, [name_of(row) for row in rows])
            for row in rows:
                await session.delete(row)

    async def _hold(self, account: str, most_mb: int) -> None:
        query = select(func.sum(UploadRow.size_bytes)).where(UploadRow.account == account)
        async with self._database.session() as session:
            had = int(await session.scalar(query) or 0)
        if had >= most_mb * 1_000_000:
            raise TooMany(
                f"the API key {account} has uploaded {had / 1e6:.0f} MB, as much as it may",
                code="upload_limit",
                hint="delete some: DELETE /api/uploads/{upload}; they go by themselves after a week",
                retry_after_s=3600,
                members={"limit": {"name": "upload", "most": most_mb}},
            )


def _needing(upload: str | InstrumentedAttribute[str]) -> Select[int]:
    """Jobs that are not over and are made of this upload."""
    return select(JobRow.number).where(
        JobRow.state.in_(OPEN),
        or_(JobRow.image == upload, JobRow.audio == upload),
    )


def _unknown(what: str, upload: str) -> NotFound:
    return NotFound(
        f"there is no {what} {upload[:64]!r}, or it has expired",
        code="upload_unknown",
        hint="POST /api/uploads keeps a file for a week",
    )


def name_of(row: UploadRow) -> str:
    """Where its bytes are in the store."""
    return f"uploads/{row.id}.{row.format}"


def _view(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        kind=row.kind,
        format=row.format,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


async def _received(chunks: AsyncIterator[bytes], file: Path) -> tuple[UploadKind, str, int]:
    """Writes a body into a file, no more than its kind may have. Raises BadRequest."""
    head, size = b"", 0
    known: tuple[UploadKind, str] | None = None
    with file.open("wb") as out:
        async for chunk in chunks:
            size += len(chunk)
            if known is None:
                head += chunk
                known = kind_of(head) if len(head) >= HEAD_BYTES else None
            if known is not None and size > MOST_BYTES[known[0]]:
                raise BadRequest(
                    f"{known[0]}s have at most {MOST_BYTES[known[0]] // 1_000_000} MB",
                    status=413,
                    code="body_too_large",
                )
            await asyncio.to_thread(out.write, chunk)
    return (*(known or kind_of(head)), size)
