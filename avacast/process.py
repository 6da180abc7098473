"""The life of a process: start, wait for Ctrl-C or SIGTERM, end within two seconds. A node that others depend on leaves first: SIGTERM
lets it get empty, as long as its drain takes; a second signal, or Ctrl-C, ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

CLOSE_S = 1.7
"""Seconds that closing may take before the process ends all the same."""

Close = Callable[[], Awaitable[None]]
Leave = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Ending:
    """How what was started ends: `leave` first when SIGTERM came and there is time, `close` always."""

    close: Close
    leave: Leave | None = None


Start = Callable[[], Awaitable[Close | Ending]]


def run(start: Start, *, close_s: float = CLOSE_S) -> int:
    """Runs `start`, which returns how to close, until a signal comes; then closes. Returns the exit status."""
    return asyncio.run(_run(start, close_s))


async def _run(start: Start, close_s: float) -> int:
    stop, at_once = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(now: bool) -> None:
        if now or stop.is_set():
            at_once.set()
        stop.set()

    loop.add_signal_handler(signal.SIGINT, asked, True)
    loop.add_signal_handler(signal.SIGTERM, asked, False)

    starting = asyncio.ensure_future(start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting}, timeout=close_s)
        return 130
    found = starting.result()
    ending = found if isinstance(found, Ending) else Ending(found)
    await stopping
    if ending.leave is not None and not at_once.is_set():
        await _leave(ending.leave, at_once)
    closing = asyncio.ensure_future(ending.close())
    done, _ = await asyncio.wait({closing}, timeout=close_s)
    if not done:
        # Whatever hangs is ours to find, not the operator's to wait for: name it and go.
        sys.stderr.write("closing took too long; these were still at work:\n")
        for task in asyncio.all_tasks():
            task.print_stack(limit=2, file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    closing.result()
    return 0


async def _leave(leave: Leave, at_once: asyncio.Event) -> None:
    """Lets it leave until it has, or somebody cannot wait."""
    leaving, hurry = asyncio.ensure_future(leave()), asyncio.ensure_future(at_once.wait())
    await asyncio.wait({leaving, hurry}, return_when=asyncio.FIRST_COMPLETED)
    for task in (leaving, hurry):
        task.cancel()
    for outcome in await asyncio.gather(leaving, hurry, return_exceptions=True):
        if isinstance(outcome, Exception):
            sys.stderr.write(f"could not leave in order: {outcome}\n")


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
