"""Debian's Chromium for tests: pages that are watched from outside of the player, by the probe that runs in each of them."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Route
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.harness.up import RunningUp

PROBE = Path(__file__).with_name("probe.js")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)

Role = Literal["passive", "interactive"]

MOUTH = (0.44, 0.50, 0.14, 0.12)
"""Where Ava's mouth is: left, top, width, height as shares of the picture. She sways by less than its margin."""


def executable() -> str:
    """Debian's Chromium."""
    found = shutil.which("chromium")
    assert found is not None, "Debian's chromium is not installed: apt-get install chromium"
    return found


def launch(playwright: Playwright, *, without: str = "", extra: Sequence[str] = ()) -> Browser:
    """Starts the browser, `without` one of its arguments and with `extra` ones. It dies with `playwright`."""
    return playwright.chromium.launch(
        executable_path=executable(), args=[*(one for one in ARGUMENTS if one != without), *extra]
    )


@dataclass
class Viewer:
    """A page with a player in it. Times are in ms of the page's clock."""

    page: Page
    console: list[str]

    def wait_until(self, condition: str, timeout_s: float = 20.0) -> Any:
        """Waits until the JavaScript expression is truthy and returns its value. The page is asked at each animation frame."""
        try:
            return self.page.wait_for_function(condition, timeout=timeout_s * 1000).json_value()
        except PlaywrightTimeout:
            told = "\n".join(json.dumps(event) for event in self.events()[-30:])
            told += f"\nvideos: {json.dumps(self.page.evaluate('probe.videos()'))}"
        raise AssertionError(f"not within {timeout_s} s: {condition}\nthe player told:\n{told}")

    def watch_for(self, seconds: float) -> None:
        """Lets the page live for so long: a measurement over time, not a wait for something."""
        self.page.wait_for_timeout(seconds * 1000)

    def first_picture(self) -> dict[str, Any]:
        """Waits for it. `ms` counts from the player's start, `mode` is how it came."""
        found = "probe.events.find(event => event.name === 'firstframe')"
        return dict(self.wait_until(found, 30)["detail"])

    @property
    def mode(self) -> str | None:
        """How the picture on screen comes."""
        return self.page.evaluate("document.querySelector('avacast-player').mode")

    def wait_for_mode(self, mode: str, timeout_s: float = 25.0) -> None:
        """Waits until the picture on screen comes by `mode`."""
        self.wait_until(f"document.querySelector('avacast-player').mode === '{mode}'", timeout_s)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What the player has told, oldest first."""
        found: list[dict[str, Any]] = self.page.evaluate("probe.events")
        return [event for event in found if name in (None, event["name"])]

    def stats(self) -> dict[str, Any]:
        """The player's figures of the last second."""
        return dict(self.page.evaluate("document.querySelector('avacast-player').stats"))

    def frames(self) -> int:
        """Pictures that the screen has shown."""
        return int(self.page.evaluate("probe.frames"))

    def reset_gap(self) -> None:
        """Measures the longest stop of the picture from now on."""
        self.page.evaluate("probe.resetGap()")

    def gap_ms(self) -> float:
        """The longest time without a new picture since `reset_gap`, across changes of delivery."""
        return float(self.page.evaluate("probe.gapMs()"))

    def level(self) -> float:
        """Root mean square of what the picture on screen sounds like now; a full sine is 0.7."""
        return float(self.page.evaluate("probe.level()"))

    def sample(self, seconds: float, *, until: str | None = None) -> list[dict[str, Any]]:
        """One sample a frame: `atMs`, `level`, `mouth`: the mean change of its grey values since the frame before, and `dark.mouth`:
        how dark it is (0-255)."""
        self.page.evaluate("areas => probe.startSampling(areas)", {"mouth": MOUTH})
        if until is not None:
            self.wait_until(until, 40)
        self.watch_for(seconds)
        samples: list[dict[str, Any]] = self.page.evaluate("probe.takeSamples()")
        return samples

    def ask(self, text: str) -> None:
        """Types to the avatar on the demo page and sends it."""
        self.page.fill("#words", text)
        self.page.keyboard.press("Enter")

    def say(self, broadcast: str, text: str) -> None:
        """Has the avatar speak these words, by the API."""
        answer = self.page.request.post(
            f"{origin_of(self.page.url)}/api/broadcasts/{broadcast}/say", data={"text": text}
        )
        assert answer.status == 202, answer.text()


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    return "/".join(url.split("/")[:3])


@contextmanager
def viewer(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = (640, 400),
    avoid: str | None = None,
    scheme: Literal["light", "dark"] = "light",
    prepare: Callable[[Page], None] | None = None,
    strict: bool = False,
) -> Iterator[Viewer]:
    """Opens `url` in a context of its own (cookies, connections) and closes it at the end.

    `avoid`: asks the orchestrator for another node than this one, as a player does after that failed it.
    `prepare` gets the page before it opens anything. `strict`: the page's Content-Security-Policy holds for the test too, which
    then cannot wait for expressions (`wait_until`): they need the page's `eval`.
    """
    context: BrowserContext = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, bypass_csp=not strict
    )
    try:
        context.add_init_script(path=PROBE)
        page = context.new_page()
        console: list[str] = []
        page.on("pageerror", lambda error: console.append(f"error: {error}"))
        if avoid is not None:

            def elsewhere(route: Route, request: Request) -> None:
                joint = "&" if "?" in request.url else "?"
                route.continue_(url=f"{request.url}{joint}exclude={avoid}")

            page.route("**/play?*", elsewhere)
        if prepare is not None:
            prepare(page)
        page.goto(url)
        yield Viewer(page, console)
        assert console == [], "the page threw errors"
    finally:
        context.close()


@dataclass
class Operator:
    """Whoever has the admin token."""

    up: RunningUp

    def call(self, path: str, *, method: str = "POST", body: Any = None) -> Any:
        """One call of the API as an operator. Returns the answer's JSON; raises HTTPError."""
        request = urllib.request.Request(
            f"{self.up.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={**self.up.admin, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None
