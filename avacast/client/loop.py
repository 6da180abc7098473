"""An event loop in a thread of its own, for callers that have none, or whose own (a notebook's) must not be entered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")
_END: Any = object()


class Loop:
    """Runs coroutines for other threads, from the first one on until `close`."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs `work` to its end; Ctrl-C cancels it."""
        waiting = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    def each(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        """The items one by one; whoever stops asking ends them."""

        async def following() -> _T:
            return await anext(items, _END)

        async def end() -> None:
            if hasattr(items, "aclose"):
                await items.aclose()

        try:
            while (found := self.run(following())) is not _END:
                yield found
        finally:
            self.run(end())

    def close(self) -> None:
        """Ends the thread."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="avacast client", daemon=True
                )
                self._thread.start()
            return self._loop
