"""How to watch and publish: /play, the redirects of WHEP and WHIP, players' reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field

from common.auth import Audience, bearer
from common.directory import Delivery
from common.errors import BadRequest, Unavailable
from common.http import preflight, read_model
from common.ids import new_id, parse_token_id
from common.registry import RegistryDown
from orchestrator import gauges, viewers
from orchestrator.analytics.devices import device_of
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import SDP, Access, Context, Query, Route, context, json, read_query
from orchestrator.broadcasts import Broadcast
from orchestrator.delivery import Stage
from orchestrator.joining import Asked, Plan, join, scouts, webrtc_node
from orchestrator.limits import block
from orchestrator.nodes import Node
from orchestrator.placement import MAX_RTT_MS, MAX_RTTS
from orchestrator.viewers import ViewerReport, ViewerRole

TAG = "Watching"
VIEWER_TOKEN_S = 6 * 3600.0
_MAX_EXCLUDED = 8

Id = Annotated[
    str, AfterValidator(parse_token_id), Field(json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"})
]


def parse_rtts(text: str) -> tuple[tuple[str, float], ...]:
    """Round trips as the query has them: NODE:MS, comma separated. Raises ValueError that says what is wrong."""
    found: dict[str, float] = {}
    for one in filter(None, text.split(",")):
        node, _, spelled = one.rpartition(":")
        try:
            ms = float(spelled)
        except ValueError:
            ms = -1.0
        if not node or not 0.0 <= ms <= MAX_RTT_MS:
            raise ValueError(f"not NODE:MS with 0 to {MAX_RTT_MS:g} ms: {one[:80]!r}")
        found[node] = ms
    if len(found) > MAX_RTTS:
        raise ValueError(f"more than {MAX_RTTS} round trips")
    return tuple(found.items())


def _checked(text: str) -> str:
    parse_rtts(text)
    return text


Rtts = Annotated[
    str,
    AfterValidator(_checked),
    Field(max_length=600, description="Round trips that the player measured: NODE:MS, comma separated."),
]


class Probe(BaseModel):
    """A node whose round trip a player may measure, for the next time that it asks."""

    node: str
    url: str = Field(description="GET it twice; the second time without a new connection is the round trip.")


class PlayQuery(Query):
    """Who wants to watch."""

    role: ViewerRole = Field(ViewerRole.INTERACTIVE, description="Passive viewers may be moved to HLS.")
    viewer: Id | None = Field(None, description="The id from an earlier answer; made when missing.")
    exclude: str = Field(
        "", max_length=520, description="Nodes that just failed this viewer, comma separated."
    )
    node: str | None = Field(
        None, max_length=64, description="The node that it had: it gets it again while that can take it."
    )
    rtt: Rtts = ""


class Play(BaseModel):
    """How to watch now."""

    mode: Delivery
    whep: str | None = Field(description="POST the offer here; null when no node takes viewers by WebRTC.")
    hls: str | None = Field(description="The multivariant playlist; null while there is none.")
    token: str | None = Field(description="Viewer token of a private broadcast, for the node.")
    node: str | None
    region: str | None
    viewer: str = Field(description="Send it with the offer, and report under it.")
    broadcast: str
    role: ViewerRole
    stage: Stage
    live: bool = Field(description="Media is flowing.")
    report: str = Field(description="POST a report here every 10 s.")
    probes: list[Probe] = Field(
        default_factory=list,
        description="Nodes in several regions; measure them when there is time, and send `rtt` with the next question.",
    )


class Publish(BaseModel):
    """Where to publish now."""

    whip: str = Field(description="POST the offer here, with the publisher's token.")
    node: str
    region: str


def _play(
    at: Context,
    request: web.Request,
    broadcast: Broadcast,
    viewer: str,
    role: ViewerRole,
    way: Plan,
    probes: Sequence[Node] = (),
) -> Play:
    token = None
    if not broadcast.public:
        token = at.tokens.issue(Audience.VIEWER, broadcast.id, ttl_s=VIEWER_TOKEN_S)
    node, hub = way.node, at.hub
    whep = None
    if node is not None:
        whep = at.reach(request, f"{node.report.url.rstrip('/')}/whep/{broadcast.id}")
    return Play(
        mode=way.mode,
        whep=whep,
        hls=at.reach(request, way.hls_url) if way.hls_url is not None else None,
        token=token,
        node=node.id if node is not None else None,
        region=node.report.region if node is not None else None,
        viewer=viewer,
        broadcast=broadcast.id,
        role=role,
        stage=hub.delivery(broadcast.id).stage,
        live=hub.live(broadcast.id),
        report=f"{at.base(request)}/api/v1/viewers/{viewer}",
        probes=[
            Probe(node=one.id, url=at.reach(request, f"{one.report.url.rstrip('/')}/health"))
            for one in probes
        ],
    )


async def _ask(request: web.Request) -> web.Response:
    at, asked = context(request), read_query(request, PlayQuery)
    broadcast = at.broadcast(request)
    at.require_watch(request, broadcast)
    viewer = asked.viewer or new_id("v")
    exclude = frozenset(asked.exclude.split(",")[:_MAX_EXCLUDED]) - {""}
    said = Asked(
        at.place(request), asked.node, exclude, parse_rtts(asked.rtt), address=block(at.address(request))
    )
    way = await join(at.hub, broadcast, asked.role, viewer, said)
    return json(
        _play(at, request, broadcast, viewer, asked.role, way, scouts(at.hub, broadcast, said)),
    )


async def _redirect_viewer(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    user = request.query.get("viewer", "")[:64] or new_id("v")
    said = Asked(at.place(request), user=user, address=block(at.address(request)))
    node = (await join(at.hub, broadcast, ViewerRole.INTERACTIVE, "", said)).node
    if node is None:  # join() has said no already; this is for the reader of types
        raise Unavailable("no node takes viewers", code="no_node", retry_after_s=2)
    return _redirect(at, request, f"{node.report.url.rstrip('/')}/whep/{broadcast.id}")


async def _where(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.require_publisher(request, broadcast)
    node = await _publish_to(at, broadcast)
    whip = at.reach(request, f"{node.report.url.rstrip('/')}/whip/{broadcast.id}")
    return json(Publish(whip=whip, node=node.id, region=node.report.region))


async def _redirect_publisher(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.tokens.verify(bearer(request.headers.get("Authorization")), Audience.PUBLISHER, broadcast.id)
    node = await _publish_to(at, broadcast)
    return _redirect(at, request, f"{node.report.url.rstrip('/')}/whip/{broadcast.id}")


async def _publish_to(at: Context, broadcast: Broadcast) -> Node:
    if at.hub.origin_of(broadcast.id) is None:
        await at.hub.tick()
    origin = at.hub.moves.publish_to(broadcast.id)
    if origin is None:
        raise Unavailable("no origin is registered", code="no_node", retry_after_s=2)
    return origin


def _redirect(at: Context, request: web.Request, url: str) -> web.Response:
    """307: the method and the body go on to the node; the query too."""
    query = f"?{request.query_string}" if request.query_string else ""
    headers = {"Location": at.reach(request, url) + query, "Cache-Control": "no-store"}
    return web.Response(status=307, headers=headers)


async def _options(_request: web.Request) -> web.Response:
    return preflight("OPTIONS, POST", Accept_Post=SDP)


async def _report(request: web.Request) -> web.Response:
    at = context(request)
    try:
        viewer = parse_token_id(request.match_info["viewer"])
    except ValueError as error:
        raise BadRequest(str(error), status=422, code="invalid_id") from None
    address = at.address(request)
    await at.limits.hit("report", address=address)
    report = await read_model(request, ViewerReport)
    at.require_seen(request, report.broadcast)
    broadcast = at.hub.broadcasts.require(report.broadcast)
    at.require_watch(request, broadcast)
    gauges.tell_viewer(report)
    place = at.geo.place(address)
    node = at.hub.nodes.find(report.node or "")
    region = node.report.region if node is not None else None
    country = place.country if place is not None else None
    # Without the registry the count stays as it was; the player must still learn how to go on.
    with suppress(RegistryDown):
        word = await at.hub.registry.report_viewer(
            broadcast.id,
            viewer,
            hls=report.delivery is Delivery.HLS,
            document=viewers.document(report, region, country),
            ttl_ms=int(viewers.REPORT_TTL_S * 1000),
            watched_ms=int((report.watched_s or 0) * 1000),
        )
        at.recorder.report(report, word, country, device_of(request.headers))
    way = await _next(at, request, broadcast, viewer, report)
    return json(_play(at, request, broadcast, viewer, report.role, way))


async def _next(
    at: Context, request: web.Request, broadcast: Broadcast, viewer: str, report: ViewerReport
) -> Plan:
    """How a viewer that watches already goes on. It keeps its node while that serves: no `whep` means, stay where you are."""
    hub = at.hub
    state = hub.delivery(broadcast.id)
    hls_url = hub.hls_url(broadcast.id) if hub.hls_ready(broadcast.id) else None
    mode = Delivery.WEBRTC
    if report.role is ViewerRole.PASSIVE and hls_url is not None:
        mode = viewers.in_share(viewer, state)
    if mode is Delivery.HLS:
        return Plan(mode, None, hls_url)
    current = hub.nodes.find(report.node or "")
    stays = report.delivery is Delivery.WEBRTC and (
        report.node is None
        or (current is not None and not current.draining and not hub.moves.unwanted(current))
    )
    said = Asked(at.place(request), user=viewer, address=block(at.address(request)))
    node = None if stays else await webrtc_node(hub, broadcast, viewer, said)
    if node is None and report.delivery is Delivery.HLS:
        return Plan(Delivery.HLS, None, hls_url)
    return Plan(mode, node, hls_url)


ROUTES = (
    Route(
        "GET", f"{ONE}/play", _ask, "How to watch now", TAG, Access.WATCH,
        answer=Play, query=PlayQuery, problems=("no_node",),
    ),
    Route(
        "POST", "/api/v1/viewers/{viewer}", _report, "A player reports itself, and learns how to go on", TAG, Access.WATCH,
        body=ViewerReport, answer=Play, problems=("report_limit", "invalid_id"), name="viewers_report",
    ),
    Route(
        "POST", "/whep/{broadcast}", _redirect_viewer, "Watch by WHEP: redirects to the best node", TAG,
        status=307, raw=(SDP,), problems=("no_node",), name="whep_watch",
    ),
    Route(
        "GET", f"{ONE}/publish", _where, "Where to publish now", TAG, Access.PUBLISHER,
        answer=Publish, problems=("no_node",),
    ),
    Route("OPTIONS", "/whep/{broadcast}", _options, "What WHEP allows", TAG),
    Route(
        "POST", "/whip/{broadcast}", _redirect_publisher, "Publish by WHIP: redirects to the broadcast's origin", TAG,
        Access.PUBLISHER, status=307, raw=(SDP,), problems=("no_node",), name="whip_publish",
    ),
    Route("OPTIONS", "/whip/{broadcast}", _options, "What WHIP allows", TAG),
)  # fmt: skip
