"""Metrics of nodes and viewers, for Prometheus: how full and how well each node is, as its last heartbeat says, and how late players see
what is shown. Alerts on them are in infra/prometheus/cluster.rules.yml."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily

from common.metrics import REGISTRY, histogram
from orchestrator.nodes import Node
from orchestrator.viewers import ViewerReport

_LATENCY = histogram(
    "avacast_viewer_latency_seconds",
    "From capture to picture, as each player says every 10 s",
    (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.2, 3.0, 5.0, 10.0),
    ("delivery",),
)


class NodeGauges:
    """Gauges of the nodes that there are when somebody scrapes: a node that is gone has none, and a thousand cost nothing meanwhile."""

    def __init__(self, nodes: Callable[[], Iterable[Node]]) -> None:
        self._nodes = nodes

    def start(self) -> None:
        """Tells them from now on."""
        REGISTRY.register(self)

    def close(self) -> None:
        """Tells them no more."""
        REGISTRY.unregister(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """For Prometheus' client."""
        now = time.monotonic()
        told = {
            name: GaugeMetricFamily(f"avacast_node_{name}", text, labels=("node", "role", "region"))
            for name, text in _TEXTS.items()
        }
        for node in self._nodes():
            report = node.report
            figures = (
                report.cpu_ratio,
                report.memory_ratio,
                node.viewers,
                node.capacity(now),
                loss_ratio(node),
                sum(one.egress_bps for one in report.streams),
            )
            of = (report.id, report.role.value, report.region)
            for family, figure in zip(told.values(), figures, strict=True):
                family.add_metric(of, figure)
        return told.values()


_TEXTS = {
    "cpu_ratio": "Cores that the node's process takes, of all of its machine",
    "memory_ratio": "How full its machine's memory is",
    "viewers": "Viewers by WebRTC on it",
    "capacity": "Viewers that it is given at most",
    "loss_ratio": "Packets that its viewers miss, by their reports",
    "egress_bps": "Bits a second that it sends to viewers and nodes",
}


def loss_ratio(node: Node) -> float:
    """Of all streams of a node, by the viewers that each has; 0 while nobody watches."""
    watched = [
        (one.loss_ratio, one.subscribers_interactive + one.subscribers_passive) for one in node.report.streams
    ]
    viewers = sum(count for _, count in watched)
    return sum(loss * count for loss, count in watched) / viewers if viewers else 0.0


def tell_viewer(report: ViewerReport) -> None:
    """What a player says of its latency."""
    if report.latency_ms is not None:
        _LATENCY.labels(report.delivery.value).observe(report.latency_ms / 1000)
