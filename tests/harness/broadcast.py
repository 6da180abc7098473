"""A whole HLS broadcast in real time on a thread: synthetic source, packager, edge, and a page that plays it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from common._native import Edge
from hls.captions import Caption
from hls.feed import WallTime
from hls.grid import tier
from hls.packager import Packager
from hls.shelf import EdgeShelf
from tests.harness.live_source import LiveSource

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "tests/browser/hls_page.html"
HLS_JS = ROOT / "web/node_modules/hls.js/dist/hls.min.js"

PLAYER = {"lowLatencyMode": True, "maxLiveSyncPlaybackRate": 1.1}
"""Settings of hls.js that our own player uses."""


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        script = self.path.startswith("/hls.js")
        body = (HLS_JS if script else PAGE).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests print only what they find."""


@contextmanager
def player_page() -> Iterator[str]:
    """The address of a page that plays `?src=` by hls.js."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Broadcast:
    """Runs until `close`. `source` are arguments of LiveSource."""

    def __init__(
        self, part_s: float = 0.32, *, language: str | None = None, opus: bool = False, **source: Any
    ) -> None:
        self.edge = Edge(threads=1)
        self._clock = WallTime()
        self._arguments = source
        self._source = LiveSource(self._clock.now_ms(), **source)
        self._calls: list[Callable[[], None]] = []
        self._stalled_until_ms = 0.0
        self._stop = threading.Event()
        self.packager = Packager(
            "demo",
            tier(part_s),
            60,
            EdgeShelf(self.edge),
            lambda: self._source.ask_key_frame(),
            self._clock.now_ms(),
            language=language,
            opus=opus,
        )
        self.packaging_cpu_s = 0.0
        """CPU time of this thread in the packager."""
        self._pages = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
        self._threads = [
            threading.Thread(target=self._run, name="broadcast", daemon=True),
            threading.Thread(target=self._pages.serve_forever, name="pages", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """The multivariant playlist."""
        return f"http://127.0.0.1:{self.edge.port}/hls/demo/index.m3u8"

    def page(self, *, native: bool = False, **config: object) -> str:
        """Address of a page that plays the broadcast, by hls.js with our settings and `config`, or by the browser itself."""
        query = {"src": self.url, "config": json.dumps({**PLAYER, **config})}
        if native:
            query["native"] = "1"
        return f"http://127.0.0.1:{self._pages.server_port}/?{urlencode(query)}"

    def stall(self, seconds: float) -> None:
        """The source stands still for that long."""
        self._stalled_until_ms = self._clock.now_ms() + seconds * 1000

    def restart(self, **source: Any) -> None:
        """Another encoder takes over, with other settings."""
        self._arguments = {**self._arguments, **source}
        self._calls.append(self._replace)

    def say(self, text: str, duration_s: float) -> None:
        """Something begins to be heard when the next picture comes."""

        def said() -> None:
            now_ms = self._clock.now_ms()
            self.packager.caption(Caption(text, round(now_ms), round(now_ms + 1000 * duration_s)), now_ms)

        self._calls.append(said)

    def close(self) -> None:
        self._stop.set()
        self._pages.shutdown()
        self._pages.server_close()
        for thread in self._threads:
            thread.join(10)
        self.edge.stop()

    def _replace(self) -> None:
        self._source = LiveSource(self._clock.now_ms(), **self._arguments)

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            now_ms = self._clock.now_ms()
            for call in self._calls:
                call()
            self._calls.clear()
            if now_ms < self._stalled_until_ms:
                units = []
                missed_ms = now_ms - self._source.next_ms
                if missed_ms > 100:
                    self._source.skip(missed_ms)
            else:
                units = list(self._source.until(now_ms))
            began = time.thread_time()
            now_ms = self._clock.now_ms()
            for unit in units:
                self.packager.push(unit, now_ms)
            self.packager.tick(now_ms)
            self.packaging_cpu_s += time.thread_time() - began
