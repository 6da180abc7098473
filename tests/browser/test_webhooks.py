"""Webhooks in the console: one is made, its secret verifies what comes, a delivery is looked at and sent again, it is removed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Operator, viewer
from tests.harness.up import ADMIN_TOKEN, RunningUp
from tests.unit.orchestrator.test_webhook_signing import receiver as snippet

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


class Inbox(ThreadingHTTPServer):
    """Takes everything, and keeps it."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hooks"


class Handler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    server = Inbox()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_an_operator_makes_a_webhook_and_sees_what_was_sent(
    up: RunningUp, chromium: Browser, inbox: Inbox
) -> None:
    operator = Operator(up)
    for left in operator.call("/api/webhooks", method="GET")[
        "webhooks"
    ]:  # by a try of this story that failed
        operator.call(f"/api/webhooks/{left['id']}", method="DELETE")
    with viewer(chromium, f"{up.url}/console#token={ADMIN_TOKEN}", size=(1200, 900)) as console:
        page = console.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.on("dialog", lambda question: question.accept())
        pane = page.get_by_role("region", name="Webhooks")
        expect(pane).to_contain_text("Nobody is told what happens", timeout=30_000)
        pane.get_by_role("button", name="New webhook").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Address").fill("ftp://example.org/hooks")
        dialog.get_by_role("button", name="Make it").click()
        expect(dialog.get_by_role("alert")).to_contain_text("no webhook can go there")
        dialog.get_by_label("Address").fill(inbox.url)
        dialog.get_by_label("Description").fill("The pager")
        dialog.get_by_label("Everything that happens").uncheck()
        expect(dialog.get_by_role("button", name="Make it")).to_be_disabled()
        dialog.get_by_label("broadcast.live").check()
        dialog.get_by_role("button", name="Make it").click()
        secret = dialog.get_by_label("Secret").input_value()
        assert secret.startswith("whsec_")
        dialog.get_by_role("button", name="Copy").click()
        expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == secret
        dialog.get_by_role("button", name="Done").click()

        row = pane.get_by_role("row", name=re.compile("The pager"))
        expect(row).to_contain_text("On")
        row.get_by_role("button", name="Deliveries").click()
        expect(dialog).to_contain_text("Nothing was sent yet")
        dialog.get_by_role("button", name="Send a test").click()
        sent = dialog.locator("[data-delivery]")
        expect(sent).to_contain_text("Taken (204)", timeout=15_000)
        sent.get_by_role("button", name=re.compile("again")).click()
        expect(sent.get_by_role("cell").nth(1)).to_have_text("2", timeout=15_000)
        sent.locator("summary").click()
        expect(sent.locator("pre")).to_contain_text('"type": "webhook.test"')
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        dialog.get_by_role("button", name="Close").click()

        for headers, body in inbox.came:
            snippet()["verify"](secret, headers, body)
        first, second = (json.loads(body) for _, body in inbox.came)
        assert first == second and first["type"] == "webhook.test"
        row.get_by_role("button", name="Turn off").click()
        expect(row).to_contain_text("an operator has turned it off", timeout=15_000)
        row.get_by_role("button", name="Remove").click()
        expect(pane).to_contain_text("Nobody is told what happens", timeout=15_000)
