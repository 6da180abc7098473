"""Jobs in the console: a film is ordered, made and watched; another is cancelled; one that cannot be made says why; files are sent."""

from __future__ import annotations

import io
import math
import re
import struct
import wave

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.harness.browser import Operator, Viewer, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

MADE_MS = 200_000
"""A film of some words in the shipped size takes ten seconds on an idle core."""
PLAYS = """video => new Promise(done => {
    const look = () => video.currentTime > 0.5 ? done([video.videoWidth, video.videoHeight]) : setTimeout(look, 50);
    look(); })"""


@pytest.fixture(autouse=True)
def empty(up: RunningUp) -> None:
    operator = Operator(up)
    for job in operator.call("/api/jobs", method="GET")["jobs"]:
        operator.call(f"/api/jobs/{job['id']}", method="DELETE")


def jobs_of(console: Viewer) -> Locator:
    console.page.on("dialog", lambda question: question.accept())
    pane = console.page.get_by_role("region", name="Jobs")
    expect(pane).to_contain_text("No film yet", timeout=30_000)
    return pane


def dialog_of(pane: Locator) -> Locator:
    pane.get_by_role("button", name="New film").click()
    return pane.page.get_by_role("dialog", name="New film")


def order(pane: Locator, text: str, *, avatar: str | None = None) -> Locator:
    """A film of these words; its row."""
    dialog = dialog_of(pane)
    if avatar is None:
        expect(dialog.get_by_role("radio", name="Ava")).to_be_checked()
    else:
        dialog.get_by_role("radio", name="Other").check()
        dialog.get_by_label("Name of the avatar").fill(avatar)
    dialog.get_by_role("textbox", name="Text").fill(text)
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog).to_have_count(0)
    return pane.locator("[data-job]", has_text=text[:40])


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_an_operator_has_a_film_made_and_watches_it(up: RunningUp, chromium: Browser) -> None:
    address = f"{up.url}/console#token={ADMIN_TOKEN}"
    # under the page's own policy, which has to let a film play
    with viewer(chromium, address, size=(1200, 900), strict=True) as console:
        pane = jobs_of(console)
        film = order(pane, "Good morning.")
        expect(film.get_by_role("progressbar", name=re.compile("[a-z]"))).to_be_visible(timeout=60_000)
        long = order(pane, "This one is never made. " * 200)
        expect(pane.locator("[data-job]").first, "the newest stands first").to_contain_text("never made")
        nobody = order(pane, "Hello.", avatar="nobody")

        long.get_by_role("button", name="Cancel").click()
        expect(long).to_contain_text("Cancelled", timeout=15_000)
        expect(film).to_contain_text("Done", timeout=MADE_MS)
        expect(film).to_contain_text("854x480")
        expect(nobody).to_contain_text("there is no avatar 'nobody'", timeout=60_000)
        expect(nobody.get_by_role("button", name="Watch")).to_have_count(0)

        film.get_by_role("button", name="Watch").click()
        watch = console.page.get_by_role("dialog", name="Film of Ava")
        assert watch.locator("video").evaluate(PLAYS) == [854, 480]
        expect(watch).to_contain_text("Good morning.")
        with console.page.expect_download() as download:
            watch.get_by_role("link", name="Download").click()
        assert download.value.path().read_bytes()[4:8] == b"ftyp"
        console.page.keyboard.press("Escape")
        expect(watch).to_have_count(0)

        console.page.set_viewport_size({"width": 390, "height": 800})
        assert fits(console.page)
        film.scroll_into_view_if_needed()
        expect(film.get_by_role("button", name="Watch")).to_be_in_viewport(ratio=1)

        long.get_by_role("button", name="Again").click()
        long.get_by_role("button", name="Cancel").click(timeout=15_000)
        expect(long).to_contain_text("Cancelled", timeout=15_000)
        for row in (long, nobody, film):
            row.get_by_role("button", name="Delete").click()
            expect(row).to_have_count(0, timeout=15_000)
        expect(pane).to_contain_text("No film yet")


def test_files_are_checked_before_and_after_they_are_sent(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        pane = jobs_of(console)
        dialog = dialog_of(pane)
        dialog.get_by_role("radio", name="Photo").check()
        dialog.locator("[type=file]").set_input_files(
            {"name": "huge.jpg", "mimeType": "image/jpeg", "buffer": bytes(10_500_000)}
        )
        expect(dialog.get_by_role("alert")).to_contain_text("The photo has 10.5 MB, and 10 MB are the most")
        expect(dialog.get_by_role("button", name="Make it")).to_be_disabled()
        dialog.get_by_role("radio", name="Ava").check()
        expect(dialog.get_by_role("alert"), "the photo counts no more").to_have_count(0)

        dialog.get_by_role("radio", name="A recording").check()
        recording = dialog.locator("[type=file]")
        recording.set_input_files(
            {"name": "speech.wav", "mimeType": "audio/wav", "buffer": b"a text" * 100_000}
        )
        expect(dialog.get_by_role("alert")).to_have_count(0)
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog.get_by_role("alert")).to_contain_text("neither a photo nor a recording", timeout=15_000)
        recording.set_input_files({"name": "speech.wav", "mimeType": "audio/wav", "buffer": tone(20.0)})
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog).to_have_count(0, timeout=15_000)
        row = pane.locator("[data-job]")
        expect(row).to_contain_text("A recording")
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("Cancelled", timeout=15_000)


def test_a_file_that_was_sent_for_nothing_is_deleted(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        pane = jobs_of(console)
        dialog = dialog_of(pane)
        dialog.get_by_role("radio", name="Other").check()
        dialog.get_by_label("Name of the avatar").fill("ava")
        dialog.get_by_role("radio", name="A recording").check()
        dialog.locator("[type=file]").set_input_files(
            {"name": "speech.wav", "mimeType": "audio/wav", "buffer": tone(1.0)}
        )
        console.page.route("**/api/jobs", lambda route: route.abort())
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached", timeout=15_000)
        with console.page.expect_response(re.compile("/api/uploads/up_")) as deleted:
            dialog.get_by_role("button", name="Cancel").click()
        assert deleted.value.request.method == "DELETE"
        assert deleted.value.status == 204


def test_older_jobs_are_on_pages_of_their_own(up: RunningUp, chromium: Browser) -> None:
    operator = Operator(up)
    for number in range(26):
        made = operator.call("/api/jobs", body={"text": f"Word {number}."})
        operator.call(f"/api/jobs/{made['id']}/cancel")
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        pane = console.page.get_by_role("region", name="Jobs")
        rows = pane.locator("[data-job]")
        expect(rows).to_have_count(25, timeout=30_000)
        expect(rows.first).to_contain_text("Word 25.")
        expect(pane.get_by_role("button", name="Newer")).to_be_disabled()
        pane.get_by_role("button", name="Older").click()
        expect(rows).to_have_count(1, timeout=15_000)
        expect(rows).to_contain_text("Word 0.")
        expect(pane.get_by_role("button", name="Older")).to_be_disabled()
        pane.get_by_role("button", name="Newer").click()
        expect(rows).to_have_count(25, timeout=15_000)


def tone(seconds: float) -> bytes:
    """A WAV file of a hum."""
    rate, out = 16_000, io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        count = int(seconds * rate)
        file.writeframes(
            struct.pack(f"<{count}h", *(int(8000 * math.sin(n * 0.08 * math.tau)) for n in range(count)))
        )
    return out.getvalue()
