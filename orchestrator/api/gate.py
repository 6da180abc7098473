"""The gate before every route: finds out who calls, holds API keys to their scopes, names and limits, and tells them what is left.

Authorization ──► admin token ─► operator: everything, no limit
              ├─► avk_...     ─► key: its limits, then the scope that the route needs and the names that it covers
              └─► anything    ─► the handler asks for the token that it needs
"""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from common.auth import bearer, require_admin
from common.errors import Forbidden, Problem, TooMany
from common.metrics import counter
from orchestrator.api.route import CALLER, Access, Caller, Context, Handler, Route, context
from orchestrator.keys import Key, is_key
from orchestrator.limits import Count, headers

_REFUSED = counter("avacast_key_refusals_total", "Requests that API keys were refused", ("code",))
_NAMED = frozenset({"broadcast", "session"})
"""What paths call a broadcast or a session."""
_COUNTS = web.RequestKey("counts", list[Count])


def known(route: Route, handler: Handler) -> Handler:
    """`handler`, told who calls. Raises Unauthorized for a key that is none (any more), TooMany for one that calls too often."""

    async def handle(request: web.Request) -> web.StreamResponse:
        at = context(request)
        caller = request[CALLER] = await _caller(at, request, route)
        if caller.key is None:
            return await handler(request)
        try:
            if route.access is not Access.NODE:  # a node's lease must not hang on a limit
                await _spend(at, request, route, caller.key)
            return await handler(request)
        except (Forbidden, TooMany) as refusal:
            _REFUSED.labels(refusal.code).inc()
            raise

    return handle


def admitted(route: Route, handler: Handler) -> Handler:
    """`handler`, where it is the operators' for them and for keys with its scope only, and where the path names a broadcast or session
    not for keys that are limited to others. Raises Unauthorized, Forbidden."""

    async def handle(request: web.Request) -> web.StreamResponse:
        at = context(request)
        if route.access is Access.ADMIN:
            at.require_admin(request)
        for kind in _NAMED & request.match_info.keys():
            at.require_seen(request, request.match_info[kind])
        return await handler(request)

    return handle


async def _caller(at: Context, request: web.Request, route: Route) -> Caller:
    token = None
    with suppress(Problem):  # another scheme; who needs a token says so
        token = bearer(request.headers.get("Authorization"))
    if token is None:
        return Caller()
    if is_key(token):
        return Caller(key=await at.keys.check(token), needs=route.needs)
    with suppress(Problem):
        require_admin(f"Bearer {token}", at.admin_token)
        return Caller(root=True)
    return Caller()


async def _spend(at: Context, request: web.Request, route: Route, key: Key) -> None:
    counts = request[_COUNTS] = []
    own = {"request": key.requests_per_minute, "make": key.makes_per_minute}
    for name in ("request", route.limit):
        if name is not None and (name == "request" or key.may(route.needs)):
            count = await at.limits.spend(name, key.id, own[name])
            counts += [count] if count is not None else []


async def tell_limits(request: web.Request, response: web.StreamResponse) -> None:
    """Puts what is left to an API key on every answer to it; a refusal has told already."""
    counts = request.get(_COUNTS)
    if counts and "RateLimit" not in response.headers:
        response.headers.update(headers(counts))
