"""A program that prints what happens to it as JSON lines and ends when its stdin closes: peers on other implementations of WebRTC."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any


class PeerProcess:
    """A running one. `lines` is what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._ended = False
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.lines.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    def said(self, event: str, viewer: int = 0) -> list[dict[str, Any]]:
        """Its lines of that event."""
        return [line for line in self.lines if line["event"] == event and line.get("viewer", 0) == viewer]

    async def until(self, done: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Waits until its lines say so; fails with `what` and its lines when it ends or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: done() or self._ended)
        if not done():
            raise AssertionError(f"{what}: not said within {timeout_s} s: {self.lines}")

    async def event(self, event: str, viewer: int = 0, timeout_s: float = 20.0) -> dict[str, Any]:
        """Waits for the first line of an event."""
        await self.until(lambda: bool(self.said(event, viewer)), event, timeout_s)
        return self.said(event, viewer)[0]

    async def end(self) -> dict[str, Any]:
        """Closes its stdin; it deletes its session. Returns its last line."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        last = await self.event("end")
        await self.process.wait()
        return last

    async def kill(self) -> None:
        """Ends it without a farewell, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def peer_process(*command: str) -> AsyncIterator[PeerProcess]:
    """Runs a command as one."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    running = PeerProcess(process)
    try:
        yield running
    finally:
        await running.kill()
