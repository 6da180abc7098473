"""A network namespace behind a bad link. Packets cross the kernel's real IP and UDP on both sides; in between they are lost, delayed
and squeezed by `tc netem` where the kernel has it, or by a thread between two TUN devices where it has not."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TUN = Path("/dev/net/tun")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Conditions:
    """What a link does to packets. Rates bound the way to the viewer, everything else both ways."""

    loss: float = 0.0
    """Share that is lost, 0..1."""
    delay_ms: float = 10.0
    jitter_ms: float = 0.0
    """Even spread around `delay_ms`; packets overtake one another."""
    duplicate: float = 0.0
    rate_bps: float | None = None
    queue_ms: float = 200.0
    """Most that waits where the rate is bound; what is more is lost."""
    broken: bool = False


GOOD = Conditions()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _tun(name: str) -> int:
    device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


@functools.cache
def missing(kind: str) -> str | None:
    """Why a link of that kind (`tun`, `netem`) cannot be made here, None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "iproute2 is not installed"
    if kind == "tun":
        try:
            os.close(_tun("avprobe"))
        except OSError as problem:
            return f"a TUN device cannot be made: {problem}"
    name = f"avacast-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made: {made.stderr.strip()}"
    try:
        if kind == "netem":
            command = [
                "ip",
                "netns",
                "exec",
                name,
                "tc",
                "qdisc",
                "add",
                "dev",
                "lo",
                "root",
                "netem",
                "loss",
                "1%",
            ]
            tried = subprocess.run(command, capture_output=True, text=True)
            if tried.returncode:
                return f"the kernel has no sch_netem: {tried.stderr.strip()}"
    finally:
        _run("ip", "netns", "delete", name)
    return None


class Link:
    """A namespace `name` with the address `inner`, reached from here as `outer`'s neighbour. `set` changes the conditions."""

    def __init__(self, mtu: int) -> None:
        number = next(NUMBERS)
        self.name = f"avacast-{os.getpid()}-{number}"
        self.near, self.far = f"avn{number}", f"avf{number}"
        self.outer, self.inner = f"10.213.{number}.1", f"10.213.{number}.2"
        self.conditions = Conditions()
        _run("ip", "netns", "add", self.name)
        try:
            self._plug()
            for inside, device, address in ((False, self.near, self.outer), (True, self.far, self.inner)):
                self._ip(inside, "address", "add", f"{address}/24", "dev", device)
                self._ip(inside, "link", "set", device, "mtu", str(mtu), "up")
        except BaseException:
            self.close()
            raise

    def _ip(self, inside: bool, *arguments: str) -> None:
        _run("ip", *(("-n", self.name) if inside else ()), *arguments)

    @property
    def before(self) -> tuple[str, ...]:
        """The command that runs another one inside."""
        return ("ip", "netns", "exec", self.name)

    def _plug(self) -> None:
        raise NotImplementedError

    def set(self, conditions: Conditions) -> None:
        """From now on."""
        self.conditions = conditions

    def close(self) -> None:
        """Takes everything away."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("ip", "netns", "delete", self.name)


class NetemLink(Link):
    """A veth pair with `tc netem` at both ends."""

    def _plug(self) -> None:
        _run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)

    def set(self, conditions: Conditions) -> None:
        super().set(conditions)
        loss = 100.0 if conditions.broken else conditions.loss * 100
        shape = ["delay", f"{conditions.delay_ms}ms", f"{conditions.jitter_ms}ms", "loss", f"{loss}%"]
        shape += ["duplicate", f"{conditions.duplicate * 100}%"]
        if conditions.rate_bps:
            rate = ["rate", f"{conditions.rate_bps:.0f}bit"]
            rate += ["limit", str(max(2, round(conditions.rate_bps * conditions.queue_ms / 8e6 / 1200)))]
        else:
            rate = ["limit", "10000"]
        _run("tc", "qdisc", "replace", "dev", self.near, "root", "netem", *shape, *rate)
        _run("tc", "-n", self.name, "qdisc", "replace", "dev", self.far, "root", "netem", *shape)


@dataclass
class _Way:
    """One direction."""

    source: int
    sink: int
    bound: bool
    free_at: float = 0.0
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)


class TunLink(Link):
    """Two TUN devices with a thread between them; its dice are seeded."""

    def _plug(self) -> None:
        near, far = _tun(self.near), _tun(self.far)
        _run("ip", "link", "set", self.far, "netns", self.name)
        self._ways = [_Way(near, far, True), _Way(far, near, False)]
        self._random = random.Random(1)
        self._count = itertools.count()
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._forward, name=self.name, daemon=True)
        self._thread.start()

    def _forward(self) -> None:
        poll = select.poll()
        for descriptor in (self._stop, *(way.source for way in self._ways)):
            poll.register(descriptor, select.POLLIN)
        while True:
            due = min((way.waiting[0][0] for way in self._ways if way.waiting), default=None)
            wait = None if due is None else max(0.0, (due - time.monotonic()) * 1000)
            ready = {descriptor for descriptor, _ in poll.poll(wait)}
            if self._stop in ready:
                return
            for way in self._ways:
                if way.source in ready:
                    self._take(way)
                while way.waiting and way.waiting[0][0] <= time.monotonic():
                    with contextlib.suppress(OSError):  # a device that is down loses it, as any cable
                        os.write(way.sink, heapq.heappop(way.waiting)[2])

    def _take(self, way: _Way) -> None:
        now, how = time.monotonic(), self.conditions
        with contextlib.suppress(BlockingIOError, OSError):
            while packet := os.read(way.source, 65536):
                for _ in range(2 if self._random.random() < how.duplicate else 1):
                    if how.broken or self._random.random() < how.loss:
                        continue
                    at = now
                    if way.bound and how.rate_bps:
                        if way.free_at - now > how.queue_ms / 1000:
                            continue
                        at = way.free_at = max(way.free_at, now) + len(packet) * 8 / how.rate_bps
                    spread = self._random.uniform(-how.jitter_ms, how.jitter_ms)
                    at += max(0.0, how.delay_ms + spread) / 1000
                    heapq.heappush(way.waiting, (at, next(self._count), packet))

    def close(self) -> None:
        if hasattr(self, "_thread"):
            os.write(self._stopping, b"x")
            self._thread.join()
            for descriptor in (self._stop, self._stopping, *(way.source for way in self._ways)):
                os.close(descriptor)
        super().close()


KIND = "netem" if missing("netem") is None else "tun"
"""The kernel's own emulator where it has one; two TUN devices and a thread otherwise."""

needs_link = pytest.mark.skipif(missing(KIND) is not None, reason=missing(KIND) or "")


@contextlib.contextmanager
def link(conditions: Conditions = GOOD, *, mtu: int = 1500, kind: str = KIND) -> Iterator[Link]:
    """A link of that kind under those conditions."""
    made = {"tun": TunLink, "netem": NetemLink}[kind](mtu)
    try:
        made.set(conditions)
        yield made
    finally:
        made.close()
