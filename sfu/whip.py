"""WHIP: publishers bring a stream (RFC 9725)."""

from __future__ import annotations

import contextlib

from aiohttp import web

from common._native import SessionUnknown, SfuError
from common.errors import NotFound
from sfu.admission import Admission, Everybody
from sfu.ice_servers import IceServers
from sfu.session import (
    add_endpoint,
    created,
    newest_etag,
    patch,
    read_sdp,
    refused,
    session_of,
    stream_of,
)
from sfu.worker import Event, Worker


class Whip:
    """The handlers; add the routes with `add_to`."""

    def __init__(
        self, worker: Worker, *, admission: Admission | None = None, ice: IceServers | None = None
    ) -> None:
        self._worker = worker
        self._ice = ice or IceServers()
        self._admission = admission or Everybody()
        self._sessions: dict[str, tuple[str, str]] = {}
        worker.listen(self._heard)

    def add_to(self, app: web.Application) -> None:
        """Adds the WHIP routes to an application."""
        add_endpoint(app.router, "whip", self._publish, self._patch, self._end)

    def publishing(self, stream: str) -> bool:
        """True while a publisher's session is open for the stream."""
        return any(one == stream for one, _ in self._sessions.values())

    def holds(self, session: str) -> bool:
        """True while the session is a publisher's of this node."""
        return session in self._sessions

    def _heard(self, event: Event) -> None:
        if event["type"] == "session_closed":
            self._sessions.pop(event["session"], None)

    async def _publish(self, request: web.Request) -> web.Response:
        stream = stream_of(request)
        await self._admission.admit_publisher(request, stream)
        offer = await read_sdp(request)
        try:
            answer = self._worker.sfu.publish(stream, offer)
        except SfuError as error:
            raise refused(error) from None
        self._sessions[answer.session] = (stream, answer.etag)
        return created(request, answer, self._ice.links())

    def _session(self, request: web.Request) -> tuple[str, str]:
        session = session_of(request)
        stream, etag = self._sessions.get(session, ("", ""))
        if stream != stream_of(request):
            raise NotFound(
                "there is no such session on this node",
                code="session_unknown",
                hint="publish again: POST to the WHIP URL",
            )
        return session, etag

    async def _patch(self, request: web.Request) -> web.Response:
        session, etag = self._session(request)
        response = await patch(request, self._worker, session, etag)
        if session in self._sessions:  # it may have ended meanwhile
            self._sessions[session] = (stream_of(request), newest_etag(response, etag))
        return response

    async def _end(self, request: web.Request) -> web.Response:
        session, _ = self._session(request)
        self._sessions.pop(session, None)
        with contextlib.suppress(SessionUnknown):
            self._worker.sfu.close(session)
        return web.Response(status=200)
