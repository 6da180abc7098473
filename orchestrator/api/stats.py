"""Figures: of a broadcast, and of the SFUs of all nodes (fanned in from their heartbeats)."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from common.directory import Role, StreamReport
from common.registry import RegistryDown
from orchestrator.api.broadcasts import ONE
from orchestrator.api.paging import NodePage, json_page, page_of
from orchestrator.api.route import Access, Context, Route, context, json, read_query
from orchestrator.delivery import Stage
from orchestrator.geo import region_place
from orchestrator.viewers import Reported, summary

TAG = "Figures"


class Listeners(BaseModel):
    """Viewers now, each once."""

    total: int
    webrtc: int
    hls: int
    interactive: int
    passive: int


class NodeStream(BaseModel):
    """A broadcast on one node."""

    node: str
    role: Role
    region: str
    viewers: int
    stream: StreamReport


class BroadcastStats(BaseModel):
    """Who watches a broadcast, from where, how well."""

    broadcast: str
    live: bool
    stage: Stage
    listeners: Listeners
    regions: dict[str, int] = Field(description="Region of the serving node -> viewers by WebRTC.")
    reported: Reported = Field(description="What players said in the last 30 s.")
    nodes: list[NodeStream]
    counted: bool = Field(description="False while Redis is away: HLS viewers are as last counted.")


class NodeSfu(BaseModel):
    """The SFU of one node, as it reported last."""

    id: str
    role: Role
    region: str
    place: tuple[float, float] | None = Field(
        description="Latitude and longitude of its region; null: it is neither a known cloud's nor told as two numbers."
    )
    workers: int
    transports: int = Field(description="Viewers and nodes that it serves.")
    streams: int
    egress_bps: int
    cpu_ratio: float
    age_s: float = Field(description="Seconds since its last heartbeat.")
    stats: dict[str, Any] = Field(
        description="Its own figures, as its /api/sfu/stats has them; `pulls` for operators."
    )


class SfuStats(BaseModel):
    """All SFUs; `nodes` is a page of them, by id, the sums are of all."""

    workers: int
    transports: int
    viewers: int
    egress_bps: int
    origins: int
    relays: int
    packagers: int
    nodes: list[NodeSfu]
    next: str | None = Field(description="`after` of the next page, null on the last.")


def _place(region: str) -> tuple[float, float] | None:
    place = region_place(region)
    return (place.latitude, place.longitude) if place else None


def _stats(at: Context, request: web.Request, stats: dict[str, Any]) -> dict[str, Any]:
    """A node's own figures, without the pulls, which name streams, of what this caller may not know of."""
    pulls = stats.get("pulls")
    if not isinstance(pulls, list):
        return stats
    shown = pulls if at.is_admin(request) else []
    return {
        **stats,
        "pulls": [
            one for one in shown if isinstance(one, dict) and at.sees(request, str(one.get("stream", "")))
        ],
    }


async def _broadcast(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.require_watch(request, broadcast)
    hub, name = at.hub, broadcast.id
    audience = hub.audience(name)
    nodes = [
        NodeStream(
            node=node.id,
            role=node.report.role,
            region=node.report.region,
            viewers=stream.subscribers_interactive + stream.subscribers_passive,
            stream=stream,
        )
        for node in hub.nodes
        if (stream := node.stream(name)) is not None
    ]
    regions: dict[str, int] = {}
    for one in nodes:
        if one.viewers:
            regions[one.region] = regions.get(one.region, 0) + one.viewers
    try:
        reported, counted = summary((await hub.registry.viewers(name)).values()), True
    except RegistryDown:
        reported, counted = Reported(), False
    return json(
        BroadcastStats(
            broadcast=name,
            live=hub.live(name),
            stage=hub.delivery(name).stage,
            listeners=Listeners(
                total=audience.total,
                webrtc=audience.webrtc,
                hls=audience.hls,
                interactive=audience.interactive,
                passive=audience.passive_webrtc + audience.hls,
            ),
            regions=regions,
            reported=reported,
            nodes=nodes,
            counted=counted,
        )
    )


async def _sfu(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, NodePage)
    now = time.monotonic()
    nodes = [
        NodeSfu(
            id=node.id,
            role=node.report.role,
            region=node.report.region,
            place=_place(node.report.region),
            workers=node.report.workers,
            transports=node.viewers + sum(one.downstream_nodes for one in node.report.streams),
            streams=len(node.report.streams),
            egress_bps=sum(one.egress_bps for one in node.report.streams),
            cpu_ratio=node.report.cpu_ratio,
            age_s=round(now - node.heard_at, 3),
            stats=_stats(at, request, node.report.stats),
        )
        for node in at.hub.nodes
    ]
    roles = [one.role for one in nodes]
    found, after = page_of(nodes, page, lambda one: one.id)
    told = SfuStats(
        workers=sum(one.workers for one in nodes),
        transports=sum(one.transports for one in nodes),
        viewers=sum(node.viewers for node in at.hub.nodes),
        egress_bps=sum(one.egress_bps for one in nodes),
        origins=roles.count(Role.ORIGIN),
        relays=roles.count(Role.RELAY),
        packagers=roles.count(Role.PACKAGER),
        nodes=found,
        next=after,
    )
    return json_page(request, told, after)


ROUTES = (
    Route("GET", f"{ONE}/stats", _broadcast, "Viewers by delivery and region, latency", TAG, Access.WATCH, answer=BroadcastStats),
    Route("GET", "/api/sfu/stats", _sfu, "Workers, transports and rates of all SFUs", TAG, answer=SfuStats, query=NodePage),
    Route("GET", "/api/mediasoup/stats", _sfu, "The same as /api/sfu/stats", TAG, answer=SfuStats, query=NodePage),
)  # fmt: skip
