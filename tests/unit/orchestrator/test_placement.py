"""Placement: what is promised for every set of nodes, and that the quick columns say what the plain sums say."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from common.directory import Role
from orchestrator.geo import Place, region_place
from orchestrator.placement import Candidate, Field, Request, Weights, WhyNot, nearness, why_not

VIEWERS = Request(frozenset({Role.RELAY}))

places = st.one_of(
    st.none(),
    st.builds(
        Place, st.floats(-90, 90).map(lambda x: round(x, 3)), st.floats(-180, 180).map(lambda x: round(x, 3))
    ),
)
candidates = st.lists(
    st.builds(
        Candidate,
        id=st.text("abcdef", min_size=1, max_size=4),
        role=st.sampled_from(Role),
        place=places,
        capacity=st.integers(0, 50),
        used=st.integers(0, 60),
        cpu_ratio=st.floats(0, 2),
        performance=st.floats(0, 1),
        draining=st.booleans(),
        healthy=st.booleans(),
    ),
    max_size=24,
    unique_by=lambda one: one.id,
)
requests = st.builds(
    Request,
    roles=st.frozensets(st.sampled_from(Role), min_size=1),
    place=places,
    affinity=st.one_of(st.none(), st.text("abcdef", min_size=1, max_size=2)),
    only=st.one_of(st.none(), st.frozensets(st.text("abcdef", min_size=1, max_size=2), max_size=20)),
    exclude=st.frozensets(st.text("abcdef", min_size=1, max_size=2), max_size=4),
)


@given(candidates, requests)
def test_every_node_is_either_ranked_or_has_a_reason_against_it(
    nodes: list[Candidate], request: Request
) -> None:
    placement = Field(nodes).explain(request)
    ranked, rejected = {one.id for one in placement.ranked}, dict(placement.rejected)
    assert ranked | rejected.keys() == {one.id for one in nodes}
    assert not ranked & rejected.keys()
    for node in nodes:
        assert rejected.get(node.id) == why_not(node, request)


@given(candidates, requests)
def test_nobody_is_sent_to_a_node_that_is_full_draining_or_ill(
    nodes: list[Candidate], request: Request
) -> None:
    known = {one.id: one for one in nodes}
    for choice in Field(nodes).place(request, best=5).ranked:
        node = known[choice.id]
        assert node.used < node.capacity
        assert node.healthy
        assert not node.draining
        assert node.role in request.roles
        assert node.id not in request.exclude


@given(candidates, requests)
def test_the_best_by_columns_is_the_best_by_plain_sums(nodes: list[Candidate], request: Request) -> None:
    field = Field(nodes)
    best = field.place(replace(request, affinity=None), best=1).best
    plain = [one.score for one in field.explain(replace(request, affinity=None)).ranked]
    assert (best is None) == (not plain)
    if best is not None:
        assert abs(best.score - max(plain)) < 1e-9


@given(candidates, requests)
def test_scores_and_their_parts_are_between_0_and_1_and_ranked(
    nodes: list[Candidate], request: Request
) -> None:
    ranked = [one for one in Field(nodes).explain(request).ranked if not one.affinity]
    for choice in ranked:
        parts = choice.parts
        assert all(0 <= part <= 1 for part in (parts.nearness, parts.load, parts.performance, parts.capacity))
        assert -1e-9 <= choice.score <= 1 + 1e-9
    assert all(a.score >= b.score - 1e-9 for a, b in itertools.pairwise(ranked))


@given(candidates, requests)
def test_the_node_that_a_viewer_had_goes_first_while_it_can(nodes: list[Candidate], request: Request) -> None:
    had = next((one for one in nodes if one.id == request.affinity), None)
    best = Field(nodes).place(request).best
    if had is not None and why_not(had, request) is None:
        assert best is not None
        assert best.id == had.id


@given(
    st.integers(1, 100),
    st.integers(0, 99),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(["cpu_ratio", "used", "performance"]),
)
def test_a_node_that_gets_better_in_one_part_never_scores_less(
    capacity: int, used: int, cpu: float, performance: float, part: str
) -> None:
    worse = Candidate(
        "n",
        Role.RELAY,
        capacity=capacity,
        used=min(used, capacity - 1),
        cpu_ratio=cpu,
        performance=performance,
    )
    better = {
        "cpu_ratio": replace(worse, cpu_ratio=worse.cpu_ratio / 2),
        "used": replace(worse, used=worse.used // 2),
        "performance": replace(worse, performance=min(1.0, worse.performance + 0.1)),
    }[part]
    scores = [Field([one]).place(VIEWERS).ranked[0].score for one in (worse, better)]
    assert scores[1] >= scores[0] - 1e-12


@settings(max_examples=50)
@given(candidates, st.lists(st.tuples(st.booleans(), candidates), max_size=4), requests)
def test_columns_stay_true_through_any_changes(
    first: list[Candidate], changes: list[tuple[bool, list[Candidate]]], request: Request
) -> None:
    field, known = Field(first), {one.id: one for one in first}
    for remove, nodes in changes:
        for node in nodes:
            if remove:
                field.remove(node.id)
                known.pop(node.id, None)
            else:
                field.put(node)
                known[node.id] = node
        field.place(request)  # fills the caches that the next change must not leave stale
    fresh = Field(known.values()).explain(request)
    assert {(one.id, round(one.score, 9)) for one in field.explain(request).ranked} == {
        (one.id, round(one.score, 9)) for one in fresh.ranked
    }


def test_viewers_go_to_their_side_of_the_ocean() -> None:
    relays = [
        Candidate(region, Role.RELAY, region, region_place(region))
        for region in ("us-east-1", "eu-west-1", "ap-southeast-1")
    ]
    field = Field(relays)
    for place, nearest in (
        (Place(52.5, 13.4), "eu-west-1"),
        (Place(40.7, -74.0), "us-east-1"),
        (Place(-6.2, 106.8), "ap-southeast-1"),
    ):
        best = field.place(replace(VIEWERS, place=place)).best
        assert best is not None
        assert best.id == nearest


def test_a_near_node_at_its_limit_yields_to_a_far_one() -> None:
    near = Candidate(
        "near", Role.RELAY, place=Place(50, 8), capacity=100, used=99, cpu_ratio=0.99, performance=0.4
    )
    far = Candidate("far", Role.RELAY, place=Place(50, 15), capacity=100)
    best = Field([near, far]).place(replace(VIEWERS, place=Place(50, 8))).best
    assert best is not None
    assert best.id == "far"


def test_weights_decide() -> None:
    near = Candidate("near", Role.RELAY, place=Place(50, 8), cpu_ratio=0.9)
    idle = Candidate("idle", Role.RELAY, place=Place(0, 100), cpu_ratio=0.0)
    request = replace(VIEWERS, place=Place(50, 8))
    for weights, wanted in ((Weights(1, 0, 0, 0), "near"), (Weights(0, 1, 0, 0), "idle")):
        best = Field([near, idle], weights).place(request).best
        assert best is not None
        assert best.id == wanted


def test_nearness_falls_with_distance_and_is_neutral_for_the_unknown() -> None:
    berlin = Place(52.5, 13.4)
    distances = [
        nearness(berlin, place)
        for place in (berlin, Place(48.1, 11.6), Place(40.4, -3.7), Place(40.7, -74), Place(-33, 151))
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] == 1.0
    assert nearness(None, berlin) == nearness(berlin, None) == 0.5


def test_reasons_are_told_in_their_order() -> None:
    node = Candidate("n", Role.RELAY, draining=True, healthy=False, capacity=0)
    assert why_not(node, VIEWERS) is WhyNot.UNHEALTHY
    assert why_not(replace(node, healthy=True), VIEWERS) is WhyNot.DRAINING
    assert why_not(replace(node, healthy=True, draining=False), VIEWERS) is WhyNot.FULL
    assert why_not(node, Request(frozenset({Role.ORIGIN}))) is WhyNot.ROLE
