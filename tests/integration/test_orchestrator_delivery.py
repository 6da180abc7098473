"""Delivery and counting with nodes and players over real HTTP: thresholds, the ops' switch, mode changes that reach everybody."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from common.directory import Delivery, Role
from tests.harness.cluster import Node, Nodes, Running, admin, eventually, orchestrator
from tests.harness.redis_servers import redis
from tests.unit.orchestrator.test_geo import DATABASE

DEMO = "/api/broadcasts/demo"


async def make(hub: Running) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())


async def play(hub: Running, role: str = "passive", **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = await hub.ok("GET", f"{DEMO}/play", params={"role": role, **query})
    return answer


async def tell(
    hub: Running, viewer: str, delivery: str, role: str = "passive", **more: Any
) -> dict[str, Any]:
    body = {"broadcast": "demo", "delivery": delivery, "role": role, **more}
    answer: dict[str, Any] = await hub.ok("POST", f"/api/v1/viewers/{viewer}", json=body)
    return answer


async def whole(hub: Running, cluster: Nodes) -> tuple[Node, Node, Node]:
    """An origin on which demo is live, a relay, and a packager that has it."""
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub)
    relay = await cluster.start("r1", Role.RELAY, hub)
    packager = await cluster.start("p1", Role.PACKAGER, hub)
    origin.stream()
    packager.stream()
    await asyncio.gather(origin.beat(), packager.beat())
    await hub.role.hub.tick()
    return origin, relay, packager


async def test_ops_switch_passive_viewers_to_hls_and_back_while_they_watch(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path) as hub:
        origin, relay, packager = await whole(hub, cluster)
        assert (await play(hub))["mode"] == "webrtc"
        with capture_logs() as logs:
            state = await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
        assert (state["stage"], state["mode"], state["hls_share"]) == ("hybrid", "hls", 1.0)
        assert state["cdn"] == {"on": True, "force": "on", "reason": "forced"}
        assert [one["event"] for one in logs].count("cdn:activated") == 1
        for node in (origin, relay, packager):
            await eventually(
                lambda node=node: node.directory.broadcasts["demo"].mode is Delivery.HLS,
                f"{node.report.id} hears of it",
            )
        told = relay.directory.broadcasts["demo"]
        assert told.hls_url is not None
        assert told.hls_url.endswith("/hls/demo/index.m3u8")
        passive, interactive = await play(hub), await play(hub, "interactive")
        assert (passive["mode"], interactive["mode"]) == ("hls", "webrtc")
        assert passive["hls"].startswith("http://127.0.0.1:8088/hls/demo/")
        assert passive["whep"], "the way back is told too"

        back = await hub.ok("POST", f"{DEMO}/deactivate-cdn", headers=admin())
        assert (back["stage"], back["mode"]) == ("direct", "webrtc")
        await eventually(
            lambda: relay.directory.broadcasts["demo"].mode is Delivery.WEBRTC, "the relay hears of it"
        )
        assert (await play(hub))["mode"] == "webrtc"
        let_go = await hub.ok("POST", f"{DEMO}/automatic-cdn", headers=admin())
        assert let_go["cdn"]["force"] == "auto"


@pytest.mark.slow
async def test_above_the_threshold_passive_viewers_go_to_hls_by_themselves(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path, cdn_switch_threshold=100, dwell_s=0) as hub:
        origin, _, _ = await whole(hub, cluster)
        origin.stream(subscribers_interactive=20, subscribers_passive=80)
        await origin.beat()
        await hub.role.hub.tick()
        assert (await hub.ok("GET", DEMO))["stage"] == "direct"
        origin.stream(subscribers_interactive=20, subscribers_passive=81)
        await origin.beat()
        await eventually(
            lambda: origin.directory.broadcasts["demo"].hls_share == 1.0, "all batches have moved", 10
        )
        assert (await play(hub))["mode"] == "hls"
        assert (await play(hub, "interactive"))["mode"] == "webrtc"
        origin.stream(subscribers_interactive=20, subscribers_passive=0)
        await origin.beat()
        await eventually(
            lambda: origin.directory.broadcasts["demo"].mode is Delivery.WEBRTC, "they come back", 10
        )


async def test_without_a_packager_nobody_is_sent_to_hls(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path) as hub:
        await make(hub)
        origin = await cluster.start("o1", Role.ORIGIN, hub)
        origin.stream()
        await origin.beat()
        state = await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
        assert (state["stage"], state["mode"], state["hls_ready"], state["hls"]) == (
            "hybrid",
            "webrtc",
            False,
            None,
        )
        assert (await play(hub))["mode"] == "webrtc"
        packager = await cluster.start("p1", Role.PACKAGER, hub)
        assert packager.directory.broadcasts["demo"].package
        packager.stream()
        await packager.beat()
        await eventually(lambda: origin.directory.broadcasts["demo"].mode is Delivery.HLS, "HLS begins", 3)
        assert (await play(hub))["mode"] == "hls"


async def test_hls_turned_off_cannot_be_forced_on(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, hls_enabled=False) as hub:
        await whole(hub, cluster)
        status, body, _ = await hub.call("POST", f"{DEMO}/activate-cdn", headers=admin())
        assert (status, body["code"]) == (409, "hls_disabled")
        assert (await play(hub))["hls"] is None


async def test_relays_take_viewers_above_their_threshold(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=10, cdn_switch_threshold=1000) as hub:
        origin, _, _ = await whole(hub, cluster)
        assert (await play(hub))["node"] == "o1"
        origin.stream(subscribers_interactive=10)
        await origin.beat()
        await hub.role.hub.tick()
        assert (await play(hub))["node"] == "r1"
        origin.stream(subscribers_interactive=11)
        await origin.beat()
        await hub.role.hub.tick()
        assert (await hub.ok("GET", DEMO))["stage"] == "relayed"


async def test_a_threshold_of_0_sends_everybody_to_relays(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        await whole(hub, cluster)
        assert (await play(hub))["node"] == "r1"
    async with orchestrator(tmp_path / "off", relay_activation_threshold=0, enable_relays=False) as hub:
        await whole(hub, cluster)
        assert (await play(hub))["node"] == "o1"


@pytest.mark.slow
async def test_an_address_that_asks_and_never_comes_keeps_nobody_out(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(
        tmp_path, trusted_proxies=["127.0.0.0/8"], relay_activation_threshold=1000
    ) as hub:
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
        origin = await cluster.start("o1", Role.ORIGIN, hub, capacity=12)
        origin.stream()
        await origin.beat()

        async def ask(address: str, query: str = "") -> int:
            headers = {"X-Forwarded-For": address}
            return (await hub.call("GET", f"/api/broadcasts/demo/play{query}", headers=headers))[0]

        for number in range(200):
            addresses = ("192.0.2.7", f"2001:db8::{number:x}")  # one customer has all of that /64
            for address in addresses:
                assert await ask(address) == 200
                assert await ask(address, "?exclude=o1") == 200, (
                    "who is behind a shared address comes in as well"
                )
            if number == 100:
                await origin.beat()
        found = [await ask(f"198.51.100.{number}") for number in range(7)]
        assert found == [200] * 6 + [503], "3 and 3 places are booked of 12, others have the rest"


async def test_a_full_origin_overflows_to_relays_and_a_dead_relay_is_replaced(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path) as hub:
        origin, relay, _ = await whole(hub, cluster)
        second = await cluster.start("r2", Role.RELAY, hub, cpu_ratio=0.9)
        origin.report.capacity = 5
        origin.stream(subscribers_interactive=5)
        await origin.beat()
        assert (await play(hub))["node"] == "r1"
        assert (await play(hub, exclude="r1"))["node"] == "r2"
        await relay.vanish()
        began = time.monotonic()
        while (await play(hub))["node"] != "r2":
            assert time.monotonic() - began < 8, (
                "two failed probes are enough, the lease of 10 s need not end"
            )
            await asyncio.sleep(0.05)
        listed = {
            one["id"]: one["state"] for one in (await hub.ok("GET", "/api/nodes", headers=admin()))["nodes"]
        }
        assert (listed["r1"], listed["r2"]) == ("suspect", "up")
        assert second.directory.broadcasts["demo"].upstreams


async def test_viewers_are_sent_to_the_nearest_region_by_their_address(
    tmp_path: Path, cluster: Nodes
) -> None:
    settings = {"relay_activation_threshold": 0, "geoip_db": DATABASE, "trusted_proxies": ["127.0.0.0/8"]}
    async with orchestrator(tmp_path, **settings) as hub:
        await make(hub)
        await cluster.start("o1", Role.ORIGIN, hub, region="us-east-1")
        for region in ("us-east-1", "eu-west-1", "ap-southeast-1"):
            await cluster.start(f"relay-{region}", Role.RELAY, hub, region=region)
        for address, region in (
            ("193.99.144.80", "eu-west-1"),
            ("128.112.128.15", "us-east-1"),
            ("202.156.0.1", "ap-southeast-1"),
        ):
            header = {"X-Forwarded-For": address}
            answer = await hub.ok("GET", f"{DEMO}/play", headers=header)
            assert answer["region"] == region
            _, _, headers = await hub.call("POST", "/whep/demo", headers=header)
            assert f"/n/relay-{region}/whep/demo" in headers["Location"]
        why = await hub.ok("GET", f"{DEMO}/placement?ip=193.99.144.80", headers=admin())
        assert why["country"] == "DE"
        ranked = why["placements"][0]["ranked"]
        assert ranked[0]["node"] == "relay-eu-west-1"
        assert ranked[0]["parts"]["nearness"] > ranked[1]["parts"]["nearness"]


async def test_hls_viewers_count_by_their_reports_and_webrtc_viewers_by_their_nodes(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path) as hub:
        origin, relay, _ = await whole(hub, cluster)
        origin.stream(subscribers_interactive=2, subscribers_passive=1, downstream_nodes=2)
        relay.stream(subscribers_interactive=1)
        await asyncio.gather(origin.beat(), relay.beat())
        for viewer in ("v_1", "v_2", "v_2", "v_1"):
            await tell(hub, viewer, "hls", latency_ms=2500, bitrate_bps=1.5e6)
        await tell(hub, "v_3", "webrtc", "interactive", latency_ms=180, node="r1")
        await hub.role.hub.tick()
        stats = await hub.ok("GET", f"{DEMO}/stats")
        assert stats["listeners"] == {"total": 6, "webrtc": 4, "hls": 2, "interactive": 3, "passive": 3}
        assert stats["reported"]["latency_ms"]["hls"] == {"p50": 2500, "p95": 2500, "p99": 2500, "count": 2}
        assert stats["reported"]["latency_ms"]["webrtc"]["p50"] == 180
        assert {one["node"] for one in stats["nodes"]} == {"o1", "r1", "p1"}


async def test_a_player_hears_by_its_report_how_to_go_on(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path) as hub:
        await whole(hub, cluster)
        stay = await tell(hub, "v_1", "webrtc", node="o1")
        assert (stay["mode"], stay["whep"]) == ("webrtc", None), "no URL: it stays on the node that it has"
        await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
        move = await tell(hub, "v_1", "webrtc", node="o1")
        assert move["mode"] == "hls"
        assert move["hls"]
        assert (await tell(hub, "v_1", "webrtc", "interactive", node="o1"))["mode"] == "webrtc"
        await hub.ok("POST", f"{DEMO}/deactivate-cdn", headers=admin())
        back = await tell(hub, "v_1", "hls")
        assert (back["mode"], back["node"]) == ("webrtc", "o1")
        assert back["whep"]


async def test_a_player_on_a_draining_node_is_sent_to_another(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        await whole(hub, cluster)
        await cluster.start("r2", Role.RELAY, hub)
        await hub.ok("POST", "/api/nodes/r1/drain", headers=admin())
        assert (await tell(hub, "v_1", "webrtc", "interactive", node="r1"))["node"] == "r2"


async def test_reports_have_a_limit_for_each_address(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, report_limit="5/minute") as hub:
        await whole(hub, cluster)
        statuses = []
        for index in range(7):
            body = {"broadcast": "demo", "delivery": "hls"}
            status, _, _ = await hub.call("POST", f"/api/v1/viewers/v_{index}", json=body)
            statuses.append(status)
        assert statuses == [200] * 5 + [429] * 2


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of a stream, parsed."""
    name = ""
    async for line in answer.content:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


async def test_changes_are_told_live_to_pages_and_to_the_console(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path) as hub:
        origin, _, _ = await whole(hub, cluster)
        async with (
            hub.http.get(f"{DEMO}/events") as page,
            hub.http.get("/api/events", headers=admin()) as console,
        ):
            assert page.headers["Content-Type"] == "text/event-stream"
            for_page, for_console = events(page), events(console)
            assert (await anext(for_page))[1]["id"] == "demo"
            assert (await anext(for_console))[0] == "hello"
            origin.stream(subscribers_interactive=7)
            await origin.beat()
            await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
            await hub.ok("POST", "/api/nodes/o1/drain", headers=admin())
            seen: dict[str, dict[str, Any]] = {}
            async with asyncio.timeout(5):
                while not {"viewers", "cdn:activated", "delivery"} <= seen.keys():
                    name, facts = await anext(for_page)
                    seen[name] = facts
            assert seen["viewers"]["total"] == 7
            assert seen["delivery"]["mode"] == "hls"
            assert "node" not in seen, "nodes are the operators' business"
            async with asyncio.timeout(5):
                while True:
                    name, facts = await anext(for_console)
                    if name == "node" and facts["change"] == "draining":
                        break


# placement ------------------------------------------------------------------------------------------------------------


async def relays(hub: Running, cluster: Nodes, **capacities: int) -> None:
    """An origin on which demo is live, and relays `region_number`."""
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub)
    for name, capacity in capacities.items():
        await cluster.start(name, Role.RELAY, hub, region=name.partition("_")[0], capacity=capacity)
    origin.stream()
    await origin.beat()
    await hub.role.hub.tick()


async def test_a_player_learns_whom_to_measure_and_is_placed_by_what_it_measured(
    tmp_path: Path, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        await relays(hub, cluster, near_1=100, near_2=100, far_1=100, away_1=100)
        first = await play(hub, "interactive")
        probes = {one["node"]: one["url"] for one in first["probes"]}
        assert {name.partition("_")[0] for name in probes} == {"near", "far", "away"}
        async with aiohttp.ClientSession() as http:
            for url in probes.values():
                async with http.get(url) as answer:
                    assert answer.status == 200
                    assert answer.headers["Access-Control-Allow-Origin"] == "*"
        told = await play(hub, "interactive", rtt="far_1:8,near_1:180,away_1:240.5,gone:1")
        assert told["node"] == "far_1"
        assert told["probes"] == []
        why = await hub.ok("GET", f"{DEMO}/placement", params={"rtt": "far_1:8,near_1:180"}, headers=admin())
        few = await hub.ok("GET", f"{DEMO}/placement", params={"limit": 1}, headers=admin())
        for all_of_them, some in zip(why["placements"], few["placements"], strict=True):
            assert (len(some["ranked"]), len(some["rejected"])) <= (1, 1)
            assert (some["usable"], some["refused"]) == (
                len(all_of_them["ranked"]),
                len(all_of_them["rejected"]),
            )
        measured = {one["node"]: one["rtt_ms"] for one in why["placements"][0]["ranked"]}
        assert measured == {"far_1": 8, "near_1": 180, "near_2": 180, "away_1": None}
        for bad in (
            "far_1",
            "far_1:x",
            "far_1:-1",
            "far_1:nan",
            ":5",
            "a:99999",
            ",".join(f"n{at}:1" for at in range(9)),
        ):
            status, body, _ = await hub.call("GET", f"{DEMO}/play", params={"rtt": bad})
            assert (status, body["code"]) == (422, "invalid_query"), bad


async def test_a_viewer_that_comes_again_gets_the_node_that_it_had(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as hub:
        await relays(hub, cluster, a_1=100, b_1=100, c_1=100)
        for had in ("b_1", "c_1", "a_1"):
            assert (await play(hub, "interactive", node=had))["node"] == had
        assert (await play(hub, "interactive", node="b_1", exclude="b_1"))["node"] != "b_1"


async def test_two_orchestrators_never_sell_a_place_twice(tmp_path: Path, cluster: Nodes) -> None:
    with redis() as server:
        shared = {
            "redis_url": server.url,
            "relay_activation_threshold": 0,
            "database_url": f"sqlite:///{tmp_path}/shared.db",
            "trusted_proxies": ["127.0.0.0/8"],
        }
        async with (
            orchestrator(tmp_path / "1", **shared) as one,
            orchestrator(tmp_path / "2", **shared) as two,
        ):
            await relays(one, cluster, a_1=7, a_2=5)
            await eventually(
                lambda: all(two.role.hub.nodes.find(name) for name in ("o1", "a_1", "a_2")),
                "two knows the nodes",
            )
            await two.role.hub.broadcasts.refresh()
            exclude = {"exclude": "o1"}
            answers = await asyncio.gather(
                *(
                    hub.call(
                        "GET",
                        f"{DEMO}/play",
                        params={"role": "interactive", "viewer": f"v{at}{name}", **exclude},
                        headers={"X-Forwarded-For": f"192.0.2.{at + base}"},
                    )
                    for at in range(10)
                    for name, base, hub in (("x", 1, one), ("y", 101, two))
                )
            )
            taken = Counter(body["node"] for status, body, _ in answers if status == 200)
            assert (taken["a_1"], taken["a_2"]) == (7, 5)
            assert taken["o1"] == 8  # it has just failed them; that is better than nothing
