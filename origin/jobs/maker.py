"""A node's share of the jobs: asks an orchestrator for one when there is room, has a studio make it, and hands in the film.

    ask ─► fetch what it is made of ─► studio (a process) ─► hand in
             each PROGRESS_S: how far; the answer may be to stop

Live avatars come first: a studio runs at idle priority, a machine that is busy asks less often, so that others get the job, and one
that is short of memory or drains does not ask. When the node ends, its jobs are given back at once and another origin begins them anew.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import aiohttp
import psutil

from common.jobs import (
    MOST_FILM_BYTES,
    PROGRESS_S,
    JobChance,
    JobEnd,
    JobGoing,
    JobOutcome,
    JobProgress,
    JobWish,
    TakenJob,
)
from common.log import log
from common.metrics import counter
from common.tasks import end_tasks
from origin.jobs.studio import FILM, ORDER
from sfu.link import Link

_log = log("jobs")

_ASK_S: Final = 2.0
_BUSY_ASK_S: Final = 10.0
_BUSY_PERCENT: Final = 80.0
_LEAST_MEMORY: Final = 2 << 30
"""Bytes that a studio may need: a voice, a face and its picture."""
_LEFT_S: Final = 24 * 3600.0
"""A folder of a process that is gone is deleted after so long."""
_MOST_S: Final = 4 * 3600.0
"""A film that takes longer has failed."""
_TRANSFER_SILENCE_S: Final = 60.0
_HAND_IN_TRIES: Final = 5
_LAST_LINES: Final = 2000
_PATH = "/api/v1/worker/jobs"

_MADE = counter("avacast_films_total", "Films that this node was to make, by what came of them", ("outcome",))

_LinkError = (aiohttp.ClientError, TimeoutError, ValueError)


class _Stopped(Exception):
    """The job is not ours any more."""


class _NoFilm(Exception):
    """There is none; the message says why."""


class Maker:
    """Makes films, `most` at a time. They are made in `data`; `avatars` are the node's own packages."""

    def __init__(self, link: Link, data: Path, avatars: Path, *, most: int) -> None:
        self._link = link
        self._data = data / "films"
        self._avatars = avatars
        self._most = most
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to ask for jobs."""
        for folder in self._data.glob("making-*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _LEFT_S:
                    shutil.rmtree(folder, ignore_errors=True)
        self._tasks = [asyncio.create_task(self._run(), name=f"films {n}") for n in range(self._most)]

    async def close(self) -> None:
        """Ends what is under way, and gives it back."""
        await end_tasks(*self._tasks)

    async def _run(self) -> None:
        while True:
            try:
                job = await self._ask()
                if job is not None:
                    await self._make(job)
                    psutil.cpu_percent()  # what it took itself is not counted
                    continue
            except _LinkError as error:
                _log.info("jobs_not_reached", error=str(error) or type(error).__name__)
            except Exception as error:
                _log.error("job_failed", exc_info=error)
            busy = psutil.cpu_percent() > _BUSY_PERCENT
            await asyncio.sleep((_BUSY_ASK_S if busy else _ASK_S) * random.uniform(0.8, 1.2))

    async def _ask(self) -> TakenJob | None:
        if not self._link.connected or self._link.draining:
            return None
        if psutil.virtual_memory().available < _LEAST_MEMORY:
            return None
        wish = JobWish(node=self._link.node_id)
        async with self._link.ask("POST", _PATH, json=wish.model_dump()) as answer:
            answer.raise_for_status()
            return JobChance.model_validate_json(await answer.read()).job

    async def _make(self, job: TakenJob) -> None:
        _log.info("job_begun", job=job.id, attempt=job.attempt)
        self._data.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix="making-", dir=self._data))
        told = _Told()
        outcome = "lost"
        try:
            await _beside(self._film(job, folder, told), self._report(job, told))
            outcome = "made"
        except _Stopped:
            outcome = "stopped"
        except _NoFilm as error:
            outcome = "failed"
            await self._end(job, JobOutcome.FAILED, str(error))
        except asyncio.CancelledError:
            outcome = "given_back"
            await asyncio.shield(self._end(job, JobOutcome.GIVEN_BACK, "this origin ends"))
            raise
        finally:  # what else is raised ends with the lease, which counts: or a film that nobody can take were made for ever
            shutil.rmtree(folder, ignore_errors=True)
            _MADE.labels(outcome).inc()
            _log.info("job_over", job=job.id, attempt=job.attempt, outcome=outcome)

    async def _film(self, job: TakenJob, folder: Path, told: _Told) -> None:
        (folder / ORDER).write_text(job.order.model_dump_json(), encoding="utf-8")
        for kind, ending in (("image", job.order.image), ("audio", job.order.audio)):
            if ending is not None:
                await self._fetch(f"{_PATH}/{job.id}/{kind}", folder / f"{kind}.{ending}")
        told.step = "preparing"
        try:
            async with asyncio.timeout(_MOST_S):
                await _studio(folder, self._avatars, told)
        except TimeoutError:
            raise _NoFilm(f"it took more than {_MOST_S / 3600:.0f} hours") from None
        film = folder / FILM
        if film.stat().st_size > MOST_FILM_BYTES:
            raise _NoFilm(f"the film has more than {MOST_FILM_BYTES >> 30} GB: make several")
        told.step, told.share = "handing in", 0.0
        await self._hand_in(job, film)

    async def _fetch(self, path: str, file: Path) -> None:
        async with self._link.ask("GET", path, silence_s=_TRANSFER_SILENCE_S) as answer:
            if answer.status == 404:
                raise _Stopped
            answer.raise_for_status()
            with file.open("wb") as out:
                async for chunk in answer.content.iter_chunked(1 << 16):
                    out.write(chunk)

    async def _hand_in(self, job: TakenJob, film: Path) -> None:
        path = f"{_PATH}/{job.id}/film?node={self._link.node_id}&attempt={job.attempt}"
        for left in reversed(range(_HAND_IN_TRIES)):
            try:
                async with self._link.ask(
                    "PUT", path, silence_s=_TRANSFER_SILENCE_S, data=_pieces(film)
                ) as answer:
                    if answer.status in (404, 409):
                        raise _Stopped
                    answer.raise_for_status()
                    return
            except _LinkError as error:
                if not left:
                    raise
                _log.info("film_not_taken", job=job.id, error=str(error))
            await asyncio.sleep(PROGRESS_S)

    async def _report(self, job: TakenJob, told: _Told) -> None:
        """Until it is to stop; an orchestrator that does not answer is no reason to."""
        while True:
            progress = JobProgress(
                node=self._link.node_id, attempt=job.attempt, step=told.step[:64], share=told.share
            )
            with suppress(*_LinkError):
                path = f"{_PATH}/{job.id}/progress"
                async with self._link.ask("POST", path, json=progress.model_dump()) as answer:
                    answer.raise_for_status()
                    if not JobGoing.model_validate_json(await answer.read()).go_on:
                        raise _Stopped
            await asyncio.sleep(PROGRESS_S)

    async def _end(self, job: TakenJob, outcome: JobOutcome, why: str) -> None:
        _log.info("job_ended", job=job.id, outcome=outcome.value, why=why)
        end = JobEnd(node=self._link.node_id, attempt=job.attempt, outcome=outcome, why=why)
        with suppress(*_LinkError):  # its lease ends by itself
            async with self._link.ask("POST", f"{_PATH}/{job.id}/end", json=end.model_dump()):
                pass


class _Told:
    """How far a studio is."""

    step = "fetching"
    share = 0.0


async def _studio(folder: Path, avatars: Path, told: _Told) -> None:
    """Runs one to its end. Raises _NoFilm; a cancelled one is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "origin.jobs.studio", str(folder), "--avatars", str(avatars),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None, "both are pipes"
    complaints = asyncio.create_task(_last(process.stderr))
    failed = ""
    try:
        async for line in process.stdout:
            said = _read(line)
            told.step, told.share = str(said.get("step", told.step)), float(said.get("share", told.share))
            failed = str(said.get("failed", failed))
        status = await process.wait()
        if status or failed:
            lines = (await complaints).strip().splitlines()
            if not failed:
                _log.error("studio_failed", status=status, said=lines[-20:])
            raise _NoFilm(failed or f"the process that made it ended with status {status}")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await end_tasks(complaints)


def _read(line: bytes) -> dict[str, Any]:
    """What a studio says; nothing for what a library prints."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def _last(stream: asyncio.StreamReader) -> str:
    """The end of what a process complains of; all of it is read, so that it never waits."""
    kept = b""
    while part := await stream.read(1 << 16):
        kept = (kept + part)[-_LAST_LINES:]
    return kept.decode(errors="replace")


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, 1 << 18):
            yield piece


async def _beside(work: Coroutine[Any, Any, None], report: Coroutine[Any, Any, None]) -> None:
    """Does the work, and reports meanwhile; whichever ends first ends the other, with what it raised."""
    tasks = asyncio.create_task(work), asyncio.create_task(report)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(*(task for task in tasks if not task.done()))
    for task in done:
        task.result()
