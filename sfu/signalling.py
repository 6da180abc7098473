"""What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) have in common: bodies, entity tags, headers, refusals."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from common._native import SfuError
from common.errors import BadRequest, NotFound, Problem
from common.ids import parse_broadcast_id

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"

MAX_SDP_BYTES = 64 * 1024
"""A browser's offer with every codec has about 8 kB."""

SERVER_SENT_EVENTS = "urn:ietf:params:whep:ext:core:server-sent-events"


def stream_of(request: web.Request) -> str:
    """The stream that the path names. Raises NotFound for a name that no broadcast can have."""
    try:
        return parse_broadcast_id(request.match_info["stream"])
    except ValueError as error:
        raise NotFound(str(error), code="broadcast_unknown") from None


async def read_text(request: web.Request, content_type: str) -> str:
    """The body, which must be of `content_type`, not empty, and at most 64 kB of UTF-8. Raises BadRequest (400, 413, 415)."""
    if request.content_type != content_type:
        raise BadRequest(
            f"the body must be {content_type}, not {request.content_type}",
            status=415,
            code="unsupported_media_type",
            hint=f"send 'Content-Type: {content_type}'",
            headers={"Accept-Patch" if content_type == FRAGMENT else "Accept-Post": content_type},
        )
    if (request.content_length or 0) > MAX_SDP_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > MAX_SDP_BYTES:
            raise _too_large()
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8", code="bad_sdp") from None
    if not text.strip():
        raise BadRequest(
            "the body is empty",
            code="bad_sdp",
            hint="this server answers offers: POST your SDP offer",
        )
    return text


def _too_large() -> Problem:
    return BadRequest(f"the body is longer than {MAX_SDP_BYTES} bytes", status=413, code="body_too_large")


def check_if_match(request: web.Request, etag: str) -> None:
    """RFC 9725 section 4.3.1: a PATCH names the ICE session that it is for; "*" is any, for a restart.

    Raises BadRequest 428 (no If-Match) or 412 (another session's).
    """
    given = request.headers.get("If-Match")
    if given is None:
        raise BadRequest(
            "the PATCH does not say for which ICE session it is",
            status=428,
            code="precondition_required",
            hint="send the ETag of the 201 as If-Match, or '*' to restart ICE",
        )
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in given.split(",")]
    if "*" not in tags and etag not in tags:
        raise BadRequest(
            "the PATCH is for an ICE session that is over",
            status=412,
            code="precondition_failed",
            hint="use the newest ETag, or '*' to restart ICE",
            headers={"ETag": quoted(etag)},
        )


def quoted(etag: str) -> str:
    """The entity tag as the header wants it."""
    return f'"{etag}"'


def refusal(error: SfuError) -> Problem:
    """What the peer is told when the core refuses."""
    hints = {
        "bad_sdp": "the detail says what is missing",
        "no_common_codec": "offer H.264 for video and Opus for audio",
        "stream_unknown": "is it live? ask again when it is",
        "full": "ask the orchestrator for another node",
    }
    code = "broadcast_unknown" if error.code == "stream_unknown" else error.code
    return Problem(
        str(error),
        status=error.status,
        code=code,
        hint=hints.get(error.code),
        retry_after_s=error.retry_after_s,
    )


def created(location: str, sdp: str, etag: str, links: Collection[str] = ()) -> web.Response:
    """201 with the answer. `location` is a path; `links` are whole Link values."""
    response = web.Response(
        status=201,
        body=sdp.encode(),
        content_type=SDP,
        headers={"Location": location, "ETag": quoted(etag), "Cache-Control": "no-store"},
    )
    response.headers["Accept-Patch"] = FRAGMENT
    for link in links:
        response.headers.add("Link", link)
    return response


def patched(result: tuple[str, str] | None) -> web.Response:
    """204 for candidates taken, 200 with our fragment and the new ETag for an ICE restart."""
    if result is None:
        return web.Response(status=204)
    fragment, etag = result
    return web.Response(
        status=200, body=fragment.encode(), content_type=FRAGMENT, headers={"ETag": quoted(etag)}
    )


def ice_server_links(urls: Collection[str]) -> list[str]:
    """Link values for STUN and TURN servers (RFC 9725 section 4.6)."""
    return [f'<{url}>; rel="ice-server"' for url in urls]
