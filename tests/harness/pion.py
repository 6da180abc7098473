"""pion's viewer and publisher (tests/interop/pion) for tests and benchmarks: built once, run as processes that print JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import subprocess
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.audio.stream import AudioStream

from tests.harness.live_source import LiveSource
from tests.harness.peer_process import PeerProcess, peer_process

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


@contextlib.asynccontextmanager
async def pion(*arguments: str, before: tuple[str, ...] = ()) -> AsyncIterator[PeerProcess]:
    """Runs it with those arguments; `before` is a command that runs it (`ip netns exec x`)."""
    program = await asyncio.to_thread(binary)
    async with peer_process(*before, str(program), *arguments) as running:
        yield running
