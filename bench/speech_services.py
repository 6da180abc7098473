"""How fast the speech services are: `python bench/speech_services.py`. One line a figure, about 80 s.

Each service is a process of its own. First audio: from the first piece of text to the first sound at the client. Final: from `finish`,
which ends the sound, to the words. Requests: a sentence that was never said before to its last sound; a sentence of sound to its words,
sent at once. CPU only, one thread an instance.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import numpy as np
import psutil

from speech.inference import resampled
from speech.marks import SAMPLE_RATE
from speech.piper import Piper

FIRST_AUDIO_MS: Final = 500.0
FINAL_MS: Final = 200.0
FLOOR: Final = {"tts": 30.0, "asr": 50.0}
"""Requests a second of an instance on a GPU (requirement T6)."""
CONNECTIONS: Final = (1, 10, 50)
MEASURED_S: Final = 5.0
SINGLES: Final = 12
_NUMBER = itertools.count(1000)


def line(name: str, value: float, unit: str, versus: str, ratio: float) -> None:
    print(f"{name}: {value:.3g} {unit} (vs {versus}: {ratio:.2f})", flush=True)


@asynccontextmanager
async def instance(service: str, *options: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """`avacast SERVICE` with one thread: its address and its process."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "avacast",
            service,
            "--http-port",
            "0",
            "--threads",
            "1",
            "--log-level",
            "warning",
        ),
        *options,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        while not (said := await process.stdout.readline()).startswith(b"ready "):
            assert said, f"avacast {service} has ended"
        yield said.decode().split()[1].rstrip("/") + f"/v1/stream/{service}", psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


class Speaker:
    """A connection to text to speech."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def request(self) -> float:
        """A sentence that is new. Seconds to its first sound."""
        number = next(_NUMBER)
        began, first = time.perf_counter(), 0.0
        text = f"Your order number {number} has been sent."
        await self.ws.send_json({"type": "text", "utterance": f"u{number}", "text": text})
        await self.ws.send_json({"type": "end", "utterance": f"u{number}"})
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                first = first or time.perf_counter() - began
            elif message.json()["type"] == "done":
                return first
        raise RuntimeError("the service has closed")


class Listener:
    """A connection to speech to text, which says the same sentence again and again."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, sound: bytes) -> None:
        self.ws = ws
        self._sound = sound

    async def request(self) -> float:
        """A sentence. Seconds to its words, which include no silence: it is sent as fast as it is taken."""
        began = time.perf_counter()
        for at in range(0, len(self._sound), 32_000):
            await self.ws.send_bytes(self._sound[at : at + 32_000])
        async for message in self.ws:
            if (kind := message.json()["type"]) == "final":
                return time.perf_counter() - began
            if kind in ("unclear", "error"):
                raise RuntimeError(f"not heard: {message.data}")
        raise RuntimeError("the service has closed")


async def throughput(service: str, what: str, url: str, process: psutil.Process, sound: bytes) -> None:
    """Requests a second at several numbers of connections."""
    alone = 0.0
    for count in CONNECTIONS:
        async with aiohttp.ClientSession() as http:
            sockets = [await http.ws_connect(url) for _ in range(count)]
            clients: list[Speaker | Listener] = []
            for ws in sockets:
                start = {"type": "start"} if service == "tts" else {"type": "start", "partials": False}
                await ws.send_json(start)
                await ws.receive()
                clients.append(Speaker(ws) if service == "tts" else Listener(ws, sound))
            began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
            taken: list[float] = []

            async def again(
                one: Speaker | Listener, began: float = began, taken: list[float] = taken
            ) -> None:
                while time.perf_counter() - began < MEASURED_S:
                    taken.append(await one.request())

            await asyncio.gather(*(again(one) for one in clients))
            rate = len(taken) / (time.perf_counter() - began)
            alone = alone or rate
            name = f"{what}, {count} connections"
            line(f"{name}, requests", rate, "1/s", f"GPU floor {FLOOR[service]:.0f}", rate / FLOOR[service])
            line(f"{name}, against one connection", rate, "1/s", f"{alone:.3g}", rate / alone)
            waited = 1e3 * statistics.median(taken)
            cost = (sum(process.cpu_times()[:2]) - cpu) / len(taken)
            line(
                f"{name}, CPU of a request",
                cost,
                "core-s",
                f"GPU floor 1/{FLOOR[service]:.0f} s",
                cost * FLOOR[service],
            )
            if service == "tts":
                line(f"{name}, first audio p50", waited, "ms", "500 ms", waited / FIRST_AUDIO_MS)
            for ws in sockets:
                await ws.close()


async def first_audio(voice: str, url: str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws:
        await ws.send_json({"type": "start"})
        await ws.receive()
        times = sorted([1e3 * await Speaker(ws).request() for _ in range(SINGLES)])
    line(
        f"tts {voice}, first audio p50",
        times[SINGLES // 2],
        "ms",
        "500 ms",
        times[SINGLES // 2] / FIRST_AUDIO_MS,
    )
    line(f"tts {voice}, first audio max of {SINGLES}", times[-1], "ms", "500 ms", times[-1] / FIRST_AUDIO_MS)


async def final(url: str, sound: bytes) -> None:
    """Real-time sound that ends in the middle of the last word's echo: `finish` to the words."""
    times = []
    async with aiohttp.ClientSession() as http:
        for _ in range(SINGLES // 2):
            async with http.ws_connect(url) as ws:
                await ws.send_json({"type": "start"})
                for at in range(0, len(sound), 640):
                    await ws.send_bytes(sound[at : at + 640])
                    await asyncio.sleep(0.018)
                await ws.send_json({"type": "finish"})
                began = time.perf_counter()
                async for message in ws:
                    if message.json()["type"] == "final":
                        times.append(1e3 * (time.perf_counter() - began))
    times.sort()
    line(
        "asr, end of sound to final p50",
        statistics.median(times),
        "ms",
        "200 ms",
        statistics.median(times) / FINAL_MS,
    )
    line(f"asr, end of sound to final max of {len(times)}", times[-1], "ms", "200 ms", times[-1] / FINAL_MS)


def sentence() -> tuple[bytes, bytes]:
    """A sentence as s16le at 16 kHz: as far as it is heard, and with the silence that ends a turn."""
    said = resampled(
        Piper().synthesise("Please tell me more about the weather in London.").pcm, 3 * SAMPLE_RATE
    )
    loud = np.flatnonzero(np.abs(said) > 0.03)
    pcm = (said * 32767).astype("<i2")
    return pcm[: int(loud[-1]) + 800].tobytes(), pcm.tobytes() + bytes(2 * 16_000 * 12 // 10)


async def main() -> None:
    for voice in ("kokoro", "piper"):
        async with instance("tts", "--voice", voice) as (url, process):
            await first_audio(voice, url)
            if voice == "piper":
                await throughput("tts", "tts piper", url, process, b"")
    heard, whole = sentence()
    async with instance("asr") as (url, process):
        await final(url, heard)
        await throughput("asr", "asr int8", url, process, whole)


if __name__ == "__main__":
    asyncio.run(main())
