"""pion's viewer and publisher (tests/interop/pion) for tests and benchmarks: built once, run as processes that print JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.audio.stream import AudioStream

from tests.harness.live_source import LiveSource

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tests/interop/pion"
OLDEST_GO = (1, 24)


@functools.cache
def missing() -> str | None:
    """Why pion cannot be used here, None if it can."""
    if not shutil.which("go"):
        return "Go is not installed (https://go.dev/dl; Debian 12's own is too old)"
    version = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=True
    ).stdout.strip()
    numbers = tuple(int(part) for part in version.removeprefix("go").split(".")[:2])
    if numbers < OLDEST_GO:
        return f"Go {'.'.join(map(str, OLDEST_GO))} or newer is needed, this is {version}"
    return None


@functools.cache
def binary() -> Path:
    """The program, built. Raises CalledProcessError with the compiler's words."""
    built = ROOT / ".build/pion"
    built.parent.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", str(built), "."], cwd=SOURCE, check=True)
    return built


needs_pion = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def film(folder: Path, *, seconds: int = 4, bitrate_bps: int = 800_000) -> list[str]:
    """Options for `publish`: 640x360 at 25/s with a key frame each second and a hum with beeps, written into `folder`."""
    source = LiveSource(0, gop=25, bitrate_bps=bitrate_bps)
    video, audio = folder / "film.h264", folder / "sound.ogg"
    units = list(source.until(seconds * 1000 - 1))
    video.write_bytes(b"".join(unit.data for unit in units if unit.kind == "video"))
    with av.open(str(audio), "w", format="ogg", options={"page_duration": "20000"}) as out:
        stream = out.add_stream("libopus", rate=48_000)
        assert isinstance(stream, AudioStream)
        stream.layout = "stereo"
        for index, unit in enumerate(unit for unit in units if unit.kind == "audio"):
            packet = av.Packet(unit.data)
            packet.stream, packet.time_base = stream, Fraction(1, 48_000)
            packet.pts = packet.dts = index * 960
            packet.duration = 960
            out.mux_one(packet)
    return ["-video", str(video), "-audio", str(audio)]


class Pion:
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
            raise AssertionError(f"{what}: not said by pion within {timeout_s} s: {self.lines}")

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
async def pion(*arguments: str, before: tuple[str, ...] = ()) -> AsyncIterator[Pion]:
    """Runs it with those arguments; `before` is a command that runs it (`ip netns exec x`)."""
    program = await asyncio.to_thread(binary)
    process = await asyncio.create_subprocess_exec(
        *before, str(program), *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    running = Pion(process)
    try:
        yield running
    finally:
        await running.kill()
