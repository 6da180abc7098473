"""A host at the desk: a visitor's question waits until it is approved, words are said at once, a script plays."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_host_approves_a_question_and_plays_a_script(up: RunningUp, chromium: Browser) -> None:
    with (
        viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console,
        viewer(chromium, f"{up.url}/?muted", size=(1000, 700)) as visitor,
    ):
        visitor.first_picture()
        demo = console.page.locator("[data-broadcast=demo]")
        expect(demo).to_contain_text("live on origin", timeout=60_000)
        try:
            demo.get_by_role("button", name="Desk").click()
            desk = console.page.get_by_role("dialog", name="Desk of")
            desk.get_by_label("Visitors’ questions wait for me").check()
            expect(desk).to_contain_text("No question yet.", timeout=15_000)

            visitor.ask("What is 12 times 7?")
            expect(visitor.page.get_by_text("Your question waits for the host.")).to_be_visible(
                timeout=15_000
            )
            held = desk.get_by_role("listitem").filter(has_text="What is 12 times 7?")
            expect(held).to_be_visible(timeout=15_000)
            held.get_by_role("button", name="Answer").click()
            expect(visitor.page.get_by_role("log")).to_contain_text("84", timeout=60_000)
            expect(held).to_have_count(0)

            desk.get_by_label("Script").fill("0:05 Too late\n0:01 Too early")
            desk.get_by_role("button", name="Play script").click()
            expect(desk.get_by_role("alert")).to_contain_text("Line 2 comes before")
            desk.get_by_label("Script").fill("0:00 Bananas are yellow.\n0:02 Cherries are red.\n50:00 Never.")
            desk.get_by_role("button", name="Play script").click()
            expect(desk.get_by_role("progressbar")).to_be_visible(timeout=15_000)
            log = visitor.page.get_by_role("log")
            expect(log).to_contain_text("Bananas are yellow.", timeout=60_000)
            expect(log).to_contain_text("Cherries are red.", timeout=60_000)
            desk.get_by_role("button", name="Stop").click()
            expect(desk.get_by_label("Script")).to_be_visible(timeout=15_000)
        finally:
            Operator(up).call("/api/broadcasts/demo", method="PATCH", body={"moderated": False})
