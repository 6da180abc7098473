"""A viewer whose network changes: an ICE restart on the same session, from new ports, while the picture goes on."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.test_without_udp import KEEP_CONNECTIONS
from tests.harness.browser import Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SELECTED = """
async () => {
    const [connection] = window.connections.filter(one => one.connectionState === "connected");
    const stats = await connection.getStats();
    const transport = [...stats.values()].find(one => one.type === "transport");
    const pair = stats.get(transport.selectedCandidatePairId);
    const local = stats.get(pair.localCandidateId);
    return {
        count: window.connections.length, port: local.port, ufrag: local.usernameFragment, dtls: transport.dtlsState,
        state: connection.signalingState,
    };
}
"""


def _selected(watching: Viewer) -> Any:
    return watching.page.evaluate(SELECTED)


def test_a_viewer_whose_network_changes_keeps_its_session(up: RunningUp, chromium: Browser) -> None:
    asked: list[tuple[str, int]] = []

    def note(page: Page) -> None:
        page.add_init_script(KEEP_CONNECTIONS)
        page.on(
            "response",
            lambda answer: "/whep/" in answer.url and asked.append((answer.request.method, answer.status)),
        )

    with viewer(chromium, f"{up.url}/watch/demo?role=interactive&muted", prepare=note) as watching:
        assert watching.first_picture()["mode"] == "webrtc"
        for _ in range(3):
            before, frames, patches = _selected(watching), watching.frames(), asked.count(("PATCH", 200))
            watching.page.evaluate("window.dispatchEvent(new Event('online'))")
            # The path in use is one of the new ICE session, and pictures come over it.
            for _ in range(100):
                watching.page.wait_for_timeout(100)
                now = _selected(watching)
                if now["ufrag"] != before["ufrag"]:
                    break
            assert now["ufrag"] != before["ufrag"] and now["port"] != before["port"]
            assert (now["count"], now["dtls"], now["state"]) == (before["count"], "connected", "stable")
            watching.wait_until(f"probe.frames > {frames + 100}", 20)
            assert asked.count(("PATCH", 200)) == patches + 1
        assert [method for method, _ in asked if method in ("POST", "DELETE")].count("POST") == 1
