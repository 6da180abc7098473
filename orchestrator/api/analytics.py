"""/api/broadcasts/{broadcast}/analytics: who watched, how long, from where, how well. Also of a broadcast that is over."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from aiohttp import web
from pydantic import AwareDatetime, Field

from common.errors import BadRequest
from common.registry import RegistryDown
from orchestrator.analytics.figures import POINTS, Analytics, Sums, as_csv, step_of
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Query, Route, context, json, read_query
from orchestrator.broadcasts import Broadcast
from orchestrator.keys import Scope

TAG = "Figures"
_LONGEST = dt.timedelta(days=400)


class AnalyticsQuery(Query):
    """Which part of it."""

    since: AwareDatetime | None = Field(
        None, alias="from", description="ISO 8601 with a zone; the broadcast's begin when missing."
    )
    until: AwareDatetime | None = Field(
        None, alias="to", description="ISO 8601 with a zone; its end, or now, when missing."
    )
    step: int | None = Field(
        None, ge=60, le=86_400, description="Seconds; at least an hour for what is older than two days."
    )


async def _figures(request: web.Request) -> Analytics:
    at, query = context(request), read_query(request, AnalyticsQuery)
    name = request.match_info["broadcast"]
    broadcast, ended_at = await _found(request, name)
    at.require_publisher(request, broadcast)
    now = dt.datetime.now(dt.UTC)
    until = min(now, query.until or now, ended_at or now)
    since = max(broadcast.created_at, query.since or broadcast.created_at, until - _LONGEST)
    since = min(since, until).replace(second=0, microsecond=0)
    step_s = step_of(since, until, query.step, now)
    if (until - since).total_seconds() / step_s > POINTS:
        raise BadRequest(
            f"from, to and step make more than {POINTS} points",
            status=422,
            code="too_many_points",
            hint=f"ask for a step of {int((until - since).total_seconds() / POINTS) + 60} seconds or more",
        )
    sums = Sums(step_s)
    begin = dt.datetime.fromtimestamp(int(since.timestamp()) // step_s * step_s, dt.UTC)
    # An hour that the broadcast began in begins before it.
    async for entry in at.recorder.ledger.read(name, begin, until):
        sums.add(entry)
    for entry in at.recorder.pending(name):
        if begin <= entry.at < until:
            sums.add(entry)
    watching: list[float] = []
    if ended_at is None and until == now:
        with suppress(RegistryDown):
            watching = await at.hub.registry.watching(name)
    return sums.figures(name, since, until, watching)


async def _found(request: web.Request, name: str) -> tuple[Broadcast, dt.datetime | None]:
    broadcasts = context(request).hub.broadcasts
    live = broadcasts.find(name)
    return (live, None) if live is not None else await broadcasts.past(name)


async def _json(request: web.Request) -> web.Response:
    return json(await _figures(request))


async def _csv(request: web.Request) -> web.Response:
    told = await _figures(request)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{told.broadcast}-analytics.csv"',
    }
    return web.Response(text=as_csv(told), content_type="text/csv", charset="utf-8", headers=headers)


ROUTES = (
    Route(
        "GET", f"{ONE}/analytics", _json, "Who watched, how long, from where, how well; also of one that is over", TAG,
        Access.PUBLISHER, answer=Analytics, query=AnalyticsQuery, problems=("too_many_points",), scope=Scope.READ,
    ),
    Route(
        "GET", f"{ONE}/analytics.csv", _csv, "The same points as a table", TAG, Access.PUBLISHER,
        answer="text/csv", query=AnalyticsQuery, problems=("too_many_points",), scope=Scope.READ,
    ),
)  # fmt: skip
