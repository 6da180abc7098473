"""Pages under their own Content-Security-Policy: they play and work, and a script that is not theirs does not run."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

NOTE = """addEventListener("securitypolicyviolation", event => {
    (window.violations ??= []).push(`${event.violatedDirective}: ${event.blockedURI}`); }, true)"""


def note(page: Page) -> None:
    page.add_init_script(NOTE)


def violations(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.violations ?? []")
    return found


PLAYS = """mode => new Promise(done => {
    const look = () => probe.events.some(event => event.name === "firstframe" && event.detail.mode === mode) && probe.frames > 20
        ? done() : setTimeout(look, 50);
    look(); })"""


@pytest.mark.parametrize("mode", ["webrtc", "hls"])
def test_a_broadcast_plays(up: RunningUp, chromium: Browser, mode: str) -> None:
    operator = Operator(up)
    if mode == "hls":
        operator.call("/api/broadcasts/demo/activate-cdn")
    try:
        url = f"{up.url}/watch/demo?role=passive&muted"
        with viewer(chromium, url, strict=True, prepare=note) as watching:
            watching.page.evaluate(PLAYS, mode)
            assert violations(watching.page) == []
    finally:
        operator.call("/api/broadcasts/demo/automatic-cdn")


def test_the_other_pages_work(up: RunningUp, chromium: Browser) -> None:
    for path, ready in (
        ("/", "Ava"),
        (f"/console#token={ADMIN_TOKEN}", "Audit log"),
        ("/camera", "Send your camera"),
        ("/docs", "Avacast"),
    ):
        with viewer(chromium, f"{up.url}{path}", size=(1000, 800), strict=True, prepare=note) as opened:
            expect(opened.page.get_by_role("heading", name=ready).first).to_be_visible(timeout=30_000)
            assert violations(opened.page) == [], path


def test_a_script_that_was_put_into_the_page_does_not_run(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console", strict=True, prepare=note) as console:
        page = console.page
        page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.taken = true";
            document.body.append(script); }""")
        page.evaluate(
            "new Promise(done => { const look = () => window.violations ? done() : setTimeout(look, 20); look() })"
        )
        assert page.evaluate("window.taken") is None
        assert violations(page) == ["script-src-elem: inline"]
