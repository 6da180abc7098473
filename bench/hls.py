"""HLS: request rate of cached objects against nginx with the same bytes as static files, CPU of packaging, blocked reloads, latency.

    python bench/hls.py [--seconds 3] [--latency-seconds 25] [--check-seconds 20]
                        [--only rate|package|reloads|check|latency]

Rates are replies per CPU-second of the server, one thread each, under wrk with 32 connections. Latency is from capture to the
screen of headless Chromium with hls.js, read from the picture (`--latency-seconds 600` for ten minutes); source, packager, edge and
browser share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from avacast.process import free_port
from common._native import Edge
from hls.aac import AacEncoder
from hls.check import Recording
from hls.grid import ERA_MS, tier
from hls.packager import Packager
from hls.shelf import EdgeShelf
from tests.harness.live_source import LiveSource, Unit

OBJECTS = {
    # name: path, bytes, goal of DESIGN.md section 10, MediaMTX there
    "media playlist": ("v0/index.m3u8", 3_300, 60_000, 15_600),
    "multivariant playlist": ("index.m3u8", 700, 75_000, 46_000),
    "part": ("v0/part.m4s", 34_000, 45_000, 24_300),
    "segment": ("v0/1000.m4s", 364_000, 5_000, 3_500),
}
CONNECTIONS = 32
PLAYLIST = b"#" * 3300


def line(name: str, value: str, unit: str, against: str) -> None:
    print(f"{name}: {value} {unit} (vs {against})", flush=True)


def edge_with_objects() -> Edge:
    """An edge that serves one of each object."""
    edge = Edge(threads=1)
    edge.open("bench", part_target_ms=320, target_duration_s=2)
    edge.put_index("bench", [("index.m3u8", b"#" * OBJECTS["multivariant playlist"][1])])
    size = OBJECTS["segment"][1] // 6
    parts = [(f"1000.{n}.m4s", bytes(range(256)) * (size // 256) + bytes(size % 256)) for n in range(6)]
    parts.append(("part.m4s", bytes(OBJECTS["part"][1])))
    live = b"#" * OBJECTS["media playlist"][1]
    row = [name for name, _ in parts[:6]]
    edge.put("bench", "v0", msn=1000, part=5, live=live, media=parts, joined=[("1000.m4s", row)])
    return edge


@contextmanager
def nginx_with_objects() -> Iterator[tuple[int, psutil.Process]]:
    """nginx with one worker and the same objects as files: its port, and its worker."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for path, size, _, _ in OBJECTS.values():
            file = root / "hls/bench" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"#" * size)
        port = free_port()
        (root / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
            "  open_file_cache max=100 inactive=60s;\n"
            f"  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n"
            f"  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n"
            f"  server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        )
        master = subprocess.Popen(
            ["nginx", "-p", folder, "-c", f"{root}/nginx.conf"], stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 5
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            yield port, psutil.Process(master.pid).children()[0]
        finally:
            master.terminate()
            master.wait(10)


def replies_per_cpu_second(port: int, path: str, process: psutil.Process, seconds: float) -> float:
    """Loads `path` and divides the replies by the CPU time that the server used."""
    url = f"http://127.0.0.1:{port}/hls/bench/{path}"
    before = process.cpu_times()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}", url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = process.cpu_times()
    found = re.search(r"(\d+) requests in", told)
    if not found or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"wrk was not served well:\n{told}")
    return int(found[1]) / (after.user + after.system - before.user - before.system)


def rates(seconds: float) -> None:
    if shutil.which("wrk") is None:
        print("HLS replies: not measured, wrk is not installed (apt-get install wrk)")
        return
    edge = edge_with_objects()
    ours = {
        name: replies_per_cpu_second(edge.port, path, psutil.Process(), seconds)
        for name, (path, *_) in OBJECTS.items()
    }
    edge.stop()
    limits: dict[str, float] = {}
    if shutil.which("nginx"):
        with nginx_with_objects() as (port, worker):
            limits = {
                name: replies_per_cpu_second(port, path, worker, seconds)
                for name, (path, *_) in OBJECTS.items()
            }
    for name, (_, size, goal, peer) in OBJECTS.items():
        rate = ours[name]
        limit = f"nginx {limits[name]:,.0f}: {rate / limits[name]:.2f}x, " if limits else ""
        against = f"{limit}goal {goal:,}: {rate / goal:.2f}x, MediaMTX {peer:,}: {rate / peer:.1f}x"
        line(f"HLS replies, {name} of {size / 1000:g} kB", f"{rate:,.0f}", "a CPU-second", against)


def packaging(seconds: float = 30.0) -> None:
    """CPU of one broadcast, 854x480 1.5 Mbit/s and stereo, in virtual time: source encoded first, then packaged to a real edge."""
    start = float(ERA_MS + 30_000_000_000)
    source = LiveSource(start, width=854, height=480, bitrate_bps=1_500_000, gop=48)
    units = list(source.until(start + seconds * 1000))
    edge = Edge(threads=1)
    shelf = EdgeShelf(edge)
    packager = Packager("bench", tier(0.32), 60, shelf, source.ask_key_frame, start)
    began = time.process_time()
    for unit in units:
        now_ms = unit.ntp_ms + 30
        packager.push(unit, now_ms)
        packager.tick(now_ms)
    used = (time.process_time() - began) / seconds * 1000
    edge.stop()
    line(
        "HLS packaging, one broadcast, AAC twice",
        f"{used:.1f}",
        "ms CPU a second",
        f"real time: {1000 / used:.0f}x",
    )


def many_packagers(streams: int = 10, seconds: float = 10.0) -> None:
    """CPU of ten broadcasts of three sizes and stereo each, in virtual time: sources encoded first, then packaged to a real edge."""
    start = float(ERA_MS + 30_000_000_000)
    sizes = ((854, 480, 1_500_000), (640, 360, 700_000), (512, 180, 250_000))
    units: list[Unit] = []
    for layer, (width, height, bps) in enumerate(sizes):
        source = LiveSource(start, width=width, height=height, bitrate_bps=bps, gop=48, audio=not layer)
        units += [replace(unit, layer=layer) for unit in source.until(start + seconds * 1000)]
    units.sort(key=lambda unit: unit.ntp_ms)
    edge = Edge(threads=1)
    shelf = EdgeShelf(edge)
    packagers = [Packager(f"bench-{n}", tier(0.32), 60, shelf, lambda: None, start) for n in range(streams)]
    encoding = Timed(AacEncoder, "encode")
    ticked_ms = start
    began = time.process_time()
    for unit in units:
        now_ms = unit.ntp_ms + 30
        ticks = now_ms - ticked_ms >= 20  # as the feed does
        ticked_ms = now_ms if ticks else ticked_ms
        for packager in packagers:
            packager.push(unit, now_ms)
            if ticks:
                packager.tick(now_ms)
    used = (time.process_time() - began) / seconds
    edge.stop()
    aac = encoding.spent_s / seconds
    line(
        f"HLS packaging, {streams} broadcasts of three sizes, AAC twice",
        f"{used:.2f}",
        "cores",
        f"goal 0.5: {0.5 / used:.2f}x; of it FFmpeg's AAC encoders {aac:.2f}: {aac / used:.2f}x",
    )


class Timed:
    """A method that counts the CPU time in it."""

    def __init__(self, owner: type, name: str) -> None:
        self.spent_s = 0.0
        inner = getattr(owner, name)

        def timed(one: Any, *arguments: Any) -> Any:
            began = time.thread_time()
            try:
                return inner(one, *arguments)
            finally:
                self.spent_s += time.thread_time() - began

        setattr(owner, name, timed)


def ask_reloads(port: int, count: int, ends: Connection) -> None:
    """In a process of its own: asks for the next part on `count` connections, waits for word, and reads what came."""
    request = b"GET /hls/bench/v0/index.m3u8?_HLS_msn=10&_HLS_part=1 HTTP/1.1\r\nHost: bench\r\n\r\n"
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for peer in peers:
        peer.sendall(request)
    ends.recv()
    replies = {peer.recv(8192).split(b"\r\n\r\n", 1)[1] == PLAYLIST for peer in peers}
    ends.send(replies == {True})


def writes_us(count: int, size: int) -> float:
    """What the kernel takes to write `size` bytes to `count` sockets that nobody waits on, in us each, on one core."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as door:
        pairs = [(socket.create_connection(door.getsockname()), door.accept()[0]) for _ in range(count)]
    body = bytes(size)
    for _, ours in pairs:
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours.setblocking(False)
    began = time.thread_time()
    sent = sum(ours.send(body) for _, ours in pairs)
    took_us = (time.thread_time() - began) * 1e6 / count
    for pair in pairs:
        for one in pair:
            one.close()
    if sent != size * count:
        raise RuntimeError("the kernel did not take all writes")
    return took_us


def reloads(count: int = 10_000) -> None:
    """How long after a put the last of `count` blocked reloads is answered, each on a connection of its own. The time ends when the
    edge has handed all replies to the kernel; that they are whole is checked afterwards. Beside it what the kernel alone takes
    to write as many bytes to as many connections, spread over all cores: nobody can be faster on this machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 200)
    cores = os.cpu_count() or 1
    edge = Edge()  # as many threads as in production
    edge.open("bench", part_target_ms=320, target_duration_s=2)
    edge.put("bench", "v0", msn=10, part=0, live=PLAYLIST)
    ours, theirs = Pipe()
    asking = get_context("spawn").Process(target=ask_reloads, args=(edge.port, count, theirs))
    asking.start()
    while edge.stats()["waiters"] < count:
        time.sleep(0.01)
    began, cpu = time.perf_counter(), time.process_time()
    edge.put("bench", "v0", msn=10, part=1, live=PLAYLIST)
    while edge.stats()["waiters"]:
        time.sleep(0.0005)
    took_ms = (time.perf_counter() - began) * 1000
    cpu_us = (time.process_time() - cpu) * 1e6 / count
    ours.send("read")
    whole = ours.recv()
    asking.join()
    edge.stop()
    kernel_us = writes_us(min(5000, count // 2), len(PLAYLIST) + 450)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not whole:
        raise RuntimeError("blocked reloads were not answered with the playlist")
    goal_ms = 50 * count / 10_000
    kernel_ms = kernel_us * count / cores / 1000
    against = (
        f"goal {goal_ms:.0f}: {goal_ms / took_ms:.2f}x; the kernel's own writes on {cores} cores "
        f"{kernel_ms:.0f}: {kernel_ms / took_ms:.2f}x"
    )
    line(f"HLS, {count:,} blocked reloads released", f"{took_ms:.1f}", "ms after the part", against)
    against = f"the kernel's write of as many bytes {kernel_us:.1f}: {kernel_us / cpu_us:.2f}x"
    line("HLS, a blocked reload released", f"{cpu_us:.1f}", "us CPU", against)


def check(seconds: float) -> None:
    """What the rules of `avacast hls-check` say of the packager's output, watched over a real edge. A slack of 1 s, because source,
    packager and watcher share this machine."""
    from hls.check import check as checked
    from hls.check.player import watch
    from tests.harness.broadcast import Broadcast

    async def watched() -> Recording:
        return await watch(broadcast.url, seconds, slack_s=1.0, verify=False, stop=asyncio.Event())

    broadcast = Broadcast()
    try:
        outcomes = checked(asyncio.run(watched()))
    finally:
        broadcast.close()
    looked = [one for one in outcomes if one.examined]
    broken = [f"{one.rule.severity.value} {one.rule.name}" for one in looked if one.broken]
    against = f"looked at {len(looked)} of {len(outcomes)}: {(len(looked) - len(broken)) / len(looked):.2f}x; broken: "
    line(
        f"HLS, rules that hold in {seconds:.0f} s",
        str(len(looked) - len(broken)),
        "rules",
        against + (", ".join(broken) or "none"),
    )


def latency(part_s: float, seconds: float, goal_ms: float) -> None:
    """Capture to screen in Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.harness.broadcast import Broadcast
    from tests.harness.browser import launch

    broadcast = Broadcast(part_s)
    try:
        with sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_page()
            time.sleep(4)  # a stream that is running, as a viewer finds it
            page.goto(broadcast.page(maxFragLookUpTolerance=min(0.25, part_s / 4)))
            page.wait_for_function("state.latencies.length > 10 || state.fatal", timeout=30_000)
            page.wait_for_timeout(seconds * 1000)
            seen = page.evaluate("state")
            browser.close()
    finally:
        broadcast.close()
    if seen["fatal"]:
        raise RuntimeError(f"hls.js gave up: {seen['errors']}")
    row = sorted(one["ms"] for one in seen["latencies"] if one["at"] > 8000)
    p50, p95 = row[len(row) // 2], row[int(len(row) * 0.95)]
    name = f"HLS latency, parts of {part_s:g} s"
    line(f"{name}, p50", f"{p50:.0f}", "ms", f"goal {goal_ms:.0f}: {goal_ms / p50:.2f}x")
    line(f"{name}, p95", f"{p95:.0f}", "ms", f"floor 3000: {3000 / p95:.2f}x; {seen['stalls']} stalls")
    first = seen["firstFrame"]
    line(f"{name}, load to first picture", f"{first:.0f}", "ms", f"goal 500: {500 / first:.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="seconds of load for each object")
    parser.add_argument("--latency-seconds", type=float, default=25, help="seconds that the browser watches")
    parser.add_argument("--check-seconds", type=float, default=20, help="seconds that the rules look at")
    parser.add_argument("--only", choices=["rate", "package", "reloads", "check", "latency"])
    asked = parser.parse_args()
    if asked.only in (None, "rate"):
        rates(asked.seconds)
    if asked.only in (None, "package"):
        packaging()
        many_packagers()
    if asked.only in (None, "reloads"):
        reloads()
    if asked.only in (None, "check"):
        check(asked.check_seconds)
    if asked.only in (None, "latency"):
        latency(0.32, asked.latency_seconds, 1600)
        latency(0.2, asked.latency_seconds, 1200)


if __name__ == "__main__":
    main()
