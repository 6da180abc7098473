"""Nodes in virtual time: leases, probes, epochs, drain, and what placement is told."""

from __future__ import annotations

import pytest

from common.directory import NodeReport, Role, StreamReport
from common.errors import Conflict
from orchestrator.draining import Drain
from orchestrator.nodes import BOOKING_S, LEASE_S, Nodes, NodeState
from orchestrator.placement import Request

RELAYS = Request(frozenset({Role.RELAY}))


def report(
    name: str = "r1", *, epoch: int = 1, role: Role = Role.RELAY, viewers: int = 0, **more: object
) -> NodeReport:
    streams = [
        StreamReport(
            stream="demo", live=True, subscribers_interactive=viewers, loss_ratio=more.pop("loss", 0.0)
        )
    ]
    return NodeReport(id=name, role=role, url=f"http://{name}:8082", epoch=epoch, streams=streams, **more)


def best(nodes: Nodes) -> str | None:
    choice = nodes.field.place(RELAYS).best
    return choice.id if choice is not None else None


def test_a_lease_lasts_four_heartbeats() -> None:
    nodes = Nodes()
    assert nodes.heartbeat(report(), 100.0)
    assert not nodes.expire(100.0 + LEASE_S - 0.1)
    assert [one.id for one in nodes.expire(100.0 + LEASE_S)] == ["r1"]
    assert best(nodes) is None


def test_each_heartbeat_renews_it() -> None:
    nodes = Nodes()
    for tick in range(40):
        assert nodes.heartbeat(report(), 100.0 + 2.5 * tick) == (tick == 0)
    assert not nodes.expire(100.0 + 39 * 2.5 + 9.9)


def test_a_node_that_answers_probes_outlives_its_lease() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(), 100.0)
    for second in range(101, 160):
        nodes.probed("r1", True, float(second))
        assert not nodes.expire(float(second))
    node = nodes.find("r1")
    assert node is not None
    assert node.state(159.0) is NodeState.LAPSED
    assert best(nodes) == "r1"
    nodes.probed("r1", False, 160.0)
    assert not nodes.expire(160.0)
    nodes.probed("r1", False, 161.0)
    assert [one.id for one in nodes.expire(161.0)] == ["r1"]


def test_a_node_that_heartbeats_but_does_not_serve_is_not_chosen() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(), 100.0)
    nodes.probed("r1", True, 100.5)
    assert not nodes.probed("r1", False, 101.5)
    assert nodes.probed("r1", False, 102.5)
    nodes.heartbeat(report(), 103.0)
    node = nodes.find("r1")
    assert node is not None
    assert node.state(103.0) is NodeState.SUSPECT
    assert best(nodes) is None
    assert nodes.probed("r1", True, 104.0)
    assert best(nodes) == "r1"


def test_the_later_start_of_a_node_fences_the_earlier_one() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(epoch=7), 100.0)
    assert nodes.heartbeat(report(epoch=9), 101.0)
    with pytest.raises(Conflict) as refusal:
        nodes.heartbeat(report(epoch=7), 102.0)
    assert refusal.value.code == "node_replaced"
    assert not nodes.learn(report(epoch=7), 102.0, 9.0)


def test_what_another_orchestrator_heard_counts_unless_it_is_older() -> None:
    nodes = Nodes()
    assert nodes.learn(report(), 100.0, 8.0)
    assert not nodes.learn(report(viewers=5), 100.0, 7.0)
    assert not nodes.learn(report("dead"), 100.0, -1.0)
    nodes.heartbeat(report(viewers=3), 101.0)
    node = nodes.find("r1")
    assert node is not None
    assert node.here
    assert node.viewers == 3


def test_a_lie_about_the_lease_is_cut() -> None:
    nodes = Nodes()
    nodes.learn(report(), 100.0, 1e9)
    assert nodes.expire(100.0 + LEASE_S)


def test_viewers_that_were_just_sent_count_before_the_node_reports_them() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(capacity=2), 100.0)
    nodes.booked("r1", 1, 100.1, alone=True)
    assert best(nodes) == "r1"
    nodes.booked("r1", 2, 100.2, alone=True)
    assert best(nodes) is None
    nodes.heartbeat(report(capacity=2), 102.5)  # may have been written before they arrived
    assert best(nodes) is None
    nodes.heartbeat(report(capacity=2, viewers=1), 100.2 + BOOKING_S)
    assert best(nodes) == "r1"


def test_what_the_registry_said_last_counts_beside_what_is_booked_without_it() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(capacity=4), 100.0)
    nodes.booked("r1", 4, 100.0)
    assert best(nodes) is None
    nodes.booked("r1", 1, 101.0, alone=True)
    assert best(nodes) is None, "the registry is away, those that it sent are on their way still"
    nodes.booked("r1", 2, 100.0 + BOOKING_S, alone=True)
    assert best(nodes) == "r1"


def test_drain_takes_a_node_out_and_can_be_undone() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(), 100.0)
    assert nodes.drain("r1", Drain(), 100.0)
    assert best(nodes) is None
    nodes.heartbeat(report(epoch=2), 101.0)
    assert best(nodes) is None, "a restart does not undo it"
    assert nodes.drain("r1", None, 102.0)
    assert best(nodes) == "r1"
    assert not nodes.drain("nobody", True, 102.0)


def test_a_node_may_drain_itself() -> None:
    nodes = Nodes()
    nodes.heartbeat(report(draining=True), 100.0)
    assert best(nodes) is None


def test_loss_among_its_viewers_lowers_a_nodes_rank_and_is_forgiven_in_time() -> None:
    nodes = Nodes()
    for beat in range(8):
        nodes.heartbeat(report("good", viewers=10), 100.0 + beat)
        nodes.heartbeat(report("lossy", viewers=10, loss=0.1), 100.0 + beat)
    assert best(nodes) == "good"
    lossy = nodes.find("lossy")
    assert lossy is not None
    assert lossy.performance < 0.6
    for beat in range(30):
        nodes.heartbeat(report("lossy", viewers=10), 110.0 + beat)
    assert lossy.performance > 0.99
