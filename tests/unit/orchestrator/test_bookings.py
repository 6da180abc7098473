"""Bookings in this process, in virtual time: the registry's rules, a bound for each address, and no memory of what has ended."""

from __future__ import annotations

import asyncio

import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.registry import Registry, Reservation
from orchestrator.bookings import Bookings
from orchestrator.joining import bookings_of_address

ROOMS = [("a", 40), ("b", 40), ("c", 40)]


def test_one_that_asks_and_never_comes_keeps_nobody_out() -> None:
    bookings = Bookings(5.0)
    most = bookings_of_address(120)
    for number in range(10_000):
        found = bookings.reserve(f"v{number}", ROOMS, number / 1000, "192.0.2.7", most)
        assert found.at is not None and sum(found.booked) <= most == 30
    others = [
        bookings.reserve(f"w{number}", ROOMS, 10.0, f"198.51.100.{number}", most) for number in range(91)
    ]
    assert [one.at is not None for one in others] == [True] * 90 + [False], "the rest is theirs"


def test_a_booking_ends_by_itself_and_whoever_asks_again_has_one() -> None:
    bookings = Bookings(5.0)
    rooms = [("a", 2)]
    assert bookings.reserve("v1", rooms, 0.0).booked == (1,)
    assert bookings.reserve("v2", rooms, 1.0).booked == (2,)
    assert bookings.reserve("v3", rooms, 4.9) == Reservation(None, (2,))
    assert bookings.reserve("v2", rooms, 4.9).booked == (2,), "it had one, and has it for longer"
    assert bookings.reserve("v3", rooms, 5.0) == Reservation(0, (2,))
    assert bookings.reserve("v4", rooms, 9.8) == Reservation(None, (2,))
    assert bookings.reserve("v4", rooms, 9.9) == Reservation(0, (2,))


@pytest.mark.slow
def test_nothing_is_kept_of_what_has_ended() -> None:
    bookings = Bookings(5.0)
    largest = 0
    for number in range(20_000):  # 100 a second, each from an address of its own, at nodes that come and go
        rooms = [(f"n{number // 500}", 1000), (f"n{number // 500 + 1}", 1000)]
        bookings.reserve(f"v{number}", rooms, number / 100, f"a{number}", 1)
        largest = max(largest, len(bookings))
    assert largest < 4 * 500, "a booking, and the address that has it; a node's go with its newest"
    bookings.reserve("last", [("n", 1)], 1000.0)
    assert len(bookings) == 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "here", "there"]), st.integers(0, 5)), max_size=60),
    st.integers(1, 4),
)
def test_an_address_holds_as_many_places_as_it_may_and_those_are_its_newest(
    asked: list[tuple[str, int]], most: int
) -> None:
    model, kept = Bookings(600.0), dict[str, list[str]]()
    for address, number in asked:
        viewer = f"{address}{number}"
        assert model.reserve(viewer, [("a", 100)], 0.0, address, most).at == 0, "nobody is refused"
        own = [one for one in kept.get(address, []) if one != viewer] + [viewer]
        kept[address] = own[-most:] if address else own
    assert set(model._nodes.get("a", {})) == {viewer for own in kept.values() for viewer in own}


@given(st.integers(0, 10_000))
def test_an_address_leaves_most_of_the_places_to_others(free: int) -> None:
    most = bookings_of_address(free)
    assert 1 <= most <= 64 and (most == 1 or most * 4 <= free)


@pytest.mark.slow
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
def test_they_are_those_of_the_registry(
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

    model = Bookings(600.0)
    assert asyncio.run(real()) == [
        model.reserve(viewer, rooms, 0.0, address, most) for viewer, address, most, rooms in asked
    ]
