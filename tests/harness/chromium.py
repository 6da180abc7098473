"""Chromium as a bare WebRTC peer: pages that publish canvases by WHIP and watch by WHEP, without our player (`rtc.js`)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.async_api import Error, Page, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeout

from tests.harness.browser import ARGUMENTS, executable

SCRIPT = Path(__file__).with_name("rtc.js")


def story(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test on a loop of its own in a thread of its own: Playwright's other, blocking half may hold this one's."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(test(**arguments))).result()

    return run


class Tab:
    """One page. Its publisher is `rtc.sending`, its viewers are `rtc.views`."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def publish(self, url: str, **options: Any) -> str:
        """Publishes a moving picture and a tone; the answer. `codec`, `encodings`, `width`, `height`, `noise`, `audio`, `munge`."""
        return str(await self.call("publish", url, options))

    async def watch(self, url: str, **options: Any) -> str:
        """One more viewer in this page; the answer."""
        return str(await self.call("watch", url, options))

    async def call(self, what: str, *arguments: Any) -> Any:
        """Calls a function of `rtc`."""
        return await self.page.evaluate("([what, all]) => rtc[what](...all)", [what, list(arguments)])

    async def until(self, condition: str, timeout_s: float = 30.0) -> Any:
        """Waits until a JavaScript expression (or promise) is truthy and returns its value."""
        # wait_for_function does not await promises, so the page waits itself
        waiting = """async ([condition, ms]) => {
            const test = new Function(`return (async () => (${condition}))()`);
            for (const end = performance.now() + ms; performance.now() < end; ) {
                const value = await test();
                if (value) return { value };
                await new Promise((done) => setTimeout(done, 50));
            }
            return null;
        }"""
        with contextlib.suppress(PlaywrightTimeout, Error):
            if found := await self.page.evaluate(waiting, [condition, timeout_s * 1000]):
                return found["value"]
        told = await self.page.evaluate(
            """async () => JSON.stringify({
                views: await Promise.all(rtc.views.map(async ({ frames, sizes, longestMs, video }, index) =>
                    ({ frames, sizes, longestMs, height: video.videoHeight, in: await rtc.incoming(index) }))),
                out: rtc.sending ? await rtc.outgoing() : null,
            })"""
        )
        raise AssertionError(f"not within {timeout_s} s: {condition}\nthe page says: {told}")


@contextlib.asynccontextmanager
async def chromium(url: str, count: int = 1) -> AsyncIterator[list[Tab]]:
    """`count` pages of a browser of their own, at `url` (whose answer does not matter: only its origin does)."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        try:
            tabs = []
            for _ in range(count):
                # a context each: a page in the background is drawn at another pace
                page = await (await browser.new_context(bypass_csp=True)).new_page()
                await page.goto(url)
                await page.evaluate(SCRIPT.read_text())
                tabs.append(Tab(page))
            yield tabs
        finally:
            await browser.close()
