"""HTTP of every role: an aiohttp application with problem+json, CORS, /health /ready /metrics, and a site that serves it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from aiohttp import StreamReader, web
from pydantic import BaseModel, ValidationError

from common import metrics, policy
from common.errors import BadRequest, Problem
from common.log import log

_log = log("http")
_Model = TypeVar("_Model", bound=BaseModel)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EXPOSED = "Location, ETag, Link, Retry-After, Date, Age, RateLimit, RateLimit-Policy"
_DATA = frozenset({"application/json", "application/problem+json"})
MAX_BODY_BYTES = 256 * 1024
STARTED = time.time()

REQUESTS = metrics.counter("http_requests_total", "HTTP requests answered", ("role", "method", "status"))
_SECONDS = metrics.histogram(
    "http_request_seconds", "Time to answer", (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0), ("role",)
)

Facts = Callable[[], dict[str, Any]]
"""What a role adds to its /health; `{"ready": False}` makes /ready answer 503."""

ROLE = web.AppKey("role", str)
FACTS: web.AppKey[Facts] = web.AppKey("facts")


class RoleHandle(Protocol):
    """A started role: its application, to be served or mounted, and its end."""

    @property
    def app(self) -> web.Application: ...

    async def close(self) -> None: ...


def problem_response(problem: Problem) -> web.Response:
    """The problem+json answer of a Problem, CORS included, so that a browser's page can read what went wrong."""
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", **problem.headers}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    return web.Response(
        status=problem.status,
        body=json.dumps(problem.body()).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


def _as_problem(error: web.HTTPException) -> Problem:
    codes = {
        404: "not_found",
        405: "method_not_allowed",
        413: "body_too_large",
        415: "unsupported_media_type",
    }
    return Problem(error.reason, status=error.status, code=codes.get(error.status, "bad_request"))


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    started = time.perf_counter()
    status = 500
    role = request.config_dict.get(ROLE, "")
    try:
        response = await handler(request)
        status = response.status
        return response
    except Problem as problem:
        status = problem.status
        return problem_response(problem)
    except web.HTTPException as error:
        status = error.status
        if status < 400:
            raise
        if isinstance(error, web.HTTPMethodNotAllowed) and "Access-Control-Request-Method" in request.headers:
            status = 200  # a browser asks for a page of another site
            return preflight(", ".join(sorted(error.allowed_methods)))
        answer = problem_response(_as_problem(error))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except ConnectionResetError:
        raise
    except Exception as error:
        _log.error("request_failed", path=request.path, method=request.method, exc_info=error)
        return problem_response(
            Problem("the server failed on this request; it has been logged", hint="try again later")
        )
    finally:
        REQUESTS.labels(role, request.method, str(status)).inc()
        _SECONDS.labels(role).observe(time.perf_counter() - started)


async def _cors(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("Access-Control-Allow-Origin", "*")
    response.headers.setdefault("Access-Control-Expose-Headers", _EXPOSED)
    for name, value in policy.HEADERS.items():
        response.headers.setdefault(name, value)
    if response.content_type in _DATA:
        response.headers.setdefault("Content-Security-Policy", policy.DATA)


def preflight(methods: str, **more: str) -> web.Response:
    """The answer to OPTIONS: which methods, any origin, for a day. `more` are headers, '_' for '-'. 200, as WHIP and WHEP have it."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, Idempotency-Key",
        "Access-Control-Max-Age": "86400",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return web.Response(status=200, headers=headers)


async def _health(request: web.Request) -> web.Response:
    facts = request.config_dict[FACTS]()
    return web.json_response(
        {
            "status": "ok",
            "role": request.config_dict[ROLE],
            "uptime_s": round(time.time() - STARTED, 1),
            **facts,
        }
    )


async def _ready(request: web.Request) -> web.Response:
    ready = bool(request.config_dict[FACTS]().get("ready", True))
    return web.json_response({"ready": ready}, status=200 if ready else 503)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


def application(role: str, facts: Facts = dict, *, max_body_bytes: int = MAX_BODY_BYTES) -> web.Application:
    """An application of `role` with problems, CORS and the three routes that every role has."""
    app = web.Application(middlewares=[_problems], client_max_size=max_body_bytes)
    app[ROLE] = role
    app[FACTS] = facts
    app.on_response_prepare.append(_cors)
    app.router.add_get("/health", _health)
    app.router.add_get("/ready", _ready)
    app.router.add_get("/metrics", _metrics)
    return app


async def read_up_to(body: StreamReader, limit: int) -> bytes:
    """A body to its end, or its first `limit` bytes. A single `read(limit)` gives no more than the first segment that came."""
    parts, left = [], limit
    while left > 0 and (part := await body.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


async def read_body(request: web.Request, limit: int, what: str) -> bytes:
    """The request's body. Raises BadRequest (413) when `what` ("an SDP") has more than `limit` bytes, and reads no further."""
    body = await read_up_to(request.content, limit + 1)
    if len(body) > limit:
        raise BadRequest(f"{what} has at most {limit} bytes", status=413, code="body_too_large")
    return body


def byte_range(request: web.Request, size: int) -> tuple[int, int, bool]:
    """What a Range header asks for of `size` bytes: begin, end, and whether it does; one that is not understood does not. Raises
    BadRequest (416)."""
    try:
        asked = request.http_range
    except ValueError:
        return 0, size, False
    if asked.start is None and asked.stop is None:
        return 0, size, False
    start = asked.start or 0
    if start < 0:
        start = max(0, size + start)
    end = size if asked.stop is None else min(size, asked.stop)
    if start >= end:
        raise BadRequest(
            f"there are {size} bytes",
            status=416,
            code="range_not_satisfiable",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end, True


async def read_model(request: web.Request, model: type[_Model], most_bytes: int = 0) -> _Model:
    """The request's JSON body as `model`; `most_bytes` where it may be larger than all others (what is beyond is not read). Raises
    BadRequest: not JSON (400), or not valid (422) with the fields named."""
    try:
        body = await (read_up_to(request.content, most_bytes) if most_bytes else request.read())
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(one["type"] == "json_invalid" for one in problems):
            raise BadRequest("the body is not JSON", code="bad_json") from None
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in problems[:8])
        raise BadRequest(told, status=422, code="invalid_body") from None


class Site:
    """An HTTP listener, at `further` ports too. `port` and `further` are the bound ones (0 asks the system for a free one)."""

    def __init__(self, app: web.Application, host: str, port: int, further: Sequence[int] = ()) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)
        self._host = host
        self.port = port
        self.further = tuple(further)

    async def start(self) -> None:
        """Binds and serves. Raises OSError with the address when a port is taken; then none is held."""
        await self._runner.setup()
        try:
            self.port, *further = [await self._bind(port) for port in (self.port, *self.further)]
        except OSError:
            await self._runner.cleanup()
            raise
        self.further = tuple(further)

    async def _bind(self, port: int) -> int:
        site = web.TCPSite(self._runner, self._host, port, backlog=1024, reuse_address=True)
        await site.start()
        sockets = getattr(site._server, "sockets", None)
        return int(sockets[0].getsockname()[1]) if sockets else port

    async def close(self) -> None:
        """Stops listening, ends open responses within a second."""
        await self._runner.cleanup()
