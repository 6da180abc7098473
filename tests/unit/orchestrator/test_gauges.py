"""What Prometheus is told of nodes and viewers, and that the alerts ask for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from common.directory import NodeReport, Role, StreamReport
from common.metrics import render
from orchestrator import hub, joining
from orchestrator.gauges import NodeGauges, tell_viewer
from orchestrator.jobs import queue
from orchestrator.nodes import Node
from orchestrator.viewers import ViewerReport
from tests.harness.alerts import checked_rules

DECLARED = hub, joining, queue  # their metrics are declared when they are imported


def node(name: str, **facts: Any) -> Node:
    report = NodeReport(
        id=name, role=Role.RELAY, region="eu-west-1", url="http://127.0.0.1:1", epoch=1, **facts
    )
    return Node(report=report, leased_until=float("inf"), heard_at=0.0)


def sample(text: str, name: str, of: str) -> float:
    found = re.search(rf'^{name}{{[^}}]*"{of}"[^}}]*}} (\S+)$', text, re.MULTILINE)
    assert found, f"{name} of {of} is not told"
    return float(found[1])


def test_nodes_are_told_as_they_are_when_somebody_asks() -> None:
    streams = [
        StreamReport(stream="a", live=True, subscribers_passive=30, loss_ratio=0.1, egress_bps=1000),
        StreamReport(stream="b", live=True, subscribers_interactive=10, loss_ratio=0.02, egress_bps=500),
        StreamReport(stream="c", live=True, loss_ratio=1.0),
    ]
    there = [node("r1", cpu_ratio=0.5, memory_ratio=0.25, capacity=100, streams=streams), node("r2")]
    gauges = NodeGauges(lambda: there)
    gauges.start()
    try:
        text = render().decode()
        assert sample(text, "avacast_node_cpu_ratio", "r1") == 0.5
        assert sample(text, "avacast_node_memory_ratio", "r1") == 0.25
        assert sample(text, "avacast_node_viewers", "r1") == 40
        assert sample(text, "avacast_node_egress_bps", "r1") == 1500
        assert sample(text, "avacast_node_loss_ratio", "r1") == pytest.approx(0.08), "who watches counts"
        assert sample(text, "avacast_node_loss_ratio", "r2") == 0
        there.pop()
        assert '"r2"' not in render().decode(), "who is gone is told no more"
    finally:
        gauges.close()
    assert "avacast_node_cpu_ratio" not in render().decode()


def test_a_latency_that_a_player_knows_is_counted() -> None:
    def counted() -> float:
        found = re.search(
            r'^avacast_viewer_latency_seconds_count{delivery="hls"} (\S+)$', render().decode(), re.MULTILINE
        )
        return float(found[1]) if found else 0.0

    before = counted()
    tell_viewer(ViewerReport.model_validate({"broadcast": "demo", "delivery": "hls"}))
    tell_viewer(ViewerReport.model_validate({"broadcast": "demo", "delivery": "hls", "latency_ms": 1300}))
    assert counted() == before + 1


@pytest.mark.parametrize("rules", ["cluster.rules.yml", "jobs.rules.yml"])
def test_alerts_are_whole_and_ask_for_metrics_that_there_are(rules: str) -> None:
    assert all(DECLARED)
    gauges = NodeGauges(list)
    gauges.start()
    try:
        assert checked_rules(rules, "avacast_")
    finally:
        gauges.close()
