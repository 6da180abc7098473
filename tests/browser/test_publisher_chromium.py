"""Chromium publishes: how its sound is taken, what feedback its congestion control gets, and how it takes its stream over."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.chromium import Tab, chromium, story
from tests.harness.media_server import media_server
from tests.harness.narrow import narrow_path

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(150)]

PAUSES = "return sdp.replace('useinbandfec=1', 'useinbandfec=1;stereo=1;usedtx=1')"
REDUNDANT = "return sdp.replace('SAVPF 111 63', 'SAVPF 63 111')"
STEREO = "return sdp.replace('useinbandfec=1', 'useinbandfec=1;stereo=1')"


async def packets_in(viewer: Tab, seconds: float) -> int:
    """Packets of sound that come within a time."""
    before = (await viewer.call("incoming", 0, "audio"))["packetsReceived"]
    await asyncio.sleep(seconds)
    return int((await viewer.call("incoming", 0, "audio"))["packetsReceived"]) - int(before)


@story
async def test_sound_in_stereo_with_pauses_passes_through() -> None:
    async with media_server() as server, chromium(f"{server.url}/", 2) as (publisher, viewer):
        answer = await publisher.publish(server.whip("live"), codec="VP8", width=160, height=90, munge=PAUSES)
        (line,) = [one for one in answer.splitlines() if one.startswith("a=fmtp") and "usedtx" in one]
        assert "useinbandfec=1" in line and "stereo=1" in line and "red/48000" not in answer
        await server.until_live("live")
        answer = await viewer.watch(server.whep("live"), munge=STEREO)
        assert "opus/48000/2" in answer and "stereo=1" in answer and "red/48000" not in answer
        await viewer.until("(await rtc.incoming(0, 'audio')).totalAudioEnergy > 0.01")

        # 50 packets a second while there is something to hear, a few while there is not
        await publisher.page.evaluate("rtc.sending.sound.enabled = false")
        async with asyncio.timeout(60.0):
            while await packets_in(viewer, 1.5) > 25:
                pass
        assert (await viewer.call("incoming", 0, "audio"))["packetsReceived"] > 0
        energy = (await viewer.call("incoming", 0, "audio"))["totalAudioEnergy"]
        await publisher.page.evaluate("rtc.sending.sound.enabled = true")
        await viewer.until(f"(await rtc.incoming(0, 'audio')).totalAudioEnergy > {energy} + 0.01")


@story
async def test_sound_that_is_lost_comes_back_by_red() -> None:
    async with (
        media_server() as server,
        narrow_path(server.worker.port) as path,
        chromium(f"{server.url}/", 2) as (publisher, viewer),
    ):
        answer = await publisher.publish(
            server.whip("live"), codec="VP8", width=160, height=90, munge=REDUNDANT, port=path.port
        )
        assert "SAVPF 63 111" in answer and "a=rtpmap:63 red/48000/2" in answer
        await server.until_live("live")
        answer = await viewer.watch(server.whep("live"))
        assert "opus/48000/2" in answer and "red/48000" not in answer
        path.up.loss = 0.1
        await server.until(
            lambda stats: stats["streams"]["live"]["sources"][0]["recovered"] >= 30, "thirty repeats", 60.0
        )
        received = await viewer.call("incoming", 0, "audio")
        # one of ten would be missing; what is lost with its repeat, too, is one of a hundred
        assert received["packetsLost"] < 0.05 * received["packetsReceived"]
        await viewer.until("(await rtc.incoming(0, 'audio')).totalAudioEnergy > 0.01")


@story
async def test_a_publishers_congestion_control_follows_its_path() -> None:
    async with (
        media_server() as server,
        narrow_path(server.worker.port) as path,
        chromium(f"{server.url}/") as (publisher,),
    ):
        answer = await publisher.publish(
            server.whip("live"), codec="VP8", noise=True, audio=False, port=path.port
        )
        assert "transport-cc" in answer and "transport-wide-cc" in answer
        # 300 kbit/s is what it begins with; without feedback it would stay there
        await publisher.until("await rtc.estimateBps() > 700000", 40)
        path.up.bps = 350_000
        await publisher.until("await rtc.estimateBps() < 450000", 40)
        path.up.bps = None
        await publisher.until("await rtc.estimateBps() > 550000", 60)


@story
async def test_a_publisher_that_comes_back_takes_its_viewers_along() -> None:
    async with media_server() as server, chromium(f"{server.url}/", 2) as (publisher, viewer):
        await publisher.publish(server.whip("live"), codec="VP8")
        await server.until_live("live")
        await viewer.watch(server.whep("live"))
        await viewer.until("rtc.views[0].frames > 20 && rtc.views[0].video.videoHeight === 360")
        await publisher.call("vanish")
        await publisher.publish(server.whip("live"), codec="VP8", width=320, height=180)
        await viewer.until("rtc.views[0].video.videoHeight === 180")
        frames = await viewer.page.evaluate("rtc.views[0].frames")
        await viewer.until(f"rtc.views[0].frames > {frames + 40}")
        assert await viewer.page.evaluate("rtc.views[0].sizes") == [360, 180]
        assert await viewer.page.evaluate("rtc.views[0].connection.connectionState") == "connected"
        stopped = await viewer.page.evaluate("rtc.views[0].longestMs")
        print(f"the picture stood still for {stopped:.0f} ms")
