"""Nodes: they register and heartbeat; ops list and drain them, and ask why placement chooses as it does."""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import BaseModel, Field

from common.auth import Audience, bearer
from common.directory import Directory, NodeReport, Role
from common.errors import BadRequest, Forbidden, NotFound
from common.http import read_model
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Query, Route, context, json, read_query
from orchestrator.api.watching import Rtts, parse_rtts
from orchestrator.geo import client_address
from orchestrator.joining import Asked, explain
from orchestrator.nodes import Node, NodeState
from orchestrator.placement import Parts, WhyNot

TAG = "Nodes"


class NodeView(BaseModel):
    """A node as operators see it."""

    id: str
    role: Role
    state: NodeState
    draining: bool
    region: str
    zone: str
    url: str
    version: str
    epoch: int
    viewers: int
    capacity: int
    workers: int
    avatar: bool
    cpu_ratio: float
    memory_bytes: int
    performance: float = Field(description="How its viewers fared lately, 0..1.")
    streams: list[str]
    heartbeat_age_s: float
    lease_s: float = Field(description="Seconds until its lease ends; negative: it lapsed.")


class NodeList(BaseModel):
    """All nodes, by id."""

    nodes: list[NodeView]


class PlacementQuery(Query):
    """For whom."""

    ip: str = Field("", max_length=64, description="An address as if it asked; the caller's when empty.")
    node: str | None = Field(None, max_length=64, description="The node that it had.")
    rtt: Rtts = ""


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


class PlacementList(BaseModel):
    """What is tried, in this order."""

    country: str | None
    placements: list[PlacementView]


def view(node: Node, now: float) -> NodeView:
    """The node as the API tells it."""
    report = node.report
    return NodeView(
        id=report.id,
        role=report.role,
        state=node.state(now) or NodeState.LAPSED,
        draining=node.draining,
        region=report.region,
        zone=report.zone,
        url=report.url,
        version=report.version,
        epoch=report.epoch,
        viewers=node.viewers,
        capacity=report.capacity,
        workers=report.workers,
        avatar=report.avatar,
        cpu_ratio=round(report.cpu_ratio, 3),
        memory_bytes=report.memory_bytes,
        performance=round(node.performance, 3),
        streams=[one.stream for one in report.streams],
        heartbeat_age_s=round(now - node.heard_at, 3),
        lease_s=round(node.leased_until - now, 3),
    )


async def _heartbeat(request: web.Request) -> web.Response:
    at = context(request)
    claims = at.tokens.verify(bearer(request.headers.get("Authorization")), Audience.NODE)
    report = await read_model(request, NodeReport)
    if claims.subject != report.id:
        raise Forbidden(
            f"the token is for node {claims.subject!r}, not for {report.id!r}", code="wrong_token"
        )
    if not report.url.startswith(("http://", "https://")):
        raise BadRequest("url: not an http or https URL", status=422, code="invalid_body")
    told = await at.hub.heartbeat(report)
    return web.Response(
        body=told.body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


async def _list(request: web.Request) -> web.Response:
    at = context(request)
    at.require_admin(request)
    now = time.monotonic()
    return json(NodeList(nodes=[view(node, now) for node in sorted(at.hub.nodes, key=lambda one: one.id)]))


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    at.require_admin(request)
    return json(view(_node(request), time.monotonic()))


async def _drain(request: web.Request) -> web.Response:
    at = context(request)
    at.require_admin(request)
    node = _node(request)
    await at.hub.drain(node.id, request.method == "POST")
    return json(view(node, time.monotonic()))


async def _placement(request: web.Request) -> web.Response:
    at, asked = context(request), read_query(request, PlacementQuery)
    at.require_admin(request)
    broadcast = at.broadcast(request)
    address = client_address(asked.ip, {}, ()) if asked.ip else at.address(request)
    if asked.ip and address is None:
        raise BadRequest("ip: not an IP address", status=422, code="invalid_query")
    place = at.geo.place(address)
    found = [
        PlacementView(
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
                for one in each.ranked
            ],
            rejected={node: why for node, why in each.rejected if why is not WhyNot.ROLE},
        )
        for each in explain(at.hub, broadcast, Asked(place, asked.node, rtts=parse_rtts(asked.rtt)))
    ]
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
    Route("GET", "/api/nodes", _list, "All nodes", TAG, Access.ADMIN, answer=NodeList),
    Route("GET", "/api/nodes/{node}", _read, "A node", TAG, Access.ADMIN, answer=NodeView, problems=("node_unknown",)),
    Route(
        "POST", "/api/nodes/{node}/drain", _drain, "The node takes no new viewer and lets its own move", TAG,
        Access.ADMIN, answer=NodeView, problems=("node_unknown",),
    ),
    Route(
        "DELETE", "/api/nodes/{node}/drain", _drain, "The node takes viewers again", TAG,
        Access.ADMIN, answer=NodeView, problems=("node_unknown",),
    ),
    Route(
        "GET", f"{ONE}/placement", _placement, "Where a viewer would go, and why not elsewhere", TAG,
        Access.ADMIN, answer=PlacementList, query=PlacementQuery,
    ),
)  # fmt: skip
