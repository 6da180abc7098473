"""Placement: what is promised for every set of nodes, and that the quick columns say what the plain sums say."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.directory import Role
from orchestrator.field import Field
from orchestrator.geo import Place, region_place
from orchestrator.placement import (
    MAX_RTT_MS,
    MAX_RTTS,
    Candidate,
    Region,
    Request,
    Weights,
    WhyNot,
    nearness,
    parse_region,
    why_not,
)

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
        pending=st.integers(0, 60),
        region=st.sampled_from(["north", "south", "west"]),
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
    rtts=st.lists(
        st.tuples(st.text("abcdef", min_size=1, max_size=2), st.floats(0, MAX_RTT_MS)), max_size=4
    ).map(tuple),
)
regions = st.dictionaries(
    st.sampled_from(["north", "south", "west", "nowhere"]),
    st.builds(Region, st.floats(0, 1), st.one_of(st.none(), st.integers(0, 120))),
)


@given(candidates, requests, regions)
def test_every_node_is_either_ranked_or_has_a_reason_against_it(
    nodes: list[Candidate], request: Request, limits: dict[str, Region]
) -> None:
    field = Field(nodes, regions=limits)
    placement = field.explain(request)
    ranked, rejected = {one.id for one in placement.ranked}, dict(placement.rejected)
    assert ranked | rejected.keys() == {one.id for one in nodes}
    assert not ranked & rejected.keys()
    for node in nodes:
        assert rejected.get(node.id) == field.why_not(node, request)
        if rejected.get(node.id) is not WhyNot.REGION_FULL:
            assert rejected.get(node.id) == why_not(node, request)


@given(candidates, requests, regions, st.randoms(use_true_random=False))
def test_nobody_is_sent_to_a_node_or_a_region_that_is_full_draining_or_ill(
    nodes: list[Candidate], request: Request, limits: dict[str, Region], chance: random.Random
) -> None:
    known = {one.id: one for one in nodes}
    used = Counter[str]()
    for one in nodes:
        used[one.region] += one.used
    field = Field(nodes, regions=limits)
    chosen = field.choose(request, chance.random, best=5).ranked
    assert bool(chosen) == bool(field.explain(request).ranked)
    assert len({one.id for one in chosen}) == len(chosen)
    for choice in (*field.place(request, best=5).ranked, *chosen):
        node = known[choice.id]
        limit = limits.get(node.region, Region()).capacity
        assert limit is None or used[node.region] < limit
        assert node.used < node.capacity
        assert node.healthy
        assert not node.draining
        assert node.role in request.roles
        assert node.id not in request.exclude


@given(candidates, requests, regions)
def test_the_best_by_columns_is_the_best_by_plain_sums(
    nodes: list[Candidate], request: Request, limits: dict[str, Region]
) -> None:
    field = Field(nodes, regions=limits)
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


@given(candidates, requests, regions, st.randoms(use_true_random=False))
def test_the_node_that_a_viewer_had_goes_first_while_it_can(
    nodes: list[Candidate], request: Request, limits: dict[str, Region], chance: random.Random
) -> None:
    had = next((one for one in nodes if one.id == request.affinity), None)
    field = Field(nodes, regions=limits)
    if had is not None and field.why_not(had, request) is None:
        for placement in (field.place(request), field.choose(request, chance.random)):
            assert placement.best is not None
            assert placement.best.id == had.id
            assert placement.best.affinity


@given(
    st.integers(1, 100),
    st.integers(0, 99),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(["cpu_ratio", "used", "performance", "pending", "place", "rtt", "priority"]),
)
def test_a_node_that_gets_better_in_one_part_never_scores_less(
    capacity: int, used: int, cpu: float, performance: float, part: str
) -> None:
    worse = Candidate(
        "n",
        Role.RELAY,
        "there",
        Place(10, 10),
        capacity=capacity,
        used=min(used, capacity - 1),
        pending=min(used, capacity - 1),
        cpu_ratio=cpu,
        performance=performance,
    )
    better = {
        "pending": replace(worse, pending=worse.pending // 2),
        "place": replace(worse, place=Place(10, 9)),
        "cpu_ratio": replace(worse, cpu_ratio=worse.cpu_ratio / 2),
        "used": replace(worse, used=worse.used // 2),
        "performance": replace(worse, performance=min(1.0, worse.performance + 0.1)),
    }.get(part, worse)
    here = replace(VIEWERS, place=Place(10, 0))
    asked = [replace(here, rtts=(("n", ms),)) for ms in (80 * cpu, 40 * cpu)] if part == "rtt" else [here] * 2
    rules = [{"there": Region(priority if part == "priority" else 1.0)} for priority in (0.4, 0.8)]
    scores = [
        Field([one], regions=rule).place(request).ranked[0].score
        for one, rule, request in zip((worse, better), rules, asked, strict=True)
    ]
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


def test_a_round_trip_that_was_measured_goes_before_the_distance_and_speaks_for_its_region() -> None:
    nodes = [
        Candidate("near-1", Role.RELAY, "near", Place(50, 8)),
        Candidate("near-2", Role.RELAY, "near", Place(50, 8)),
        Candidate("far-1", Role.RELAY, "far", Place(40, -74)),
        Candidate("far-2", Role.RELAY, "far", Place(40, -74)),
    ]
    field, here = Field(nodes), replace(VIEWERS, place=Place(50, 8))
    assert [one.region for one in field.place(here, best=4).ranked] == ["near", "near", "far", "far"]
    detour = replace(here, rtts=(("near-1", 240.0), ("far-1", 20.0), ("who", 1.0)))
    ranked = field.place(detour, best=4).ranked
    assert [one.region for one in ranked] == ["far", "far", "near", "near"]
    assert {one.id: one.rtt_ms for one in ranked} == {
        "far-1": 20.0,
        "far-2": 20.0,
        "near-1": 240.0,
        "near-2": 240.0,
    }


@pytest.mark.parametrize(
    "rtts",
    [
        tuple((f"n{at}", 1.0) for at in range(MAX_RTTS + 1)),
        (("n", -1.0),),
        (("n", float("nan")),),
        (("n", float("inf")),),
        (("n", MAX_RTT_MS + 1),),
    ],
)
def test_round_trips_beyond_all_reason_are_refused(rtts: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(ValueError, match="round trips"):
        replace(VIEWERS, rtts=rtts)


def test_a_region_takes_no_more_than_its_limit_and_its_priority_decides() -> None:
    nodes = [
        Candidate("a", Role.RELAY, "first", capacity=100, used=49),
        Candidate("b", Role.RELAY, "second", capacity=100),
        Candidate("c", Role.RELAY, "last", capacity=1000),
    ]
    rules = {"first": Region(1.0, 50), "second": Region(0.5), "last": Region(0.0)}
    field = Field(nodes, regions=rules)
    assert [one.id for one in field.place(VIEWERS).ranked] == ["a", "b", "c"]
    field.put(replace(nodes[0], used=50))
    assert [one.id for one in field.place(VIEWERS).ranked] == ["b", "c"]
    assert dict(field.explain(VIEWERS).rejected) == {"a": WhyNot.REGION_FULL}
    field.put(replace(nodes[1], used=100))
    assert [one.id for one in field.place(VIEWERS).ranked] == ["c"]
    field.put(nodes[0])
    assert field.place(VIEWERS).ranked[0].id == "a"


def test_a_region_is_written_with_priority_and_limit() -> None:
    assert parse_region("eu-west-1=1/5000") == ("eu-west-1", Region(1.0, 5000))
    assert parse_region("us-east-1=0.5") == ("us-east-1", Region(0.5))
    for bad in ("", "eu", "eu=", "=1", "eu=2", "eu=-1", "eu=nan", "eu=1/", "eu=1/-5", "eu=1/many"):
        with pytest.raises(ValueError, match="eu-west-1=1/5000"):
            parse_region(bad)


def test_in_a_storm_the_emptier_of_two_is_taken_and_else_the_best() -> None:
    calm = [
        Candidate("best", Role.RELAY, capacity=100, used=20, pending=1),
        Candidate("next", Role.RELAY, capacity=100, used=10, pending=1, cpu_ratio=0.1),
        Candidate("far", Role.RELAY, capacity=100, performance=0.2),
    ]
    field = Field(calm)
    chance = random.Random(3)
    assert {field.choose(VIEWERS, chance.random, best=1).ranked[0].id for _ in range(50)} == {"best"}
    field.put(replace(calm[0], pending=10, cpu_ratio=-0.09))
    assert field.place(VIEWERS).ranked[0].id == "best"
    assert field.place(VIEWERS).ranked[0].storm
    assert {field.choose(VIEWERS, chance.random, best=1).ranked[0].id for _ in range(50)} == {"next"}
    three = [
        Candidate(name, Role.RELAY, capacity=100, used=used, pending=5)
        for name, used in (("a", 12), ("b", 11), ("c", 10))
    ]
    taken = Counter(Field(three).choose(VIEWERS, chance.random).ranked[0].id for _ in range(300))
    assert taken["c"] > taken["b"] > 0  # of any two the emptier: the fullest is never it
    assert taken["a"] == 0
