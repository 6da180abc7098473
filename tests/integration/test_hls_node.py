"""The packager role on a real media core: it learns by the Directory what to package, pulls it, and serves it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable
from pathlib import Path

import aiohttp
import m3u8
import pytest
from aiortc.rtcdatachannel import RTCDataChannelParameters

import hls.app
from common.config import HlsConfig
from common.directory import Broadcast, Delivery
from common.errors import Problem
from tests.harness.media_server import media_server
from tests.harness.packaging import Packaging, encoder, packaging
from tests.harness.peers import Publisher


async def test_a_broadcast_of_the_same_process_is_tapped_and_served(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        parsed = await packager.playlist("live/index.m3u8")
        assert [one.uri for one in parsed.playlists] == ["v0/index.m3u8"] * 2
        playlist = await packager.follow("live/v0/index.m3u8", 9)
        assert playlist.segments[-2].uri
        assert await packager.pictures("live") >= 40
        figures = packager.node.edge.stats()
        assert figures["blocked"] >= 8 and figures["not_found"] == 0


async def test_a_published_stream_is_pulled_by_whep_and_packaged(tmp_path: Path) -> None:
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with Publisher(http, origin.whip("far")), packaging(tmp_path) as packager:
            await origin.until_live("far")
            await packager.tell(
                Broadcast(id="far", public=True, package=True, upstreams=[origin.whep("far")])
            )
            async with asyncio.timeout(15):
                parsed = await packager.playlist("far/index.m3u8")
            assert parsed.playlists[0].stream_info.codecs.endswith(",mp4a.40.2")
            await packager.follow("far/v0/index.m3u8", 8)
            assert await packager.pictures("far") >= 20
            assert origin.stats()["subscribers"] == 1, "one pull"


def read(packager: Packaging, stream: str, text: str) -> Awaitable[m3u8.M3U8]:
    """Waits until `text` is in the newest parts of the subtitles; the playlist."""

    async def look() -> m3u8.M3U8:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(AssertionError):
                    playlist = await packager.playlist(f"{stream}/captions/index.m3u8")
                    parts = [part.uri for segment in playlist.segments for part in segment.parts]
                    media = [
                        await packager.read(f"{stream}/captions/{uri}")
                        for uri in parts
                        if uri.endswith(".vtt") and f'URI="{uri}",GAP' not in playlist.dumps()
                    ]
                    if text.encode() in b"".join(media):
                        return playlist
                await asyncio.sleep(0.1)

    return look()


async def test_what_a_publisher_says_beside_its_media_is_pulled_and_becomes_subtitles(tmp_path: Path) -> None:
    label = RTCDataChannelParameters(label="captions")
    async with media_server(name="origin") as origin, aiohttp.ClientSession() as http:
        async with (
            Publisher(http, origin.whip("far"), channels=[label]) as publisher,
            packaging(tmp_path) as packager,
        ):
            await origin.until_live("far")
            await packager.tell(
                Broadcast(id="far", public=True, package=True, upstreams=[origin.whep("far")])
            )
            assert "SUBTITLES" not in (await packager.read("far/index.m3u8")).decode()
            await origin.until(
                lambda stats: sum(one["data"]["channels"] for one in stats["sessions"]) >= 1, "a channel", 60
            )
            await publisher.channels["captions"].opened()
            now_ms = time.time_ns() // 1_000_000
            said = {"text": "Shwmae!", "start_ms": now_ms, "end_ms": now_ms + 9_000, "language": "cy"}
            publisher.channels["captions"].say(json.dumps(said))
            await read(packager, "far", "Shwmae!")
            index = (await packager.read("far/index.m3u8")).decode()
            assert 'TYPE=SUBTITLES,GROUP-ID="captions",NAME="Captions",LANGUAGE="cy"' in index


async def test_what_an_avatar_says_on_a_shared_core_becomes_subtitles(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True, speech="en"))
        index = (await packager.read("live/index.m3u8")).decode()
        assert 'LANGUAGE="en"' in index and 'SUBTITLES="captions"' in index
        now_ms = time.time_ns() // 1_000_000
        said = {"text": "Good <evening>", "start_ms": now_ms, "end_ms": now_ms + 9_000}
        origin.worker.tell("live", "captions", json.dumps(said))
        origin.worker.tell("live", "captions", "[]")
        origin.worker.tell("live", "captions", '{"text": "x"}')
        origin.worker.tell("other", "captions", json.dumps(said))
        await read(packager, "live", "Good &lt;evening&gt;")


async def test_the_end_of_packaging_is_the_end_of_the_playlist(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        held = asyncio.create_task(packager.follow("live/v0/index.m3u8", 200))
        await asyncio.wait([held], timeout=1)
        await packager.tell(Broadcast(id="live", public=True, package=False))
        held.cancel()
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert text.endswith("#EXT-X-ENDLIST\n")
        # Asked for again, it begins anew, above all numbers of before.
        before = m3u8.loads(text)
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        after = await packager.playlist("live/v0/index.m3u8")
        assert after.media_sequence + 3 > before.media_sequence
        assert not after.is_endlist


async def test_a_publisher_that_returns_goes_on_in_the_same_playlist(tmp_path: Path) -> None:
    async with media_server() as origin, packaging(tmp_path, origin.worker) as packager:
        await packager.tell(Broadcast(id="live", public=True, package=True))
        async with encoder(origin, "live"):
            await packager.read("live/index.m3u8")
            first = await packager.follow("live/v0/index.m3u8", 4)
        await packager.follow("live/v0/index.m3u8", 6)
        async with encoder(origin, "live"):
            last = await packager.follow("live/v0/index.m3u8", 8)
        assert last.media_sequence == first.media_sequence
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert "GAP=YES" in text
        assert "#EXT-X-DISCONTINUITY\n" not in text, "the same parameter sets, the same timeline"
        assert not last.segments[-1].parts[-1].gap_tag


async def test_viewers_are_told_when_the_delivery_changes(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True, mode=Delivery.HLS))
        await packager.read("live/index.m3u8")
        await packager.tell(Broadcast(id="live", public=True, package=True, mode=Delivery.WEBRTC))
        await packager.follow("live/v0/index.m3u8", 2)
        text = (await packager.read("live/v0/index.m3u8")).decode()
        assert 'CLASS="avacast.mode"' in text and 'X-MODE="webrtc"' in text


async def test_a_taken_hls_port_is_named(tmp_path: Path) -> None:
    async with packaging(tmp_path) as packager:
        config = HlsConfig(data=tmp_path, media_port=0, hls_host="127.0.0.1", hls_port=packager.node.hls_port)
        with pytest.raises(Problem, match="HLS listener cannot start"):
            await hls.app.start(config)


async def test_one_size_is_encoded_in_smaller_ones_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker, ladder=[32]) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        await packager.follow("live/v0/index.m3u8", 8)
        await packager.follow("live/v1/index.m3u8", 8)
        index = await packager.playlist("live/index.m3u8")
        sizes = {one.uri.split("/")[0]: one.stream_info.resolution for one in index.playlists}
        assert sizes == {"v0": (512, 64), "v1": (256, 32)}
        numbers = [(await packager.playlist(f"live/{name}/index.m3u8")).media_sequence for name in sizes]
        assert numbers[0] == numbers[1]


@pytest.mark.parametrize("heights", ["361", "16", "720,480,360,180", "high"])
def test_heights_that_make_no_sense_are_refused(
    heights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVACAST_LADDER", heights)
    with pytest.raises(ValueError, match="ladder"):
        HlsConfig(data=tmp_path)
