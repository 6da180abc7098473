"""Networks that drop UDP: all candidates for it are taken out on their way, in both directions, so that only TCP is left."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Request, Route

from tests.harness.browser import Operator, Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

KEEP_CONNECTIONS = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) { super(...given); window.connections.push(this); }
};
"""

PATH_IN_USE = """
async () => {
    const paths = [];
    for (const connection of window.connections.filter(one => one.connectionState === "connected")) {
        const stats = await connection.getStats();
        for (const transport of [...stats.values()].filter(one => one.type === "transport")) {
            const pair = stats.get(transport.selectedCandidatePairId);
            paths.push(pair && [stats.get(pair.localCandidateId).protocol, stats.get(pair.remoteCandidateId).protocol]);
        }
    }
    return paths;
}
"""


def _without_udp(sdp: str) -> str:
    kept = [
        line for line in sdp.splitlines() if not (line.startswith("a=candidate:") and " udp " in line.lower())
    ]
    return "\r\n".join(kept) + "\r\n"


def _drop_udp(page: Page) -> None:
    def exchange(route: Route, request: Request) -> None:
        if request.method == "POST":
            answer = route.fetch(post_data=_without_udp(request.post_data or ""))
            route.fulfill(response=answer, body=_without_udp(answer.text()))
        elif request.method == "PATCH":
            route.fulfill(status=204)
        else:
            route.continue_()

    page.add_init_script(KEEP_CONNECTIONS)
    for way in ("whep", "whip"):
        page.route(f"**/{way}/**", exchange)


def _paths(watching: Viewer) -> list[list[str]]:
    paths: list[list[str]] = watching.page.evaluate(PATH_IN_USE)
    return paths


def test_the_picture_comes_over_tcp_and_moves(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?role=interactive&muted", prepare=_drop_udp) as watching:
        first = watching.first_picture()
        assert first["mode"] == "webrtc"
        assert _paths(watching) == [["tcp", "tcp"]]
        before = watching.frames()
        watching.wait_until(f"probe.frames > {before + 100}", 15)
        print(f"first picture over TCP: {first['ms']:.0f} ms, latency {watching.stats()['latencyMs']:.0f} ms")


def test_a_camera_goes_live_over_tcp(up: RunningUp, chromium: Browser) -> None:
    operator = Operator(up)
    made = operator.call("/api/broadcasts", body={"title": "Cellar", "public": True})
    booth = f"{up.url}/camera#broadcast={made['id']}&token={made['token']}"
    with (
        viewer(chromium, booth, size=(1000, 700), prepare=_drop_udp) as camera,
        viewer(chromium, f"{up.url}/watch/{made['id']}?muted") as watching,
    ):
        camera.page.get_by_role("button", name="Go live").click()
        camera.page.get_by_text("On air").wait_for()
        watching.first_picture()
        assert ["tcp", "tcp"] in _paths(camera)
        before = watching.frames()
        watching.wait_until(f"probe.frames > {before + 50}", 20)
    operator.call(f"/api/broadcasts/{made['id']}", method="DELETE")
