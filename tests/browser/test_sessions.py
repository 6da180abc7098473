"""An app places a session on a running program; the operator sees it in the console, ends it, and finds both in the audit log."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def test_an_operator_sees_a_session_and_ends_it(up: RunningUp, chromium: Browser) -> None:
    made = Operator(up).call("/api/sessions", body={"user": "zoe", "persona": "ava"})
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        page = console.page
        page.on("dialog", lambda dialog: dialog.accept())
        session = page.locator(f"[data-session={made['id']}]")
        expect(session).to_contain_text("zoe", timeout=30_000)
        expect(session).to_contain_text("Live", timeout=90_000)
        expect(session).to_contain_text("origin")
        history = Operator(up).call(f"/api/sessions/{made['id']}/history", method="GET")
        assert history["said"] == [], "nobody is greeted before somebody watches"

        session.get_by_role("button", name="End").click()
        expect(session).to_have_count(0, timeout=15_000)
        audit = page.get_by_role("region", name="Audit log")
        expect(audit).to_contain_text(f"ended sessions/{made['id']}", timeout=15_000)
        expect(audit).to_contain_text("made sessions/")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
