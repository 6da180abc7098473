"""The demo page as a visitor meets it: a picture, a face that lives, a voice, an answer."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import pytest
from playwright.sync_api import Browser, Playwright

from tests.harness.browser import Viewer, launch, viewer
from tests.harness.up import RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SPOKEN = 0.02
"""Level above which somebody speaks; the voice is at about 0.1, silence is digital."""


@pytest.fixture(scope="module")
def visitor(up: RunningUp, chromium: Browser) -> Iterator[Viewer]:
    with viewer(chromium, f"{up.url}/", size=(1100, 700)) as page:
        page.first_picture()
        yield page


def test_first_picture_comes_by_webrtc_soon_after_the_page(up: RunningUp, chromium: Browser) -> None:
    for visit in ("first", "second"):
        with viewer(chromium, f"{up.url}/", size=(1100, 700)) as page:
            first = page.first_picture()
            at_ms = page.events("firstframe")[0]["atMs"]
            print(
                f"first picture, {visit} visit: {first['ms']:.0f} ms after the player's start, {at_ms:.0f} ms after the click"
            )
            assert first["mode"] == "webrtc"


def test_a_press_of_watch_live_brings_the_picture(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/watch/demo?autostart=false") as page:
        button = page.page.get_by_role("button", name="Watch live")
        button.wait_for()
        assert page.events("firstframe") == []
        button.click()
        first = page.first_picture()
        print(f"first picture {first['ms']:.0f} ms after the press")
        assert not button.is_visible()


def test_the_picture_moves_in_full_size(visitor: Viewer) -> None:
    before = visitor.frames()
    visitor.watch_for(4)
    rate = (visitor.frames() - before) / 4
    stats = visitor.stats()
    print(
        f"{rate:.1f} frames/s on screen, latency {stats['latencyMs']:.0f} ms, {stats['bitrateBps'] / 1000:.0f} kbit/s"
    )
    assert (stats["width"], stats["height"], stats["codec"]) == (854, 480, "H264")
    assert rate > 8, "25 are sent; even a busy machine must show a third of them"


def test_the_face_lives_while_it_is_silent(visitor: Viewer) -> None:
    earlier = visitor.page.evaluate("probe.grey([0.3, 0.1, 0.4, 0.5])")
    visitor.watch_for(2)
    later = visitor.page.evaluate("probe.grey([0.3, 0.1, 0.4, 0.5])")
    assert mean(abs(a - b) for a, b in zip(earlier, later, strict=True)) > 0.1


def test_mouth_moves_with_the_sound_and_rests_without(visitor: Viewer) -> None:
    visitor.say("demo", "My mouth moves with each sound that I make, and it rests when I am silent.")
    # Enough of it heard, and then the end of it seen.
    heard = f"probe.samples.filter(one => one.level > {SPOKEN}).length > 20"
    ended = f"probe.samples.slice(-50).every(one => one.level < {SPOKEN / 4})"
    samples = visitor.sample(0, until=f"{heard} && {ended}")
    loud = [one["mouth"] for one in samples if one["level"] > SPOKEN]
    # Silence begins and ends with the lips on their way: what counts is silence all around.
    quiet = [
        one["mouth"]
        for index, one in enumerate(samples)
        if index >= 12 and max(near["level"] for near in samples[index - 12 : index + 13]) < SPOKEN / 4
    ]
    print(
        f"mouth: {mean(loud):.2f} in {len(loud)} frames with sound, {mean(quiet):.2f} in {len(quiet)} without"
    )
    assert len(loud) > 20
    assert len(quiet) > 20
    assert mean(loud) > 3 * mean(quiet)


def test_the_voice_is_audible(visitor: Viewer) -> None:
    assert visitor.page.evaluate("document.querySelector('avacast-player').muted") is False
    visitor.say("demo", "Can you hear me?")
    samples = visitor.sample(1.5, until=f"probe.level() > {SPOKEN}")
    loudest = max(one["level"] for one in samples)
    print(f"loudest 43 ms: {loudest:.3f} of full scale")
    assert loudest > 0.05


def test_typed_text_is_answered_aloud_and_in_writing(up: RunningUp, visitor: Viewer) -> None:
    visitor.page.request.post(f"{up.url}/api/broadcasts/demo/interrupt")
    visitor.page.wait_for_function(f"probe.level() < {SPOKEN / 10}")
    heard = len(visitor.events("caption"))
    visitor.ask("Who are you?")
    visitor.page.wait_for_selector(".bubble.you.sent")
    visitor.wait_until(f"probe.level() > {SPOKEN}", 30)
    visitor.wait_until(f"probe.events.filter(event => event.name === 'caption').length > {heard}", 30)
    answer = visitor.page.locator(".bubble.you:has-text('Who are you?') ~ .bubble.ava").last
    answer.wait_for()
    print(f"answer: {answer.inner_text()!r}")
    assert answer.inner_text().strip() != ""


def test_words_that_nobody_takes_are_kept_and_explained(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/", size=(1100, 700)) as page:
        page.page.route("**/api/broadcasts/demo/ask", lambda route: route.abort())
        page.ask("Are you there?")
        failed = page.page.locator(".bubble.failed")
        failed.wait_for()
        assert "Are you there?" in failed.inner_text()
        assert "cannot be reached" in failed.inner_text()
        page.page.unroute("**/api/broadcasts/demo/ask")
        failed.get_by_role("button", name="Send again").click()
        page.page.wait_for_selector(".bubble.you.sent")
        assert page.page.locator(".bubble.failed").count() == 0


def test_figures_are_there_on_demand(visitor: Viewer) -> None:
    overlay = visitor.page.locator("avacast-player .stats")
    assert not overlay.is_visible()
    visitor.page.locator("avacast-player").focus()
    visitor.page.keyboard.press("i")
    overlay.wait_for()
    visitor.wait_until(
        "document.querySelector('avacast-player').shadowRoot.querySelectorAll('.stats dt').length > 5"
    )
    text = overlay.inner_text()
    for wanted in ("WebRTC", "854 × 480", "H264"):
        assert wanted in text
    visitor.page.keyboard.press("i")
    overlay.wait_for(state="hidden")


def test_a_browser_that_forbids_sound_plays_muted_and_offers_it(
    up: RunningUp, playwright: Playwright
) -> None:
    browser = launch(playwright, without="--autoplay-policy=no-user-gesture-required")
    try:
        with viewer(browser, f"{up.url}/health") as page:
            # Whatever a test asks of a page counts as a touch of it, and allows sound: wait for what the page says by itself.
            page.page.add_init_script(
                "document.addEventListener('avacast-sound', ({detail}) => detail.blocked && console.info('sound is blocked'))"
            )
            with page.page.expect_console_message(lambda message: message.text == "sound is blocked"):
                page.page.goto(f"{up.url}/watch/demo?role=interactive")
            page.first_picture()
            button = page.page.get_by_role("button", name="Tap for sound")
            button.wait_for()
            assert page.page.evaluate("document.querySelector('avacast-player').video.muted") is True
            button.click()
            button.wait_for(state="hidden")
            assert page.page.evaluate("document.querySelector('avacast-player').video.muted") is False
            before = page.frames()
            page.wait_until(f"probe.frames > {before + 20}")
    finally:
        browser.close()
