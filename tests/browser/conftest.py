"""One `avacast up` with its avatar and two relays, and one Chromium, for all stories in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.harness.browser import launch
from tests.harness.up import RunningUp, start_up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    data = tmp_path_factory.mktemp("up")
    settings = {
        "AVACAST_STORE": (data / "store").as_uri(),
        "AVACAST_DVR_S": "600",
        "AVACAST_WEBHOOK_PRIVATE": "true",
    }
    running = start_up(data, "--relays", "2", environment=settings)
    yield running
    running.close()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()
