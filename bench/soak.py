"""The media core for a long time: viewers that come and go, and whether anything grows.

    python bench/soak.py [--minutes 30] [--viewers 300] [--churn 0.05]

Each second a share of the viewers (`churn`) leaves and as many join. Prints a line every ten seconds and a verdict: memory a
minute (the first fifth is warm-up), descriptors, latency of the last quarter against the second. Exit status 1: something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.sfu import SETTLE_S, Server, percentiles

EVERY_S = 10.0
MOST_GROWTH_KB_PER_MINUTE = 200.0
"""A leak of one viewer's books (about 40 kB) in each thousand that leave would show at 300 viewers and 5 % churn."""
MOST_DRIFT = 2.0


@dataclass(frozen=True)
class Reading:
    """The server at one time."""

    at_s: float
    memory_kb: float
    """Resident."""
    in_use_kb: float
    """Allocated and not given back."""
    joined: int
    sessions: int
    """That the server holds: those too whose viewer has gone without a word, for half a minute."""
    descriptors: int
    latency_ms: float
    connected: int
    lost: int
    packets: int


class Soak:
    """A server and its restless viewers."""

    def __init__(self, viewers: int, churn: float, *, vanish: float = 0.5, every_s: float = EVERY_S) -> None:
        from common._native import Swarm

        self.server, self.swarm = Server("auto"), Swarm()
        self.wanted, self.churn, self.vanish, self.every_s = viewers, churn, vanish, every_s
        self.seats: dict[int, str] = {}
        self.joined = self.failed = 0
        self._random = random.Random(1)

    async def join(self, http: aiohttp.ClientSession) -> None:
        """One more viewer."""
        viewer, offer = self.swarm.offer()
        async with http.post(
            self.server.url, data=offer, headers={"Content-Type": "application/sdp"}
        ) as answer:
            if answer.status != 201:
                self.failed += 1
                self.swarm.remove(viewer)
                return
            self.swarm.accept(viewer, await answer.text())
            self.seats[viewer] = f"http://127.0.0.1:{self.server.port}{answer.headers['Location']}"
            self.joined += 1

    async def leave(self, http: aiohttp.ClientSession) -> None:
        """One fewer: a share of them (`vanish`) does not say so."""
        viewer = self._random.choice(list(self.seats))
        resource = self.seats.pop(viewer)
        self.swarm.remove(viewer)
        if self._random.random() >= self.vanish:
            async with http.delete(resource) as answer:
                await answer.read()

    @property
    def descriptors(self) -> int:
        """The server's."""
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))

    async def read(self, http: aiohttp.ClientSession, at_s: float) -> Reading:
        """Reads all figures; the swarm's counts begin anew."""
        async with http.get(f"http://127.0.0.1:{self.server.port}/memory") as answer:
            in_use = int(await answer.text())
        async with http.get(f"http://127.0.0.1:{self.server.port}/sessions") as answer:
            sessions = int(await answer.text())
        reports = self.swarm.reports()
        reading = Reading(
            at_s,
            self.server.memory_bytes / 1000,
            in_use / 1000,
            self.joined,
            sessions,
            self.descriptors,
            percentiles(self.swarm.latencies_ms())[1],
            sum(report["connected"] for report in reports),
            sum(report["missing"] for report in reports),
            sum(report["packets"] for report in reports),
        )
        self.swarm.restart()
        return reading

    async def run(self, seconds: float) -> list[Reading]:
        """Soaks for `seconds`; a reading every `every_s`."""
        readings: list[Reading] = []
        async with aiohttp.ClientSession() as http:
            await asyncio.sleep(SETTLE_S)
            began, due, owed = time.monotonic(), self.every_s, 0.0
            while (at := time.monotonic() - began) < seconds:
                if len(self.seats) < self.wanted:
                    await asyncio.gather(
                        *(self.join(http) for _ in range(min(10, self.wanted - len(self.seats))))
                    )
                else:
                    owed += self.wanted * self.churn * 0.2
                    for _ in range(int(owed)):
                        await self.leave(http)
                    owed -= int(owed)
                if at >= due:
                    due += self.every_s
                    readings.append(await self.read(http, at))
                    print(self.line(readings[-1], seconds), flush=True)
                await asyncio.sleep(max(0.0, 0.2 - (time.monotonic() - began - at)))
        return readings

    def line(self, reading: Reading, seconds: float) -> str:
        """Progress."""
        return (
            f"{reading.at_s / 60:5.1f} of {seconds / 60:.0f} min: {reading.connected} connected, {self.joined} joins,"
            f" {self.failed} refused, {reading.memory_kb / 1000:.1f} MB resident, {reading.in_use_kb / 1000:.1f} MB in use,"
            f" {reading.descriptors} descriptors,"
            f" p95 {reading.latency_ms:.2f} ms, lost {reading.lost} of {reading.packets + reading.lost}"
        )


def verdict(readings: list[Reading], viewers: int) -> tuple[list[str], bool]:
    """The figures' lines, and whether nothing grew."""
    steady = readings[max(1, len(readings) // 5) :]
    minutes = np.array([reading.at_s / 60 for reading in steady])
    memory = np.array([reading.memory_kb for reading in steady])
    slope = float(np.polyfit(minutes, memory, 1)[0])
    in_use = np.array([reading.in_use_kb * 1000 for reading in steady])
    # more sessions at a time take more, which is no growth: so many bytes each, so many a join, and what is always there
    held = np.array([(reading.joined, reading.sessions, 1) for reading in steady])
    per_join, per_session, _ = (float(each) for each in np.linalg.lstsq(held, in_use, rcond=None)[0])
    descriptors = max(reading.descriptors for reading in steady) - min(
        reading.descriptors for reading in steady
    )
    quarter = max(1, len(steady) // 4)
    early = float(np.median([reading.latency_ms for reading in steady[:quarter]]))
    late = float(np.median([reading.latency_ms for reading in steady[-quarter:]]))
    lost = sum(reading.lost for reading in steady)
    packets = sum(reading.packets + reading.lost for reading in steady)
    lines = [
        f"soak memory: {slope:+.1f} kB/min (vs all of it, {memory.mean():.0f} kB: {slope / memory.mean():+.5f})",
        f"soak allocations: {per_join:+.1f} bytes a join (vs a session, {per_session:.0f} bytes: {per_join / per_session:+.5f})",
        f"soak descriptors: spread {descriptors} (vs {viewers} viewers: {descriptors / viewers:.3f})",
        f"soak latency p95, last quarter: {late:.2f} ms (vs first quarter {early:.2f} ms: {late / early:.2f})",
        f"soak packets lost: {lost} of {packets} (ratio {lost / max(1, packets):.7f})",
    ]
    flat = (
        slope < MOST_GROWTH_KB_PER_MINUTE
        and descriptors < viewers / 2
        and late < max(MOST_DRIFT * early, early + 2)
    )
    return [*lines, f"soak verdict: {'nothing grows' if flat else 'SOMETHING GROWS'}"], flat


def main() -> None:
    """Soaks and judges."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--churn", type=float, default=0.05, help="share that leaves and joins each second")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    soak = Soak(options.viewers, options.churn)
    readings: list[Reading] = []
    try:
        with contextlib.suppress(KeyboardInterrupt):
            readings = asyncio.run(soak.run(options.minutes * 60))
    finally:
        soak.server.close()
    if len(readings) < 5:
        sys.exit("too short to judge: five readings, a minute, are the least")
    lines, flat = verdict(readings, options.viewers)
    print("\n".join(lines))
    sys.exit(not flat)


if __name__ == "__main__":
    main()
