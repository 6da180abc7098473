"""Joins by the hundred a second, through the whole HTTP side in Python, while others watch: are those late?

    python bench/joins.py [--rate 300] [--seconds 5] [--watching 100] [--profile FILE]

The server has one core for everything: HTTP, Python, handshakes, media. Each joiner leaves by DELETE after a second. What the
watchers see during the joins stands beside what they saw before.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

# Beside this file lies sfu.py, which is not the package.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.sfu import SETTLE_S, STREAM, Process, feed, film, quantiles  # noqa: E402  # the path comes first

STAY_S = 1.0
SDP = {"Content-Type": "application/sdp"}


# --- the server, a process of its own on core 0 -----------------------------------------------------


async def serve(profile: str, silent: bool) -> None:
    """The stream behind the real WHEP handlers, until stdin closes; prints its port."""
    from common.config import Media
    from common.http import Site, application
    from sfu.whep import Whep
    from sfu.worker import Worker

    worker = Worker.open(
        Media(media_host="127.0.0.1", media_port=0, workers=1, public_ip=["127.0.0.1"])  # type: ignore[call-arg]
    )
    worker.sfu.open(STREAM, video=True, audio=True)
    app = application("bench")
    Whep(worker).add_to(app)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"port": site.port}), flush=True)

    feeding = asyncio.create_task(asyncio.Event().wait() if silent else feed(worker.sfu, film()))
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    profiler = cProfile.Profile() if profile else None
    if profiler:
        profiler.enable()
    await closed.wait()
    if profiler:
        profiler.disable()
        profiler.dump_stats(profile)
    feeding.cancel()
    await site.close()
    await worker.close()


# --- the measurement ----------------------------------------------------------------------------------


async def measure(rate: int, seconds: float, watching: int, profile: str) -> None:
    """Prints the figures."""
    from common._native import Swarm

    server = Process(__file__, "--serve", "--profile", profile)
    watchers, joiners = Swarm(), Swarm()
    posts: list[float] = []
    failed: list[int] = []
    try:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", connector=connector) as http:

            async def join(swarm: Any) -> tuple[int, str] | None:
                viewer, offer = swarm.offer()
                began = time.monotonic()
                async with http.post(f"/whep/{STREAM}", data=offer, headers=SDP) as answer:
                    text = await answer.text()
                    if answer.status != 201:
                        failed.append(answer.status)
                        return None
                posts.append((time.monotonic() - began) * 1000)
                swarm.accept(viewer, text)
                return viewer, answer.headers["Location"]

            async def visit() -> None:
                came = await join(joiners)
                if came:
                    await asyncio.sleep(STAY_S)
                    joiners.remove(came[0])
                    with contextlib.suppress(aiohttp.ClientError):
                        async with http.delete(came[1]):
                            pass

            await asyncio.sleep(SETTLE_S)
            for _ in range(watching):
                await join(watchers)
                await asyncio.sleep(0.02)
            await asyncio.sleep(1.0)
            watchers.restart()
            cpu = server.cpu_s
            await asyncio.sleep(seconds)
            before = quantiles(watchers.latencies_ms(), (0.5, 0.95, 0.99, 1.0))
            idle = (server.cpu_s - cpu) / seconds
            missing_before = sum(one["missing"] for one in watchers.reports())

            watchers.restart()
            posts.clear()
            cpu, began, visits = server.cpu_s, time.monotonic(), []
            for index in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, began + index / rate - time.monotonic()))
                visits.append(asyncio.create_task(visit()))
            took = time.monotonic() - began
            during = quantiles(watchers.latencies_ms(), (0.5, 0.95, 0.99, 1.0))
            reports = watchers.reports()
            missing, packets = sum(one["missing"] for one in reports), sum(one["packets"] for one in reports)
            busy = (server.cpu_s - cpu) / took
            connected = sum(one["packets"] > 0 for one in joiners.reports())
            await asyncio.gather(*visits)
    finally:
        server.close()
    posts.sort()
    print(
        f"joins through HTTP and Python: {len(visits) / took:.0f} a second offered, {len(posts)} answered,"
        f" {len(failed)} refused (vs {rate} wanted)"
    )
    print(
        f"POST to answer: p50 {posts[len(posts) // 2]:.1f} ms, p95 {posts[int(len(posts) * 0.95)]:.1f} ms"
        f" (vs a frame's 40 ms); {connected} of those who are here still had media"
    )
    print(
        "latency of those who watch, p50 / p95 / p99 / most: "
        + " / ".join(f"{value:.2f}" for value in during)
        + " ms (vs before the joins "
        + " / ".join(f"{value:.2f}" for value in before)
        + ")"
    )
    print(f"packets missing: {missing} of {packets + missing} (vs before the joins {missing_before})")
    print(f"server's core: {busy * 100:.0f} % (vs before the joins {idle * 100:.0f} %)")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--watching", type=int, default=100)
    parser.add_argument("--profile", default="", help="write the server's cProfile there")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--silent", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve:
        asyncio.run(serve(told.profile, told.silent))
        return
    os.sched_setaffinity(0, {min(1, (os.cpu_count() or 1) - 1)})
    asyncio.run(measure(told.rate, told.seconds, told.watching, told.profile))


if __name__ == "__main__":
    main()
