"""/api/audit: what operators, API keys and publishers did, and what notes it."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, Field

from common.errors import Problem
from orchestrator.api.paging import Page, json_page
from orchestrator.api.route import Access, Handler, Route, context, read_query
from orchestrator.audit import PATH, Actor, Audit, AuditRow, Entry

TAG = "Audit"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class AuditPage(Page):
    """Which page, newest first."""

    after: str = Field("", pattern="^[0-9]{0,15}$", description="The `next` of the page before.")


class AuditList(BaseModel):
    """A page of the audit log, newest first."""

    entries: list[Entry]
    next: str | None = Field(description="`after` of the next page, null on the last.")


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, AuditPage)
    await at.audit.flush()
    entries = await at.audit.page(page.limit + 1, int(page.after) if page.after else None)
    found = entries[: page.limit]
    after = str(found[-1].id) if len(entries) > len(found) else None
    return json_page(request, AuditList(entries=found, next=after), after)


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
            key = context(request).caller(request).key
            if actor is not None:
                audit.note(
                    AuditRow(
                        at=dt.datetime.now(dt.UTC),
                        actor=actor.value,
                        key_id=key.id if key is not None else "",
                        key_name=key.name if key is not None else "",
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
    caller = at.caller(request)
    if caller.root or caller.key is not None:
        return Actor.ADMIN if caller.root else Actor.KEY
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
