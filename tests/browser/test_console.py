"""The console as an operator uses it: sees what is there without reload, signs in, switches the CDN."""

from __future__ import annotations

import re
import time
import urllib.request

import pytest
from playwright.sync_api import Browser, expect

from common.auth import Audience, Tokens
from common.directory import NodeReport, Role
from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def test_an_operator_moves_the_viewers_to_the_cdn_and_back(up: RunningUp, chromium: Browser) -> None:
    with (
        viewer(chromium, f"{up.url}/console", size=(1200, 800)) as console,
        viewer(chromium, f"{up.url}/watch/demo?role=passive&muted", size=(426, 240)) as watching,
    ):
        page = console.page
        for node in ("origin", "packager"):
            expect(page.locator(f"[data-node={node}]")).to_be_visible(timeout=30_000)
        expect(page.locator("[data-node^=relay-]").first).to_contain_text("Relay", timeout=30_000)
        demo = page.locator("[data-broadcast=demo]")
        # The avatar of a program that has just started: its voice and its face are being prepared.
        expect(demo).to_contain_text("live on origin", timeout=60_000)
        watching.first_picture()
        # Viewers by HLS whom an earlier story left behind count until their last report has run out.
        expect(demo).to_contain_text("1 WebRTC, 0 HLS", timeout=60_000)

        demo.get_by_role("button", name="Turn CDN on").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Admin token").fill("not the token")
        dialog.get_by_role("button", name="Sign in").click()
        expect(dialog.get_by_role("alert")).to_contain_text("not the admin token")
        dialog.get_by_label("Admin token").fill(ADMIN_TOKEN)
        dialog.get_by_role("button", name="Sign in").click()
        expect(dialog).to_have_count(0)

        demo.get_by_role("button", name="Turn CDN on").click()
        expect(demo).to_contain_text("CDN on", timeout=15_000)
        watching.wait_for_mode("hls")
        expect(demo).to_contain_text("0 WebRTC, 1 HLS", timeout=15_000)

        demo.get_by_role("button", name="Turn CDN off").click()
        expect(demo).to_contain_text("CDN off", timeout=15_000)
        watching.wait_for_mode("webrtc")
        expect(demo).to_contain_text("1 WebRTC, 0 HLS", timeout=40_000)
        assert page.evaluate("performance.getEntriesByType('navigation').length") == 1

        stored = page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href].join()")
        assert ADMIN_TOKEN not in stored
        page.get_by_role("button", name="Sign out").click()
        assert ADMIN_TOKEN not in page.evaluate("JSON.stringify(sessionStorage)")
    Operator(up).call("/api/broadcasts/demo/automatic-cdn")


def test_a_broadcast_is_made_and_ended(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 800)) as console:
        page = console.page
        assert ADMIN_TOKEN not in page.url
        page.get_by_role("button", name="New broadcast").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill("Made by hand")
        dialog.get_by_label(re.compile("^Id")).fill("by-hand")
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog.get_by_label("WHIP address")).to_have_value(f"{up.url}/whip/by-hand")
        assert len(dialog.get_by_label("Publisher token").input_value()) > 40
        dialog.get_by_role("button", name="Done").click()
        made = page.locator("[data-broadcast=by-hand]")
        expect(made).to_contain_text("not live")
        page.on("dialog", lambda question: question.accept())
        made.get_by_role("button", name="End").click()
        expect(made).to_have_count(0, timeout=10_000)


def test_an_operator_chooses_who_speaks(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 800)) as console:
        page = console.page
        page.get_by_role("button", name="New broadcast").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill("An evening with Luma")
        dialog.get_by_label(re.compile("^Id")).fill("luma-live")
        faces = dialog.locator("fieldset img")
        expect(faces).to_have_count(5)
        assert faces.evaluate_all("faces => faces.every(face => face.complete && face.naturalWidth > 0)")
        dialog.get_by_label("Luma").check()
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog.get_by_role("link", name="Watch")).to_have_attribute("href", "/watch/luma-live")
        dialog.get_by_role("button", name="Done").click()
        made = page.locator("[data-broadcast=luma-live]")
        expect(made).to_contain_text("live on origin", timeout=60_000)
        page.on("dialog", lambda question: question.accept())
        made.get_by_role("button", name="End").click()
        expect(made).to_have_count(0, timeout=10_000)


def test_a_server_that_is_gone_is_told(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console", size=(1200, 800)) as console:
        page = console.page
        expect(page.locator("[data-broadcast=demo]")).to_be_visible()
        page.route("**/api/**", lambda route: route.abort())
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached", timeout=15_000)
        page.unroute("**/api/**")
        expect(page.get_by_role("alert")).to_have_count(0, timeout=15_000)


def test_panes_are_found_by_links_that_stay_in_sight(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console", size=(390, 800)) as console:
        page = console.page
        links = page.get_by_role("navigation", name="Panes").get_by_role("link")
        expect(page.locator("[data-node=origin]")).to_be_visible(timeout=30_000)
        expect(links).to_have_count(0)  # two panes need none
        page.get_by_role("button", name="Sign in").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Admin token").fill(ADMIN_TOKEN)
        dialog.get_by_role("button", name="Sign in").click()
        expect(links.last).to_have_text("Audit log")
        page.get_by_role("region", name="Cost").locator("[data-listeners='1000']").wait_for()
        webhooks = links.filter(has_text="Webhooks")
        webhooks.click()
        expect(page.get_by_role("heading", name="Webhooks")).to_be_in_viewport()
        expect(webhooks).to_have_attribute("aria-current", "true")
        expect(webhooks).to_be_in_viewport()
        expect(page.get_by_role("region", name="Audit log")).to_contain_text("made broadcasts/demo")


def test_an_operator_sees_what_broadcasts_cost(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(390, 800)) as console:
        page = console.page
        cost = page.locator("section.cost")
        thousand = cost.locator("[data-listeners='1000']")
        expect(thousand).to_contain_text("$", timeout=30_000)
        expect(cost.locator("canvas")).to_be_visible()
        expect(cost).to_contain_text("list prices", ignore_case=True)
        for_an_hour = thousand.inner_text()
        cost.get_by_label("Hours").fill("2")
        expect(thousand).not_to_have_text(for_an_hour, use_inner_text=True, timeout=30_000)
        cost.get_by_label("Taking part").fill("100")
        expect(thousand.get_by_role("cell").first).to_have_text("1000", timeout=30_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_operator_rolls_a_version_out_takes_it_back_and_drains_a_node(
    up: RunningUp, chromium: Browser
) -> None:
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1000, 800)) as console:
        page = console.page
        pane = page.locator("section.rollouts")
        pane.get_by_label("Pool").select_option("relay")
        pane.get_by_label("Stable version").fill("1.0")
        pane.get_by_label("New version").fill("2.0")
        pane.get_by_role("button", name="Roll out", exact=True).click()
        one = pane.locator("article").first
        expect(one).to_have_attribute("data-state", "running")
        expect(one).to_contain_text("2.0 for relays")
        expect(one.get_by_role("img")).to_have_attribute("aria-label", "10 % of the users have 2.0")
        one.get_by_role("button", name="Pause").click()
        expect(one).to_have_attribute("data-state", "paused")
        page.once("dialog", lambda dialog: dialog.accept())
        one.get_by_role("button", name="Roll back").click()
        expect(one).to_have_attribute("data-state", "rolled_back")
        pane.get_by_label("Stable version").fill("2.0")
        pane.get_by_label("New version").fill("2.0")
        pane.get_by_role("button", name="Roll out", exact=True).click()
        expect(pane).to_contain_text("is the stable version already")

        node = page.locator("tr[data-node]", has_text="Origin").first
        node.get_by_role("button", name="Drain").click()
        expect(node.locator("small[data-drain]")).to_contain_text("left")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        node.get_by_role("button", name="Take back").click()
        expect(node.locator("small[data-drain]")).to_have_count(0)


def registers(up: RunningUp, node: str, region: str) -> None:
    """A relay far away says that it is there, and that it is being emptied: nobody is sent to it."""
    report = NodeReport(
        id=node, role=Role.RELAY, region=region, url="http://127.0.0.1:9", epoch=time.time_ns(), draining=True
    )
    token = Tokens((up.data / "cluster.secret").read_text().strip()).issue(Audience.NODE, node, ttl_s=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = report.model_dump_json().encode()
    request = urllib.request.Request(f"{up.url}/api/v1/worker/register", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_an_operator_sees_where_nodes_are(up: RunningUp, chromium: Browser) -> None:
    with viewer(chromium, f"{up.url}/console", size=(390, 800)) as console:
        page = console.page
        expect(page.locator("[data-node=origin]")).to_be_visible(timeout=30_000)
        expect(page.locator("svg.map")).to_have_count(0)
        registers(up, "far-1", "ap-southeast-2")
        registers(up, "far-2", "59.3,18.1")
        sydney = page.locator("svg.map [data-region=ap-southeast-2]")
        expect(sydney).to_contain_text("1 node", timeout=30_000)
        expect(page.locator("svg.map [data-region='59.3,18.1'] circle")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
