"""What a join costs the server, by thread: HTTP in Python beside the media thread, with a stream that is silent and one that runs.

    python bench/join_cost.py [--viewers 300] [--rate 50] [--rounds 3]

The server is the one of `bench/joins.py` (the real handlers) on the first core. Its CPU time from the first POST until all have
what they joined for, less what an audience of that size costs at rest for as long: each viewer counts from its POST on. With a silent
stream that is HTTP, SDP, ICE and DTLS; with one that runs, the first pictures too (the cached GOP, a second of the stream on the
average), which viewers of other servers wait for. What the handshake's cryptography alone takes prints
`cargo bench -p sfu --bench join`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

# Beside this file lies sfu.py, which is not the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.sfu import CORES, SETTLE_S, Process, join  # noqa: E402  # the path comes first

JOINS = str(Path(__file__).with_name("joins.py"))
REST_S = 3.0
CONNECTED_S = 20.0
"""Most that the last ones may take to connect."""


def spent(server: Process) -> dict[str, float]:
    """CPU time of the server's Python thread and of its media threads, seconds."""
    seconds = {"python": 0.0, "media": 0.0}
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        name = "media" if (task / "comm").read_text().startswith("media-") else "python"
        seconds[name] += int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def apart(now: dict[str, float], then: dict[str, float]) -> dict[str, float]:
    """What each thread has used in between."""
    return {name: now[name] - then[name] for name in now}


async def rest(server: Process) -> dict[str, float]:
    """What a second costs as things are, by thread."""
    before, began = spent(server), time.monotonic()
    await asyncio.sleep(REST_S)
    took = time.monotonic() - began
    return {name: used / took for name, used in apart(spent(server), before).items()}


async def connected(swarm: Any, viewers: int) -> None:
    """Returns when so many are connected."""
    deadline = time.monotonic() + CONNECTED_S
    while sum(report["connected"] for report in swarm.reports()) < viewers:
        if time.monotonic() > deadline:
            sys.exit(
                f"not all of {viewers} viewers have connected in {CONNECTED_S:.0f} s: is the machine busy?"
            )
        await asyncio.sleep(0.1)


async def measure(viewers: int, rate: float, silent: bool) -> dict[str, float]:
    """CPU a join, by thread, ms."""
    from common._native import Swarm

    server, swarm = Process(JOINS, "--serve", *(["--silent"] if silent else [])), Swarm()
    try:
        async with aiohttp.ClientSession() as http:
            await asyncio.sleep(SETTLE_S)
            empty = await rest(server)
            before, began = spent(server), time.monotonic()
            posted = await join(http, server.url, swarm, viewers, rate)
            await connected(swarm, viewers)
            await asyncio.sleep(SETTLE_S)
            took, ended = time.monotonic() - began, time.monotonic()
            used = apart(spent(server), before)
            full = await rest(server)
    finally:
        server.close()
    present = sum(ended - at / 1e9 for at in posted.values()) / viewers
    """How long the whole audience would have to be here to be as long as its members were."""
    return {
        name: (used[name] - empty[name] * took - (full[name] - empty[name]) * present) / viewers * 1000
        for name in used
    }


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--rate", type=float, default=50.0, help="joins a second")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many")
    told = parser.parse_args()
    os.sched_setaffinity(0, {CORES[-1]})
    costs: dict[bool, float] = {}
    for silent in (True, False):
        rounds = []
        for number in range(told.rounds):
            parts = asyncio.run(measure(told.viewers, told.rate, silent))
            rounds.append(sum(parts.values()))
            print(
                f"{'silent' if silent else 'live'} stream, round {number + 1} of {told.rounds}: HTTP and Python {parts['python']:.2f} ms,"
                f" media thread {parts['media']:.2f} ms",
                file=sys.stderr,
                flush=True,
            )
        costs[silent] = statistics.median(rounds)
    print(
        f"join of a silent stream, {told.viewers} viewers at {told.rate:.0f}/s: {costs[True]:.2f} ms of CPU (vs goal 1.5 ms:"
        f" {costs[True] / 1.5:.2f})"
    )
    print(
        f"join of a live one, its first pictures included: {costs[False]:.2f} ms (vs without them: {costs[False] / costs[True]:.2f})"
    )


if __name__ == "__main__":
    main()
