"""Placement: decisions per CPU-second with 1,000 nodes known, while the nodes heartbeat, against the target of DESIGN.md.

    python bench/placement.py [--nodes 1000] [--seconds 5]

A decision is what a join costs: viewers come from all countries, the node's place is booked (its row is scored again), and every
node heartbeats once in 2.5 s of decisions.
"""

from __future__ import annotations

import argparse
import random
import time

from common.directory import NodeReport, Role, StreamReport
from orchestrator.geo import Place, _table, country_place
from orchestrator.nodes import Nodes
from orchestrator.placement import Request, nearness, why_not

TARGET = 5000.0
TARGET_P99_MS = 5.0
HEARTBEAT_S = 2.5


def report(index: int, chance: random.Random, regions: list[str]) -> NodeReport:
    """A relay somewhere, half full."""
    viewers = chance.randrange(0, 500)
    return NodeReport(
        id=f"relay-{index}",
        role=Role.RELAY,
        region=regions[index % len(regions)],
        url=f"http://10.0.{index // 256}.{index % 256}:8082",
        epoch=1,
        capacity=1_000_000,
        cpu_ratio=chance.random(),
        streams=[
            StreamReport(stream="bench", subscribers_passive=viewers, loss_ratio=chance.random() * 0.05)
        ],
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=5.0)
    asked = options.parse_args()
    chance = random.Random(1)
    regions = list(_table("regions.json"))
    places: list[Place | None] = [country_place(code) for code in _table("countries.json")]
    nodes = Nodes()
    reports = [report(index, chance, regions) for index in range(asked.nodes)]
    for one in reports:
        nodes.heartbeat(one, 0.0)
    requests = [Request(frozenset({Role.RELAY}), place) for place in places]
    for request in requests:
        nodes.field.place(request, best=1)

    took: list[float] = []
    beaten = 0
    started = time.process_time()
    wall = time.perf_counter()
    while (used := time.process_time() - started) < asked.seconds:
        due = int((time.perf_counter() - wall) / HEARTBEAT_S * asked.nodes)
        for index in range(beaten, due):
            nodes.heartbeat(reports[index % asked.nodes], 0.0)
        beaten = due
        began = time.perf_counter()
        best = nodes.field.place(chance.choice(requests), best=1).best
        if best is None:
            raise RuntimeError("no node was free: the bench is broken")
        nodes.placed(best.id, 0.0)
        took.append(time.perf_counter() - began)
    rate = len(took) / used
    took.sort()
    p99 = took[int(0.99 * len(took))] * 1000

    plain = time.process_time()
    rounds = 20
    for index in range(rounds):
        request = requests[index]
        able = [
            row for one in nodes if (row := nodes.field.candidate(one.id)) and why_not(row, request) is None
        ]
        max(able, key=lambda row: 0.4 * nearness(request.place, row.place) - 0.3 * row.cpu_ratio)
    plain_rate = rounds / (time.process_time() - plain)

    against = (
        f"vs the target of {TARGET:,.0f}: {rate / TARGET:.1f}x; vs a plain loop: {rate / plain_rate:.0f}x"
    )
    print(f"placement decisions, {asked.nodes} nodes: {rate:,.0f} a CPU-second ({against})")
    print(
        f"placement decision, p99: {p99:.3f} ms (vs the target of {TARGET_P99_MS:g} ms: {TARGET_P99_MS / p99:.0f}x)"
    )


if __name__ == "__main__":
    main()
