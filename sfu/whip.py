"""WHIP: publishers bring a stream (RFC 9725)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Publication:
    """One WHIP session on this node. `host`: the Host header that it came with, the name by which it reaches this machine."""

    session: str
    stream: str
    etag: str
    host: str | None = None


class Whip:
    """The handlers; add the routes with `add_to`."""

    def __init__(
        self, worker: Worker, *, admission: Admission | None = None, ice: IceServers | None = None
    ) -> None:
        self._worker = worker
        self._ice = ice or IceServers()
        self._admission = admission or Everybody()
        self._sessions: dict[str, Publication] = {}
        worker.listen(self._heard)

    def add_to(self, app: web.Application) -> None:
        """Adds the WHIP routes to an application."""
        add_endpoint(app.router, "whip", self._publish, self._patch, self._end)

    def publishing(self, stream: str) -> bool:
        """True while a publisher's session is open for the stream."""
        return any(one.stream == stream for one in self._sessions.values())

    def __iter__(self) -> Iterator[Publication]:
        return iter(list(self._sessions.values()))

    def find(self, session: str) -> Publication | None:
        """The publisher's session with this name."""
        return self._sessions.get(session)

    def leave(self, session: str) -> None:
        """Ends a publisher's session."""
        if self._sessions.pop(session, None) is not None:
            with contextlib.suppress(SessionUnknown):
                self._worker.sfu.close(session)

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
        host = request.headers.get("Host")
        self._sessions[answer.session] = Publication(answer.session, stream, answer.etag, host)
        return created(request, answer, self._ice.links())

    def _session(self, request: web.Request) -> Publication:
        found = self._sessions.get(session_of(request))
        if found is None or found.stream != stream_of(request):
            raise NotFound(
                "there is no such session on this node",
                code="session_unknown",
                hint="publish again: POST to the WHIP URL",
            )
        return found

    async def _patch(self, request: web.Request) -> web.Response:
        found = self._session(request)
        response = await patch(request, self._worker, found.session, found.etag)
        if found.session in self._sessions:  # it may have ended meanwhile
            etag = newest_etag(response, found.etag)
            self._sessions[found.session] = replace(found, etag=etag)
        return response

    async def _end(self, request: web.Request) -> web.Response:
        self.leave(self._session(request).session)
        return web.Response(status=200)
