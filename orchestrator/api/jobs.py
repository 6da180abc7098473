"""/api/jobs and /api/uploads: films are ordered, watched on their way, and fetched; and what origins that make them say."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web
from pydantic import BaseModel, Field

from common.errors import BadRequest, Unauthorized
from common.http import byte_range, read_model
from common.jobs import (
    MOST_FILM_BYTES,
    Attempt,
    JobChance,
    JobEnd,
    JobGoing,
    JobProgress,
    JobWish,
    UploadKind,
)
from orchestrator.api.paging import Page, json_page
from orchestrator.api.route import Access, Context, Query, Route, context, json, read_query, require_speaks
from orchestrator.jobs import files
from orchestrator.jobs.job import Job, JobState, NewJob, Upload
from orchestrator.jobs.queue import film_of
from orchestrator.jobs.uploads import name_of
from orchestrator.keys import Scope

TAG = "Jobs"
_PIECE_BYTES = 1 << 16


class JobPage(Page):
    """Which page, newest first."""

    limit: int = Field(50, ge=1, le=200, description="Most jobs of the page.")
    after: str = Field("", pattern="^[0-9]{0,9}$", description="The `next` of the page before.")
    state: JobState | None = Field(None, description="Only those of this state.")


class JobList(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class LinkQuery(Query):
    """What a signed link says."""

    until: str = Field("", max_length=12, description="When it ends, in seconds since 1970.")
    signature: str = Field("", max_length=64, description="That it is ours.")


class FilmQuery(Query):
    """Whose film comes."""

    node: str = Field(min_length=1, max_length=64, description="The origin that made it.")
    attempt: Attempt = Field(description="Which attempt this was.")


def _account(at: Context, request: web.Request) -> str | None:
    """Whose jobs a caller sees: a key its own, operators and keys of theirs all."""
    key = at.caller(request).key
    return None if key is None or key.may(Scope.ADMIN) else key.id


def _owner(at: Context, request: web.Request) -> str | None:
    """Whose it is what a caller makes."""
    key = at.caller(request).key
    return key.id if key is not None else None


def _told(at: Context, request: web.Request, job: Job) -> Job:
    """With the link to its film."""
    if job.state is not JobState.DONE:
        return job
    query = at.links.query(job.id, dt.datetime.now(dt.UTC))
    link = f"{at.base(request)}/api/jobs/{job.id}/result?{query}"
    return job.model_copy(update={"result": link, "result_until": at.jobs.until(job)})


# --- who wants films ------------------------------------------------------------------------------------


async def _upload(request: web.Request) -> web.Response:
    at = context(request)
    most_mb = at.config.account_upload_mb
    made = await at.uploads.take(_chunks(request, 1 << 30), _owner(at, request), most_mb)
    return json(made, status=201, headers={"Location": f"{at.base(request)}/api/uploads/{made.id}"})


async def _forget(request: web.Request) -> web.Response:
    at = context(request)
    await at.uploads.delete(request.match_info["upload"], _account(at, request))
    return web.Response(status=204)


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    new = await read_model(request, NewJob)
    owner, sees = _owner(at, request), _account(at, request)
    made = await at.jobs.create(new, owner, at.config.account_jobs, sees=sees)
    return json(made, status=201, headers={"Location": f"{at.base(request)}/api/jobs/{made.id}"})


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, JobPage)
    before = int(page.after) if page.after else None
    found, after = await at.jobs.page(page.limit, before, page.state, _account(at, request))
    cursor = str(after) if after is not None else None
    return json_page(request, JobList(jobs=[_told(at, request, one) for one in found], next=cursor), cursor)


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    return json(_told(at, request, await at.jobs.read(request.match_info["job"], _account(at, request))))


async def _cancel(request: web.Request) -> web.Response:
    at = context(request)
    return json(await at.jobs.cancel(request.match_info["job"], _account(at, request)))


async def _retry(request: web.Request) -> web.Response:
    at = context(request)
    account = _account(at, request)
    return json(await at.jobs.retry(request.match_info["job"], account, at.config.account_jobs))


async def _delete(request: web.Request) -> web.Response:
    at = context(request)
    await at.jobs.delete(request.match_info["job"], _account(at, request))
    return web.Response(status=204)


async def _result(request: web.Request) -> web.StreamResponse:
    at, job = context(request), request.match_info["job"]
    linked = read_query(request, LinkQuery)
    if linked.signature:
        at.links.check(job, linked.until, linked.signature, dt.datetime.now(dt.UTC))
        account = None
    elif "Authorization" in request.headers:
        at.require_admin(request)
        account = _account(at, request)
    else:
        raise Unauthorized(
            "the film needs its signed link, or a token", hint="GET /api/jobs/{job} tells the link"
        )
    found = await at.jobs.read(job, account)
    if found.state is not JobState.DONE:
        raise BadRequest(
            f"the job {job!r} has no film: it is {found.state}", status=409, code="film_not_made",
            hint="wait until its state is done",
        )  # fmt: skip
    elsewhere = await files.link(at.films, film_of(job), 3600)
    if elsewhere is not None:
        return web.Response(status=302, headers={"Location": elsewhere, "Cache-Control": "no-store"})
    return await _served(request, at, film_of(job), f"{job}.mp4")


async def _served(request: web.Request, at: Context, name: str, called: str) -> web.StreamResponse:
    """A file of the store, or the range of it that is asked for."""
    size = await files.size_of(at.films, name)
    start, end, partial = byte_range(request, size)
    answer = web.StreamResponse(status=206 if partial else 200)
    answer.content_type = "video/mp4"
    answer.content_length = end - start
    answer.headers["Accept-Ranges"] = "bytes"
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["Content-Disposition"] = f'inline; filename="{called}"'
    if partial:
        answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    await answer.prepare(request)
    async for piece in files.pieces(at.films, name, start, end):
        await answer.write(piece)
    await answer.write_eof()
    return answer


async def _chunks(request: web.Request, most: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises BadRequest (413)."""
    size = 0
    async for chunk in request.content.iter_chunked(_PIECE_BYTES):
        size += len(chunk)
        if size > most:
            raise BadRequest(f"a body has at most {most} bytes", status=413, code="body_too_large")
        yield chunk


# --- who makes them -------------------------------------------------------------------------------------


async def _take(request: web.Request) -> web.Response:
    at = context(request)
    node = at.require_node(request)
    wish = await read_model(request, JobWish)
    require_speaks(node, wish.node)
    return json(JobChance(job=await at.jobs.take(wish.node)))


async def _progress(request: web.Request) -> web.Response:
    at = context(request)
    node = at.require_node(request)
    told = await read_model(request, JobProgress)
    require_speaks(node, told.node)
    return json(JobGoing(go_on=await at.jobs.progress(request.match_info["job"], told)))


async def _end(request: web.Request) -> web.Response:
    at = context(request)
    node = at.require_node(request)
    told = await read_model(request, JobEnd)
    require_speaks(node, told.node)
    await at.jobs.end(request.match_info["job"], told)
    return web.Response(status=204)


async def _source(request: web.Request) -> web.StreamResponse:
    at = context(request)
    node = at.require_node(request)
    kind = UploadKind.IMAGE if request.path.endswith("image") else UploadKind.AUDIO
    row = await at.jobs.upload_of(request.match_info["job"], node, kind)
    answer = web.StreamResponse(headers={"Cache-Control": "private, no-store"})
    answer.content_type = "application/octet-stream"
    answer.content_length = row.size_bytes
    await answer.prepare(request)
    async for piece in files.pieces(at.films, name_of(row), 0, row.size_bytes):
        await answer.write(piece)
    await answer.write_eof()
    return answer


async def _film(request: web.Request) -> web.Response:
    at = context(request)
    node = at.require_node(request)
    asked = read_query(request, FilmQuery)
    require_speaks(node, asked.node)
    with TemporaryDirectory(prefix="avacast-film-") as folder:
        film = Path(folder) / "film.mp4"
        with film.open("wb") as out:
            async for chunk in _chunks(request, MOST_FILM_BYTES):
                out.write(chunk)
        await at.jobs.finish(request.match_info["job"], asked.node, asked.attempt, film)
    return web.Response(status=204)


ALL, ONE, WORK = "/api/jobs", "/api/jobs/{job}", "/api/v1/worker/jobs"
_RAW = ("application/octet-stream",)

ROUTES = (
    Route(
        "POST", "/api/uploads", _upload, "Keep a photo or a recording for a week", TAG, Access.ADMIN, raw=_RAW,
        answer=Upload, status=201, problems=("upload_kind", "body_too_large", "upload_limit", "store_unavailable"), scope=Scope.JOBS,
    ),
    Route(
        "DELETE", "/api/uploads/{upload}", _forget, "Delete an upload", TAG, Access.ADMIN,
        status=204, problems=("upload_unknown", "upload_needed", "store_unavailable"), scope=Scope.JOBS,
    ),
    Route(
        "POST", ALL, _create, "Order a film of an avatar or a photo that speaks", TAG, Access.ADMIN,
        body=NewJob, answer=Job, status=201, once=True, problems=("upload_unknown", "job_limit", "database_unavailable"),
        scope=Scope.JOBS, limit="make",
    ),
    Route("GET", ALL, _list, "Jobs, the newest first", TAG, Access.ADMIN, answer=JobList, query=JobPage, scope=Scope.JOBS),
    Route("GET", ONE, _read, "A job, how far it is, and the link to its film", TAG, Access.ADMIN,
          answer=Job, problems=("job_unknown",), scope=Scope.JOBS),
    Route("DELETE", ONE, _delete, "Delete a job and its film", TAG, Access.ADMIN,
          status=204, problems=("job_unknown", "store_unavailable"), scope=Scope.JOBS),
    Route("POST", f"{ONE}/cancel", _cancel, "Do not make it, or not to its end", TAG, Access.ADMIN,
          answer=Job, problems=("job_unknown", "job_over"), scope=Scope.JOBS),
    Route("POST", f"{ONE}/retry", _retry, "Make one that failed or was cancelled once more", TAG, Access.ADMIN,
          answer=Job, problems=("job_unknown", "job_not_over", "upload_expired", "job_limit"), scope=Scope.JOBS),
    Route(
        "GET", f"{ONE}/result", _result, "The film", TAG, Access.LINK, answer="video/mp4", also=(206, 302), query=LinkQuery,
        problems=("job_unknown", "link_invalid", "film_not_made", "file_gone", "range_not_satisfiable", "store_unavailable"),
        scope=Scope.JOBS,
    ),
    Route("POST", WORK, _take, "An origin with room asks for a job", TAG, Access.NODE,
          body=JobWish, answer=JobChance, name="worker_take_job"),
    Route("POST", f"{WORK}/{{job}}/progress", _progress, "How far it is; answers whether to go on", TAG, Access.NODE,
          body=JobProgress, answer=JobGoing, name="worker_tell_progress"),
    Route("POST", f"{WORK}/{{job}}/end", _end, "There is no film", TAG, Access.NODE,
          body=JobEnd, status=204, problems=("job_lost",), name="worker_end_job"),
    Route("GET", f"{WORK}/{{job}}/image", _source, "The photo that it is made of", TAG, Access.NODE,
          answer="application/octet-stream", problems=("job_unknown", "file_gone"), name="worker_job_image"),
    Route("GET", f"{WORK}/{{job}}/audio", _source, "The recording that it is made of", TAG, Access.NODE,
          answer="application/octet-stream", problems=("job_unknown", "file_gone"), name="worker_job_audio"),
    Route("PUT", f"{WORK}/{{job}}/film", _film, "The film", TAG, Access.NODE, raw=_RAW, query=FilmQuery,
          status=204, problems=("job_lost", "body_too_large", "store_unavailable"), name="worker_give_film"),
)  # fmt: skip
