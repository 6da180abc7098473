"""A viewer by HLS whose network is slow, or whose server is in trouble: it catches up, falls back, comes back, and hammers nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, CDPSession, Route

from tests.harness.browser import Operator, Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

PLAYER = "document.querySelector('avacast-player')"
PART = re.compile(r"/v\d+/\d+\.\d+\.m4s$")
SEGMENT = re.compile(r"/v\d+/\d+\.m4s$")
USUAL_REQUESTS_S = 12
"""Two renditions, three parts a second, a reload and a part each."""


@pytest.fixture
def by_hls(up: RunningUp) -> Iterator[None]:
    """Passive viewers watch the demo by HLS."""
    operator = Operator(up)
    operator.call("/api/broadcasts/demo/activate-cdn")
    yield
    operator.call("/api/broadcasts/demo/automatic-cdn")


def throttle(session: CDPSession, bytes_s: int) -> None:
    """-1 is as fast as the machine."""
    told = {"offline": False, "latency": 0, "downloadThroughput": bytes_s, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", told)


def stall(page: Viewer, session: CDPSession) -> None:
    """Lets next to nothing through until the player says that it stands still, then everything."""
    before = page.stats()["freezes"]
    throttle(session, 1000)
    page.wait_until(f"{PLAYER}.stats.freezes > {before}", 60)
    frames = page.frames()
    throttle(session, -1)
    page.wait_until(f"probe.frames > {frames + 10}", 60)


@pytest.mark.usefixtures("by_hls")
def test_a_path_in_bursts_gets_whole_segments_and_parts_again_later(up: RunningUp, chromium: Browser) -> None:
    def less_patient(route: Route) -> None:
        """The settings that the server hands over, with shorter times: this is what they are for."""
        reply = route.fetch()
        text, changed = re.subn(
            r"stalls=\d+ stalls-within=\d+ plain-for=\d+",
            "stalls=2 stalls-within=600 plain-for=8",
            reply.text(),
        )
        assert changed == 1, reply.text()
        route.fulfill(response=reply, body=text)

    with viewer(chromium, f"{up.url}/watch/demo?role=passive&muted") as page:
        asked: list[str] = []
        page.page.route("**/hls/demo/index.m3u8", less_patient)
        page.page.on("request", lambda request: asked.append(request.url))
        session = page.page.context.new_cdp_session(page.page)
        session.send("Network.enable")
        page.first_picture()
        page.wait_for_mode("hls")
        page.wait_until(f"{PLAYER}.stats.latencyMs < 3000", 60)
        assert any(PART.search(url) for url in asked)
        # A busy machine stalls by itself too, so it may be the first of these or the second that is too much.
        for _ in range(4):
            stall(page, session)
            if any(SEGMENT.search(url) for url in asked):
                break
        assert any(SEGMENT.search(url) for url in asked), "whole segments"
        with page.page.expect_request(PART, timeout=60_000):
            pass


def refuse(status: int, refused: list[str], route: Route) -> None:
    """Answers as a server in trouble."""
    refused.append(route.request.url)
    route.fulfill(status=status, headers={"Access-Control-Allow-Origin": "*"}, body="")


@pytest.mark.usefixtures("by_hls")
def test_a_server_in_trouble_is_asked_less_and_less_and_its_return_is_noticed(
    up: RunningUp, chromium: Browser
) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?role=passive&muted") as page:
        page.first_picture()
        page.wait_for_mode("hls")
        for status in (503, 404):
            refused: list[str] = []
            page.page.route("**/hls/demo/**", partial(refuse, status, refused))
            page.watch_for(5)
            page.page.unroute("**/hls/demo/**")
            assert 0 < len(refused) < 5 * USUAL_REQUESTS_S / 2, f"{len(refused)} in 5 s after {status}"
            before = page.frames()
            page.wait_until(f"probe.frames > {before + 25}", 60)
        # Behind by all that, it plays faster until it is where parts allow.
        page.wait_until(f"{PLAYER}.stats.latencyMs < 3000", 90)
