"""How old the picture is that a viewer sees: told by the encoder's clock, through two nodes, and read in the browser."""

from __future__ import annotations

import pytest

from tests.harness.chromium import chromium, story
from tests.harness.media_server import media_server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120)]

EXTENSION = "abs-capture-time"


@story
async def test_capture_times_reach_a_browser_through_a_relay() -> None:
    async with (
        media_server(name="origin", playout_delay_ms="0-400") as origin,
        media_server(
            name="relay", upstreams=lambda stream: [origin.whep(stream)], playout_delay_ms="0-400"
        ) as relay,
        chromium(f"{origin.url}/") as (publisher,),
        chromium(f"{relay.url}/") as (viewer,),
    ):
        answer = await publisher.publish(origin.whip("far"), codec="VP8")
        assert answer.count(EXTENSION) == 2, "taken for picture and sound"
        await origin.until_live("far")
        answer = await viewer.watch(relay.whep("far"))
        assert answer.count(EXTENSION) == 2 and answer.count("playout-delay") == 1
        for kind in ("video", "audio"):
            # one machine, one clock: what is shown now was captured before now, and not long ago
            latency = await viewer.until(f"rtc.latencyMs(0, '{kind}')")
            print(f"{kind}: {latency:.0f} ms since capture")
            await viewer.until(f"rtc.latencyMs(0, '{kind}') > 0 && rtc.latencyMs(0, '{kind}') < 3000")
        await viewer.until("rtc.views[0].frames > 30")
