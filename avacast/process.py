"""The life of a process: start, wait for Ctrl-C or SIGTERM, end within two seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

CLOSE_S = 1.7
"""Seconds that closing may take before the process ends all the same."""

Close = Callable[[], Awaitable[None]]
Start = Callable[[], Awaitable[Close]]


def run(start: Start, *, close_s: float = CLOSE_S) -> int:
    """Runs `start`, which returns how to close, until a signal comes; then closes. Returns the exit status."""
    return asyncio.run(_run(start, close_s))


async def _run(start: Start, close_s: float) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    starting = asyncio.ensure_future(start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting}, timeout=close_s)
        return 130
    close = starting.result()
    await stopping
    closing = asyncio.ensure_future(close())
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


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
