"""A media core begins, ends, and leaves nothing behind; its configuration is checked; its rungs all deliver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from common._native import Sfu, SfuError
from common.errors import Problem
from sfu.worker import Worker
from tests.harness.live_source import LiveSource
from tests.harness.media_server import MediaServer, media_config, media_server
from tests.harness.peers import AllViewers, Publisher, Viewer


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> list[str]:
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return [name for name in names if name.startswith("media-")]


async def feed(server: MediaServer, stream: str) -> None:
    """Injects pictures and sound in real time until cancelled."""
    source = LiveSource(time.time() * 1000, gop=50)
    while True:
        for unit in source.until(time.time() * 1000):
            server.worker.sfu.inject(
                stream,
                "video" if unit.kind == "video" else "audio",
                unit.data,
                unit.time & 0xFFFFFFFF,
                unit.key_frame,
            )
        await asyncio.sleep(0.01)


async def test_cores_that_end_leave_no_thread_and_no_descriptor() -> None:
    Sfu(host="127.0.0.1", workers=2).shutdown()
    before = descriptors()
    for _ in range(20):
        core = Sfu(host="127.0.0.1", workers=3)
        core.open("live", video=True, audio=True)
        tap = core.tap("live")
        assert threads(), "the workers run"
        core.shutdown()
        core.shutdown()
        tap.close()
        del tap
        with pytest.raises(SfuError) as down:
            core.open("again", video=True, audio=True)
        assert down.value.code == "down"
    del core
    # A thread that has been joined is in /proc until the kernel has put it away.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while threads() or descriptors() > before:  # noqa: ASYNC110 - the kernel says nothing
                await asyncio.sleep(0.01)
    assert threads() == []
    assert descriptors() <= before


async def test_sessions_that_come_and_go_leave_nothing() -> None:
    async with media_server(workers=2) as server, aiohttp.ClientSession() as http:
        for round_number in range(3):
            stream = f"round-{round_number}"
            async with Publisher(http, server.whip(stream), audio=False):
                await server.until_live(stream)
                viewers = [Viewer(http, server.whep(stream), audio=False) for _ in range(6)]
                async with AllViewers(viewers):
                    await asyncio.gather(*(viewer.frames("video", 2) for viewer in viewers))
            stats = await server.until(
                lambda stats: not (stats["subscribers"] or stats["streams"] or stats["pending"]), "empty"
            )
            assert all(worker["subscribers"] == 0 for worker in stats["workers"])
            assert all(worker["faults"] == worker["overflows"] == 0 for worker in stats["workers"])


@pytest.mark.parametrize("rung", ["gso", "sendmmsg", "sendto"])
async def test_every_rung_of_the_ladder_delivers(rung: Literal["gso", "sendmmsg", "sendto"]) -> None:
    async with media_server(send=rung) as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=True)
        feeding = asyncio.create_task(feed(server, "live"))
        async with Viewer(http, server.whep("live")) as viewer:
            pictures, sound = await asyncio.gather(viewer.frames("video", 25), viewer.frames("audio", 40))
            assert (pictures[-1].width, len(sound)) == (640, 40)
        feeding.cancel()
        worker = server.stats()["workers"][0]
        assert worker["send"] == rung
        assert (sum(worker["trains"][1:]) > 0) == (rung == "gso"), (
            "only GSO sends several datagrams a message"
        )
        if rung == "sendto":
            assert worker["send_calls"] == worker["datagrams_out"]


async def test_a_viewer_that_loses_its_key_frame_gets_another_one() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        server.worker.sfu.open("live", video=True, audio=False)
        wanted = asyncio.Event()
        server.worker.listen(lambda event: wanted.set() if event["type"] == "key_frame_wanted" else None)
        # A stream that began without a key frame: nothing to start from.
        source = LiveSource(time.time() * 1000, audio=False)
        units = list(source.until(source.start_ms + 2_000))
        for unit in units[1:10]:
            server.worker.sfu.inject("live", "video", unit.data, unit.time & 0xFFFFFFFF, unit.key_frame)
        async with Viewer(http, server.whep("live"), audio=False) as viewer:
            async with asyncio.timeout(5):
                await wanted.wait()
            source.ask_key_frame()
            feeding = asyncio.create_task(feed(server, "live"))
            assert await viewer.frames("video", 5)
            feeding.cancel()


async def test_a_taken_port_is_told_with_what_to_do() -> None:
    async with media_server() as server:
        with pytest.raises(Problem) as taken:
            Worker.open(media_config(media_port=server.worker.port))
        assert taken.value.code == "media_core_failed"
        assert str(server.worker.port) in taken.value.detail


@pytest.mark.parametrize(
    "settings",
    [{"host": "example.org"}, {"public_addresses": ["nowhere"]}, {"send": "carrier pigeon"}, {"workers": -1}],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        Sfu(**settings)  # type: ignore[arg-type]


def test_more_workers_than_a_name_can_tell_are_refused() -> None:
    with pytest.raises(SfuError) as refused:
        Sfu(host="127.0.0.1", workers=65)
    assert refused.value.code == "bad_config"


def test_calls_may_come_from_many_threads() -> None:
    core = Sfu(host="127.0.0.1", workers=2)
    from concurrent.futures import ThreadPoolExecutor

    def work(index: int) -> int:
        for step in range(50):
            core.open(f"stream-{index}", video=True, audio=True)
            core.inject(f"stream-{index}", "audio", b"\xfc\xff\xfe" + os.urandom(20), step * 960, False)
            core.stats(sessions=True)
            core.drain_events()
            core.end(f"stream-{index}")
        return index

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))
    stats = core.stats()
    core.shutdown()
    assert all(worker["faults"] == 0 for worker in stats["workers"])
