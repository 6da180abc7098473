"""Placement: decisions per CPU-second with 1,000 nodes known, while the nodes heartbeat, against the target of DESIGN.md.

    python bench/placement.py [--nodes 1000] [--joins 100000] [--seconds 5]

First decisions alone: viewers come from all countries, the node's place is booked (its row is scored again), and every node
heartbeats once in 2.5 s of decisions. Then a storm in virtual time (orchestrator/simulation/storm.py): three orchestrators, nodes that
die and come back, judged by what the nodes really had; and a smaller one with and without two choices.
"""

from __future__ import annotations

import argparse
import random
import time

from common.directory import NodeReport, Role, StreamReport
from orchestrator.geo import Place, country_codes, country_place, region_names
from orchestrator.nodes import Nodes
from orchestrator.placement import Request, nearness, why_not
from orchestrator.simulation.storm import Outcome, Simulation, Storm

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
    options.add_argument("--joins", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=5.0)
    asked = options.parse_args()
    decisions(asked.nodes, asked.seconds)
    storm(asked.nodes, asked.joins)


def storm(nodes: int, joins: int) -> None:
    """The whole path of joins, with failures, judged by the truth."""
    asked = Storm(nodes=nodes, joins=joins, failures=max(1, nodes // 20))

    def told(now: float, so_far: Outcome) -> None:
        print(f"  {now:5.1f} s of {asked.storm_s + asked.calm_s:g}: {so_far.placed:,} placed", flush=True)

    print(f"storm: {joins:,} joins within {asked.storm_s:g} s, {nodes:,} nodes, {asked.failures} of them die")
    found = Simulation(asked).run(told)
    rate, p99 = found.decisions_a_second, found.quantile(0.99) * 1000
    print(
        f"  {found.asked:,} asked, {found.placed:,} placed, {found.refused:,} refused, {found.lost_races:,} races lost; "
        f"{found.over_booked} turned away because the node was full, {found.turned_away - found.over_booked} because it had died; "
        f"nodes over capacity: {found.over_capacity}"
    )
    back = max(found.back_s, default=0.0)
    print(f"  {found.fell:,} viewers of dead nodes, {found.back:,} watch again, the last after {back:.1f} s")
    print(
        f"  decisions a CPU-second: {rate:,.0f} (vs the target of {TARGET:,.0f}: {rate / TARGET:.1f}x), p99 {p99:.3f} ms of CPU "
        f"(vs {TARGET_P99_MS:g} ms: {TARGET_P99_MS / p99:.0f}x)"
    )
    herds = []
    for two in (True, False):
        small = Storm(
            nodes=max(10, nodes // 10), joins=joins // 10, storm_s=10, calm_s=5, failures=0, two_choices=two
        )
        herds.append(Simulation(small).run().herd)
    print(
        f"  sent to one node between its heartbeats, at most: {herds[0]:.0%} of its places "
        f"(vs always the best: {herds[1]:.0%}, {herds[1] / herds[0]:.1f}x)"
    )


def decisions(count: int, seconds: float) -> None:
    """Decisions and bookings alone, against a plain loop."""
    chance = random.Random(1)
    regions = region_names()
    places: list[Place | None] = [country_place(code) for code in country_codes()]
    nodes = Nodes()
    reports = [report(index, chance, regions) for index in range(count)]
    for one in reports:
        nodes.heartbeat(one, 0.0)
    requests = [Request(frozenset({Role.RELAY}), place) for place in places]
    for request in requests:
        nodes.field.choose(request, chance.random)

    took: list[float] = []
    beaten = 0
    started = time.process_time()
    wall = time.perf_counter()
    while (used := time.process_time() - started) < seconds:
        due = int((time.perf_counter() - wall) / HEARTBEAT_S * count)
        for index in range(beaten, due):
            nodes.heartbeat(reports[index % count], 0.0)
        beaten = due
        began = time.perf_counter()
        best = nodes.field.choose(chance.choice(requests), chance.random).best
        if best is None:
            raise RuntimeError("no node was free: the bench is broken")
        sent = nodes.find(best.id)
        nodes.booked(best.id, (sent.pending(0.0) if sent else 0) + 1, 0.0)
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
    print(f"placement decisions, {count} nodes: {rate:,.0f} a CPU-second ({against})")
    print(
        f"placement decision, p99: {p99:.3f} ms (vs the target of {TARGET_P99_MS:g} ms: {TARGET_P99_MS / p99:.0f}x)"
    )


if __name__ == "__main__":
    main()
