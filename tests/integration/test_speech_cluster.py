"""`avacast speech up` with real processes and nginx: a hundred at once and nobody hears another, and a killed instance is survived."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
import pytest

from avacast.speech.cluster import Cluster as Running
from avacast.speech.front import Front, nginx_config
from avacast.speech.state import down
from common.config import SpeechClusterConfig
from common.errors import Problem
from tests.harness.speech_clients import Client, client

COLOURS = ("red", "blue", "yellow", "purple", "golden", "orange", "silver", "green", "white", "pink")
ANIMALS = (
    "tiger",
    "monkey",
    "elephant",
    "camel",
    "dolphin",
    "rabbit",
    "chicken",
    "penguin",
    "turtle",
    "spider",
)
PHRASES = [f"{colour} {animal}" for colour in COLOURS for animal in ANIMALS]
SPEAKERS = 20
"""Of the hundred that are heard at once, so many speak; the others send a breath of noise and must be told nothing."""
START_S = 150.0


class Cluster:
    """`avacast speech up` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.fronts: dict[str, str] = {}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        ports = ("--asr-port", "0", "--tts-port", "0", "--cluster-port", "0")
        with (self.folder / "cluster.log").open("wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "avacast", "speech", "up", "--asr", "2", "--tts", "2", *ports),
                *("--data", str(self.folder)),
                env={**os.environ, "AVACAST_VOICE": "piper", "AVACAST_SPEECH_CONNECTIONS": "50"},
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("ready "), (self.folder / "cluster.log").read_text()
        self.url = line.split()[1].rstrip("/")
        for pair in line.split()[2:]:
            service, _, address = pair.partition("=")
            self.fronts[service] = address.replace("ws://", "http://").partition("/v1/")[0]

    async def health(self, service: str) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.fronts[service]}/health") as answer:
            found: dict[str, Any] = await answer.json()
            return found


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: bash infra/setup/tools.sh test")
    one = Cluster(tmp_path)
    try:
        await one.start()
        yield one
    finally:
        if one.process is not None and one.process.returncode is None:
            one.process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(one.process.wait(), 20)
            if one.process.returncode is None:
                one.process.kill()
                await one.process.wait()


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


async def all_at_once(url: str, service: str, count: int, story: Any, **start: Any) -> list[Client]:
    """`count` connections, all open before the first says a word."""
    everyone = asyncio.Barrier(count)

    async def one(index: int) -> Client:
        async with client(url, service, **start) as connection:
            async with asyncio.timeout(60):
                await everyone.wait()
            await story(connection, index)
            await connection.send("finish")
            await connection.rest()
            return connection

    return await asyncio.gather(*(one(index) for index in range(count)))


async def until_health(cluster: Cluster, service: str, true: Any) -> dict[str, Any]:
    async with asyncio.timeout(START_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                health = await cluster.health(service)
                if true(health):
                    return health
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_hundred_at_once_hear_themselves_only_and_a_killed_instance_is_survived(
    cluster: Cluster,
) -> None:
    spoken = await a_hundred_speak(cluster)
    await a_hundred_listen(cluster, spoken)
    await an_instance_is_killed(cluster)
    await the_end(cluster)


async def a_hundred_speak(cluster: Cluster) -> list[bytes]:
    """Text to speech: each gets the words that it sent, and nothing else. Returns the sound of each at 16 kHz."""

    async def story(connection: Client, index: int) -> None:
        await connection.send("text", utterance=f"u{index}", text=f"{PHRASES[index]}.")
        await connection.send("end", utterance=f"u{index}")

    everyone = await all_at_once(cluster.fronts["tts"], "tts", 100, story, sample_rate=16_000)
    for index, one in enumerate(everyone):
        (clause,) = one.of("clause")
        assert (clause["utterance"], clause["text"]) == (f"u{index}", f"{PHRASES[index]}.")
        assert words(" ".join(word["text"] for word in clause["words"])) == words(PHRASES[index])
        assert list(one.sound) == [f"u{index}"] and len(one.sound[f"u{index}"]) == clause["sound_bytes"]
        assert one.told[-1]["type"] == "finished" and not one.of("error")
    assert len({one.of("ready")[0]["connection"] for one in everyone}) == 100
    health = await until_health(cluster, "tts", lambda found: found["active_connections"] == 0)
    assert (health["status"], health["limit"], len(health["instances"])) == ("ok", 100, 2)
    return [one.sound[f"u{index}"] for index, one in enumerate(everyone)]


async def a_hundred_listen(cluster: Cluster, spoken: list[bytes]) -> None:
    """Speech to text, with the very sound of before: who spoke is told its own words, who did not is told none."""
    breath = (np.random.default_rng(3).normal(0, 30, 24_000)).astype("<i2").tobytes()
    every = len(spoken) // SPEAKERS
    texts: dict[int, str] = {}

    async def story(connection: Client, index: int) -> None:
        speaks = index % every == 0
        sound = bytes(16_000) + spoken[index] + bytes(32_000) if speaks else breath
        for at in range(0, len(sound), 3_200):
            await connection.ws.send_bytes(sound[at : at + 3_200])

    everyone = await all_at_once(cluster.fronts["asr"], "asr", 100, story, partials=False)
    for index, one in enumerate(everyone):
        assert one.told[-1]["type"] == "finished" and not one.of("error")
        if index % every:
            assert {message["type"] for message in one.told} == {"ready", "finished"}, f"{index} said nothing"
        else:
            texts[index] = " ".join(final["text"] for final in one.of("final"))
    strangers = [
        (PHRASES[index], text)
        for index, text in texts.items()
        if words(text) & set(COLOURS + ANIMALS) - words(PHRASES[index])
    ]
    understood = sum(words(text) == words(PHRASES[index]) for index, text in texts.items())
    # A recogniser takes one word for another now and then; the words of another connection would come in pairs.
    assert not [one for one in strangers if len(words(one[1]) & set(COLOURS + ANIMALS) - words(one[0])) > 1]
    assert understood >= 0.7 * len(texts), f"{understood} of {len(texts)}: {texts}"


async def an_instance_is_killed(cluster: Cluster) -> None:
    """Its connections end, those of the other and new ones do not notice, and it comes back."""
    async with client(cluster.fronts["tts"], "tts") as first, client(cluster.fronts["tts"], "tts") as second:
        health = await cluster.health("tts")
        assert [one["active_connections"] for one in health["instances"]] == [1, 1], (
            "the least busy one is taken"
        )
        doomed = health["instances"][0]
        port = int(doomed["name"].rpartition("-")[2])
        process = next(
            child
            for child in psutil.Process(cluster.process.pid if cluster.process else 0).children()
            if str(port) in child.cmdline()
        )
        process.kill()
        ends = [asyncio.ensure_future(one.rest()) for one in (first, second)]
        done, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        assert len(done) == len(left) == 1, "the connection of the killed one ends, the other does not"
        survivor = first if ends[0] in left else second
        for number in range(4):
            async with client(cluster.fronts["tts"], "tts") as fresh:
                await fresh.send("text", utterance="a", text=f"Number {number}.")
                await fresh.send("end", utterance="a")
                await fresh.until("done")
        await survivor.send("text", utterance="a", text="I am still here.")
        await survivor.send("finish")
        await asyncio.wait(ends, timeout=60)
        assert [one["type"] for one in survivor.told[1:]] == ["clause", "done", "finished"]
    health = await until_health(cluster, "tts", lambda found: found["status"] == "ok")
    assert {one["name"]: one["restarts"] for one in health["instances"]}[doomed["name"]] == 1


async def the_end(cluster: Cluster) -> None:
    """`down` from elsewhere ends every process; each instance has a log of its own."""
    assert cluster.process is not None
    family = psutil.Process(cluster.process.pid).children(recursive=True)
    assert len(family) >= 5, "four instances and nginx"
    down = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "avacast",
        "speech",
        "down",
        "--data",
        str(cluster.folder),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(down.communicate(), 60)
    assert b"ended: " in said and await asyncio.wait_for(cluster.process.wait(), 30) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    logs = sorted(path.name for path in (cluster.folder / "speech/logs").iterdir())
    assert len([name for name in logs if re.fullmatch(r"(asr|tts)-\d+\.log", name)]) == 4
    assert b"connection:open" in next((cluster.folder / "speech/logs").glob("tts-*.log")).read_bytes()


async def test_with_no_instance_the_front_end_says_so(tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: bash infra/setup/tools.sh test")
    from avacast.process import free_port

    (tmp_path / "logs").mkdir()
    (tmp_path / "temporary").mkdir()
    front = Front("tts", free_port(), (free_port(), free_port()))
    for sticky in (True, False):
        text = nginx_config(
            tmp_path, "127.0.0.1", [front], health_port=free_port(), connections=50, sticky=sticky
        )
        assert ("ip_hash;" in text) == sticky and ("least_conn;" in text) != sticky
        assert (
            text.count("max_conns=50 max_fails=3 fail_timeout=30s;") == 2
            and "proxy_read_timeout 300s;" in text
        )
        (tmp_path / "nginx.conf").write_text(text)
        command = [
            "nginx",
            "-p",
            str(tmp_path),
            "-c",
            str(tmp_path / "nginx.conf"),
            "-e",
            str(tmp_path / "errors"),
        ]
        nginx = await asyncio.create_subprocess_exec(*command)
        try:
            async with asyncio.timeout(30), aiohttp.ClientSession() as http:
                while True:
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        async with http.get(f"http://127.0.0.1:{front.port}/v1/stream/tts") as answer:
                            assert (answer.status, answer.content_type) == (503, "application/problem+json")
                            assert answer.headers["Retry-After"] == "5"
                            assert (await answer.json())["code"] == "speech_unavailable"
                            break
                    await asyncio.sleep(0.05)
        finally:
            nginx.terminate()
            await nginx.wait()


async def test_a_port_of_another_program_is_named_before_anything_starts(tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: bash infra/setup/tools.sh test")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        one = Running(
            SpeechClusterConfig(data=tmp_path, asr_port=0, tts_port=port, cluster_port=0), lambda _: None
        )
        with pytest.raises(Problem, match=str(port)) as error:
            await one.start()
        assert error.value.code == "port_taken"


async def test_an_instance_that_cannot_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: bash infra/setup/tools.sh test")
    monkeypatch.setenv("AVACAST_VOICE", "nonsense")
    settings = SpeechClusterConfig(
        data=tmp_path, asr_instances=0, tts_instances=1, tts_port=0, cluster_port=0
    )
    one = Running(settings, lambda _: None)
    with pytest.raises(Problem, match="before it was ready") as error:
        await one.start()
    assert error.value.code == "instance_failed" and "say auto, kokoro" in str(error.value.hint)
    assert down(tmp_path) == 0, "nothing is left"
