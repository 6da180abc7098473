"""A broadcast's page in the console: its picture, its delivery, its figures live, and who watched, on a phone too."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

FITS = "document.documentElement.scrollWidth <= innerWidth"


def test_an_operator_follows_a_broadcast_on_its_page(up: RunningUp, chromium: Browser) -> None:
    with (
        viewer(chromium, f"{up.url}/watch/demo?role=interactive&muted", size=(426, 240)) as watching,
        viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console,
    ):
        watching.first_picture()
        page = console.page
        page.locator("[data-broadcast=demo]").get_by_role("link").click()
        assert page.url.endswith("/console#/broadcasts/demo")
        demo = page.locator("[data-page=demo]")
        expect(demo.get_by_role("heading", level=2).first).to_be_focused()
        expect(page).to_have_title(re.compile("Console"))
        expect(page.get_by_role("region", name="Nodes")).to_have_count(0)

        live = page.get_by_role("region", name="Live")
        expect(live.locator("canvas")).to_have_count(4)
        console.wait_until("document.querySelector('avacast-player')?.mode", 30)
        assert page.evaluate("document.querySelector('avacast-player').muted")
        # The watcher and the preview.
        expect(
            live.get_by_role("img", name=re.compile(r"^Viewers by delivery: .*WebRTC [2-9]"))
        ).to_be_visible(timeout=30_000)
        expect(live.get_by_role("img", name=re.compile(r"^Bit rate: received .*bit.s"))).to_be_visible(
            timeout=30_000
        )

        watched = page.get_by_role("region", name="Who watched")
        expect(watched.get_by_role("row", name=re.compile("^local"))).to_be_visible(timeout=30_000)
        expect(watched.get_by_role("img", name="Still there")).to_be_visible()
        with page.expect_download() as saving:
            watched.get_by_role("button", name="Table").click()
        assert saving.value.suggested_filename == "demo-analytics.csv"
        assert saving.value.path().read_text().startswith("at,viewers,peak,webrtc,hls")

        demo.get_by_role("button", name="Turn CDN on").click()
        expect(demo).to_contain_text("CDN on", timeout=15_000)
        expect(demo.get_by_role("button", name="Automatic")).to_be_visible()
        demo.get_by_role("button", name="Turn CDN off").click()
        expect(demo).to_contain_text("CDN off", timeout=15_000)
        assert page.evaluate(FITS)
        page.set_viewport_size({"width": 390, "height": 800})
        expect(live.locator("canvas").first).to_be_visible()
        assert page.evaluate(FITS)
        page.go_back()
        expect(page.get_by_role("region", name="Nodes")).to_be_visible()
        expect(demo).to_have_count(0)
        assert page.evaluate("document.querySelector('avacast-player')") is None
    Operator(up).call("/api/broadcasts/demo/automatic-cdn")


def test_a_broadcast_without_viewers_and_one_that_is_over_have_pages(
    up: RunningUp, chromium: Browser
) -> None:
    operator = Operator(up)
    operator.call("/api/broadcasts", body={"id": "quiet", "title": "A quiet one"})
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(390, 800), scheme="dark") as console:
        page = console.page
        page.evaluate("location.hash = '#/broadcasts/quiet'")
        quiet = page.locator("[data-page=quiet]")
        expect(quiet).to_contain_text("A quiet one")
        expect(quiet).to_contain_text("Nobody has watched in this time")
        assert page.evaluate(FITS)
        operator.call("/api/broadcasts/quiet", method="DELETE")
        expect(quiet).to_contain_text("over, or never made", timeout=15_000)
        expect(quiet.get_by_role("region", name="Live")).to_have_count(0)
        expect(quiet).to_contain_text("Nobody has watched in this time")
        page.evaluate("location.hash = '#/broadcasts/never'")
        expect(page.locator("[data-page=never]")).to_contain_text("No such broadcast", timeout=15_000)
