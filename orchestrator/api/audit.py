"""/api/audit: what operators and publishers did, and what notes it."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, Field

from common.errors import Problem
from orchestrator.api.route import Access, Handler, Query, Route, context, json, read_query
from orchestrator.audit import PATH, Actor, Audit, AuditRow, Entry

TAG = "Audit"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class AuditPage(Query):
    """Paging."""

    limit: int = Field(100, ge=1, le=1000)
    before: int | None = Field(None, ge=1, le=2**53, description="The `next` of the page before.")


class AuditList(BaseModel):
    """A page of the audit log, newest first."""

    entries: list[Entry]
    next: int | None = Field(description="`before` of the next page, null on the last.")


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, AuditPage)
    at.require_admin(request)
    await at.audit.flush()
    entries = await at.audit.page(page.limit + 1, page.before)
    found = entries[: page.limit]
    return json(AuditList(entries=found, next=found[-1].id if len(entries) > len(found) else None))


def audited(route: Route, handler: Handler, audit: Audit) -> Handler:
    """`handler`, with a note of what came of it, where the route changes something and somebody is responsible."""
    if route.method in _READS or route.access not in (Access.ADMIN, Access.PUBLISHER, Access.TALK):
        return handler

    async def handle(request: web.Request) -> web.StreamResponse:
        status, made = 500, ""
        try:
            answer = await handler(request)
            status, made = answer.status, urlsplit(answer.headers.get("Location", "")).path
            return answer
        except Problem as problem:
            status = problem.status
            raise
        finally:
            actor = _actor(request)
            if actor is not None:
                audit.note(
                    AuditRow(
                        at=dt.datetime.now(dt.UTC),
                        actor=actor.value,
                        address=str(context(request).address(request) or ""),
                        method=request.method,
                        path=request.path[:PATH],
                        status=status,
                        made=made[:PATH],
                    )
                )

    return handle


def _actor(request: web.Request) -> Actor | None:
    at = context(request)
    if at.is_admin(request):
        return Actor.ADMIN
    broadcast = at.hub.broadcasts.find(request.match_info.get("broadcast", ""))
    if broadcast is None or "Authorization" not in request.headers:
        return None
    with suppress(Problem):
        at.require_publisher(request, broadcast)
        return Actor.PUBLISHER
    return None


ROUTES = (
    Route("GET", "/api/audit", _list, "Who did what, newest first", TAG, Access.ADMIN, answer=AuditList, query=AuditPage),
)  # fmt: skip
