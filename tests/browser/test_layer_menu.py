"""Two qualities of one camera: a viewer chooses, and sees it by the size of the picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.harness.browser import Operator, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

PLAYER = "document.querySelector('avacast-player')"
MENU = f"{PLAYER}.shadowRoot.querySelector('.quality')"
HEIGHT = f"{PLAYER}.video.videoHeight"


@pytest.fixture
def booth(up: RunningUp) -> Iterator[tuple[str, str]]:
    """A public broadcast that waits for a publisher: its id and its publisher token."""
    operator = Operator(up)
    made = operator.call("/api/broadcasts", body={"title": "Two sizes", "public": True})
    yield made["id"], made["token"]
    operator.call(f"/api/broadcasts/{made['id']}", method="DELETE")


def test_a_viewer_switches_the_layer_and_sees_another_size(
    up: RunningUp, chromium: Browser, booth: tuple[str, str]
) -> None:
    broadcast, token = booth
    sending = f"{up.url}/camera#broadcast={broadcast}&token={token}&simulcast=1"
    with (
        viewer(chromium, sending, size=(1000, 700)) as camera,
        viewer(chromium, f"{up.url}/watch/{broadcast}") as watching,
    ):
        camera.page.get_by_role("button", name="Go live").click()
        camera.page.get_by_text("On air").wait_for()
        watching.first_picture()
        watching.wait_until(f"!{MENU}.hidden", 30)
        names = watching.wait_until(
            f"{MENU}.options.length === 3 && [...{MENU}.options].map(one => one.text)"
        )
        print("menu:", names)
        ids = watching.page.evaluate(f"[...{MENU}.options].map(one => one.value)")
        assert ids[0] == "" and names[0].startswith("Auto")
        heights = {layer: int(name.removesuffix("p")) for layer, name in zip(ids[1:], names[1:], strict=True)}
        # a relay numbers the layers that its upstream names
        low, high = sorted(heights, key=lambda layer: heights[layer])
        assert heights[high] == 2 * heights[low], heights
        watching.wait_until("probe.frames > 30", 30)

        for layer in (high, low):
            watching.page.evaluate(
                f"layer => {{ {MENU}.value = layer; {MENU}.dispatchEvent(new Event('change')); }}", layer
            )
            watching.wait_until(f"{HEIGHT} === {heights[layer]}", 20)
            watching.wait_until(f"{MENU}.value === '{layer}'", 10)
            before = watching.frames()
            watching.wait_until(f"probe.frames > {before + 20}", 15)
        watching.page.evaluate(f"{MENU}.value = ''; {MENU}.dispatchEvent(new Event('change'))")
        watching.wait_until(f"{HEIGHT} === {heights[high]}", 40)
        watching.wait_until(f"{MENU}.options[0].text.startsWith('Auto (')", 10)
