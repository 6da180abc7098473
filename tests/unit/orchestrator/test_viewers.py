"""Counting viewers, and what their players say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from common.directory import Delivery, NodeReport, Role, StreamReport
from orchestrator.delivery import Audience
from orchestrator.nodes import Node
from orchestrator.viewers import ViewerReport, audiences, document, percentiles, summary


def node(name: str, interactive: int, passive: int, pulls: int = 0) -> Node:
    stream = StreamReport(
        stream="demo",
        subscribers_interactive=interactive,
        subscribers_passive=passive,
        downstream_nodes=pulls,
    )
    return Node(NodeReport(id=name, role=Role.RELAY, url="http://x", epoch=1, streams=[stream]), 10.0, 0.0)


def test_viewers_of_all_nodes_are_summed_and_nodes_that_pull_are_none() -> None:
    found = audiences([node("a", 3, 4, pulls=2), node("b", 1, 0)], {"demo": 10, "other": 2})
    assert found["demo"] == Audience(interactive=4, passive_webrtc=4, hls=10)
    assert found["demo"].total == 18
    assert found["other"].total == 2


def test_reports_give_regions_countries_and_latency_by_delivery() -> None:
    reports = [
        document(
            ViewerReport(broadcast="demo", delivery=Delivery.WEBRTC, latency_ms=100 + index),
            "eu-west-1",
            "DE",
        )
        for index in range(100)
    ] + [
        document(
            ViewerReport(broadcast="demo", delivery=Delivery.HLS, latency_ms=2000, freezes=3), None, "US"
        )
    ]
    found = summary(reports)
    assert found.regions == {"eu-west-1": 100}
    assert found.countries == {"DE": 100, "US": 1}
    webrtc = found.latency_ms["webrtc"]
    assert (webrtc.p50, webrtc.p95, webrtc.p99, webrtc.count) == (150, 195, 199, 100)
    assert found.latency_ms["hls"].p50 == 2000
    assert found.freezes == 3


def test_no_measurement_has_no_percentiles() -> None:
    assert percentiles([]).p50 is None
    assert summary([]).latency_ms == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"delivery": "pigeon"},
        {"latency_ms": -1},
        {"latency_ms": "nan"},
        {"latency_ms": 1e12},
        {"freezes": -5},
        {"role": "admin"},
        {"broadcast": "x" * 65},
    ],
)
def test_a_report_of_nonsense_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ViewerReport.model_validate({"broadcast": "demo", "delivery": "hls", **broken})
