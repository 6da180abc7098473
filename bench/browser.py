"""What a person in a browser gets from the demo: time to the first picture, pictures a second, lips against sound, latency, the switch to
HLS and back.

    python bench/browser.py [--visits 8] [--seconds 10]

A whole `avacast up` with its avatar and Debian's Chromium (software decoder) share this machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from tests.harness.browser import Operator, launch, viewer
from tests.harness.lips import lag_s
from tests.harness.up import RunningUp, start_up

FIRST_PICTURE_MS = 500
HLS_LATENCY_MS = 3000
GAP_MS = 1000
RATE = 25
LIPS_MS = 45
LEVEL_S = 0.043
"""The sound that one level is of."""


def figure(name: str, value: float, unit: str, against: str, reference: float) -> None:
    """One line: the figure, and its ratio to what it must meet."""
    print(
        f"{name}: {value:.0f} {unit} (vs {against} {reference:.0f} {unit}: {value / reference:.2f})",
        flush=True,
    )


def first_picture(up: RunningUp, browser: Browser, visits: int) -> None:
    """Visits with an empty cache: a press of "Watch live", and (with a new process and all files to load) the demo page by its address."""
    since_press, since_address = [], []
    for _ in range(visits):
        with viewer(browser, f"{up.url}/watch/demo?autostart=false") as page:
            page.page.get_by_role("button", name="Watch live").click()
            since_press.append(page.first_picture()["ms"])
        with viewer(browser, f"{up.url}/", size=(1100, 700)) as page:
            page.first_picture()
            since_address.append(page.events("firstframe")[0]["atMs"])
    for name, times in (("a press of Watch live", since_press), ("a visit by address", since_address)):
        figure(
            f"first picture after {name}, median", statistics.median(times), "ms", "floor", FIRST_PICTURE_MS
        )
        figure(f"first picture after {name}, worst of {visits}", max(times), "ms", "floor", FIRST_PICTURE_MS)


def steady(up: RunningUp, browser: Browser, seconds: float) -> None:
    """One viewer by WebRTC, then the same one by HLS, then back."""
    operator = Operator(up)
    with viewer(browser, f"{up.url}/watch/demo?role=passive&muted") as page:
        page.first_picture()
        page.watch_for(2)
        before = page.frames()
        page.watch_for(seconds)
        figure("pictures on screen by WebRTC", (page.frames() - before) / seconds, "/s", "sent", RATE)
        figure("latency by WebRTC", page.stats()["latencyMs"], "ms", "HLS floor", HLS_LATENCY_MS)
        page.reset_gap()
        operator.call("/api/broadcasts/demo/activate-cdn")
        page.wait_for_mode("hls")
        page.watch_for(seconds)
        figure("latency by HLS", page.stats()["latencyMs"], "ms", "floor", HLS_LATENCY_MS)
        operator.call("/api/broadcasts/demo/deactivate-cdn")
        page.wait_for_mode("webrtc")
        page.watch_for(2)
        figure("longest stop of the picture, to HLS and back", page.gap_ms(), "ms", "floor", GAP_MS)


def lips(up: RunningUp, browser: Browser) -> None:
    """Lips against sound as they are presented: the mouth's darkness in painted frames, the level of the 43 ms of sound before them."""
    with viewer(browser, f"{up.url}/", size=(1100, 700)) as page:
        page.first_picture()
        page.watch_for(8)
        page.say("demo", "Papa, mama. Bob may pay a map. Papa, mama. Baba, map. Papa may map a baba for Bob.")
        heard = "probe.samples.filter(one => one.level > 0.02).length > 100"
        ended = "probe.samples.slice(-50).every(one => one.level < 0.005)"
        samples = page.sample(0, until=f"{heard} && {ended}")
    at = np.array([one["atMs"] for one in samples]) / 1000
    dark = np.array([one["dark"]["mouth"] for one in samples])
    power = np.array([one["level"] for one in samples]) ** 2
    lag, fit = lag_s(at, dark, at - LEVEL_S / 2, power)
    print(f"lips and sound in Chromium follow each other with a correlation of {fit:.2f}")
    figure("picture after sound, as presented", abs(lag) * 1000, "ms", "floor", LIPS_MS)


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        up = start_up(Path(data))
        try:
            browser = launch(playwright)
            first_picture(up, browser, options.visits)
            lips(up, browser)
            steady(up, browser, options.seconds)
            browser.close()
        finally:
            up.close()


if __name__ == "__main__":
    main()
