"""Real players on a live broadcast: hls.js in Chromium, Chromium's own HLS, and ffmpeg. Latency is read from the picture."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.harness.broadcast import Broadcast

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def broadcast() -> Iterator[Broadcast]:
    running = Broadcast()
    yield running
    running.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    yield page
    page.close()


def watch(page: Page, seconds: float) -> dict[str, Any]:
    """Lets the page play, then takes what it has seen. Frames keep coming by themselves; only time can tell."""
    page.wait_for_function("state.latencies.length > 10 || state.fatal", timeout=20_000)
    page.wait_for_timeout(seconds * 1000)
    seen: dict[str, Any] = page.evaluate("state")
    assert seen["fatal"] is None, seen["errors"]
    return seen


def latencies(seen: dict[str, Any], after_ms: float = 5000) -> list[float]:
    return sorted(one["ms"] for one in seen["latencies"] if one["at"] >= after_ms)


def settles_within(page: Page, ms: float) -> None:
    """Waits for four seconds of pictures that are no older than this.

    A busy machine takes longer to get there; a player that aims elsewhere never does.
    """
    page.wait_for_function(
        f"state.fatal || (state.latencies.length > 100 && state.latencies.slice(-100).every(one => one.ms < {ms}))",
        timeout=45_000,
    )
    assert page.evaluate("state.fatal") is None, page.evaluate("state.errors")


def test_hls_js_plays_within_three_seconds_of_live(broadcast: Broadcast, page: Page) -> None:
    page.goto(broadcast.page())
    settles_within(page, 3000)


def test_the_shortest_tier_aims_nearer_to_live(broadcast: Broadcast, page: Page) -> None:
    aims = []
    short = Broadcast(0.2)
    try:
        for one, options in ((broadcast, {}), (short, {"maxFragLookUpTolerance": 0.05})):
            page.goto(one.page(**options))
            watch(page, 0)
            aims.append(page.evaluate("(hls.latencyController.stallCount = 0, hls.targetLatency)"))
        settles_within(page, 2300)
    finally:
        short.close()
    assert aims[1] < aims[0] < 1.2


def test_sound_that_comes_a_second_after_its_pictures_keeps_nobody_from_playing(page: Page) -> None:
    broadcast = Broadcast(sound_later_ms=1200)
    try:
        # A player that comes later begins near the end of the pictures.
        time.sleep(6)
        page.goto(broadcast.page())
        settles_within(page, 4000)
    finally:
        broadcast.close()


def test_chromium_plays_it_by_itself(broadcast: Broadcast, page: Page) -> None:
    # Chromium takes three segments before it begins.
    time.sleep(6)
    page.goto(broadcast.page(native=True))
    row = latencies(watch(page, 8), 2000)
    assert len(row) > 100
    assert row[len(row) // 2] < 10_000


def test_a_stall_of_the_source_is_lived_through(broadcast: Broadcast, page: Page) -> None:
    page.goto(broadcast.page())
    watch(page, 4)
    broadcast.stall(4)
    page.wait_for_timeout(4000)
    frames = page.evaluate("state.latencies.length")
    page.wait_for_function(f"state.latencies.length > {frames} + 100 || state.fatal", timeout=15_000)
    page.wait_for_timeout(4000)
    seen = page.evaluate("state")
    assert seen["fatal"] is None, seen["errors"]
    last = sorted(one["ms"] for one in seen["latencies"][-50:])
    assert last[25] < 6000, "it has not fallen behind by more than the stall"


def test_another_resolution_is_followed(broadcast: Broadcast, page: Page) -> None:
    page.goto(broadcast.page())
    watch(page, 4)
    broadcast.restart(width=576, height=320)
    page.wait_for_function("video.videoWidth === 576 || state.fatal", timeout=15_000)
    frames = page.evaluate("state.latencies.length")
    page.wait_for_function(f"state.latencies.length > {frames} + 75 || state.fatal", timeout=15_000)
    assert page.evaluate("state.fatal") is None


def test_sound_alone_plays(page: Page) -> None:
    broadcast = Broadcast(video=False)
    try:
        page.goto(broadcast.page())
        page.wait_for_function("video.currentTime > 0 && !video.paused", timeout=20_000)
        before = page.evaluate("video.currentTime")
        page.wait_for_function(f"video.currentTime > {before} + 4 || state.fatal", timeout=20_000)
        assert page.evaluate("state.fatal") is None
    finally:
        broadcast.close()


def test_the_sound_is_audible(broadcast: Broadcast, page: Page) -> None:
    page.goto(broadcast.page())
    watch(page, 1)
    level = page.evaluate("""async () => {
        video.muted = false;
        const context = new AudioContext();
        await context.resume();
        const analyser = context.createAnalyser();
        context.createMediaElementSource(video).connect(analyser);
        const samples = new Float32Array(2048);
        let peak = 0;
        const end = performance.now() + 2500;
        while (performance.now() < end) {
            analyser.getFloatTimeDomainData(samples);
            peak = Math.max(peak, ...samples.map(Math.abs));
            await new Promise((next) => setTimeout(next, 30));
        }
        return peak;
    }""")
    assert level > 0.2, "the source beeps each second"


@pytest.mark.parametrize("name", ["index.m3u8", "plain.m3u8"])
def test_ffmpeg_plays_it(broadcast: Broadcast, name: str) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg")
    url = broadcast.url.replace("index.m3u8", name)
    done = subprocess.run(
        [
            ffmpeg,
            "-v",
            "error",
            "-i",
            url,
            "-map",
            "0:v:0",
            "-map",
            "0:a:0",
            "-t",
            "4",
            "-f",
            "framecrc",
            "-",
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    rows = [line for line in done.stdout.splitlines() if line and line[0] in "01"]
    assert sum(line[0] == "0" for line in rows) >= 95, done.stderr
    assert sum(line[0] == "1" for line in rows) >= 180, done.stderr


def test_opus_plays_as_it_comes(page: Page) -> None:
    broadcast = Broadcast(opus=True)
    try:
        page.goto(broadcast.page(audioPreference={"audioCodec": "opus"}))
        page.wait_for_function("window.hls?.levels.length > 0 || state.fatal", timeout=40_000)
        # hls.js may go back to another level while it starts: it is asked until it stays.
        page.wait_for_function(
            """() => {
                const opus = hls.levels.findIndex((level) => level.audioCodec?.toLowerCase() === "opus");
                const there = hls.audioTracks[hls.audioTrack]?.groupId === "opus";
                if (!there && hls.nextLevel !== opus) hls.nextLevel = opus;
                return state.fatal || (there && video.currentTime > 2);
            }""",
            timeout=60_000,
        )
        before = page.evaluate("video.currentTime")
        page.wait_for_function(f"video.currentTime > {before} + 4 || state.fatal", timeout=40_000)
        assert page.evaluate("state.fatal") is None, page.evaluate("state.errors")
    finally:
        broadcast.close()
