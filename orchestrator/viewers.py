"""Viewers: how many watch what, each once.

WebRTC viewers are counted by the nodes that hold their transports, HLS viewers by the players' reports (a cache in between hides
them from everybody else), which stand for `REPORT_TTL_S`. Players on WebRTC report too, for latency and region; that never counts.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from common.directory import Delivery, in_hls_share
from common.metrics import gauge
from orchestrator.delivery import Audience, State
from orchestrator.nodes import Node

REPORT_TTL_S = 30.0
"""A player that has been silent for this long (three reports) is gone."""

LISTENERS = gauge("avacast_listeners", "Viewers now", ("broadcast", "delivery"))


class ViewerRole(enum.StrEnum):
    """Does the viewer only watch (it may be moved to HLS), or take part (it stays on WebRTC)?"""

    PASSIVE = "passive"
    INTERACTIVE = "interactive"


class ViewerReport(BaseModel):
    """How a player fares; sent every 10 s, and once when its delivery changes."""

    model_config = ConfigDict(extra="ignore")

    broadcast: Annotated[str, StringConstraints(max_length=64)]
    delivery: Delivery
    role: ViewerRole = ViewerRole.INTERACTIVE
    latency_ms: float | None = Field(
        None, ge=0, le=3_600_000, description="From capture to picture, if known."
    )
    bitrate_bps: float | None = Field(None, ge=0, le=1e10)
    freezes: int = Field(0, ge=0, le=1_000_000, description="Since the player started.")
    node: str | None = Field(None, max_length=64, description="The node that it watches from, by WebRTC.")
    startup_ms: float | None = Field(
        None, ge=0, le=600_000, description="From the wish to watch to the first picture."
    )
    watched_s: float | None = Field(None, ge=0, le=7 * 86_400, description="Since the first picture.")


class Percentiles(BaseModel):
    """Of a set of measurements, null when there is none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    count: int = 0


class Reported(BaseModel):
    """What players said of one broadcast, over those whose last report still stands."""

    regions: dict[str, int] = Field(
        default_factory=dict, description="Region of the node that serves -> viewers."
    )
    countries: dict[str, int] = Field(default_factory=dict, description="ISO 3166-1 code -> viewers.")
    latency_ms: dict[str, Percentiles] = Field(default_factory=dict, description="Delivery -> latency.")
    freezes: int = 0


def audiences(nodes: Iterable[Node], hls: Mapping[str, int]) -> dict[str, Audience]:
    """Broadcast -> its audience, from the nodes' last reports and the HLS counts."""
    interactive: Counter[str] = Counter()
    passive: Counter[str] = Counter()
    for node in nodes:
        for stream in node.report.streams:
            interactive[stream.stream] += stream.subscribers_interactive
            passive[stream.stream] += stream.subscribers_passive
    names = interactive.keys() | passive.keys() | hls.keys()
    return {name: Audience(interactive[name], passive[name], hls.get(name, 0)) for name in names}


def in_share(viewer: str, state: State) -> Delivery:
    """How a passive viewer watches, by the share that has moved."""
    return in_hls_share(viewer, state.hls_share)


def document(report: ViewerReport, region: str | None, country: str | None) -> str:
    """What is kept of a report."""
    facts = report.model_dump(mode="json", exclude={"broadcast", "node", "watched_s"}, exclude_none=True)
    return json.dumps({**facts, "region": region, "country": country}, separators=(",", ":"))


def summary(documents: Iterable[str]) -> Reported:
    """Regions, countries and latency over the kept reports."""
    facts: list[dict[str, Any]] = [json.loads(one) for one in documents]
    latency: dict[str, list[float]] = {}
    for one in facts:
        if one.get("latency_ms") is not None:
            latency.setdefault(one["delivery"], []).append(float(one["latency_ms"]))
    return Reported(
        regions=dict(Counter(one["region"] for one in facts if one.get("region"))),
        countries=dict(Counter(one["country"] for one in facts if one.get("country"))),
        latency_ms={delivery: percentiles(values) for delivery, values in latency.items()},
        freezes=sum(int(one.get("freezes", 0)) for one in facts),
    )


def percentiles(values: list[float]) -> Percentiles:
    """P50, P95 and P99 by the nearest rank."""
    if not values:
        return Percentiles()
    ordered = sorted(values)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Percentiles(p50=rank(0.50), p95=rank(0.95), p99=rank(0.99), count=len(ordered))
