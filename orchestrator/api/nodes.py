"""Nodes: they register and heartbeat; ops list and drain them, and ask why placement chooses as it does."""

from __future__ import annotations

import datetime as dt
import time

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.auth import Audience
from common.directory import TOKEN_HEADER, Directory, NodeReport, Role
from common.errors import BadRequest, Conflict, NotFound
from common.http import read_model
from orchestrator.api.broadcasts import ONE
from orchestrator.api.paging import NodePage, json_page, page_of
from orchestrator.api.route import Access, Context, Query, Route, context, json, read_query, require_speaks
from orchestrator.api.watching import Rtts, parse_rtts
from orchestrator.draining import DRAIN_S, Drain, DrainCause, DrainPhase, phase
from orchestrator.geo import client_address
from orchestrator.hub import Hub
from orchestrator.joining import Asked, explain
from orchestrator.keys import Scope
from orchestrator.nodes import Node, NodeState
from orchestrator.placement import Parts, WhyNot

TAG = "Nodes"
_PEER_TOKEN_S = 24 * 3600.0


class DrainRequest(BaseModel):
    """How a node is to be drained. No body: as the fields say."""

    model_config = ConfigDict(extra="forbid")

    deadline_s: float = Field(DRAIN_S, ge=1, le=86_400, description="Seconds until it is to be empty.")
    why: str = Field("", max_length=200, description="For whoever reads it later.")


class DrainView(BaseModel):
    """A drain and how far it is."""

    cause: DrainCause = Field(
        description="operator; process: it ends (SIGTERM), and cannot be taken back; pod: annotated `drain=true`, until that is taken away."
    )
    why: str
    phase: DrainPhase
    since: dt.datetime
    deadline: dt.datetime
    left_s: float = Field(description="Seconds until the deadline.")
    viewers: int = Field(description="Viewers by WebRTC that are still there.")
    nodes: int = Field(description="Relays and packagers that still pull from it.")
    streams: int = Field(description="Avatars and publishers that no other node has taken over yet.")


class NodeView(BaseModel):
    """A node as operators see it."""

    id: str
    role: Role
    state: NodeState
    draining: bool
    drain: DrainView | None = Field(description="Why, until when, and what is left; null: it does not drain.")
    region: str
    zone: str
    url: str
    version: str
    epoch: int
    viewers: int
    capacity: int = Field(
        description="Viewers that it is given: what it says, corrected by what is measured."
    )
    said_capacity: int = Field(description="What it says.")
    workers: int
    avatar: bool
    cpu_ratio: float
    memory_bytes: int
    performance: float = Field(description="How its viewers fared lately, 0..1.")
    streams: list[str]
    heartbeat_age_s: float
    lease_s: float = Field(description="Seconds until its lease ends; negative: it lapsed.")


class NodeList(BaseModel):
    """A page of nodes, by id."""

    nodes: list[NodeView]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class PlacementQuery(Query):
    """For whom."""

    ip: str = Field("", max_length=64, description="An address as if it asked; the caller's when empty.")
    node: str | None = Field(None, max_length=64, description="The node that it had.")
    rtt: Rtts = ""
    viewer: str = Field("", max_length=64, description="Whose bucket counts while a version is rolled out.")
    limit: int = Field(
        100, ge=1, le=1000, description="Most nodes that `ranked` and `rejected` have, of each kind."
    )


class ChoiceView(BaseModel):
    """A node that can take the viewer."""

    node: str
    region: str
    score: float
    parts: Parts
    affinity: bool = Field(description="The node that it had: goes before any score.")
    priority: float = Field(description="Of its region; multiplies the score.")
    rtt_ms: float | None = Field(
        description="The round trip that nearness goes by; null: it goes by distance."
    )
    filled: float = Field(description="Part of its places that are taken, with those on the way.")
    storm: bool = Field(description="So many are on the way that two near the best are drawn.")


class PlacementView(BaseModel):
    """Nodes of one kind: those that can take the viewer, best first, and why the others cannot."""

    ranked: list[ChoiceView]
    rejected: dict[str, WhyNot]
    usable: int = Field(description="Nodes that can take the viewer; `ranked` has the best of them.")
    refused: int = Field(description="Nodes that cannot; `rejected` has the first of them, by id.")
    version: str | None = Field(
        description="Only nodes of this version, by a rollout; the next ones are tried when none of it can. Null: any."
    )


class PlacementList(BaseModel):
    """What is tried, in this order."""

    country: str | None
    placements: list[PlacementView]


def _drained(hub: Hub, node: Node) -> DrainView | None:
    drain = hub.moves.drain_of(node)
    if drain is None:
        return None
    now_ms, left = int(time.time() * 1000), hub.moves.left(node)
    return DrainView(
        cause=drain.cause,
        why=drain.why,
        phase=phase(drain, left, now_ms),
        since=dt.datetime.fromtimestamp(drain.since_ms / 1000, dt.UTC),
        deadline=dt.datetime.fromtimestamp(drain.deadline_ms / 1000, dt.UTC),
        left_s=round(drain.left_s(now_ms), 1),
        viewers=left.viewers,
        nodes=left.nodes,
        streams=left.streams,
    )


def _view(at: Context, request: web.Request, node: Node) -> NodeView:
    """The node as this caller may see it."""
    hub, report, now = at.hub, node.report, time.monotonic()
    return NodeView(
        id=report.id,
        role=report.role,
        state=node.state(now) or NodeState.LAPSED,
        draining=node.draining,
        drain=_drained(hub, node),
        region=report.region,
        zone=report.zone,
        url=report.url,
        version=report.version,
        epoch=report.epoch,
        viewers=node.viewers,
        capacity=node.capacity(now),
        said_capacity=report.capacity,
        workers=report.workers,
        avatar=report.avatar,
        cpu_ratio=round(report.cpu_ratio, 3),
        memory_bytes=report.memory_bytes,
        performance=round(node.performance, 3),
        streams=[one.stream for one in report.streams if at.sees(request, one.stream)],
        heartbeat_age_s=round(now - node.heard_at, 3),
        lease_s=round(node.leased_until - now, 3),
    )


async def _heartbeat(request: web.Request) -> web.Response:
    at = context(request)
    node = at.require_node(request)
    report = await read_model(request, NodeReport)
    require_speaks(node, report.id)
    if not report.url.startswith(("http://", "https://")):
        raise BadRequest("url: not an http or https URL", status=422, code="invalid_body")
    told = await at.hub.heartbeat(report)
    headers = {"Cache-Control": "no-store"}
    if TOKEN_HEADER in request.headers and at.tokens.signs_by_key:
        headers[TOKEN_HEADER] = at.tokens.issue(Audience.PEER, report.id, ttl_s=_PEER_TOKEN_S)
    return web.Response(body=told.body, content_type="application/json", headers=headers)


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, NodePage)
    found, after = page_of(at.hub.nodes, page, lambda one: one.id)
    told = NodeList(nodes=[_view(at, request, node) for node in found], next=after)
    return json_page(request, told, after)


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    return json(_view(at, request, _node(request)))


async def _drain(request: web.Request) -> web.Response:
    at = context(request)
    asked = await read_model(request, DrainRequest)
    node = _node(request)
    now_ms = int(time.time() * 1000)
    since_ms = node.drain.since_ms if node.drain is not None else now_ms
    deadline_ms = now_ms + round(asked.deadline_s * 1000)
    await at.hub.drain(node.id, Drain(why=asked.why, since_ms=since_ms, deadline_ms=deadline_ms))
    return json(_view(at, request, node))


async def _undrain(request: web.Request) -> web.Response:
    at = context(request)
    node = _node(request)
    leaving = node.report.leaving
    if leaving is not None and not leaving.ends:
        raise Conflict(
            f"the pod of node {node.id!r} is annotated with drain=true",
            code="node_annotated",
            hint="take the annotation away: kubectl annotate pod POD drain-",
        )
    if leaving is not None:
        raise Conflict(
            f"the process of node {node.id!r} is about to end",
            code="node_leaving",
            hint="start it again: it registers and takes viewers",
        )
    await at.hub.drain(node.id, None)
    return json(_view(at, request, node))


async def _placement(request: web.Request) -> web.Response:
    at, asked = context(request), read_query(request, PlacementQuery)
    broadcast = at.broadcast(request)
    address = client_address(asked.ip, {}, ()) if asked.ip else at.address(request)
    if asked.ip and address is None:
        raise BadRequest("ip: not an IP address", status=422, code="invalid_query")
    place = at.geo.place(address)
    wanted = Asked(place, asked.node, rtts=parse_rtts(asked.rtt), user=asked.viewer)
    found = []
    for each in explain(at.hub, broadcast, wanted):
        rejected = sorted((node, why) for node, why in each.rejected if why is not WhyNot.ROLE)
        view = PlacementView(
            ranked=[
                ChoiceView(
                    node=one.id,
                    region=one.region,
                    score=one.score,
                    parts=one.parts,
                    affinity=one.affinity,
                    priority=one.priority,
                    rtt_ms=one.rtt_ms,
                    filled=one.filled,
                    storm=one.storm,
                )
                for one in each.ranked[: asked.limit]
            ],
            rejected=dict(rejected[: asked.limit]),
            usable=len(each.ranked),
            refused=len(rejected),
            version=each.version,
        )
        found.append(view)
    return json(PlacementList(country=place.country if place is not None else None, placements=found))


def _node(request: web.Request) -> Node:
    name = request.match_info["node"]
    node = context(request).hub.nodes.find(name)
    if node is None:
        raise NotFound(f"there is no node {name!r}", code="node_unknown", hint="GET /api/nodes lists them")
    return node


ROUTES = (
    Route(
        "POST", "/api/v1/worker/register", _heartbeat, "A node reports itself, and learns what it must know", TAG,
        Access.NODE, body=NodeReport, answer=Directory, problems=("node_replaced",),
    ),
    Route(
        "POST", "/api/v1/worker/heartbeat", _heartbeat, "The same, every 2.5 s: the lease is 10 s", TAG,
        Access.NODE, body=NodeReport, answer=Directory, problems=("node_replaced",),
    ),
    Route("GET", "/api/nodes", _list, "List nodes", TAG, Access.ADMIN, answer=NodeList, query=NodePage, scope=Scope.READ),
    Route(
        "GET", "/api/nodes/{node}", _read, "A node", TAG, Access.ADMIN,
        answer=NodeView, problems=("node_unknown",), scope=Scope.READ,
    ),
    Route(
        "POST", "/api/nodes/{node}/drain", _drain, "The node takes nobody new; viewers and sessions move to others", TAG,
        Access.ADMIN, body=DrainRequest, answer=NodeView, problems=("node_unknown",),
    ),
    Route(
        "DELETE", "/api/nodes/{node}/drain", _undrain, "The node takes viewers again", TAG,
        Access.ADMIN, answer=NodeView, problems=("node_unknown", "node_leaving", "node_annotated"), name="nodes_undrain",
    ),
    Route(
        "GET", f"{ONE}/placement", _placement, "Where a viewer would go, and why not elsewhere", TAG,
        Access.ADMIN, answer=PlacementList, query=PlacementQuery, scope=Scope.READ,
    ),
)  # fmt: skip
