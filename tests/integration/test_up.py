"""`avacast up` as a new user meets it: it starts, an avatar is live, Ctrl-C ends all of it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.harness.up import RunningUp, start_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    running = start_up(
        tmp_path_factory.mktemp("up"), "--relays", "1", environment={"AVACAST_FURTHER_PORTS": "0"}
    )
    yield running
    running.close()


async def test_the_demo_is_live_and_public(up: RunningUp) -> None:
    async with aiohttp.ClientSession(up.url) as http, http.get("/api/broadcasts/demo") as answer:
        broadcast = await answer.json()
    assert broadcast["live"] is True
    assert broadcast["public"] is True


async def test_every_page_and_document_is_there(up: RunningUp) -> None:
    async with aiohttp.ClientSession(up.url) as http:
        for path in (
            "/",
            "/console",
            "/camera",
            "/player.js",
            "/docs",
            "/health",
            "/ready",
            "/metrics",
            "/n/origin/health",
        ):
            async with http.get(path) as answer:
                assert answer.status == 200, path


async def test_a_further_port_has_the_same_and_leads_to_itself(up: RunningUp) -> None:
    told = [match[1] for line in up.lines if (match := re.search(r"API +(http://[\d.:]+)/docs", line))]
    assert len(told) == 2 and told[0] == up.url
    async with aiohttp.ClientSession(told[1]) as http:
        for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/api/openapi.json", "/n/origin/health"):
            async with http.get(path) as answer:
                assert answer.status == 200, path
        async with http.get("/api/broadcasts/demo/play") as answer:
            assert (await answer.json())["whep"] == f"{told[1]}/n/origin/whep/demo"


async def test_origin_packager_and_relay_are_registered(up: RunningUp) -> None:
    async with aiohttp.ClientSession(up.url, headers=up.admin) as http, http.get("/api/nodes") as answer:
        listed = await answer.json()
    nodes = listed["nodes"] if isinstance(listed, dict) else listed
    assert {"origin", "packager", "relay"} <= {node["role"] for node in nodes}


async def test_play_tells_how_to_watch(up: RunningUp) -> None:
    async with aiohttp.ClientSession(up.url) as http, asyncio.timeout(60):
        play: dict[str, Any] = {"hls": None}
        while play["hls"] is None:  # the first segments take a moment
            async with http.get("/api/broadcasts/demo/play") as answer:
                play = await answer.json()
            await asyncio.sleep(0.1)
    assert play["mode"] == "webrtc"
    assert play["whep"].endswith("/whep/demo") or "/whep/demo?" in play["whep"]
    assert play["hls"].endswith("/hls/demo/index.m3u8")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match="--http-port"):
            start_up(tmp_path, "--no-avatar", "--http-port", str(port))


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    running = start_up(tmp_path, "--no-avatar", "--relays", "1")
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert children, "the relay is a process of its own"
    code, seconds = running.interrupt()
    print(f"ended in {seconds:.2f} s")
    _, alive = psutil.wait_procs(children, timeout=5)
    assert (code, alive) == (0, []), "\n".join(running.lines)
