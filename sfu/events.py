"""Server-sent events of a WHEP session: mode changes, viewer count, captions, chat, layers (WHEP's SSE extension)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from common.errors import NotFound
from sfu.viewers import Viewers

EXTENSION = "urn:ietf:params:whep:ext:core:server-sent-events"
NAMES = "mode,viewercount,caption,chat,layers"
_COMMENT_S = 15.0


async def serve_events(request: web.Request, viewers: Viewers, session: str) -> web.StreamResponse:
    """Answers with the session's events until it ends. One reader a session; a second one takes turns with the first."""
    viewer = viewers.find(session)
    if viewer is None:
        raise NotFound(
            "there is no such session on this node",
            code="session_unknown",
            hint="join again: POST to the WHEP URL",
        )
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
            await response.write(message)
        await response.write_eof()
    return response
