"""What WHIP and WHEP have in common over HTTP (RFC 9725, draft-ietf-wish-whep): offers, answers, PATCH, DELETE, OPTIONS."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from common._native import Answer, SfuError
from common.errors import BadRequest, Problem
from common.http import preflight, read_body
from common.ids import parse_broadcast_id, parse_token_id
from sfu.worker import Worker, problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_SDP_BYTES = 64 * 1024
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
_ETAG = re.compile(r'"?([^"\s,]{1,128})"?')


def stream_of(request: web.Request) -> str:
    """The stream that the path names. Raises BadRequest."""
    try:
        return parse_broadcast_id(request.match_info["stream"])
    except ValueError as error:
        raise BadRequest(str(error), code="bad_broadcast_id") from None


def session_of(request: web.Request) -> str:
    """The session that the path names. Raises BadRequest."""
    try:
        return parse_token_id(request.match_info["session"])
    except ValueError as error:
        raise BadRequest(str(error), code="bad_session_id") from None


async def read_sdp(request: web.Request, media_type: str = SDP) -> str:
    """The body, of `media_type` and of bounded size. Raises BadRequest (415, 413, 400)."""
    if request.content_type != media_type:
        raise BadRequest(
            f"the body must be {media_type}, this is {request.content_type}",
            status=415,
            code="unsupported_media_type",
            headers={"Accept-Post" if request.method == "POST" else "Accept-Patch": media_type},
        )
    body = await read_body(request, MAX_SDP_BYTES, "an SDP")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8 text", code="bad_sdp") from None


async def options(_request: web.Request) -> web.Response:
    """OPTIONS of an endpoint or a session."""
    return preflight(
        "POST, GET, HEAD, PATCH, DELETE, OPTIONS",
        Accept_Post=SDP,
        Accept_Patch=FRAGMENT,
    )


async def endpoint_here(_request: web.Request) -> web.Response:
    """GET and HEAD of an endpoint: nothing, of the type by which players find out what the URL is (WHEP, discoverability)."""
    return web.Response(status=200, content_type=SDP)


async def nothing_here(_request: web.Request) -> web.Response:
    """GET of a session: it has no representation (RFC 9725 4.1)."""
    return web.Response(status=204)


def add_endpoint(router: web.UrlDispatcher, name: str, post: Handler, patched: Handler, end: Handler) -> None:
    """The routes of `/{name}/{stream}`, which takes offers, and of its sessions."""
    endpoint, session = f"/{name}/{{stream}}", f"/{name}/{{stream}}/{{session}}"
    router.add_post(endpoint, post)
    router.add_get(endpoint, endpoint_here)
    router.add_options(endpoint, options)
    router.add_patch(session, patched)
    router.add_get(session, nothing_here)
    router.add_delete(session, end)
    router.add_options(session, options)


def created(
    request: web.Request,
    answer: Answer,
    links: tuple[str, ...] = (),
    *,
    status: int = 201,
    patched: str = FRAGMENT,
) -> web.Response:
    """`201` with the answer, or another `status` with an offer. Location is relative to the request's path, so that it holds below
    any prefix. `patched` is what a PATCH of the session takes next."""
    path = request.rel_url.path.rstrip("/")
    response = web.Response(
        status=status,
        body=answer.sdp.encode(),
        content_type=SDP,
        headers={
            "Location": f"{path}/{answer.session}",
            "ETag": f'"{answer.etag}"',
            "Accept-Patch": patched,
            "Cache-Control": "no-store",
        },
    )
    for link in links:
        response.headers.add("Link", link)
    return response


async def patch(request: web.Request, worker: Worker, session: str, etag: str) -> web.Response:
    """Trickle (204) or an ICE restart (200; `newest_etag` has its ETag). `If-Match` must name the current ICE session, or be `*`
    (RFC 9725 4.3.1)."""
    match = request.headers.get("If-Match")
    if match is None:
        raise BadRequest(
            "a PATCH must say by If-Match which ICE session it is for",
            status=428,
            code="precondition_required",
            hint="send the newest ETag, or * for an ICE restart",
        )
    if match.strip() != "*":
        named = _ETAG.fullmatch(match.strip())
        if named is None or (etag and named[1] != etag):
            raise BadRequest(
                "If-Match names an ICE session that is over",
                status=412,
                code="precondition_failed",
                hint="use the newest ETag",
            )
    fragment = await read_sdp(request, FRAGMENT)
    try:
        restarted = worker.sfu.trickle(session, fragment)
    except SfuError as error:
        raise problem(error) from None
    if restarted is None:
        return web.Response(status=204)  # without an ETag: the ICE session is the same
    answer, new_etag = restarted
    return web.Response(
        status=200,
        body=answer.encode(),
        content_type=FRAGMENT,
        headers={"ETag": f'"{new_etag}"', "Cache-Control": "no-store"},
    )


async def patch_answer(request: web.Request, worker: Worker, session: str) -> web.Response:
    """The viewer's answer to an offer of ours: 204 (WHEP, counter-offers)."""
    try:
        worker.sfu.accept(session, await read_sdp(request))
    except SfuError as error:
        raise problem(error) from None
    return web.Response(status=204)


def newest_etag(response: web.Response, etag: str) -> str:
    """The ETag of a session after the reply to a PATCH; `etag` was its one before."""
    return response.headers["ETag"].strip('"') if response.status == 200 else etag


def refused(error: SfuError) -> Problem:
    """The core's refusal of an offer, with what to do about it."""
    told = problem(error)
    if told.status == 503 and told.retry_after_s is None:
        told.retry_after_s = 2.0
    return told
