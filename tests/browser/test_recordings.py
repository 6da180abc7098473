"""Going back in a running broadcast, and watching a recording, with hls.js in Chromium."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from hls.store.recorder import Recorder
from tests.harness.broadcast import player_page
from tests.harness.browser import viewer
from tests.harness.recording import WatchedFolder, broadcast, play
from tests.harness.recordings_site import recordings_site
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


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


def test_viewers_seek_back_and_over_a_gap(page: Page, tmp_path: Path) -> None:
    # The broadcast stands still from second 12 to 17: the viewer comes before that.
    calls = broadcast().calls
    first = next(call.msn for call in calls if not isinstance(call, bytes))
    before = next(
        index for index, call in enumerate(calls) if not isinstance(call, bytes) and call.msn >= first + 6
    )
    with (
        player_page() as pages,
        recordings_site(tmp_path / "spool", WatchedFolder(tmp_path / "store"), calls[:before], dvr_s=600) as (
            base,
            recorder,
        ),
    ):
        config = json.dumps({"lowLatencyMode": False})
        page.goto(f"{pages}?{urlencode({'src': f'{base}/recordings/demo/dvr.m3u8', 'config': config})}")
        page.wait_for_function("state.fatal || state.mediaTimes.length > 5", timeout=40_000)
        assert page.evaluate("state.fatal") is None, page.evaluate("state.errors")
        page.evaluate("video.currentTime = video.seekable.start(0) + 1.5")
        plays_at(page, 1.5)
        # What is shown there is what was broadcast there: the pictures bear their time.
        shown, told = page.evaluate("[pictureClock(), hls.playingDate.getTime() % 2 ** 32]")
        assert shown is not None and abs(shown - told) < 500
        play(recorder, calls[before:-3])
        page.wait_for_function("video.seekable.end(0) > 18.5", timeout=40_000)
        page.evaluate("video.currentTime = 18")
        plays_at(page, 18)
        assert page.evaluate("hls.levels[hls.currentLevel].details.fragments.some(one => one.gap)")


def test_a_finished_recording_is_known_by_its_pictures(
    up: RunningUp, chromium: Browser, tmp_path: Path
) -> None:
    # Another packager's, in the store that both share; a second try has another name.
    name = f"taped-{secrets.token_hex(3)}"
    store = WatchedFolder(up.data / "store")
    recorder = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20)
    recorder.start()
    recorder.opened(name, 2)
    play(recorder, broadcast().calls, name)
    store.until(lambda: any(one.view.broadcast == name for one in store.finished))
    recorder.close(30)
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        page = console.page
        row = page.locator("[data-recording]", has=page.get_by_role("rowheader", name=name, exact=True))
        expect(row).to_contain_text("finished", timeout=60_000)
        page.wait_for_function(
            "Array.from(document.querySelectorAll('[data-recording] img')).some(one => one.naturalWidth === 512)"
        )
        row.get_by_role("button", name="Play").click()
        pictures = page.get_by_role("list", name="Go to").get_by_role("button")
        expect(pictures).to_have_count(11, timeout=60_000)
        expect(pictures.nth(0)).to_have_css("width", "160px")
        page.wait_for_function("document.querySelector('dialog video').readyState >= 2", timeout=60_000)
        pictures.nth(9).click()
        page.wait_for_function(
            "(at => at > 17.5 && at < 21.5)(document.querySelector('dialog video').currentTime)",
            timeout=60_000,
        )
        expect(pictures.nth(9).or_(pictures.nth(10)).and_(page.locator("[aria-current=true]"))).to_have_count(
            1
        )
        page.get_by_role("dialog").get_by_role("button", name="Close").click()


def test_a_recording_is_played_from_its_page(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        page = console.page
        row = page.locator(
            "[data-recording]", has=page.get_by_role("rowheader", name="demo", exact=True)
        ).first
        expect(row).to_be_visible(timeout=60_000)
        expect(row).to_contain_text("recording")
        row.get_by_role("button", name="Play").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("alert")).to_have_count(0)
        begun = page.wait_for_function(
            "(at => at > 0.5 && { at })(document.querySelector('dialog video').currentTime)", timeout=60_000
        )
        assert begun.json_value()["at"] < 20, "from its beginning, though it still runs"
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_have_count(0)
        expect(row.get_by_role("button", name="Delete")).to_have_count(0)
