"""The media core under load: one WHIP publisher, hundreds of WHEP viewers, server on one core, the others on the other.

    python bench/sfu.py [--quick] [--viewers 100,300,500] [--seconds 10] [--most 1500]

Every figure stands beside something of the same run: the kernel's own limit, or the same server without trains. The table at the
end has them all, with the kernel's limits as its last rows: of the same datagrams as fast as they go, and at the stream's own tempo,
to readers that sleep between two pictures as viewers do. The publisher and the viewers of the first pictures are pion's where Go is
installed; else the server feeds itself from Python, which costs it a few hundredths of its CPU time. About four minutes; `--quick`
takes one.

Figures are per CPU-second of the server's process, so that other work on the machine costs them little; latencies and losses need
a machine that is quiet. What two workers carry is counted by their threads' CPU time: packets over that of the busier one, against
one worker's. So it holds on two cores too, where the viewers need one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import ctypes
import fractions
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

STREAM = "bench"
FPS = 25
GOP = 50
SIZE = (854, 480)
BITRATE = 1_500_000
AUDIO_BYTES = 100
JOINS_PER_S = 50
STORM_PER_S = 300
PION_JOINS = 40
MOST_LATE_MS = 200
"""p95 above which an audience is too large (mediasoup had 600 ms at 500 viewers)."""
CORES = sorted(os.sched_getaffinity(0))
PEERS = """\
| mediasoup 3, one worker | 136 k / 131 k / 113 k | 400 | 1,230-1,270 / 2,160 ms | 7-11 ms | 110-170 kB | 4 ms |
| SRS | 102 k / 110 k / 142 k | 500 | 1,240-1,300 / 2,150 ms | 7-12 ms | 550 kB | 10 ms |
| MediaMTX 1.20 | 70 k / 102 k / 109 k | 300 | 1,030 / 1,930 ms | 11-17 ms | 3,600 kB | 68 ms |
| LiveKit 1.13, its own load tool | 82 k at 100, 77 k at 200 | - | - | - | 2,000 kB | - |
| broadcast-box | 68 k / 82 k / 99 k | 300 | 1,050 / 1,950 ms | 10-20 ms | 2,400 kB | 109 ms |"""
"""Measured once on a two-core machine of this kind: server on one core, pion viewers on the other, 100 / 300 / 500 viewers."""
SETTLE_S = 2.5  # a whole GOP must be in the cache: the state in which a viewer joins a live stream


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
        "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:vbv-maxrate=1500:vbv-bufsize=1500:sliced-threads=0:threads=1",
    }
    noise = np.random.default_rng(7).integers(0, 255, (SIZE[1] * 3 // 2, SIZE[0]), dtype=np.uint8)
    units = []
    for index in range(2 * GOP):
        frame = av.VideoFrame.from_ndarray(np.roll(noise // 3 + 64, index * 3, axis=1), format="yuv420p")
        frame.pts = index
        units += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    return units


@functools.cache
def film_file() -> Path:
    """The same as a file, for a publisher of its own process."""
    path = Path(tempfile.mkdtemp(prefix="avacast-bench-")) / "film.h264"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    path.write_bytes(b"".join(data for data, _ in film()))
    return path


# --- the server, a process of its own ---------------------------------------------------------------


class MallInfo(ctypes.Structure):
    """glibc's `mallinfo2`: what its allocator, all arenas together, has and has given out, bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def in_use_bytes() -> int:
    """What this process has allocated and not given back: unlike resident memory it is not moved by the allocator's own stock."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


async def serve(rung: str, workers: int, *, inject: bool) -> None:
    """Serves the stream by WHEP until stdin closes; prints its port. The stream comes by WHIP, or is its own (`inject`)."""
    from common._native import Sfu

    sfu = Sfu(host="127.0.0.1", port=0, workers=workers, public_addresses=["127.0.0.1"], send=rung)
    if inject:
        sfu.open(STREAM, video=True, audio=True)

    def created(answer: Any, path: str) -> web.Response:
        return web.Response(
            status=201,
            text=answer.sdp,
            content_type="application/sdp",
            headers={"Location": f"{path}/{answer.session}"},
        )

    async def whip(request: web.Request) -> web.Response:
        return created(sfu.publish(STREAM, await request.text()), request.path)

    async def whep(request: web.Request) -> web.Response:
        return created(sfu.subscribe(STREAM, await request.text()), request.path)

    async def leave(request: web.Request) -> web.Response:
        return web.Response(status=200 if sfu.close(request.match_info["session"]) else 404)

    app = web.Application()
    app.router.add_post(f"/whip/{STREAM}", whip)
    app.router.add_post(f"/whep/{STREAM}", whep)
    for role in ("whip", "whep"):
        app.router.add_delete(f"/{role}/{STREAM}/{{session}}", leave)

    async def sessions(_: web.Request) -> web.Response:
        return web.json_response(len(sfu.stats(sessions=True)["sessions"]))

    async def pictures(_: web.Request) -> web.Response:
        return web.json_response(sfu.stats()["forward"])

    app.router.add_get("/sessions", sessions)

    async def memory(_: web.Request) -> web.Response:
        return web.json_response(in_use_bytes())

    app.router.add_get("/pictures", pictures)
    app.router.add_get("/memory", memory)
    # as a server does: what nobody reads is kept, up to 16,384 events
    asyncio.get_running_loop().add_reader(sfu.fd, sfu.drain_events)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(closed.wait())]
    if inject:
        ends.append(asyncio.ensure_future(feed(sfu, film())))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()


async def feed(sfu: Any, units: list[tuple[bytes, bool]]) -> None:
    """Injects the film in real time: a picture each 40 ms, a stamped audio packet each 20 ms."""
    began = time.monotonic()
    for tick in range(1 << 62):
        if tick % 2 == 0:
            data, key = units[tick // 2 % len(units)]
            sfu.inject(STREAM, "video", data, tick // 2 * 3600, key)
        stamp = b"AVCT" + time.clock_gettime_ns(time.CLOCK_MONOTONIC).to_bytes(8, "big")
        sfu.inject(STREAM, "audio", stamp.ljust(AUDIO_BYTES, b"\0"), tick * 960, False)
        await asyncio.sleep(max(0.0, began + (tick + 1) * 0.02 - time.monotonic()))


class Process:
    """A script of ours that serves on `cores`: it prints its port, and ends when its stdin does."""

    def __init__(self, *command: str, cores: str = str(CORES[0])) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]

    def _stat(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()

    @property
    def url(self) -> str:
        """Where viewers POST."""
        return f"http://127.0.0.1:{self.port}/whep/{STREAM}"

    @property
    def cpu_s(self) -> float:
        """What all its threads have used."""
        fields = self._stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def workers_cpu_s(self) -> list[float]:
        """What each media thread has used."""
        tasks = sorted(Path(f"/proc/{self.process.pid}/task").iterdir())
        return [
            int((task / "schedstat").read_text().split()[0]) / 1e9
            for task in tasks
            if (task / "comm").read_text().startswith("media-")
        ]

    @property
    def memory_bytes(self) -> int:
        return int(self._stat()[21]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Server(Process):
    """This file's own server, on the first core (or on `cores`), with its stream: from a publisher on the last core if there can be one."""

    def __init__(self, rung: str, workers: int = 1, cores: str = str(CORES[0])) -> None:
        from tests.harness import pion

        alone = pion.missing() is not None
        super().__init__(
            __file__, "--serve", rung, "--workers", str(workers), *["--inject"] * alone, cores=cores
        )
        self._publisher = None if alone else self._publish(str(pion.binary()))

    def _publish(self, program: str) -> subprocess.Popen[str]:
        url = f"http://127.0.0.1:{self.port}/whip/{STREAM}"
        film = ("-video", str(film_file()), "-audio", "stamps")
        publisher = subprocess.Popen(
            ["taskset", "-c", str(CORES[-1]), program, "publish", "-url", url, "-device", "lo", *film],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert publisher.stdout is not None
        said = json.loads(publisher.stdout.readline())
        if said["event"] != "connected":
            raise RuntimeError(f"the publisher has not connected: {said}")
        return publisher

    def close(self) -> None:
        if self._publisher:
            self._publisher.communicate(timeout=10)
        super().close()


# --- the measurement ----------------------------------------------------------------------------------


class Run:
    """What one run with `viewers` on `rung` measured."""

    def __init__(self, rung: str, viewers: int) -> None:
        self.rung = rung
        self.viewers = viewers
        self.packets_per_cpu_s = 0.0
        self.packets_per_worker_s = 0.0
        """Packets over the CPU time of the busiest media thread: what its core would carry if it had nothing else to do."""
        self.cpu_ms_per_join = 0.0
        self.kb_per_viewer = 0.0
        self.first_ms: list[float] = []
        self.latency_ms: tuple[float, float] = (0.0, 0.0)
        """Of sound, from the encoder to the viewer, p50 and p95."""
        self.pictures_ms = 0.0
        """From the encoder to the end of the system call that sent the last of a picture: p95 since the server's start."""
        self.missing = 0
        self.packets = 0


async def join(
    http: aiohttp.ClientSession,
    url: str,
    swarm: Any,
    viewers: int,
    rate: float,
    stay_s: float | None = None,
) -> dict[int, int]:
    """Lets `viewers` join at `rate` a second, and leave after `stay_s`. When each has POSTed, by its number (monotonic, ns)."""
    posted: dict[int, int] = {}

    async def one() -> None:
        viewer, offer = swarm.offer()
        posted[viewer] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            swarm.accept(viewer, await answer.text())
            resource = answer.headers["Location"]
        if stay_s is not None:
            await asyncio.sleep(stay_s)
            swarm.remove(viewer)
            await (
                await http.delete(resource if "://" in resource else url[: url.index("/", 8)] + resource)
            ).read()

    began, joins = time.monotonic(), []
    for index in range(viewers):
        await asyncio.sleep(max(0.0, began + index / rate - time.monotonic()))
        joins.append(asyncio.ensure_future(one()))
    await asyncio.gather(*joins)
    return posted


async def measure(
    rung: str,
    viewers: int,
    seconds: float,
    *,
    rate: float = JOINS_PER_S,
    workers: int = 1,
    cores: str = str(CORES[0]),
) -> Run:
    """Joins `viewers` at `rate` a second, waits, then counts for `seconds`."""
    from common._native import Swarm

    run = Run(rung, viewers)
    server, swarm = Server(rung, workers, cores), Swarm()
    try:
        async with aiohttp.ClientSession() as http:
            await asyncio.sleep(SETTLE_S)
            cpu, memory = server.cpu_s, server.memory_bytes
            posted = await join(http, server.url, swarm, viewers, rate)
            await asyncio.sleep(SETTLE_S)
            join_cpu, reports = server.cpu_s - cpu, swarm.reports()
            join_packets = sum(report["packets"] for report in reports)
            run.kb_per_viewer = (server.memory_bytes - memory) / viewers / 1000
            run.first_ms = [
                (report["first_key_frame_ns"] - posted[report["id"]]) / 1e6
                for report in reports
                if report["first_key_frame_ns"] is not None
            ]

            swarm.restart()
            cpu, workers_cpu = server.cpu_s, server.workers_cpu_s
            await asyncio.sleep(seconds)
            steady_cpu, reports = server.cpu_s - cpu, swarm.reports()
            busiest = max(now - then for now, then in zip(server.workers_cpu_s, workers_cpu, strict=True))
            run.packets = sum(report["packets"] for report in reports)
            run.missing = sum(report["missing"] for report in reports)
            run.packets_per_cpu_s = run.packets / steady_cpu
            run.packets_per_worker_s = run.packets / busiest
            run.cpu_ms_per_join = max(0.0, join_cpu - join_packets / run.packets_per_cpu_s) / viewers * 1000
            run.latency_ms = percentiles(swarm.latencies_ms())
            async with http.get(server.url.replace(f"/whep/{STREAM}", "/pictures")) as answer:
                run.pictures_ms = (await answer.json())["p95_ms"]
    finally:
        server.close()
    return run


async def storm(watching: int, seconds: float) -> dict[str, float]:
    """300 joins a second for `seconds` (each leaves after 200 ms) while `watching` viewers watch: what those notice. Milliseconds."""
    from common._native import Swarm

    server, watchers, joiners = Server("auto"), Swarm(), Swarm()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as http:
            await asyncio.sleep(SETTLE_S)
            await join(http, server.url, watchers, watching, JOINS_PER_S)
            await asyncio.sleep(SETTLE_S)
            watchers.restart()
            await asyncio.sleep(seconds)
            before = watchers.latencies_ms()
            watchers.restart()
            cpu, began = server.cpu_s, time.monotonic()
            await join(http, server.url, joiners, round(STORM_PER_S * seconds), STORM_PER_S, stay_s=0.2)
            took = time.monotonic() - began
            cpu = (server.cpu_s - cpu) / took
            during = watchers.latencies_ms()
            lost = sum(report["missing"] for report in watchers.reports())
    finally:
        server.close()
    late = sum(count for ms, count in during if ms > 1000 / FPS)
    return {
        "joins_per_s": STORM_PER_S * seconds / took,
        "server_cpu": cpu,
        "p95_before_ms": percentiles(before)[1],
        "p95_ms": percentiles(during)[1],
        "worst_ms": during[-1][0] if during else float("nan"),
        "late": late,
        "packets": sum(count for _, count in during),
        "lost": lost,
    }


async def first_pictures() -> list[float]:
    """POST to first whole key frame of pion viewers, one after the other, over the GOP; empty where Go is missing. ms."""
    from tests.harness import pion

    if reason := pion.missing():
        print(f"first pictures are the swarm's own: {reason}")
        return []
    server = Server("auto")
    try:
        await asyncio.sleep(SETTLE_S)
        arguments = ("watch", "-url", server.url, "-device", "lo", "-apart", "130ms")
        async with pion.pion(*arguments, "-viewers", str(PION_JOINS)) as viewers:
            return [
                (await viewers.event("first_key_frame", number, 60))["ms"] for number in range(PION_JOINS)
            ]
    finally:
        server.close()


def without_loss(run: Run) -> bool:
    """Whether all that was sent came, and soon enough to be watched live: as late as a jitter buffer hides."""
    return run.missing == 0 and max(run.latency_ms[1], run.pictures_ms) < MOST_LATE_MS


async def most_viewers(most: int, seconds: float) -> Run | None:
    """The largest audience, up to `most`, that one core serves without loss, in steps of a fifth of it; None: not even the first."""
    best = None
    for viewers in range(most // 5, most + 1, most // 5):
        run = await measure("auto", viewers, seconds, rate=150)
        verdict = "without loss" if without_loss(run) else "too many"
        print(
            f"sfu {viewers} viewers on one core: {verdict}, {run.missing} of {run.packets + run.missing} packets lost,"
            f" latency p50 {run.latency_ms[0]:.1f} ms, p95 {run.latency_ms[1]:.1f} ms (pictures sent after {run.pictures_ms:.1f} ms),"
            f" {run.packets_per_cpu_s:,.0f} packets/CPU-s"
            f" (vs mediasoup's most, 400: {viewers / 400:.2f}x)",
            flush=True,
        )
        if not without_loss(run):
            break
        best = run
    return best


def quantiles(histogram: list[tuple[float, int]], shares: tuple[float, ...]) -> tuple[float, ...]:
    """The values below which these shares of (value, count), ascending, lie; NaN when there are none."""
    total = sum(count for _, count in histogram)
    found: list[float] = []
    for share in shares:
        seen = 0
        for value, count in histogram:
            seen += count
            if seen >= share * total:
                found.append(value)
                break
    return tuple(found) if len(found) == len(shares) else (float("nan"),) * len(shares)


def percentiles(histogram: list[tuple[float, int]]) -> tuple[float, float]:
    """p50 and p95 of (value, count), ascending."""
    p50, p95 = quantiles(histogram, (0.5, 0.95))
    return p50, p95


def lines(runs: list[Run], limits: dict[str, float]) -> Iterator[str]:
    """The figures, a line each."""
    plain = {run.viewers: run for run in runs if run.rung == "sendto"}
    for run in runs:
        name = f"{run.viewers} viewers, {run.rung}"
        limit = limits["sendto" if run.rung == "sendto" else "gso"]
        against = f"kernel's limit {limit:,.0f}: {run.packets_per_cpu_s / limit:.2f}"
        if live := limits.get(f"live {run.viewers}" if run.rung != "sendto" else ""):
            against += f"; at the stream's tempo {live:,.0f}: {run.packets_per_cpu_s / live:.2f}"
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
            f"sfu added latency of sound ({name}): p50 {run.latency_ms[0]:.2f} ms, p95 {run.latency_ms[1]:.2f} ms"
            f" (vs a frame's 40 ms: {run.latency_ms[1] / 40:.3f})"
        )
        yield (
            f"sfu pictures sent ({name}): p95 after {run.pictures_ms:.2f} ms (vs a frame's 40 ms: {run.pictures_ms / 40:.3f})"
        )
        share = run.missing / max(1, run.packets + run.missing)
        yield f"sfu packets lost ({name}): {run.missing} of {run.packets + run.missing} (ratio {share:.6f})"


def table(runs: list[Run], limits: dict[str, float], firsts: list[float], most: str) -> Iterator[str]:
    """All figures of this machine, ratios to the kernel's limit in brackets."""
    counted = [run for run in runs if run.rung == "auto"]
    middle = min(counted, key=lambda run: abs(run.viewers - 300))
    firsts = sorted(firsts or middle.first_ms)
    p50, p95 = statistics.median(firsts), firsts[int(len(firsts) * 0.95)]
    rates = [
        f"{run.packets_per_cpu_s / 1000:,.0f} k ({run.packets_per_cpu_s / limits['gso']:.2f})"
        for run in counted
    ]
    counts = " / ".join(str(run.viewers) for run in counted)
    yield (
        f"| | packets per server CPU-second at {counts} viewers | most viewers without loss on one core"
        " | POST to first key frame, p50 / p95 | server CPU per join | memory per viewer"
        f" | latency p95 at {middle.viewers} |"
    )
    yield "|---|---|---|---|---|---|---|"
    yield from PEERS.splitlines()
    yield (
        f"| this core | {' / '.join(rates)} | {most} | {p50:.0f} / {p95:.0f} ms | {middle.cpu_ms_per_join:.2f} ms"
        f" | {middle.kb_per_viewer:.0f} kB | {middle.latency_ms[1]:.2f} ms (pictures {middle.pictures_ms:.1f}) |"
    )
    for run in runs:
        if run.rung == "sendto":
            ratio = run.packets_per_cpu_s / limits["sendto"]
            yield f"| without trains, {run.viewers} | {run.packets_per_cpu_s / 1000:,.0f} k ({ratio:.2f} of sendto's) | | | | | |"
    yield (
        f"| the kernel alone: GSO loop / sendto loop of equal bytes | {limits['gso'] / 1000:,.0f} k (1.00)"
        f" / {limits['sendto'] / 1000:,.0f} k ({limits['sendto'] / limits['gso']:.2f}) | | | | | |"
    )
    live = [limits[f"live {run.viewers}"] for run in counted]
    told = " / ".join(
        f"{limit / 1000:,.0f} k (this core {run.packets_per_cpu_s / limit:.2f})"
        for run, limit in zip(counted, live, strict=True)
    )
    yield f"| the kernel alone, trains at the stream's tempo to readers that sleep | {told} | | | | | |"


class Progress:
    """A bar of the steps, and how long it has taken."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.began = steps, 0, time.monotonic()

    def step(self, what: str) -> None:
        """Another one begins."""
        bar = "#" * self.done + "-" * (self.steps - self.done)
        took = time.monotonic() - self.began
        print(f"[{bar}] {self.done + 1} of {self.steps}, {took:.0f} s: {what}", file=sys.stderr, flush=True)
        self.done += 1


async def run_all(viewers: list[int], seconds: float, most: int, quick: bool) -> None:
    """Measures and prints."""
    from common._native import kernel_limit

    bar = Progress(2 + len(viewers) + 2 + (0 if quick else 1) + (1 if most else 0))
    bar.step("the kernel alone")
    limits = {
        "gso": kernel_limit(gso=True, viewers=300, seconds=2.0),
        "sendto": kernel_limit(gso=False, viewers=300, seconds=2.0),
    } | {f"live {count}": kernel_limit(gso=True, viewers=count, seconds=4.0, live=True) for count in viewers}
    middle = viewers[len(viewers) // 2]
    bar.step(f"{middle} viewers, one call a packet")
    runs = [await measure("sendto", middle, seconds)]
    for count in viewers:
        bar.step(f"{count} viewers")
        runs.append(await measure("auto", count, seconds))
    for line in lines(runs, limits):
        print(line, flush=True)
    bar.step("first pictures")
    firsts = await first_pictures()
    if not quick:
        bar.step(f"{STORM_PER_S} joins a second")
        joins = await storm(viewers[0], 3.0)
        print(
            f"sfu {viewers[0]} viewers during {joins['joins_per_s']:.0f} joins/s ({joins['server_cpu']:.2f} of a core):"
            f" latency p95 {joins['p95_ms']:.2f} ms, worst {joins['worst_ms']:.1f} ms, later than a frame {joins['late']:.0f} of"
            f" {joins['packets']:.0f}, lost {joins['lost']:.0f} (vs before, p95 {joins['p95_before_ms']:.2f} ms:"
            f" {joins['p95_ms'] / joins['p95_before_ms']:.2f})",
            flush=True,
        )
    bar.step(f"{middle} viewers, two workers")
    one = next(run for run in runs if run.rung == "auto" and run.viewers == middle)
    two = await measure("auto", middle, seconds, workers=2, cores=",".join(map(str, CORES)))
    print(
        f"sfu two workers carry, by CPU time of the busier one at {middle} viewers: {two.packets_per_worker_s:,.0f} packets/s"
        f" (vs one worker {one.packets_per_worker_s:,.0f}: {two.packets_per_worker_s / one.packets_per_worker_s:.2f}x)",
        flush=True,
    )
    told = "-"
    if most:
        bar.step(f"up to {most} viewers on one core")
        best = await most_viewers(most, seconds)
        if best:
            told = f"{best.viewers}{'+' if best.viewers == most else ''} (p95 {best.latency_ms[1]:.0f} ms)"
    for line in table(runs, limits, firsts, told):
        print(line, flush=True)


def main() -> None:
    """Runs the whole table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="RUNG", help=argparse.SUPPRESS)
    parser.add_argument("--inject", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--viewers", default="100,300,500", help="numbers of viewers, comma separated")
    parser.add_argument("--seconds", type=float, default=10, help="seconds to count for")
    parser.add_argument("--most", type=int, default=1500, help="viewers to try on one core; 0: don't")
    parser.add_argument(
        "--quick", action="store_true", help="100 and 300 viewers, 4 s each, and not the most"
    )
    options = parser.parse_args()
    if options.quick:
        options.viewers, options.seconds, options.most = "100,300", 4.0, 0
    if options.serve:
        asyncio.run(serve(options.serve, options.workers, inject=options.inject))
        return
    os.sched_setaffinity(0, {CORES[-1]})
    counts = [int(count) for count in options.viewers.split(",")]
    asyncio.run(run_all(counts, options.seconds, options.most, options.quick))


if __name__ == "__main__":
    main()
