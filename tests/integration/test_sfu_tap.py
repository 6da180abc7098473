"""The tap gives back the access units that went in, whether they were injected here or published elsewhere."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import av
import numpy as np

from tests.harness.h264_film import nal_units
from tests.harness.live_source import LiveSource, Unit
from tests.harness.media_server import media_server
from tests.harness.peers import Publisher

if TYPE_CHECKING:
    from common._native import AccessUnit, Kind, Tap


async def collect(tap: Tap, count: int, timeout_s: float = 10.0) -> list[AccessUnit]:
    """Waits on the tap's descriptor until `count` units have come."""
    units: list[AccessUnit] = []
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(tap.fd, readable.set)
    try:
        async with asyncio.timeout(timeout_s):
            while len(units) < count:
                await readable.wait()
                readable.clear()
                units += tap.drain()
    finally:
        loop.remove_reader(tap.fd)
    return units


def two_seconds() -> list[Unit]:
    now_ms = time.time() * 1000
    return list(LiveSource(now_ms).until(now_ms + 2000))


async def test_what_is_injected_comes_out_of_the_tap() -> None:
    sent = two_seconds()
    async with media_server() as server:
        sfu = server.worker.sfu
        sfu.open("live", video=True, audio=True)
        tap = sfu.tap("live")
        for unit in sent:
            kind: Kind = "video" if unit.kind == "video" else "audio"
            sfu.inject("live", kind, unit.data, unit.time & 0xFFFFFFFF, unit.key_frame)
        got = await collect(tap, len(sent) - 2)
        for wanted in ("video", "audio"):
            ours = [unit for unit in sent if unit.kind == wanted]
            theirs = [unit for unit in got if unit.kind == wanted]
            assert len(theirs) >= len(ours) - 1
            for before, after in zip(ours, theirs, strict=False):
                if wanted == "video":
                    assert nal_units(after.data) == nal_units(before.data)
                    assert after.key_frame == before.key_frame
                else:
                    assert after.data == before.data
                assert after.time - theirs[0].time == before.time - ours[0].time
                assert not after.lost_before
        video = next(unit for unit in got if unit.kind == "video")
        audio = next(unit for unit in got if unit.kind == "audio")
        assert (video.codec, video.clock_rate, video.layer) == ("h264", 90_000, 0)
        assert (audio.codec, audio.clock_rate) == ("opus", 48_000)
        assert abs(video.ntp_ms - time.time() * 1000) < 5_000


async def test_a_tap_closes_with_its_stream() -> None:
    async with media_server() as server:
        server.worker.sfu.open("live", video=True, audio=False)
        tap = server.worker.sfu.tap("live")
        server.worker.sfu.end("live")
        await server.until(lambda _: tap.closed, "closed")
        assert tap.drain() == []


async def test_a_published_stream_can_be_decoded_from_the_tap() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("studio")):
            await server.until_live("studio")
            tap = server.worker.sfu.tap("studio")
            units = await collect(tap, 120)
            tap.close()
    first = next(unit for unit in units if unit.kind == "video")
    assert first.key_frame, "a tap begins at a key frame"
    decoder = av.CodecContext.create("h264", "r")
    pictures = [
        picture for unit in units if unit.kind == "video" for picture in decoder.decode(av.Packet(unit.data))
    ]
    assert len(pictures) > 30
    assert np.ptp([picture.to_ndarray(format="gray")[:60, :60].mean() for picture in pictures]) > 20
    times = [unit.time for unit in units if unit.kind == "video"]
    assert times == sorted(times)
    spread = [(unit.ntp_ms - unit.time * 1000 / unit.clock_rate) for unit in units if unit.kind == "video"]
    assert max(spread) - min(spread) < 400, "capture times run beside the media time"
