"""The media core under load: one stream to hundreds of viewers over WHEP, server on one core, viewers on the other.

    python bench/sfu.py [--viewers 100,300] [--seconds 10]

Every figure stands beside something of the same run: the kernel's own limit, or the same server without trains.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from aiohttp import web

STREAM = "bench"
FPS = 25
GOP = 50
SIZE = (854, 480)
BITRATE = 1_500_000
AUDIO_BYTES = 100
JOINS_PER_S = 50


def film() -> list[tuple[bytes, bool]]:
    """Two GOPs of 854x480 H.264 at 1.5 Mbit/s: moving noise, so that the rate is really used."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuv420p"
    encoder.time_base = fractions.Fraction(1, FPS)
    encoder.framerate = fractions.Fraction(FPS, 1)
    encoder.bit_rate = BITRATE
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:vbv-maxrate=1500:vbv-bufsize=1500",
    }
    noise = np.random.default_rng(7).integers(0, 255, (SIZE[1] * 3 // 2, SIZE[0]), dtype=np.uint8)
    units = []
    for index in range(2 * GOP):
        frame = av.VideoFrame.from_ndarray(np.roll(noise // 3 + 64, index * 3, axis=1), format="yuv420p")
        frame.pts = index
        units += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    return units


# --- the server, a process of its own ---------------------------------------------------------------


async def serve(rung: str) -> None:
    """Serves the stream by WHEP until stdin closes; prints its port."""
    from common._native import Sfu

    sfu = Sfu(host="127.0.0.1", port=0, workers=1, public_addresses=["127.0.0.1"], send=rung)
    sfu.open(STREAM, video=True, audio=True)

    async def whep(request: web.Request) -> web.Response:
        answer = sfu.subscribe(STREAM, await request.text())
        return web.Response(
            status=201,
            text=answer.sdp,
            content_type="application/sdp",
            headers={"Location": f"/whep/{STREAM}/{answer.session}"},
        )

    app = web.Application()
    app.router.add_post(f"/whep/{STREAM}", whep)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    feeding = asyncio.ensure_future(_feed(sfu, film()))
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    await asyncio.wait([feeding, asyncio.ensure_future(closed.wait())], return_when=asyncio.FIRST_COMPLETED)
    feeding.cancel()


async def _feed(sfu: Any, units: list[tuple[bytes, bool]]) -> None:
    """Injects the film in real time: a picture each 40 ms, a stamped audio packet each 20 ms."""
    began = time.monotonic()
    for tick in range(1 << 62):
        if tick % 2 == 0:
            data, key = units[tick // 2 % len(units)]
            sfu.inject(STREAM, "video", data, tick // 2 * 3600, key)
        stamp = b"AVCT" + time.clock_gettime_ns(time.CLOCK_MONOTONIC).to_bytes(8, "big")
        sfu.inject(STREAM, "audio", stamp.ljust(AUDIO_BYTES, b"\0"), tick * 960, False)
        await asyncio.sleep(max(0.0, began + (tick + 1) * 0.02 - time.monotonic()))


class Server:
    """The server process, on core 0. `cpu_s` is what all its threads have used."""

    def __init__(self, rung: str) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, __file__, "--serve", rung],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]

    def _stat(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()

    @property
    def cpu_s(self) -> float:
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes(self) -> int:
        return int(self._stat()[21]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


# --- the measurement ----------------------------------------------------------------------------------


class Run:
    """What one run with `viewers` on `rung` measured."""

    def __init__(self, rung: str, viewers: int) -> None:
        self.rung = rung
        self.viewers = viewers
        self.packets_per_cpu_s = 0.0
        self.cpu_ms_per_join = 0.0
        self.kb_per_viewer = 0.0
        self.first_ms: list[float] = []
        self.latency_ms: tuple[float, float] = (0.0, 0.0)
        self.missing = 0
        self.packets = 0


async def measure(rung: str, viewers: int, seconds: float) -> Run:
    """Joins `viewers` at 50/s, waits, then counts for `seconds`."""
    from common._native import Swarm

    run = Run(rung, viewers)
    server, swarm = Server(rung), Swarm()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
            await asyncio.sleep(
                2.5
            )  # a whole GOP must be in the cache: the state in which a viewer joins a live stream
            posted: dict[int, int] = {}

            async def join() -> None:
                viewer, offer = swarm.offer()
                posted[viewer] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                async with http.post(
                    f"/whep/{STREAM}", data=offer, headers={"Content-Type": "application/sdp"}
                ) as answer:
                    swarm.accept(viewer, await answer.text())

            cpu, memory, began = server.cpu_s, server.memory_bytes, time.monotonic()
            joins = []
            for index in range(viewers):
                await asyncio.sleep(max(0.0, began + index / JOINS_PER_S - time.monotonic()))
                joins.append(asyncio.ensure_future(join()))
            await asyncio.gather(*joins)
            await asyncio.sleep(2.5)
            join_cpu, reports = server.cpu_s - cpu, swarm.reports()
            join_packets = sum(report["packets"] for report in reports)
            run.kb_per_viewer = (server.memory_bytes - memory) / viewers / 1000
            run.first_ms = [
                (report["first_key_frame_ns"] - posted[report["id"]]) / 1e6
                for report in reports
                if report["first_key_frame_ns"] is not None
            ]

            swarm.restart()
            cpu = server.cpu_s
            await asyncio.sleep(seconds)
            steady_cpu, reports = server.cpu_s - cpu, swarm.reports()
            run.packets = sum(report["packets"] for report in reports)
            run.missing = sum(report["missing"] for report in reports)
            run.packets_per_cpu_s = run.packets / steady_cpu
            run.cpu_ms_per_join = max(0.0, join_cpu - join_packets / run.packets_per_cpu_s) / viewers * 1000
            run.latency_ms = percentiles(swarm.latencies_ms())
    finally:
        server.close()
    return run


def percentiles(histogram: list[tuple[float, int]]) -> tuple[float, float]:
    """p50 and p95 of (value, count), ascending."""
    total = sum(count for _, count in histogram)
    found: list[float] = []
    for share in (0.5, 0.95):
        seen = 0
        for value, count in histogram:
            seen += count
            if seen >= share * total:
                found.append(value)
                break
    return (found[0], found[1]) if len(found) == 2 else (float("nan"), float("nan"))


def lines(runs: list[Run], limits: dict[str, float]) -> Iterator[str]:
    """The figures, a line each."""
    plain = {run.viewers: run for run in runs if run.rung == "sendto"}
    for run in runs:
        name = f"{run.viewers} viewers, {run.rung}"
        limit = limits["gso" if run.rung in ("gso", "auto") else "sendto"]
        against = f"kernel's limit {limit:,.0f}: {run.packets_per_cpu_s / limit:.2f}"
        if run.rung != "sendto" and run.viewers in plain:
            against += (
                f"; without trains: {run.packets_per_cpu_s / plain[run.viewers].packets_per_cpu_s:.2f}x"
            )
        yield f"sfu packets per CPU-second ({name}): {run.packets_per_cpu_s:,.0f} packets/s (vs {against})"
    for run in runs:
        if run.rung == "sendto":
            continue
        name = f"{run.viewers} viewers"
        first = sorted(run.first_ms)
        p50, p95 = statistics.median(first), first[int(len(first) * 0.95)]
        gop_ms = GOP / FPS * 1000
        yield (
            f"sfu first key frame after POST ({name}): p50 {p50:.0f} ms, p95 {p95:.0f} ms"
            f" (vs waiting for the next key frame, p50 {gop_ms / 2:.0f} ms: {p50 / (gop_ms / 2):.3f})"
        )
        yield (
            f"sfu CPU per join ({name}, HTTP in Python included): {run.cpu_ms_per_join:.2f} ms"
            f" (vs mediasoup 7-11 ms: {run.cpu_ms_per_join / 7:.2f})"
        )
        yield f"sfu memory per viewer ({name}): {run.kb_per_viewer:.0f} kB (vs mediasoup 110 kB: {run.kb_per_viewer / 110:.2f})"
        yield (
            f"sfu added latency ({name}): p50 {run.latency_ms[0]:.2f} ms, p95 {run.latency_ms[1]:.2f} ms"
            f" (vs a frame's 40 ms: {run.latency_ms[1] / 40:.3f})"
        )
        share = run.missing / max(1, run.packets + run.missing)
        yield f"sfu packets lost ({name}): {run.missing} of {run.packets + run.missing} (ratio {share:.6f})"


def main() -> None:
    """Runs the whole table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="RUNG", help=argparse.SUPPRESS)
    parser.add_argument("--viewers", default="100,300", help="numbers of viewers, comma separated")
    parser.add_argument("--seconds", type=float, default=10, help="seconds to count for")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from common._native import kernel_limit

    limits = {
        "gso": kernel_limit(gso=True, viewers=300, seconds=2.0),
        "sendto": kernel_limit(gso=False, viewers=300, seconds=2.0),
    }
    runs = [
        asyncio.run(measure(rung, viewers, options.seconds))
        for viewers in map(int, options.viewers.split(","))
        for rung in ("sendto", "auto")
    ]
    for line in lines(runs, limits):
        print(line, flush=True)


if __name__ == "__main__":
    main()
