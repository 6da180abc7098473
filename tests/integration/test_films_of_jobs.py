"""Jobs as a user of `avacast up` meets them: a photo and a recording become a film, and a film outlives the node that began it."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import struct
import sys
import wave
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import psutil
import pytest

from tests.harness.cluster import eventually
from tests.harness.up import ADMIN_TOKEN, RunningUp, start_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PHOTO = Path(__file__).parents[1] / "data" / "portrait" / "astronaut.jpg"
SPOKEN_S, SILENT_S = 2.0, 1.0


def recording() -> bytes:
    """Two seconds of a voice-like sound, then one of silence; WAV."""
    rate = 16_000
    sound = [
        9000 * math.sin(2 * math.pi * 140 * n / rate) * (1 + math.sin(25 * n / rate)) / 2
        for n in range(int(SPOKEN_S * rate))
    ]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(
            b"".join(struct.pack("<h", int(one)) for one in [*sound, *[0] * int(SILENT_S * rate)])
        )
    return file.getvalue()


async def call(up: RunningUp, method: str, path: str, **more: Any) -> Any:
    async with (
        aiohttp.ClientSession(up.url, headers=up.admin) as http,
        http.request(method, path, **more) as answer,
    ):
        told = await answer.json()
        assert answer.status < 400, told
        return told


async def command(up: RunningUp, *words: str) -> tuple[int, str]:
    """Status and words of `avacast ...` against it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "avacast", *words, "--server", up.url, "--token", ADMIN_TOKEN),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 200)
    return process.returncode or 0, " ".join(said.decode().split())


async def until(up: RunningUp, job: str, *states: str) -> dict[str, Any]:
    """The job, once it is in one of these states."""
    async with asyncio.timeout(200):
        while True:
            told: dict[str, Any] = await call(up, "GET", f"/api/jobs/{job}")
            if told["state"] in states:
                return told
            assert told["state"] in ("waiting", "running"), told
            await asyncio.sleep(0.2)  # progress is asked for, as an app does it


async def studio(up: RunningUp) -> psutil.Process:
    """The process that makes a film for this node, once there is one."""
    node = psutil.Process(up.process.pid)
    async with asyncio.timeout(60):
        while True:
            for child in node.children(recursive=True):
                if any("origin.jobs.studio" in word for word in child.cmdline()):
                    return child
            await asyncio.sleep(0.1)  # there is no event for a process of another


async def test_a_photo_and_a_recording_become_a_film(tmp_path: Path) -> None:
    up = start_up(tmp_path, "--no-avatar")
    try:
        photo = await call(up, "POST", "/api/uploads", data=io.BytesIO(PHOTO.read_bytes()))
        speech = await call(up, "POST", "/api/uploads", data=io.BytesIO(recording()))
        assert (photo["kind"], photo["format"], speech["kind"], speech["format"]) == (
            "image",
            "jpg",
            "audio",
            "wav",
        )
        job = await call(up, "POST", "/api/jobs", json={"image": photo["id"], "audio": speech["id"]})
        maker = await studio(up)
        await eventually(lambda: maker.nice() == 19, "live avatars come first")
        done = await until(up, job["id"], "done")
        async with aiohttp.ClientSession() as http, http.get(done["result"]) as answer:
            film = await answer.read()
        assert len(film) == done["size_bytes"]
        with av.open(io.BytesIO(film)) as file:
            picture, sound = file.streams.video[0], file.streams.audio[0]
            assert (picture.width, picture.height, picture.average_rate) == (512, 512, 25)
            frames = [frame.to_ndarray(format="gray") for frame in file.decode(picture)]
            assert abs(len(frames) / 25 - (SPOKEN_S + SILENT_S + 1)) < 0.2, (
                "with half a second of rest at both ends"
            )
            file.seek(0)
            pcm = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(sound)])
        rate = len(pcm) / (len(frames) / 25)
        loud, quiet = (
            np.sqrt(np.mean(pcm[int(a * rate) : int(b * rate)] ** 2)) for a, b in ((0.7, 2.3), (2.8, 3.4))
        )
        assert loud > 30 * quiet
        moved = [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(frames)]
        assert max(moved) > 0.1, "it is a film, not a photo"

        film_of = ("jobs", "make", "-o", str(tmp_path / "out.mp4"))
        status, said = await command(up, *film_of, "--text", "Hello.", "--avatar", "nobody")
        assert status == 1 and "there is no avatar 'nobody'" in said and "ava" in said
        status, said = await command(
            up, *film_of, "--text", "Hello.", "--image", str(PHOTO), "--size", "320x320"
        )
        assert status == 0, said
        with av.open(str(tmp_path / "out.mp4")) as file:
            assert (file.streams.video[0].width, file.duration / av.time_base > 1) == (320, True)
        scene = await call(up, "POST", "/api/uploads", data=io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(500)))
        broken = await call(up, "POST", "/api/jobs", json={"image": scene["id"], "text": "Hello."})
        failed = await until(up, broken["id"], "failed")
        assert "image.png" in failed["error"] and str(tmp_path) not in failed["error"]
    finally:
        up.close()


async def test_a_film_outlives_the_node_that_began_it(tmp_path: Path) -> None:
    text = "This is a sentence of a film that takes a while. " * 60
    up = start_up(tmp_path, "--no-avatar")
    try:
        job = (await call(up, "POST", "/api/jobs", json={"text": text}))["id"]
        maker = await studio(up)
        up.interrupt()
        assert not psutil.wait_procs([maker], 10)[1], "a film is not made for a node that has ended"
        up = start_up(tmp_path, "--no-avatar")
        told = await call(up, "GET", f"/api/jobs/{job}")
        assert (told["state"], told["text"]) == ("waiting", text) or told["attempts"] == 2, (
            "given back, at once"
        )
        maker = await studio(up)
        up.process.kill()
        up.process.wait(10)
        assert not psutil.wait_procs([maker], 10)[1], "nor for one that was killed"
        up = start_up(tmp_path, "--no-avatar")
        cancelled = await call(up, "POST", f"/api/jobs/{job}/cancel")
        assert (cancelled["state"], cancelled["text"]) == ("cancelled", text) and cancelled["attempts"] >= 2
    finally:
        up.close()
