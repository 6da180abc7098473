"""Going back in a running broadcast, and watching a recording, with hls.js in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.harness.broadcast import player_page
from tests.harness.browser import viewer
from tests.harness.recording import WatchedFolder, broadcast
from tests.harness.recordings_site import recordings_site
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    yield page
    page.close()


def plays_at(page: Page, seconds: float) -> None:
    """Waits for a picture of this time, a second more or less, and for those after it."""
    page.wait_for_function(
        f"state.fatal || state.mediaTimes.slice(-5).every(at => Math.abs(at - {seconds}) < 1.5)"
        f" && Math.abs(video.currentTime - {seconds}) < 1.5 && !video.seeking",
        timeout=40_000,
    )
    assert page.evaluate("state.fatal") is None, page.evaluate("state.errors")


def test_viewers_seek_back_to_the_begin_and_over_a_gap(page: Page, tmp_path: Path) -> None:
    # The broadcast stands still from second 12 to 17.
    with (
        player_page() as pages,
        recordings_site(
            tmp_path / "spool", WatchedFolder(tmp_path / "store"), broadcast().calls[:-3], dvr_s=600
        ) as (
            base,
            _,
        ),
    ):
        config = json.dumps({"lowLatencyMode": False})
        page.goto(f"{pages}?{urlencode({'src': f'{base}/recordings/demo/dvr.m3u8', 'config': config})}")
        page.wait_for_function("state.fatal || state.mediaTimes.length > 5", timeout=40_000)
        assert page.evaluate("state.fatal") is None, page.evaluate("state.errors")
        page.wait_for_function("video.seekable.length && video.seekable.end(0) > 15")
        begin = page.evaluate("video.seekable.start(0)")
        # What is shown there is what was broadcast there: the pictures bear their time.
        page.evaluate(f"video.currentTime = {begin + 3}")
        plays_at(page, begin + 3)
        shown = page.evaluate("[pictureClock(), hls.playingDate.getTime() % 2 ** 32]")
        assert shown[0] is not None and abs(shown[0] - shown[1]) < 500
        page.evaluate(f"video.currentTime = {begin + 8.5}")
        plays_at(page, begin + 8.5)


def test_a_recording_is_played_from_its_page(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        page = console.page
        row = page.locator("[data-recording]").first
        expect(row).to_contain_text("demo", timeout=60_000)
        expect(row).to_contain_text("recording")
        row.get_by_role("button", name="Play").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("alert")).to_have_count(0)
        page.wait_for_function("document.querySelector('dialog video').currentTime > 0.5", timeout=60_000)
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)
        expect(row.get_by_role("button", name="Delete")).to_have_count(0)
