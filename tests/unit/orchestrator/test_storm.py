"""Storms of joins in virtual time: nobody is sent where there is no room, and a dead node's viewers watch again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import fakeredis
from hypothesis import given, settings
from hypothesis import strategies as st

from common.registry import Registry, Reservation
from orchestrator.joining import bookings_of_address
from orchestrator.simulation.bookings import Bookings
from orchestrator.simulation.storm import Simulation, Storm

SMALL = Storm(nodes=80, joins=4000, storm_s=15, calm_s=15, failures=6, stay_s=1000)


def test_in_a_storm_everybody_is_placed_and_the_viewers_of_dead_nodes_watch_again() -> None:
    found = Simulation(SMALL).run()
    assert (found.refused, found.over_capacity, found.over_booked) == (0, 0, 0)
    assert found.failures == 6
    assert found.back == found.fell > 0
    assert max(found.back_s) < 10  # 2 s of silence, and at most a few doors that are shut
    assert found.watching > 0.95 * SMALL.joins


def test_with_too_few_places_nobody_is_sent_to_a_full_node_and_the_rest_is_refused() -> None:
    scarce = replace(SMALL, nodes=20, joins=2500, capacity=(100, 100), failures=0, stay_s=1e9)
    found = Simulation(scarce).run()
    assert found.over_booked == 0
    assert found.over_capacity == 0
    assert found.watching == 2000
    assert found.fullest == 1.0
    assert found.refused > 0


def test_two_choices_spread_a_storm() -> None:
    storm = replace(SMALL, joins=3000, storm_s=5, calm_s=3, failures=0)
    herd = Simulation(storm).run().herd
    assert herd < Simulation(replace(storm, two_choices=False)).run().herd


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "here", "there"]), st.integers(0, 5)), max_size=60),
    st.integers(1, 4),
)
def test_an_address_holds_as_many_places_as_it_may_and_those_are_its_newest(
    asked: list[tuple[str, int]], most: int
) -> None:
    model, kept = Bookings(), dict[str, list[str]]()
    for address, number in asked:
        viewer = f"{address}{number}"
        assert model.reserve(viewer, [("a", 100)], 600.0, 0.0, address, most).at == 0, "nobody is refused"
        own = [one for one in kept.get(address, []) if one != viewer] + [viewer]
        kept[address] = own[-most:] if address else own
    assert set(model._nodes.get("a", {})) == {viewer for own in kept.values() for viewer in own}


@given(st.integers(0, 10_000))
def test_an_address_leaves_most_of_the_places_to_others(free: int) -> None:
    most = bookings_of_address(free)
    assert 1 <= most <= 64 and (most == 1 or most * 4 <= free)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3", "v4"]),
            st.sampled_from(["", "here", "there"]),
            st.integers(1, 3),
            st.lists(
                st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(-1, 3)),
                min_size=1,
                max_size=3,
                unique_by=lambda one: one[0],
            ),
        ),
        max_size=20,
    )
)
def test_the_bookings_of_the_simulation_are_those_of_the_registry(
    asked: list[tuple[str, str, int, list[tuple[str, int]]]],
) -> None:
    async def real() -> list[Reservation]:
        registry = Registry(fakeredis.FakeAsyncRedis())
        try:
            return [
                await registry.reserve(viewer, rooms, ttl_ms=600_000, address=address, most=most)
                for viewer, address, most, rooms in asked
            ]
        finally:
            await registry.close()

    model = Bookings()
    assert asyncio.run(real()) == [
        model.reserve(viewer, rooms, 600.0, 0.0, address, most) for viewer, address, most, rooms in asked
    ]
