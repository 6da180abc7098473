"""Several orchestrators over one Redis, and Redis dying under them: what joiners see, and how long until it is whole again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from common.directory import Delivery, Role
from common.registry import RegistryDown
from tests.harness.cluster import Nodes, Running, admin, eventually, orchestrator
from tests.harness.redis_servers import Redis, redis

DEMO = "/api/broadcasts/demo"


@pytest.fixture
def server() -> Iterator[Redis]:
    with redis() as running:
        yield running


@pytest.fixture
async def pair(server: Redis, tmp_path: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Two orchestrators with one Redis and one database."""
    settings = {"redis_url": server.url}
    async with orchestrator(tmp_path, **settings) as first, orchestrator(tmp_path, **settings) as second:
        yield first, second


async def until(hub: Running, path: str, wanted: int, within_s: float = 6.0) -> float:
    """Waits until GET answers `wanted`. Returns how long it took."""
    began = time.monotonic()
    while (await hub.call("GET", path))[0] != wanted:
        assert time.monotonic() - began < within_s, f"GET {path} did not answer {wanted}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def demo(first: Running, second: Running, cluster: Nodes) -> None:
    await first.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
    await cluster.start("o1", Role.ORIGIN, first, second)
    await until(second, f"{DEMO}/play", 200)


@pytest.mark.slow
async def test_any_orchestrator_answers_for_nodes_that_report_to_another(
    pair: tuple[Running, Running], cluster: Nodes
) -> None:
    first, second = pair
    await demo(first, second, cluster)
    answers = [await hub.ok("GET", f"{DEMO}/play") for hub in pair]
    assert answers[0]["whep"] == answers[1]["whep"]


@pytest.mark.slow
async def test_what_one_is_ordered_all_do(pair: tuple[Running, Running], cluster: Nodes) -> None:
    first, second = pair
    await demo(first, second, cluster)
    origin = await cluster.start("o1", Role.ORIGIN, first)
    packager = await cluster.start("p1", Role.PACKAGER, second)
    origin.stream()
    packager.stream()
    for hub in pair:  # whichever is on duty
        await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
        for each in pair:
            await eventually(
                lambda each=each: each.role.hub.delivery("demo").hls_share == 1.0, "both see HLS on"
            )
        await eventually(
            lambda: origin.directory.broadcasts["demo"].mode is Delivery.HLS, "the origin hears of it"
        )
        await hub.ok("POST", f"{DEMO}/deactivate-cdn", headers=admin())
        for each in pair:
            await eventually(lambda each=each: not each.role.hub.delivery("demo").hls.on, "both see HLS off")


@pytest.mark.slow
async def test_viewers_are_counted_once_whichever_they_report_to(
    pair: tuple[Running, Running], cluster: Nodes
) -> None:
    first, second = pair
    await demo(first, second, cluster)
    for hub in (*pair, *pair):
        for viewer in ("v_1", "v_2"):
            body = {"broadcast": "demo", "delivery": "hls", "role": "passive"}
            await hub.ok("POST", f"/api/v1/viewers/{viewer}", json=body)
    for hub in pair:
        await eventually(lambda hub=hub: hub.role.hub.audience("demo").hls == 2, "two viewers")


@pytest.mark.slow
async def test_when_one_dies_the_other_goes_on_and_takes_over_the_duty(
    pair: tuple[Running, Running], cluster: Nodes
) -> None:
    first, second = pair
    await demo(first, second, cluster)
    await first.close()
    await second.ok("GET", f"{DEMO}/play")
    await second.ok("POST", "/api/broadcasts", json={"id": "next", "public": True}, headers=admin())
    await until(second, "/api/broadcasts/next/play", 200)


@pytest.mark.slow
async def test_a_redis_outage_stops_nobody(
    pair: tuple[Running, Running], server: Redis, cluster: Nodes
) -> None:
    first, second = pair
    await demo(first, second, cluster)
    node = await cluster.start("o1", Role.ORIGIN, first, second)
    packager = await cluster.start("p1", Role.PACKAGER, first, second)
    node.stream()
    packager.stream()
    await first.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
    for hub in pair:
        await eventually(lambda hub=hub: hub.role.hub.delivery("demo").hls_share == 1.0, "both see HLS on")
    server.stop()
    slowest, began = 0.0, time.monotonic()
    while time.monotonic() - began < 12:  # longer than leases and duties last
        for hub in pair:
            asked = time.monotonic()
            play = await hub.ok("GET", f"{DEMO}/play?role=passive")
            slowest = max(slowest, time.monotonic() - asked)
            assert play["mode"] == "hls", "what was decided stays decided"
            assert play["node"] == "o1"
            report = {"broadcast": "demo", "delivery": "hls", "role": "passive"}
            await hub.ok("POST", "/api/v1/viewers/v_1", json=report)
        await asyncio.sleep(0.1)
    assert slowest < 3, "no request waits for Redis to time out"
    assert (await first.ok("GET", "/health"))["registry"] == "down"
    server.start()
    for hub in pair:
        await eventually(lambda hub=hub: hub.role.hub.registry.up, "Redis is found again", 20)
        assert (await hub.ok("GET", f"{DEMO}/play?role=passive"))["mode"] == "hls"
    shared, began = None, time.monotonic()
    while shared is None or not (
        shared.deliveries.get("demo") and shared.origins.get("demo") == "o1" and shared.nodes
    ):
        assert time.monotonic() - began < 30, "what was decided is written to the empty Redis"
        await asyncio.sleep(0.1)
        with suppress(RegistryDown):
            shared = await first.role.hub.registry.snapshot()
    assert shared.orders == {"demo": "on"}
    for hub in pair:
        assert (await hub.ok("GET", f"{DEMO}/play?role=passive"))["mode"] == "hls"


@pytest.mark.slow
async def test_during_the_outage_an_address_that_asks_and_never_comes_keeps_nobody_out(
    server: Redis, tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path, redis_url=server.url, trusted_proxies=["127.0.0.0/8"]) as hub:
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
        await cluster.start("o1", Role.ORIGIN, hub, capacity=12)
        await until(hub, f"{DEMO}/play", 200)
        server.stop()
        await eventually(lambda: not hub.role.hub.registry.up, "Redis is known to be away", 20)

        async def ask(address: str) -> int:
            return (await hub.call("GET", f"{DEMO}/play", headers={"X-Forwarded-For": address}))[0]

        assert [await ask("192.0.2.7") for _ in range(100)] == [200] * 100
        # 3 of 12 places are booked for it; its bookings and theirs end when they are 5 s old.
        assert [await ask(f"198.51.100.{number}") for number in range(9)] == [200] * 9


async def test_an_orchestrator_that_starts_during_the_outage_serves(
    server: Redis, tmp_path: Path, cluster: Nodes
) -> None:
    server.stop()
    async with orchestrator(tmp_path, redis_url=server.url) as hub:
        await hub.ok(
            "POST", "/api/broadcasts", json={"id": "demo", "public": True, "open_mic": True}, headers=admin()
        )
        await cluster.start("o1", Role.ORIGIN, hub)
        await hub.ok("GET", "/ready")
        await until(hub, f"{DEMO}/play", 200)
