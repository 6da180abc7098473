"""The orchestrator with real nodes: relays and an origin of ours register, learn, push modes to viewers and drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from yarl import URL

import relay.app
from avacast.process import free_port
from common.config import RelayConfig
from common.directory import Delivery, Role
from common.http import Site
from orchestrator.delivery import Audience
from sfu.node import MediaNode
from sfu.worker import Worker
from tests.harness.cluster import SECRET, Nodes, Running, admin, eventually, orchestrator

DEMO = "/api/broadcasts/demo"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Running]:
    async with orchestrator(tmp_path, relay_activation_threshold=0) as running:
        yield running


def config(hub: Running, port: int, name: str) -> RelayConfig:
    return RelayConfig(
        node_id=name,
        cluster_secret=SECRET,
        url=f"http://127.0.0.1:{port}",
        orchestrators=[hub.url],
        media_host="127.0.0.1",
        media_port=0,
        workers=1,
        heartbeat_s=0.2,
    )


class Real:
    """Starts nodes of ours in this process, each with its own listener and media core, and ends them with the test."""

    def __init__(self, hub: Running, closing: AsyncExitStack) -> None:
        self._hub = hub
        self._closing = closing

    async def serve(self, name: str, role: Role) -> MediaNode:
        """A node that serves and has registered."""
        port = free_port()
        settings = config(self._hub, port, name)
        if role is Role.RELAY:
            node = await relay.app.start(settings)
        else:
            node = MediaNode(settings, role, Worker.open(settings), whip=True)
            node.start()
        self._closing.push_async_callback(node.close)
        site = Site(node.app, "127.0.0.1", port)
        await site.start()
        self._closing.push_async_callback(site.close)
        await eventually(lambda: node.link.connected, f"{name} registers")
        return node


@pytest.fixture
async def real(hub: Running) -> AsyncIterator[Real]:
    async with AsyncExitStack() as closing:
        yield Real(hub, closing)


async def make(hub: Running, **facts: object) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True, **facts}, headers=admin())


async def watch(hub: Running, url: str) -> tuple[RTCPeerConnection, str]:
    """A viewer of its own kind (aiortc): follows the redirect, and returns the URL of its event stream."""
    peer = RTCPeerConnection()
    peer.addTransceiver("video", "recvonly")
    peer.addTransceiver("audio", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with hub.http.post(url, data=peer.localDescription.sdp, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        assert answer.history, "the orchestrator redirects, it carries no media"
        await peer.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        return peer, str(answer.url.join(URL(answer.headers["Location"]))) + "/events"


async def test_a_relay_learns_of_broadcasts_at_once_and_drains_when_told(hub: Running, real: Real) -> None:
    origin = await real.serve("o1", Role.ORIGIN)
    node = await real.serve("r1", Role.RELAY)
    await make(hub)
    await eventually(lambda: "demo" in node.link.directory.broadcasts, "the relay learns of the broadcast", 1)
    assert node.link.directory.broadcasts["demo"].upstreams == [f"{origin.link.report().url}/whep/demo"]
    listed = {one["id"]: one for one in (await hub.ok("GET", "/api/nodes", headers=admin()))["nodes"]}
    assert (listed["r1"]["role"], listed["r1"]["workers"], listed["r1"]["state"]) == ("relay", 1, "up")
    assert (await hub.ok("GET", f"{DEMO}/play"))["node"] == "r1"
    await hub.ok("POST", "/api/nodes/r1/drain", headers=admin())
    await eventually(lambda: node.link.draining, "the relay hears that it drains", 1)
    assert (await hub.ok("GET", f"{DEMO}/play"))["node"] == "o1"
    await hub.ok("DELETE", "/api/nodes/r1/drain", headers=admin())
    await eventually(lambda: not node.link.draining, "the relay hears that it need not", 1)


async def test_a_viewer_counts_once_and_hears_that_it_is_to_watch_by_hls(
    hub: Running, real: Real, cluster: Nodes
) -> None:
    origin = await real.serve("o1", Role.ORIGIN)
    await make(hub)
    origin.worker.sfu.open("demo", video=True, audio=True)
    packager = await cluster.start("p1", Role.PACKAGER, hub)
    packager.stream()
    await packager.beat()
    passive, passive_events = await watch(hub, "/whep/demo?role=passive&viewer=v_1")
    interactive, _ = await watch(hub, "/whep/demo?role=interactive&viewer=v_2")
    try:
        await eventually(
            lambda: hub.role.hub.audience("demo") == Audience(1, 1, 0), "one of each kind is counted"
        )
        async with hub.http.get(passive_events) as events:
            await hub.ok("POST", f"{DEMO}/activate-cdn", headers=admin())
            async with asyncio.timeout(3):
                async for line in events.content:
                    if line.startswith(b"data:") and b'"mode":"hls"' in line:
                        break
        assert origin.link.directory.broadcasts["demo"].mode is Delivery.HLS
    finally:
        await asyncio.gather(passive.close(), interactive.close())
