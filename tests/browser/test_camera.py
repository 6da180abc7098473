"""A camera in one page (Chromium's fake device: a green test picture and a beep each second), watched in another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.harness.browser import Operator, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

BEEP = 0.01
"""Level above which the fake microphone beeps."""


@pytest.fixture
def booth(up: RunningUp) -> Iterator[tuple[str, str]]:
    """A public broadcast that waits for a publisher: its id and its publisher token."""
    operator = Operator(up)
    made = operator.call("/api/broadcasts", body={"title": "Booth", "public": True})
    yield made["id"], made["token"]
    operator.call(f"/api/broadcasts/{made['id']}", method="DELETE")


def go_live(page: Page) -> None:
    page.get_by_role("button", name="Go live").click()
    page.get_by_text("On air").wait_for()


def test_a_camera_is_watched_from_another_tab(
    up: RunningUp, chromium: Browser, booth: tuple[str, str]
) -> None:
    broadcast, token = booth
    with (
        viewer(chromium, f"{up.url}/camera#broadcast={broadcast}&token={token}", size=(1000, 700)) as camera,
        viewer(chromium, f"{up.url}/watch/{broadcast}") as watching,
    ):
        watching.page.get_by_text("Not live right now").wait_for()
        go_live(camera.page)
        first = watching.first_picture()
        print(
            f"first picture of the camera: {first['mode']}, {watching.stats()['width']} x {watching.stats()['height']}"
        )
        assert first["mode"] == "webrtc"

        before = watching.frames()
        red, green, blue = watching.page.evaluate(
            """() => {
                const canvas = new OffscreenCanvas(1, 1);
                const pen = canvas.getContext("2d");
                pen.drawImage(document.querySelector("avacast-player").video, 0, 0, 1, 1);
                return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
            }"""
        )
        assert green > 2 * max(red, blue, 20), "the fake camera is green"
        watching.wait_until(f"probe.level() > {BEEP}", 10)
        watching.wait_until(f"probe.frames > {before + 30}", 15)

        sent = camera.page.locator(".figures")
        camera.page.wait_for_function("document.querySelector('.figures').innerText.includes('bit/s')")
        print("publisher:", " ".join(sent.inner_text().split()))
        assert "H264" in sent.inner_text()


def test_a_publisher_that_comes_back_is_seen_again(
    up: RunningUp, chromium: Browser, booth: tuple[str, str]
) -> None:
    broadcast, token = booth
    with (
        viewer(chromium, f"{up.url}/camera#broadcast={broadcast}&token={token}", size=(1000, 700)) as camera,
        viewer(chromium, f"{up.url}/watch/{broadcast}") as watching,
    ):
        go_live(camera.page)
        watching.first_picture()
        camera.page.get_by_role("button", name="Stop").click()
        watching.wait_until(
            "probe.events.findLast(event => event.name === 'state').detail.alive === false", 20
        )
        go_live(camera.page)
        watching.wait_until("probe.events.findLast(event => event.name === 'state').detail.alive", 30)
        before = watching.frames()
        watching.wait_until(f"probe.frames > {before + 20}", 15)


def test_a_wrong_token_is_explained(up: RunningUp, chromium: Browser, booth: tuple[str, str]) -> None:
    broadcast, _ = booth
    with viewer(
        chromium, f"{up.url}/camera#broadcast={broadcast}&token=nonsense", size=(1000, 700)
    ) as camera:
        camera.page.get_by_role("button", name="Go live").click()
        notice = camera.page.get_by_role("alert")
        notice.wait_for()
        print("told:", " ".join(notice.inner_text().split()))
        assert "token" in notice.inner_text().lower()
        assert camera.page.get_by_role("button", name="Go live").is_enabled()
