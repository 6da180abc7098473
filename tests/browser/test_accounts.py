"""An operator gives an app a key in the console, by keyboard and on a phone: it works, is rotated, and is revoked."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def status(up: RunningUp, secret: str, path: str = "/api/nodes") -> int:
    request = urllib.request.Request(f"{up.url}{path}", headers={"Authorization": f"Bearer {secret}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_key_is_made_used_rotated_and_revoked(up: RunningUp, chromium: Browser) -> None:
    operator = Operator(up)
    for left in operator.call("/api/keys", method="GET")["keys"]:  # by a first try of this story
        operator.call(f"/api/keys/{left['id']}", method="DELETE")
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(390, 844), strict=True) as console:
        page = console.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        accounts = page.get_by_role("region", name="Accounts")
        expect(accounts).to_contain_text("No app has a key yet", timeout=30_000)

        # By keyboard: the button, the name, two scopes, Enter.
        accounts.get_by_role("button", name="New API key").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        make = dialog.get_by_role("button", name="Make it")
        expect(make).to_be_disabled()
        dialog.get_by_label("Name").fill("Booking app")
        for scope in ("See", "Sessions"):
            dialog.get_by_role("checkbox", name=scope).focus()
            page.keyboard.press("Space")
        dialog.get_by_text("Limits of its own").click()
        dialog.get_by_label("Sessions at once").fill("3")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        dialog.get_by_label("Name").focus()
        page.keyboard.press("Enter")

        shown = page.get_by_role("dialog", name="The key of Booking app", exact=True)
        first = shown.get_by_label("Secret", exact=True).input_value()
        shown.get_by_role("button", name="Copy").click()
        expect(shown.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == first
        shown.get_by_role("button", name="Done").click()
        assert status(up, first) == 200
        assert status(up, first, "/api/keys") == 403

        row = accounts.locator(f"[data-key={first[:12]}]")
        expect(row).to_contain_text("Booking app")
        expect(row.get_by_role("listitem")).to_have_text(["read", "sessions"])
        expect(row).to_contain_text("just now", timeout=20_000)
        assert first not in page.content(), "it was shown once"

        row.get_by_role("button", name="Rotate").click()
        page.get_by_role("dialog").get_by_label("The old secret is taken for").select_option("An hour")
        page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
        second = shown.get_by_label("Secret", exact=True).input_value()
        page.keyboard.press("Escape")
        expect(shown).to_have_count(0)
        assert second != first and status(up, first) == status(up, second) == 200
        expect(row).to_contain_text("old secret for 1 hour, used just now", timeout=20_000)

        page.on("dialog", lambda question: question.accept())
        row.get_by_role("button", name="Revoke").click()
        expect(row).to_have_count(0, timeout=20_000)
        assert status(up, first) == status(up, second) == 401
        audit = page.get_by_role("region", name="Audit log")
        expect(audit).to_contain_text(f"ended keys/{first[:12]}", timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
