"""GStreamer's webrtcbin publishes and watches: libnice, OpenSSL's DTLS, libsrtp and usrsctp instead of ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCDataChannelParameters
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.harness.gstreamer import certificate, gstreamer, needs_gstreamer
from tests.harness.link import Conditions, Link, link, needs_link
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import TONE_HZ, Publisher, Viewer, pitch_hz

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), needs_gstreamer, needs_link]
ENOUGH = 40
"""Pictures after which a stream flows."""


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(certificate(tmp_path_factory.mktemp("pem"), ec.generate_private_key(ec.SECP256R1())))


@pytest.fixture
def way() -> Iterator[Link]:
    """libnice leaves loopback out: GStreamer runs in a namespace behind a link."""
    with link(Conditions(delay_ms=1)) as made:
        yield made


def server_on(way: Link) -> contextlib.AbstractAsyncContextManager[MediaServer]:
    return media_server(http_host=way.outer, media_host=way.outer, public_ip=[way.outer])


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_gstreamer_watches_what_gstreamer_publishes(way: Link, pem: str, codec: str) -> None:
    options = ("--pem", pem, "--video", codec)
    async with server_on(way) as server:
        async with gstreamer("publish", server.whip("ball"), *options, before=way.before) as publisher:
            await publisher.event("connected", timeout_s=60)
            await server.until_live("ball")
            async with gstreamer("watch", server.whep("ball"), *options, before=way.before) as viewer:
                await viewer.until(lambda: len(viewer.said("picture")) >= ENOUGH, "pictures", 60)
                await viewer.until(
                    lambda: any(-15 < line["rms_db"] < -3 for line in viewer.said("sound")), "a tone", 60
                )
                ended = await viewer.end()
            assert {line["codec"] for line in viewer.said("track")} == {codec.upper(), "OPUS"}
            pictures = viewer.said("picture")
            assert {(line["width"], line["height"]) for line in pictures} == {(320, 240)}
            assert len({line["sum"] for line in pictures}) > ENOUGH // 4, "the picture does not move"
            assert ended["delete_status"] == 200
            assert (await publisher.end())["delete_status"] == 200
        await server.until(lambda stats: not stats["streams"] and not stats["sessions"], "all cleared")


async def test_gstreamers_picture_and_tone_come_to_aiortc(way: Link, pem: str) -> None:
    async with server_on(way) as server, aiohttp.ClientSession() as http:
        async with gstreamer("publish", server.whip("ball"), "--pem", pem, before=way.before) as publisher:
            await publisher.event("connected", timeout_s=60)
            await server.until_live("ball")
            async with Viewer(http, server.whep("ball")) as viewer:
                pictures, sound = await asyncio.gather(
                    viewer.frames("video", 10, 60), viewer.frames("audio", 60, 60)
                )
    assert (pictures[-1].width, pictures[-1].height) == (320, 240)
    assert pitch_hz(sound[20:]) == pytest.approx(TONE_HZ, abs=15)


async def test_gstreamer_starts_from_the_cache_and_chats_with_another_stack(way: Link, pem: str) -> None:
    chat = [RTCDataChannelParameters(label="chat")]
    async with server_on(way) as server, aiohttp.ClientSession() as http:
        async with Publisher(http, server.whip("talk")):  # a key frame only when one is asked for
            await server.until_live("talk")
            async with (
                Viewer(http, server.whep("talk"), channels=chat) as other,
                gstreamer(
                    "watch",
                    server.whep("talk"),
                    "--pem",
                    pem,
                    "--channel",
                    "chat",
                    "--say",
                    "hello",
                    before=way.before,
                ) as viewer,
            ):
                await other.channels["chat"].opened()
                said = json.loads((await viewer.event("message", timeout_s=60))["text"])
                assert said["text"] == "hello"
                await viewer.until(lambda: len(viewer.said("picture")) >= 5, "pictures", 60)
                other.channels["chat"].say("hello back")
                await viewer.until(lambda: len(viewer.said("message")) >= 2, "the answer")
                assert json.loads(viewer.said("message")[-1]["text"])["text"] == "hello back"
            assert server.stats()["workers"][0]["faults"] == 0


async def test_an_rsa_certificate_ends_in_the_handshake(way: Link, tmp_path: Path) -> None:
    pem = str(certificate(tmp_path, rsa.generate_private_key(65537, 2048)))
    async with (
        server_on(way) as server,
        gstreamer("publish", server.whip("ball"), "--pem", pem, before=way.before) as publisher,
    ):
        await publisher.event("failed", timeout_s=60)
        assert publisher.said("connected") == []
        await server.until(
            lambda stats: not stats["sessions"] and not stats["pending"], "the session gone", 60
        )
