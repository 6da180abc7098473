"""What the avatar says can be read, in the same words and at the same place of the picture, by WebRTC and by HLS."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.harness.browser import Operator, Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SHOWN = "document.querySelector('avacast-player').shadowRoot.querySelector('.captions')"
SAME_MS = 250
"""The same moment of speech."""


@pytest.fixture
def by_hls(up: RunningUp, chromium: Browser) -> Iterator[Viewer]:
    """A viewer by HLS while the CDN has the passive viewers."""
    operator = Operator(up)
    operator.call("/api/broadcasts/demo/activate-cdn")
    try:
        with viewer(chromium, f"{up.url}/watch/demo?role=passive&muted", size=(426, 240)) as page:
            page.first_picture()
            page.wait_for_mode("hls", 60)
            yield page
    finally:
        operator.call("/api/broadcasts/demo/automatic-cdn")


def heard(page: Viewer, word: str) -> dict[str, float]:
    """Waits for a caption with this word; its text and times."""
    has = f"event.name === 'caption' && event.detail.text.includes({json.dumps(word)})"
    found = page.wait_until(f"probe.events.find(event => {has})", 120)
    return dict(found["detail"])


def test_captions_of_hls_are_those_of_webrtc(up: RunningUp, chromium: Browser, by_hls: Viewer) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?role=interactive&muted", size=(426, 240)) as by_webrtc:
        assert by_webrtc.first_picture()["mode"] == "webrtc"
        by_webrtc.say("demo", "Every xylophone is louder than a whisper, and quieter than thunder.")
        one, other = heard(by_webrtc, "xylophone"), heard(by_hls, "xylophone")
        # The overlay has it while the picture is at it.
        by_hls.wait_until(
            f"{SHOWN}.textContent.includes('thunder') || {SHOWN}.textContent.includes('xylophone')", 60
        )
    assert one["text"] == other["text"]
    assert abs(one["startMs"] - other["startMs"]) < SAME_MS
    assert abs(one["endMs"] - other["endMs"]) < SAME_MS


def test_the_button_turns_captions_of_hls_off_and_on(by_hls: Viewer) -> None:
    page = by_hls.page
    page.focus("avacast-player")
    page.keyboard.press("c")
    assert page.evaluate(f"{SHOWN}.hidden")
    page.keyboard.press("c")
    assert not page.evaluate(f"{SHOWN}.hidden")
    by_hls.say("demo", "Now the zeppelin can be read about.")
    heard(by_hls, "zeppelin")
