"""The queue of jobs: a table in SQL. Every change is one statement that names the state it begins from, so any orchestrator makes it.

    waiting ──take──► running ──finish──► done          waiting, running ──cancel──► cancelled
       ▲                │ ├─────fail────► failed        failed, cancelled ──retry──► waiting
       └──lease ends────┘ └─given back──► waiting

Who has the fewest jobs under way goes first, so that an account with a hundred of them does not hold up one with two.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import Conflict, NotFound, Problem, TooMany
from common.ids import new_id
from common.jobs import LEASE_S, JobEnd, JobOrder, JobOutcome, JobProgress, TakenJob, UploadKind
from common.log import log
from common.metrics import counter, gauge, histogram
from common.store.store import Store
from common.tasks import end_tasks
from orchestrator.jobs import files
from orchestrator.jobs.job import OPEN, Job, JobState, NewJob
from orchestrator.jobs.rows import JobRow, UploadRow
from orchestrator.jobs.uploads import Uploads

_log = log("orchestrator")

MOST_LOST = 3
"""A job that so many origins were lost with is not tried on another one."""
_LEASE = dt.timedelta(seconds=LEASE_S)
_RACES = 5
"""Another origin may have taken the same row; PostgreSQL lets both choose it."""
_LOOK_S = 1.0
_SWEEP_S = 600.0
_AT_ONCE = 100

_JOBS = gauge("avacast_jobs", "Jobs that are not over, by state", ("state",))
_OVER = counter("avacast_jobs_over_total", "Jobs that are over, by how", ("state",))
_WAITED = histogram(
    "avacast_job_wait_seconds", "From the order to its beginning", (1, 5, 15, 60, 300, 1800), ()
)
_TOOK = histogram(
    "avacast_job_seconds", "From the order to the film", (5, 15, 30, 60, 90, 300, 1800, 7200), ()
)

Told = Callable[[AsyncSession, Job], Awaitable[None]]


class Jobs:
    """All jobs of a cluster. Every call raises DatabaseDown."""

    def __init__(self, database: Database, store: Store, uploads: Uploads, *, days: float) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        """The clock of leases and lives."""
        self.told: Told | None = None
        """Hears of jobs that are done or have failed, and may write with it."""
        self._database = database
        self._store = store
        self._uploads = uploads
        self._life = dt.timedelta(days=days)
        self._empty = False
        """Nothing waited when somebody asked last, and nothing is known to have come since: who asks then costs no SQL."""
        self._news = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to look for leases that ended, and to delete what is old."""
        self._tasks = [
            asyncio.create_task(self._every(_LOOK_S, self.look), name="jobs"),
            asyncio.create_task(self._every(_SWEEP_S, self.sweep), name="jobs' past"),
        ]

    async def close(self) -> None:
        """Stops that."""
        await end_tasks(*self._tasks)

    # --- who wants films --------------------------------------------------------------------------------

    async def create(self, new: NewJob, account: str | None, most: int = 0, *, sees: str | None) -> Job:
        """Takes an order of an account that may use the uploads of `sees` (None: all). Raises NotFound for an upload that is not there,
        TooMany for an account with `most` that are not over (0: any number)."""
        if new.image is not None:
            await self._uploads.require(new.image, UploadKind.IMAGE, sees)
        if new.audio is not None:
            await self._uploads.require(new.audio, UploadKind.AUDIO, sees)
        async with self._database.session() as session:
            if account is not None and most:
                await self._hold(session, account, most)
            row = JobRow(
                id=new_id("job"),
                account=account,
                state=JobState.WAITING.value,
                wish=new.model_dump_json(),
                image=new.image,
                audio=new.audio,
                created_at=self.now(),
                attempt=0,
                lost=0,
                step="",
                share=0.0,
            )
            session.add(row)
            await session.flush()
            made = _view(row, await self._ahead(session, row))
        self._came()
        return made

    async def read(self, job: str, account: str | None = None) -> Job:
        """A job; for an account one of its own. Raises NotFound."""
        async with self._database.session() as session:
            row = await _require(session, job, account)
            return _view(row, await self._ahead(session, row))

    async def page(
        self, limit: int, before: int | None, state: JobState | None, account: str | None
    ) -> tuple[list[Job], int | None]:
        """Jobs, the newest first, and the number after which the next page begins; None on the last."""
        query = select(JobRow).order_by(JobRow.number.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(JobRow.number < before)
        if state is not None:
            query = query.where(JobRow.state == state.value)
        if account is not None:
            query = query.where(JobRow.account == account)
        async with self._database.session() as session:
            rows = (await session.scalars(query)).all()
            found = [_view(row, await self._ahead(session, row)) for row in rows[:limit]]
        return found, rows[limit - 1].number if len(rows) > limit else None

    async def cancel(self, job: str, account: str | None) -> Job:
        """It is not made, or not to its end. Raises NotFound, and Conflict when it is over."""
        changed = {"state": JobState.CANCELLED.value, "ended_at": self.now(), "leased_until": None}
        return await self._change(job, account, OPEN, changed, code="job_over", but="is over already")

    async def retry(self, job: str, account: str | None, most: int = 0) -> Job:
        """It is made once more. Raises NotFound, Conflict when it has not failed, or its uploads have expired, and TooMany as `create`."""
        over = (JobState.FAILED.value, JobState.CANCELLED.value)
        async with self._database.session() as session:
            row = await _require(session, job, account)
            if account is not None and most:
                await self._hold(session, account, most)
            for upload in filter(None, (row.image, row.audio)):
                if await session.get(UploadRow, upload) is None:
                    raise Conflict(
                        f"what the job {job!r} was made of has expired",
                        code="upload_expired",
                        hint="upload it again, and make a new job",
                    )
        changed = {
            "state": JobState.WAITING.value, "ended_at": None, "begun_at": None, "node": None,
            "lost": 0, "step": "", "share": 0.0, "error": None,
        }  # fmt: skip
        told = await self._change(job, account, over, changed, code="job_not_over", but="has not failed")
        self._came()
        return told

    async def delete(self, job: str, account: str | None) -> None:
        """Forgets a job and its film; one under way is stopped. Raises NotFound, StoreDown."""
        async with self._database.session() as session:
            row = await _require(session, job, account)
            if row.size_bytes is not None:
                await files.deleted(self._store, [film_of(row.id)])
            await session.delete(row)

    # --- who makes them ---------------------------------------------------------------------------------

    async def take(self, node: str) -> TakenJob | None:
        """A job for this origin; None while there is none."""
        if self._empty:
            return None
        news = self._news
        now = self.now()
        changed = {
            "state": JobState.RUNNING.value, "node": node, "attempt": JobRow.attempt + 1, "begun_at": now,
            "leased_until": now + _LEASE, "step": "", "share": 0.0,
        }  # fmt: skip
        waits = (JobRow.number == _next(), JobRow.state == JobState.WAITING.value)
        for _ in range(_RACES):
            async with self._database.session() as session:
                if row := await _changed(session, waits, changed):
                    _WAITED.observe((now - row.created_at).total_seconds())
                    return TakenJob(id=row.id, attempt=row.attempt, order=await _order(session, row))
                if await session.scalar(select(_next())) is None:
                    self._empty = self._news == news
                    return None
        return None

    async def upload_of(self, job: str, node: str | None, kind: UploadKind) -> UploadRow:
        """What a job that this origin has is made of. Raises NotFound."""
        async with self._database.session() as session:
            row = await _require(session, job, None)
            held = row.state == JobState.RUNNING.value and node in (None, row.node)
            upload = (row.image if kind is UploadKind.IMAGE else row.audio) if held else None
            found = await session.get(UploadRow, upload) if upload is not None else None
        if found is None:
            raise NotFound(f"the job {job!r} has no {kind} for this node", code="job_unknown")
        return found

    async def progress(self, job: str, told: JobProgress) -> bool:
        """How far it is, which renews the lease. False: the origin is to stop."""
        changed = {"step": told.step, "share": told.share, "leased_until": self.now() + _LEASE}
        async with self._database.session() as session:
            return await _changed(session, _held(job, told.node, told.attempt), changed) is not None

    async def finish(self, job: str, node: str, attempt: int, film: Path) -> None:
        """There is a film. Raises Conflict when the origin has the job no more, StoreDown."""
        if not await self.progress(job, JobProgress(node=node, attempt=attempt, step="keeping", share=0.0)):
            raise _lost(job)
        size = await asyncio.to_thread(os.path.getsize, film)
        await files.kept(self._store, film_of(job), film, "video/mp4")
        done = {"state": JobState.DONE.value, "step": "", "share": 1.0, "size_bytes": size, "error": None}
        if not await self._over(_held(job, node, attempt), done):
            async with self._database.session() as session:
                gone = await session.scalar(select(JobRow.state).where(JobRow.id == job))
            if gone != JobState.DONE.value:
                await files.deleted(self._store, [film_of(job)])
            raise _lost(job)

    async def end(self, job: str, told: JobEnd) -> None:
        """There is no film. Raises Conflict when the origin has the job no more."""
        if told.outcome is JobOutcome.FAILED:
            done = {"state": JobState.FAILED.value, "error": told.why or "no reason was given"}
            if not await self._over(_held(job, told.node, told.attempt), done):
                raise _lost(job)
            return
        changed = {
            "state": JobState.WAITING.value,
            "node": None,
            "leased_until": None,
            "step": "",
            "share": 0.0,
        }
        async with self._database.session() as session:
            if await _changed(session, _held(job, told.node, told.attempt), changed) is None:
                raise _lost(job)
        self._came()

    # --- by themselves ----------------------------------------------------------------------------------

    async def look(self) -> None:
        """Jobs whose origin is lost wait again, or have failed; and how many there are."""
        ended = and_(JobRow.state == JobState.RUNNING.value, JobRow.leased_until < self.now())
        async with self._database.session() as session:
            rows = (await session.scalars(select(JobRow).where(ended).limit(_AT_ONCE))).all()
            counts = await session.execute(
                select(JobRow.state, func.count()).where(JobRow.state.in_(OPEN)).group_by(JobRow.state)
            )
            told = {str(state): int(count) for state, count in counts.all()}
        for row in rows:
            await self._lose(row)
        if rows or told.get(JobState.WAITING.value):
            self._came()
        for state in OPEN:
            _JOBS.labels(state).set(told.get(state, 0))

    async def _lose(self, row: JobRow) -> None:
        _log.warning("job_lost", job=row.id, node=row.node, attempt=row.attempt)
        held = [*_held(row.id, row.node or "", row.attempt), JobRow.leased_until < self.now()]
        if row.lost + 1 >= MOST_LOST:
            why = f"{MOST_LOST} origins were lost while they made it, the last one {row.node}"
            await self._over(held, {"state": JobState.FAILED.value, "error": why, "lost": row.lost + 1})
            return
        changed = {"state": JobState.WAITING.value, "node": None, "leased_until": None, "lost": row.lost + 1}
        async with self._database.session() as session:
            await _changed(session, held, changed)

    async def sweep(self) -> None:
        """Deletes what is old: uploads, and jobs with their films."""
        await self._uploads.sweep()
        query = select(JobRow).where(JobRow.ended_at < self.now() - self._life).limit(_AT_ONCE)
        async with self._database.session() as session:
            rows = (await session.scalars(query)).all()
            await files.deleted(self._store, [film_of(row.id) for row in rows if row.size_bytes is not None])
            for row in rows:
                await session.delete(row)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            began = time.monotonic()
            try:
                await work()
            except Problem as error:
                _log.debug("jobs_wait", error=str(error))
            except Exception as error:
                _log.error("jobs_failed", exc_info=error)
            await asyncio.sleep(max(0.1, began + seconds - time.monotonic()))

    def _came(self) -> None:
        self._news += 1
        self._empty = False

    def until(self, job: Job) -> dt.datetime | None:
        """When its film is deleted."""
        return job.ended_at + self._life if job.ended_at is not None and job.state is JobState.DONE else None

    async def _ahead(self, session: AsyncSession, row: JobRow) -> int | None:
        if row.state != JobState.WAITING.value:
            return None
        before = select(func.count()).where(JobRow.state == row.state, JobRow.number < row.number)
        return int(await session.scalar(before) or 0)

    async def _hold(self, session: AsyncSession, account: str, most: int) -> None:
        own = select(func.count()).where(JobRow.account == account, JobRow.state.in_(OPEN))
        if int(await session.scalar(own) or 0) >= most:
            raise TooMany(
                f"the API key {account} has {most} jobs that are not over, as many as it may",
                code="job_limit",
                hint="wait for one, or cancel one: POST /api/jobs/{job}/cancel",
                retry_after_s=30,
                members={"limit": {"name": "jobs", "most": most}},
            )

    async def _change(
        self,
        job: str,
        account: str | None,
        states: Sequence[str],
        changed: Mapping[str, object],
        *,
        code: str,
        but: str,
    ) -> Job:
        async with self._database.session() as session:
            row = await _require(session, job, account)
            now = await _changed(session, (JobRow.number == row.number, JobRow.state.in_(states)), changed)
            if now is None:
                raise Conflict(f"the job {job!r} {but}: it is {row.state}", code=code)
            told = _view(now, await self._ahead(session, now))
        if told.state.over:
            _OVER.labels(told.state.value).inc()
        return told

    async def _over(self, held: Sequence[ColumnElement[bool]], changed: Mapping[str, object]) -> bool:
        """A job that is held ends; False when it is not held any more."""
        async with self._database.session() as session:
            row = await _changed(session, held, {**changed, "ended_at": self.now(), "leased_until": None})
            if row is None:
                return False
            job = _view(row, None)
            if self.told is not None:
                await self.told(session, job)
        _OVER.labels(job.state.value).inc()
        if job.state is JobState.DONE:
            _TOOK.observe((self.now() - job.created_at).total_seconds())
        return True


async def _changed(
    session: AsyncSession, held: Sequence[ColumnElement[bool]], changed: Mapping[str, object]
) -> JobRow | None:
    """The job after the change, when it was in the state that the change begins from."""
    query = update(JobRow).where(*held).values(dict(changed)).returning(JobRow)
    fresh = {"synchronize_session": False, "populate_existing": True}
    return await session.scalar(query, execution_options=fresh)


def film_of(job: str) -> str:
    """Where a job's film is in the store."""
    return f"films/{job}.mp4"


def _held(job: str, node: str, attempt: int) -> list[ColumnElement[bool]]:
    return [
        JobRow.id == job,
        JobRow.state == JobState.RUNNING.value,
        JobRow.node == node,
        JobRow.attempt == attempt,
    ]


def _next() -> ScalarSelect[int]:
    """The number of the job that is to be made next: of who has the fewest under way, the oldest."""
    mine = (
        select(func.coalesce(JobRow.account, "").label("who"), func.count().label("busy"))
        .where(JobRow.state == JobState.RUNNING.value)
        .group_by("who")
        .subquery()
    )
    oldest = (
        select(func.coalesce(JobRow.account, "").label("who"), func.min(JobRow.number).label("number"))
        .where(JobRow.state == JobState.WAITING.value)
        .group_by("who")
        .subquery()
    )
    return (
        select(oldest.c.number)
        .join(mine, mine.c.who == oldest.c.who, isouter=True)
        .order_by(func.coalesce(mine.c.busy, 0), oldest.c.number)
        .limit(1)
        .scalar_subquery()
    )


async def _require(session: AsyncSession, job: str, account: str | None) -> JobRow:
    row = await session.scalar(select(JobRow).where(JobRow.id == job))
    if row is None or account not in (None, row.account):
        raise NotFound(
            f"there is no job {job[:64]!r}", code="job_unknown", hint="GET /api/jobs lists what there is"
        )
    return row


def _lost(job: str) -> Conflict:
    return Conflict(
        f"the job {job!r} is not this node's any more",
        code="job_lost",
        hint="somebody cancelled it, or its lease ended: drop what was made",
    )


async def _order(session: AsyncSession, row: JobRow) -> JobOrder:
    new = NewJob.model_validate_json(row.wish)
    image = await session.get(UploadRow, row.image) if row.image is not None else None
    audio = await session.get(UploadRow, row.audio) if row.audio is not None else None
    width, height = map(int, new.film_size.split("x"))
    return JobOrder(
        avatar=new.face,
        text=new.text,
        voice=new.voice,
        width=width,
        height=height,
        background=new.background,
        image=image.format if image is not None else None,
        audio=audio.format if audio is not None else None,
    )


def _view(row: JobRow, ahead: int | None) -> Job:
    new = NewJob.model_validate_json(row.wish)
    return Job(
        id=row.id,
        account=row.account,
        state=JobState(row.state),
        avatar=new.face,
        image=new.image,
        text=new.text,
        audio=new.audio,
        voice=new.voice,
        size=new.film_size,
        background=new.background,
        created_at=row.created_at,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        ahead=ahead,
        node=row.node,
        step=row.step,
        share=row.share,
        attempts=row.attempt,
        error=row.error,
        size_bytes=row.size_bytes,
    )
