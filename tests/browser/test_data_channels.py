"""What a node tells comes on the connection that carries the picture; the way beside it is there for those without."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.harness.browser import Viewer, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

COLLECT = """() => {
  const captions = document.querySelector("avacast-player").shadowRoot.querySelector(".captions");
  window.shownCaptions = [];
  const look = () => captions.textContent && window.shownCaptions.push(captions.textContent);
  new MutationObserver(look).observe(captions, { childList: true, subtree: true });
}"""
WITHOUT_CHANNELS = """
  const real = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...wanted) {
    return real.apply(new RTCPeerConnection(), wanted);
  };
"""


def watch(up: RunningUp) -> str:
    return f"{up.url}/watch/demo"


def captions(page: Viewer) -> list[dict[str, Any]]:
    return [event["detail"] for event in page.events("caption")]


def assert_captions_show(page: Viewer) -> None:
    page.first_picture()
    page.page.evaluate(COLLECT)
    page.say("demo", "These words can be read.")
    # The avatar may first finish what it was saying, such as its greeting.
    page.wait_until("probe.events.some(e => e.name === 'caption' && e.detail.text.includes('read'))", 120)
    page.wait_until("window.shownCaptions.length > 0", 30)
    told = captions(page)
    assert set(page.page.evaluate("window.shownCaptions")) <= {caption["text"] for caption in told}
    starts = [caption["startMs"] for caption in told]
    assert len(starts) == len(set(starts)), "no caption twice"


def test_captions_show_when_server_sent_events_are_blocked(up: RunningUp, chromium: Browser) -> None:
    def blocked(route: Route) -> None:
        route.abort()

    def prepare(page: Page) -> None:
        page.route("**/whep/**/events", blocked)

    with viewer(chromium, watch(up), prepare=prepare) as page:
        assert_captions_show(page)


def test_captions_show_where_data_channels_never_open(up: RunningUp, chromium: Browser) -> None:
    def prepare(page: Page) -> None:
        page.add_init_script(WITHOUT_CHANNELS)

    with viewer(chromium, watch(up), prepare=prepare) as page:
        assert_captions_show(page)


def test_viewers_chat_and_markup_stays_text(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, watch(up)) as one, viewer(chromium, watch(up)) as two:
        for page in (one, two):
            page.first_picture()
        say = "document.querySelector('avacast-player').say"
        # the second one is heard from once its channel is open; from then on it also hears
        two.wait_until(f"{say}('I am here', 'Bea')")
        two.wait_until("probe.events.some(event => event.name === 'chat')")
        one.wait_until(f"{say}('<b>hello</b>', 'Ann')")
        for page in (one, two):
            page.wait_until("probe.events.some(e => e.name === 'chat' && e.detail.name === 'Ann')")
            line = page.events("chat")[-1]["detail"]
            assert (line["name"], line["text"]) == ("Ann", "<b>hello</b>")
        ids = [event["detail"]["id"] for event in two.events("chat")]
        assert len(ids) == len(set(ids)) == 2
