"""Redis as larger sites run it: a primary that dies under the eyes of its Sentinel, and a cluster that shares the keys out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.directory import Role
from common.errors import TooMany
from common.registry import Registry, RegistryDown
from orchestrator.limits import Limits
from tests.harness import redis_servers
from tests.harness.cluster import Nodes, admin, eventually, orchestrator
from tests.harness.redis_servers import Sharded, Watched


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with redis_servers.sentinel() as started:
        yield started


@pytest.fixture(scope="module")
def sharded() -> Iterator[Sharded]:
    with redis_servers.cluster() as started:
        yield started


async def test_a_cluster_shares_out_the_audiences_and_keeps_what_belongs_together(sharded: Sharded) -> None:
    registry = Registry.connect(sharded.url, namespace="story")
    try:
        await registry.lease_node("n1", 1, "report", ttl_ms=60_000)
        duty = await registry.take_duty("steer", "me", ttl_ms=60_000)
        assert duty is not None
        await registry.put_decisions(duty, "origins", {"b0": "n1"})
        booked = await registry.reserve("viewer", [("n1", 0), ("n2", 1)], ttl_ms=60_000)
        assert booked.at == 1
        names = [f"b{number}" for number in range(24)]
        for name in names:
            for viewer in range(3):
                await registry.report_viewer(name, f"v{viewer}", hls=viewer > 0, document="{}", ttl_ms=60_000)
        assert await registry.count_viewers(names) == dict.fromkeys(names, (2, 1))
        assert set(await registry.viewers("b7")) == {"v0", "v1", "v2"}
        assert len(await registry.watching("b7")) == 3
        snapshot = await registry.snapshot()
        assert [lease.id for lease in snapshot.nodes] == ["n1"]
        assert snapshot.origins == {"b0": "n1"}
        assert all(count > 0 for count in sharded.counts()), "each node has a part of the keys"
        await registry.forget_broadcast("b7")
        assert await registry.count_viewers(["b7"]) == {"b7": (0, 0)}
    finally:
        await registry.close()


@pytest.mark.parametrize("kind", ["watched", "sharded"])
async def test_limits_count_there_too(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(kind).url
    pair = [Limits(url, talk="2/hour"), Limits(url, talk="2/hour")]
    passed = 0
    try:
        with pytest.raises(TooMany):
            for each in pair * 5:  # a call that Redis does not answer in time refuses nobody
                await each.hit("talk", "demo", address=None)
                passed += 1
    finally:
        for each in pair:
            await each.close()
    assert passed >= 2


async def test_an_orchestrator_serves_from_a_cluster(
    sharded: Sharded, cluster: Nodes, tmp_path: Path
) -> None:
    async with orchestrator(tmp_path, redis_url=sharded.url) as hub:
        origin = await cluster.start("o1", Role.ORIGIN, hub)
        origin.stream()
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
        await origin.beat()
        assert (await hub.ok("GET", "/api/broadcasts/demo/play"))["node"] == "o1"


async def test_a_primary_dies_and_watchers_and_joiners_do_not_notice(
    watched: Watched, cluster: Nodes, tmp_path: Path
) -> None:
    async with orchestrator(tmp_path, redis_url=watched.url) as hub:
        origin = await cluster.start("o1", Role.ORIGIN, hub)
        origin.stream()
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
        before = await hub.ok("GET", "/api/broadcasts/demo/play")
        assert before["node"] == "o1"

        watched.primary.stop()
        during = await hub.ok("GET", "/api/broadcasts/demo/play")
        assert during["node"] == "o1"

        registry = Registry.connect(watched.url)
        told: list[str] = []

        async with asyncio.timeout(30):
            while told != ["o1"]:
                with contextlib.suppress(RegistryDown):
                    leases = (await registry.snapshot()).nodes
                    told = [lease.id for lease in leases if lease.remaining_ms > 0]
                await asyncio.sleep(0.05)
        await registry.close()
        role = watched.replica.client.execute_command("ROLE")[0]
        assert role == b"master"
        await eventually(lambda: origin.directory.broadcasts, "the node hears from the orchestrator", 20)
        assert (await hub.ok("GET", "/api/broadcasts/demo/play"))["node"] == "o1"
