"""The registry on an in-process Redis that speaks the real commands and runs the real scripts: leases, fences, viewers, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import fakeredis
import pytest

from common.registry import Registry, RegistryDown, Reservation, StaleEpoch


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


def join(server: fakeredis.FakeServer) -> Registry:
    return Registry(fakeredis.FakeAsyncRedis(server=server))


@pytest.fixture
async def registry(server: fakeredis.FakeServer) -> AsyncIterator[Registry]:
    joined = join(server)
    yield joined
    await joined.close()


async def test_a_leased_node_is_seen_by_all(server: fakeredis.FakeServer, registry: Registry) -> None:
    await registry.lease_node("r1", 3, "report", ttl_ms=10_000)
    other = join(server)
    (lease,) = (await other.snapshot()).nodes
    assert (lease.id, lease.epoch, lease.document) == ("r1", 3, "report")
    assert 9_000 < lease.remaining_ms <= 10_000
    await other.close()


async def test_a_lapsed_lease_is_still_told_with_how_long_ago(registry: Registry) -> None:
    await registry.lease_node("r1", 3, "report", ttl_ms=0)
    (lease,) = (await registry.snapshot()).nodes
    assert lease.remaining_ms <= 0


async def test_an_earlier_start_of_a_node_is_fenced_off(registry: Registry) -> None:
    late = 2**60 + 1  # beyond what Lua's numbers hold apart
    await registry.lease_node("r1", late, "new", ttl_ms=10_000)
    with pytest.raises(StaleEpoch) as refusal:
        await registry.lease_node("r1", late - 1, "old", ttl_ms=10_000)
    assert refusal.value.code == "node_replaced"
    await registry.release_node("r1", late - 1)
    assert (await registry.snapshot()).nodes[0].document == "new"
    await registry.release_node("r1", late)
    assert not (await registry.snapshot()).nodes


async def test_one_orchestrator_at_a_time_has_a_duty(server: fakeredis.FakeServer) -> None:
    registry = Registry(fakeredis.FakeAsyncRedis(server=server), clock=lambda: 100.0)
    first = await registry.take_duty("steer", "a", ttl_ms=5000)
    assert first is not None
    assert first.until == 105.0
    other = join(server)
    assert await other.take_duty("steer", "b", ttl_ms=5000) is None
    again = await registry.take_duty("steer", "a", ttl_ms=5000)
    assert again is not None
    assert again.epoch == first.epoch
    await registry.release_duty(first)
    second = await other.take_duty("steer", "b", ttl_ms=5000)
    assert second is not None
    assert second.epoch > first.epoch
    await other.close()
    await registry.close()


async def test_who_lost_a_duty_writes_nothing_any_more(registry: Registry) -> None:
    first = await registry.take_duty("steer", "a", ttl_ms=5000)
    assert first is not None
    await registry.put_decisions(first, "deliveries", {"demo": "one", "gone": "x"})
    await registry.release_duty(first)
    second = await registry.take_duty("steer", "b", ttl_ms=5000)
    assert second is not None
    await registry.put_decisions(second, "deliveries", {"demo": "two", "gone": None})
    with pytest.raises(StaleEpoch):
        await registry.put_decisions(first, "deliveries", {"demo": "three"})
    assert (await registry.snapshot()).deliveries == {"demo": "two"}


async def test_epochs_and_versions_grow_over_a_redis_that_was_restarted_empty() -> None:
    before, after = join(fakeredis.FakeServer()), join(fakeredis.FakeServer())
    old = await before.take_duty("steer", "a", ttl_ms=5000)
    version = await before.bump_version()
    await asyncio.sleep(0.002)  # the clock must move on by its unit, a millisecond
    new = await after.take_duty("steer", "b", ttl_ms=5000)
    assert old is not None
    assert new is not None
    assert new.epoch > old.epoch
    assert await after.bump_version() > version
    await before.close()
    await after.close()


async def test_versions_grow_however_many_ask(server: fakeredis.FakeServer) -> None:
    several = [join(server) for _ in range(4)]
    versions = await asyncio.gather(*(one.bump_version() for one in several for _ in range(25)))
    assert len(set(versions)) == 100
    await asyncio.gather(*(one.close() for one in several))


async def test_a_viewer_counts_once_wherever_it_reports(
    server: fakeredis.FakeServer, registry: Registry
) -> None:
    other = join(server)
    for each in (registry, other, registry):
        await each.report_viewer("demo", "v1", hls=True, document="{}", ttl_ms=30_000)
    await other.report_viewer("demo", "v2", hls=False, document="{}", ttl_ms=30_000)
    assert await registry.count_viewers(["demo", "empty"]) == {"demo": (1, 1), "empty": (0, 0)}
    await registry.report_viewer("demo", "v1", hls=False, document="{}", ttl_ms=30_000)
    assert await other.count_viewers(["demo"]) == {"demo": (0, 2)}
    await other.close()


async def test_a_silent_viewer_is_forgotten_with_all_that_it_said(registry: Registry) -> None:
    await registry.report_viewer("demo", "v1", hls=True, document="one", ttl_ms=30_000)
    await registry.report_viewer("demo", "v2", hls=True, document="two", ttl_ms=0)
    assert await registry.count_viewers(["demo"]) == {"demo": (1, 0)}
    assert await registry.viewers("demo") == {"v1": "one"}


async def test_the_end_of_a_broadcast_leaves_nothing(registry: Registry) -> None:
    await registry.report_viewer("demo", "v1", hls=True, document="one", ttl_ms=30_000)
    await registry.put_order("demo", "on")
    await registry.forget_broadcast("demo")
    assert await registry.viewers("demo") == {}
    assert not (await registry.snapshot()).orders


async def test_drains_and_orders_are_shared(registry: Registry) -> None:
    await registry.put_drain("r1", "{}")
    await registry.put_order("demo", "on")
    shared = await registry.snapshot()
    assert (shared.drains, shared.orders) == ({"r1": "{}"}, {"demo": "on"})
    await registry.put_drain("r1", None)
    assert not (await registry.snapshot()).drains


async def test_a_dead_redis_is_asked_again_only_after_a_rest(server: fakeredis.FakeServer) -> None:
    now = 100.0
    registry = Registry(fakeredis.FakeAsyncRedis(server=server), clock=lambda: now)
    server.connected = False
    with pytest.raises(RegistryDown):
        await registry.snapshot()
    assert not registry.up
    server.connected = True
    for _ in range(4):  # within half a second it is refused without a question: Redis would answer
        with pytest.raises(RegistryDown):
            await registry.count_viewers(["demo"])
        now += 0.12
    now += 1.1
    await registry.snapshot()
    assert registry.up
    await registry.close()


# places at nodes ------------------------------------------------------------------------------------------------------


async def test_the_first_node_with_room_is_booked_and_all_see_it(
    server: fakeredis.FakeServer, registry: Registry
) -> None:
    other = join(server)
    assert await registry.reserve("v1", [("a", 1), ("b", 2)], ttl_ms=60_000) == Reservation(0, (1, 0))
    assert await other.reserve("v2", [("a", 1), ("b", 2)], ttl_ms=60_000) == Reservation(1, (1, 1))
    assert await registry.reserve("v3", [("a", 1), ("b", 2)], ttl_ms=60_000) == Reservation(1, (1, 2))
    assert await other.reserve("v4", [("a", 1), ("b", 2)], ttl_ms=60_000) == Reservation(None, (1, 2))
    assert await other.reserve("v4", [("a", -5)], ttl_ms=60_000) == Reservation(None, (1,))
    await other.close()


async def test_who_asks_again_has_one_place(registry: Registry) -> None:
    for _ in range(5):
        assert await registry.reserve("v1", [("a", 1), ("b", 1)], ttl_ms=60_000) == Reservation(0, (1, 0))
    assert await registry.reserve("v1", [("b", 1), ("a", 1)], ttl_ms=60_000) == Reservation(0, (1, 0))
    assert await registry.reserve("v2", [("a", 1)], ttl_ms=60_000) == Reservation(0, (1,))


async def test_a_booking_ends(registry: Registry) -> None:
    assert (await registry.reserve("v1", [("a", 1)], ttl_ms=1)).at == 0

    async def again() -> bool:
        return (await registry.reserve("v2", [("a", 1)], ttl_ms=60_000)).at == 0

    async with asyncio.timeout(30):
        while not await again():  # noqa: ASYNC110 - the end of a booking is the registry's clock
            await asyncio.sleep(0.001)


async def test_a_hundred_at_once_get_the_places_that_there_are(
    server: fakeredis.FakeServer, registry: Registry
) -> None:
    other = join(server)
    found = await asyncio.gather(
        *(
            (registry, other)[index % 2].reserve(f"v{index}", [("a", 20), ("b", 30)], ttl_ms=60_000)
            for index in range(100)
        )
    )
    taken = [one.at for one in found]
    assert (taken.count(0), taken.count(1), taken.count(None)) == (20, 30, 50)
    await other.close()


async def test_a_viewer_s_word_brings_what_it_said_before_and_who_has_gone(registry: Registry) -> None:
    first = await registry.report_viewer("demo", "v1", hls=True, document="one", ttl_ms=30_000)
    assert (first.before, first.elapsed_s, first.gone) == (None, 0.0, [])
    again = await registry.report_viewer("demo", "v1", hls=False, document="two", ttl_ms=30_000)
    assert again.before == "one" and 0 <= again.elapsed_s < 20 and again.gone == []
    await registry.report_viewer("demo", "v2", hls=True, document="left", ttl_ms=0, watched_ms=90_000)
    assert [90 <= one < 110 for one in await registry.watching("demo")].count(True) == 1
    word = await registry.report_viewer("demo", "v1", hls=True, document="three", ttl_ms=30_000)
    assert [one.document for one in word.gone] == ["left"]
    assert (await registry.report_viewer("demo", "v1", hls=True, document="four", ttl_ms=30_000)).gone == []
    assert len(await registry.watching("demo")) == 1


@pytest.mark.slow
async def test_those_who_have_gone_come_out_once_over_all_orchestrators(
    server: fakeredis.FakeServer, registry: Registry
) -> None:
    other = join(server)
    for n in range(2400):
        await registry.report_viewer("demo", f"v{n}", hls=n % 2 == 0, document=str(n), ttl_ms=30_000)
    assert await registry.take_silent("demo", ttl_ms=30_000) == [], "nobody is silent yet"
    found: list[str] = []
    while gone := [
        one
        for each in (registry, other)
        for one in await each.take_silent("demo", ttl_ms=30_000, everybody=True)
    ]:
        assert len(gone) <= 2000 and all(0 <= one.watched_s < 60 for one in gone)
        found += [one.document for one in gone]
    assert sorted(map(int, found)) == list(range(2400))
    assert await registry.viewers("demo") == {} and await registry.watching("demo") == []
    await other.close()
