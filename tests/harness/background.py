"""Something asynchronous that runs in a thread of its own, for tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

_T = TypeVar("_T")


class Background:
    """A loop in a thread; `run` runs a coroutine there."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tests' background")
        self._thread.start()

    def run(self, work: Callable[[], Awaitable[_T]], within_s: float = 60) -> _T:
        """Runs it to its end."""

        async def awaited() -> _T:
            return await work()

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(within_s)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def background(manager: Callable[[], AbstractAsyncContextManager[_T]]) -> Iterator[tuple[_T, Background]]:
    """Enters an asynchronous context there, and leaves it at the end."""
    thread = Background()
    entered = manager()
    try:
        found = thread.run(entered.__aenter__)
        try:
            yield found, thread
        finally:
            thread.run(lambda: entered.__aexit__(None, None, None))
    finally:
        thread.close()
