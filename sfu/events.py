"""Server-sent events of a WHEP session: mode changes, viewer count, captions, chat, layers, silence (WHEP's SSE extension).

GET of the URL in the Link header gives all events. As the extension has it, a POST with a JSON array chooses some of them, and the
201's Location gives only those.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress

from aiohttp import web

from common.errors import BadRequest, NotFound
from common.http import read_body
from sfu.viewers import Viewer

EXTENSION = "urn:ietf:params:whep:ext:core:server-sent-events"
NAMES = "mode,viewercount,caption,chat,layers,active,inactive,reconnect"
_KNOWN = frozenset(NAMES.split(","))
_COMMENT_S = 15.0
_MOST_CHOICES = 4
_CHOICE_BYTES = 1024


async def choose_events(request: web.Request, viewer: Viewer) -> web.Response:
    """Makes an event stream of the events that the body names (all, without a body): 201 with its Location. Raises BadRequest."""
    body = await read_body(request, _CHOICE_BYTES, "a choice of events")
    try:
        names = json.loads(body) if body else list(_KNOWN)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) and name in _KNOWN for name in names):
        raise BadRequest(
            "the body must be a JSON array of events that this server has",
            code="bad_events",
            hint=f"there are: {NAMES}",
        )
    while len(viewer.choices) >= _MOST_CHOICES:
        viewer.choices.pop(next(iter(viewer.choices)))
    choice = secrets.token_urlsafe(9)
    viewer.choices[choice] = frozenset(names)
    path = request.rel_url.path.rstrip("/")
    return web.Response(status=201, headers={"Location": f"{path}/{choice}", "Cache-Control": "no-store"})


def drop_choice(request: web.Request, viewer: Viewer) -> None:
    """Ends an event stream that `choose_events` made. Raises NotFound."""
    _chosen(request, viewer)
    del viewer.choices[request.match_info["choice"]]
    viewer.put(None)


def _chosen(request: web.Request, viewer: Viewer) -> frozenset[str]:
    choice = request.match_info.get("choice")
    if choice is None:
        return _KNOWN
    if choice not in viewer.choices:
        raise NotFound("there is no such event stream", code="events_unknown", hint="POST to make one")
    return viewer.choices[choice]


async def serve_events(request: web.Request, viewer: Viewer) -> web.StreamResponse:
    """Answers with the session's events until it ends. One reader a session; a second one takes turns with the first."""
    wanted = _chosen(request, viewer)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "Access-Control-Allow-Origin": "*",
        }
    )
    await response.prepare(request)
    with suppress(ConnectionResetError):  # a page that is closed takes its stream with it
        await response.write(b"retry: 1000\n\n")
        while True:
            try:
                message = await asyncio.wait_for(viewer.waiting.get(), _COMMENT_S)
            except TimeoutError:
                message = b": here\n\n"
            if message is None:
                break
            if not message.startswith(b"event: ") or _name_of(message) in wanted:
                await response.write(message)
        await response.write_eof()
    return response


def _name_of(message: bytes) -> str:
    return message.partition(b"\n")[0].removeprefix(b"event: ").decode()
