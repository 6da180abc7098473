"""Who watches how: a relay in between, the switch to HLS and back while people watch, a node that is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
from playwright.sync_api import Browser

from tests.harness.browser import Operator, Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

LONGEST_GAP_MS = 3000
"""A picture that stands still for longer is a cut; how long it stood is printed, and measured by bench/browser.py."""


@pytest.fixture(autouse=True)
def by_the_audience(up: RunningUp) -> Iterator[None]:
    """The CDN is off before each story, whatever one before it left behind, and nobody holds it on after it."""
    operator = Operator(up)
    operator.call("/api/broadcasts/demo/automatic-cdn")
    deadline = time.monotonic() + 60
    while operator.call("/api/broadcasts/demo/delivery", method="GET")["hls_share"] > 0:
        assert time.monotonic() < deadline, "the CDN is let go"
        time.sleep(0.1)
    yield
    operator.call("/api/broadcasts/demo/automatic-cdn")


def test_a_viewer_behind_a_relay_sees_and_hears(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?role=passive", avoid="origin") as page:
        first = page.first_picture()
        told = page.events("mode")[0]["detail"]
        print(f"first picture behind {told['node']}: {first['ms']:.0f} ms")
        assert told["node"].startswith("relay-")
        before = page.frames()
        page.wait_until(f"probe.frames > {before + 50}", 10)
        page.say("demo", "I reach you through a relay.")
        page.wait_until("probe.level() > 0.02", 30)


def test_the_cdn_takes_the_passive_viewers_and_gives_them_back(up: RunningUp, chromium: Browser) -> None:
    operator = Operator(up)
    with ExitStack() as stack:
        passive = [
            stack.enter_context(viewer(chromium, f"{up.url}/watch/demo?role=passive&muted", size=(426, 240)))
            for _ in range(2)
        ]
        interactive = stack.enter_context(
            viewer(chromium, f"{up.url}/watch/demo?role=interactive&muted", size=(426, 240))
        )
        everybody = [*passive, interactive]
        for one in everybody:
            assert one.first_picture()["mode"] == "webrtc"
        for one in everybody:
            one.watch_for(0.5)
            one.reset_gap()

        operator.call("/api/broadcasts/demo/activate-cdn")
        for one in passive:
            one.wait_for_mode("hls")
        for one in everybody:
            one.watch_for(2)
        report("to HLS", everybody)
        assert interactive.mode == "webrtc"
        assert max(one.gap_ms() for one in everybody) < LONGEST_GAP_MS
        for one in passive:
            one.wait_until("document.querySelector('avacast-player').stats.latencyMs < 3000")

        stats = operator.call("/api/broadcasts/demo/stats", method="GET")
        assert stats["listeners"]["hls"] == 2, stats["listeners"]

        for one in everybody:
            one.reset_gap()
        operator.call("/api/broadcasts/demo/deactivate-cdn")
        for one in passive:
            one.wait_for_mode("webrtc")
        for one in everybody:
            one.watch_for(2)
        report("back to WebRTC", everybody)
        assert interactive.mode == "webrtc"
        assert len(interactive.events("mode")) == 1
        assert max(one.gap_ms() for one in everybody) < LONGEST_GAP_MS
    operator.call("/api/broadcasts/demo/automatic-cdn")


def report(what: str, viewers: list[Viewer]) -> None:
    """One line a story: the longest stop of each picture, and the latency there."""
    told = ", ".join(
        f"{one.mode} stopped for {one.gap_ms():.0f} ms at most, latency {one.stats()['latencyMs']:.0f} ms"
        for one in viewers
    )
    print(f"{what}: {told}")


def test_a_broadcast_that_does_not_exist_says_so(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/watch/nothing-here") as page:
        page.wait_until("probe.events.some(event => event.detail.problem?.code === 'broadcast_unknown')")
        said = page.page.get_by_text("Not live right now")
        for again in (1, 2, 3):  # and goes on saying so while the player asks again
            asked = "probe.events.filter(event => event.detail.state === 'asking').length"
            page.wait_until(f"{asked} > {again}")
            assert said.is_visible()


def test_a_private_broadcast_needs_a_token_and_plays_with_one(up: RunningUp, chromium: Browser) -> None:
    operator = Operator(up)
    operator.call(
        "/api/broadcasts", body={"id": "board", "title": "Board", "avatar": "ava", "persona": "ava"}
    )
    try:
        with viewer(chromium, f"{up.url}/watch/board") as page:
            page.page.get_by_text("This broadcast is private").wait_for()
        token = operator.call("/api/broadcasts/board/tokens", body={"audience": "viewer"})["token"]
        with viewer(chromium, f"{up.url}/watch/board?role=passive&muted#token={token}") as page:
            asked: list[tuple[str, int]] = []
            page.page.on("response", lambda reply: asked.append((urlsplit(reply.url).path, reply.status)))
            assert page.first_picture()["mode"] == "webrtc"
            operator.call("/api/broadcasts/board/activate-cdn")
            page.wait_for_mode("hls")
            before = page.frames()
            page.wait_until(f"probe.frames > {before + 50}")
        hls = [(path, status) for path, status in asked if path.startswith("/hls/")]
        assert hls and all(path.startswith("/hls/t/") and status == 200 for path, status in hls), hls
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{up.hls_url}/hls/board/index.m3u8", timeout=10)
        assert refused.value.code == 401
        refused.value.close()
    finally:
        operator.call("/api/broadcasts/board", method="DELETE")


def test_a_viewer_whose_relay_dies_is_on_another_node_within_seconds(
    up: RunningUp, chromium: Browser
) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?role=passive&muted", avoid="origin") as page:
        page.first_picture()
        node = page.events("mode")[0]["detail"]["node"]
        kill_relay(up, node)
        page.reset_gap()
        page.wait_until("probe.events.filter(event => event.name === 'mode').length > 1")
        page.watch_for(0.5)
        told = page.events("mode")[-1]["detail"]
        print(f"{node} killed: on {told['node']} after {page.gap_ms():.0f} ms without a picture")
        assert told["node"] != node
        assert page.gap_ms() < 10_000, "the lease of the dead node has not even ended"


def kill_relay(up: RunningUp, node: str) -> None:
    """Kills the process of this relay, which is a child of `avacast up`."""
    children = {
        child.environ().get("AVACAST_NODE_ID"): child for child in psutil.Process(up.process.pid).children()
    }
    children[node].kill()
    children[node].wait(5)
