"""A recorder whose recordings are served, on a thread: what a packager's control side shows of a tape."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from common.auth import PathTokens, Tokens
from common.http import Site, application
from common.store.store import Store
from hls.rendition import Snapshot
from hls.store.gate import Gate
from hls.store.recorder import Recorder
from hls.store.serving import Serving
from tests.harness.recording import play

SECRET = "0123456789abcdef0123456789abcdef"


def _anybody(*_request: object) -> None:
    """Lets every operator in: who may is tested with the role itself."""


@contextmanager
def recordings_site(
    folder: Path,
    store: Store | None,
    calls: Sequence[bytes | Snapshot],
    *,
    dvr_s: float,
    private: bool = False,
    all_private: bool = False,
) -> Iterator[tuple[str, Recorder]]:
    """Serves what a recorder has seen of a broadcast, private or not. Yields the base address and
    the recorder, which can be shown more."""
    recorder = Recorder(folder, store, bound_bytes=64 << 20, dvr_s=dvr_s)
    recorder.start()
    recorder.guard("demo", private)
    recorder.opened("demo", 2)
    play(recorder, calls)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="recordings", daemon=True)
    thread.start()

    def run(work: object) -> None:
        assert asyncio.iscoroutine(work)
        asyncio.run_coroutine_threadsafe(work, loop).result(30)

    app: web.Application = application("packager")
    gate = Gate(Tokens(SECRET), PathTokens(SECRET), lambda _stream: not private, all_private=all_private)
    Serving(recorder, gate, _anybody).add_to(app)
    site = Site(app, "127.0.0.1", 0)
    run(site.start())
    try:
        yield f"http://127.0.0.1:{site.port}", recorder
    finally:
        run(site.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        recorder.close(30)
