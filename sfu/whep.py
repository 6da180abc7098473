"""WHEP: viewers and nodes take a stream (draft-ietf-wish-whep), with its server-sent events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from common._native import SessionUnknown, SfuError, StreamUnknown
from common.directory import Health
from common.errors import BadRequest, NotFound, Problem
from common.http import REQUESTS, read_body
from common.ids import parse_token_id
from common.metrics import counted, counter, histogram, summed
from sfu.admission import Admission, Everybody, Here, Source
from sfu.events import EXTENSION, NAMES, choose_events, drop_choice, serve_events
from sfu.ice_servers import IceServers
from sfu.layers import EXTENSION as LAYER_EXTENSION
from sfu.layers import MAX_CHOICE_BYTES, layers_event, media_id_of, parse_choice, video_layers
from sfu.session import (
    SDP,
    add_endpoint,
    created,
    newest_etag,
    options,
    patch,
    patch_answer,
    read_sdp,
    refused,
    session_of,
    stream_of,
)
from sfu.viewers import Viewer, ViewerRole, Viewers
from sfu.worker import Event, Worker, problem

if TYPE_CHECKING:
    from common._native import Answer, LayerStats

HOPS_HEADER = "Avacast-Hops"
_MAX_HOPS = 8

_NOT_LIVE_S = 2.0
"""When to come again to a stream that nobody publishes at the moment."""

_JOINS = counter("whep_joins_total", "WHEP offers answered", ("role",))
_ANSWER = histogram(
    "whep_answer_seconds", "From an offer to its answer", (0.002, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0, 3.0)
)


def health() -> Health:
    """What joins of this process's nodes tell of how they fare. A refusal, such as that nobody publishes, is no error; a 500 is."""
    seconds, count = summed(_ANSWER)
    failed = counted(REQUESTS, method="POST", status="500")
    return Health(
        requests=int(counted(_JOINS) + failed),
        errors=int(failed),
        latency_total_ms=seconds * 1000,
        latency_count=count,
    )


class Whep:
    """The handlers. `viewers` is who watches, `refuses` hears why an offer was refused; add the routes with `add_to`."""

    def __init__(
        self,
        worker: Worker,
        *,
        admission: Admission | None = None,
        source: Source | None = None,
        viewers: Viewers | None = None,
        ice: IceServers | None = None,
        refuses: Callable[[SfuError], None] | None = None,
    ) -> None:
        self._worker = worker
        self._refuses = refuses or (lambda _error: None)
        self._admission = admission or Everybody()
        self._source = source or Here()
        self._ice = ice or IceServers()
        self.viewers = viewers if viewers is not None else Viewers()
        self._layers: dict[str, list[LayerStats]] = {}
        self._quiet: set[str] = set()
        worker.listen(self._heard)

    def add_to(self, app: web.Application) -> None:
        """Adds the WHEP routes to an application."""
        router = app.router
        add_endpoint(router, "whep", self._join, self._patch, self._leave)
        router.add_get("/whep/{stream}/{session}/events", self._events, allow_head=False)
        router.add_post("/whep/{stream}/{session}/events", self._subscribe)
        router.add_get("/whep/{stream}/{session}/events/{choice}", self._events, allow_head=False)
        router.add_delete("/whep/{stream}/{session}/events/{choice}", self._unsubscribe)
        router.add_options("/whep/{stream}/{session}/events/{choice}", options)
        router.add_options("/whep/{stream}/{session}/events", options)
        router.add_post("/whep/{stream}/{session}/layer", self._choose)
        router.add_options("/whep/{stream}/{session}/layer", options)

    def leave(self, session: str) -> bool:
        """Ends a session of this node; False when there is none."""
        self.viewers.remove(session)
        try:
            return self._worker.sfu.close(session)
        except SessionUnknown:
            return False

    def _heard(self, event: Event) -> None:
        if event["type"] == "session_closed":
            self.viewers.remove(event["session"])
        elif event["type"] == "session_connected" and (viewer := self.viewers.find(event["session"])):
            viewer.connected = True
            self._tell_layers(viewer)
        elif event["type"] == "stream_silent":
            self._quiet.add(event["stream"])
            self.viewers.tell(event["stream"], "inactive", {})
        elif event["type"] in ("stream_started", "stream_resumed") and event["stream"] in self._quiet:
            self._quiet.discard(event["stream"])
            self.viewers.tell(event["stream"], "active", {})
        elif event["type"] == "layer_changed" and (viewer := self.viewers.find(event["session"])):
            viewer.layer = event["layer"]
            self._tell_layers(viewer)
        elif event["type"] == "layers_changed":
            self._note_layers(event["stream"])
        elif event["type"] == "stream_ended":
            self._layers.pop(event["stream"], None)
            self._quiet.discard(event["stream"])

    def _read_layers(self, stream: str) -> list[LayerStats]:
        figures = self._worker.sfu.stats()["streams"].get(stream)
        return video_layers(figures["layers"]) if figures else []

    def _note_layers(self, stream: str) -> None:
        """Reads what layers a stream has now, and tells its viewers. A stream that never had two has nothing to tell."""
        layers = self._read_layers(stream)
        if len(layers) > 1:
            self._layers[stream] = layers
            for viewer in self.viewers.of(stream):
                self._tell_layers(viewer)

    def _tell_layers(self, viewer: Viewer) -> None:
        layers = self._layers.get(viewer.stream)
        if layers and viewer.connected and viewer.role is not ViewerRole.NODE:
            viewer.hear("layers", layers_event(layers, viewer.media_id, viewer.selected, viewer.layer))

    async def _join(self, request: web.Request) -> web.Response:
        stream = stream_of(request)
        offer = await read_sdp(request)
        role, viewer = _who(request)
        await self._admission.admit_viewer(request, stream)
        began = time.perf_counter()
        await self._source.ensure(stream, hops_of(request))
        try:
            answer, ours = self._negotiate(request, stream, offer, role)
        except StreamUnknown as error:
            raise Problem(str(error), status=409, code="stream_unknown", retry_after_s=_NOT_LIVE_S) from None
        except SfuError as error:
            self._refuses(error)
            raise refused(error) from None
        host = request.headers.get("Host")
        trusted = role is ViewerRole.NODE and self._admission.is_node(request)
        self.viewers.add(
            Viewer(
                answer.session,
                stream,
                role,
                viewer,
                answer.etag,
                host=host,
                trusted=trusted,
                media_id=media_id_of(answer.sdp if ours else offer),
                offered=ours,
            )
        )
        _JOINS.labels(role.value).inc()
        _ANSWER.observe(time.perf_counter() - began)
        session = f"{request.rel_url.path.rstrip('/')}/{answer.session}"
        events = f'<{session}/events>; rel="{EXTENSION}"; events="{NAMES}"'
        layer = f'<{session}/layer>; rel="{LAYER_EXTENSION}"'
        links = (events, layer, *self._ice.links())
        return (
            created(request, answer, links, status=406, patched=SDP)
            if ours
            else created(request, answer, links)
        )

    def _negotiate(
        self, request: web.Request, stream: str, offer: str, role: ViewerRole
    ) -> tuple[Answer, bool]:
        """The answer to a viewer's offer; or an offer of ours (True) where it has made none, or none that fits, and accepts SDP: who
        does not say so learns why, and may go elsewhere."""
        if role is ViewerRole.NODE:
            return self._worker.sfu.subscribe(stream, offer, layers_all=True), False
        if offer.strip():
            try:
                return self._worker.sfu.subscribe(stream, offer), False
            except SfuError as error:
                if problem(error).code != "no_common_codec" or SDP not in request.headers.get("Accept", ""):
                    raise
        return self._worker.sfu.offer(stream), True

    def _viewer(self, request: web.Request) -> Viewer:
        viewer = self.viewers.find(session_of(request))
        if viewer is None or viewer.stream != stream_of(request):
            raise NotFound(
                "there is no such session on this node",
                code="session_unknown",
                hint="join again: POST to the WHEP URL",
            )
        return viewer

    async def _patch(self, request: web.Request) -> web.Response:
        viewer = self._viewer(request)
        if viewer.offered and request.content_type == SDP:
            return await patch_answer(request, self._worker, viewer.session)
        response = await patch(request, self._worker, viewer.session, viewer.etag)
        viewer.etag = newest_etag(response, viewer.etag)
        return response

    async def _choose(self, request: web.Request) -> web.Response:
        viewer = self._viewer(request)
        encoding = parse_choice(await read_body(request, MAX_CHOICE_BYTES, "a choice"), viewer.media_id)
        layers = self._layers.get(viewer.stream) or self._read_layers(viewer.stream)
        layer = next((one["layer"] for one in layers if one["name"] == encoding), None)
        if encoding is not None and layer is None:
            known = ", ".join(one["name"] for one in layers)
            raise NotFound(f"no layer {encoding!r}; there are: {known}", code="layer_unknown")
        try:
            self._worker.sfu.choose(viewer.session, layer)
        except SfuError as error:
            raise refused(error) from None
        viewer.selected = encoding
        self._tell_layers(viewer)
        return web.Response(status=200)

    async def _leave(self, request: web.Request) -> web.Response:
        self.leave(self._viewer(request).session)
        return web.Response(status=200)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await serve_events(request, self._viewer(request))

    async def _subscribe(self, request: web.Request) -> web.Response:
        return await choose_events(request, self._viewer(request))

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        drop_choice(request, self._viewer(request))
        return web.Response(status=200)


def _who(request: web.Request) -> tuple[ViewerRole, str]:
    layers = request.query.get("layers")
    if layers not in (None, "all"):
        raise BadRequest("layers: only 'all' is known", code="invalid_query")
    if layers == "all":
        return ViewerRole.NODE, ""
    try:
        role = ViewerRole(request.query.get("role", ViewerRole.INTERACTIVE.value))
        viewer = parse_token_id(request.query["viewer"]) if "viewer" in request.query else ""
    except ValueError as error:
        raise BadRequest(str(error), code="invalid_query") from None
    return role, viewer


def hops_of(request: web.Request) -> tuple[str, ...]:
    """The nodes that wait for this stream through the one that asks. Raises BadRequest when there are too many."""
    text = request.headers.get(HOPS_HEADER, "")
    hops = tuple(hop.strip() for hop in text.split(",") if hop.strip())[: _MAX_HOPS + 1]
    if len(hops) > _MAX_HOPS:
        raise BadRequest(f"more than {_MAX_HOPS} nodes in a row", status=508, code="too_many_hops")
    return hops
