"""What changes, as server-sent events: of one broadcast for those who may watch it, of everything for ops."""

from __future__ import annotations

import math

from aiohttp import web

from orchestrator import feed
from orchestrator.api.broadcasts import ONE, describe
from orchestrator.api.route import Access, Route, context
from orchestrator.keys import Scope

TAG = "Events"


async def of_broadcast(request: web.Request) -> web.StreamResponse:
    at = context(request)
    broadcast = at.broadcast(request)

    def admit() -> float:
        at.ask_again(request)
        now = at.hub.broadcasts.find(broadcast.id)
        if now is None:
            return math.inf  # it is over: nothing more to see
        at.require_seen(request, now.id)
        return at.require_watch(request, now)

    state = describe(at, request, broadcast).model_dump(mode="json")
    return await feed.stream(
        request, at.hub.feed, broadcast.id, feed.Event("state", broadcast.id, state), admit
    )


async def _all(request: web.Request) -> web.StreamResponse:
    at = context(request)
    first = feed.Event("hello", None, {"orchestrator": at.hub.id, "version": at.hub.version})

    def admit() -> float:
        at.ask_again(request)
        at.require_admin(request)
        return math.inf

    def wants(event: feed.Event) -> bool:
        key = at.caller(request).key
        if key is None or key.only is None:
            return True
        return event.broadcast is not None and at.sees(request, event.broadcast)

    return await feed.stream(request, at.hub.feed, None, first, admit, wants)


ROUTES = (
    Route(
        "GET", f"{ONE}/events", of_broadcast, "What happens to a broadcast (server-sent events)", TAG, Access.WATCH,
        answer="text/event-stream",
    ),
    Route(
        "GET", "/api/events", _all, "Everything that happens (server-sent events)", TAG, Access.ADMIN,
        answer="text/event-stream", scope=Scope.READ, name="events_follow",
    ),
)  # fmt: skip
