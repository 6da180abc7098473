"""The shipped CDN configurations before a real packager: what a viewer more costs the packager, and what reaches the viewers."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from avacast.process import free_port
from common._native import Edge
from common.directory import Broadcast
from hls.app import HlsNode
from tests.harness.caches import cache
from tests.harness.hls_viewers import played
from tests.harness.media_server import media_server
from tests.harness.packaging import encoder, packaging
from tests.harness.recording import WatchedFolder, broadcast
from tests.harness.recordings_site import recordings_site

LIVE = b"#EXTM3U\n" + b"#EXT-X-SOMETHING:1\n" * 150
MEDIA = bytes(range(256)) * 40
KINDS = ("nginx", "varnish")
PLAIN_LISTS = 3
"""Playlists without directives that a player loads when it joins: they are made anew each second."""


def asked(packager: HlsNode) -> int:
    """Requests that the packager has had for HLS objects."""
    figures = packager.edge.stats()
    return figures["index"] + figures["playlists"] + figures["media"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_viewer_more_costs_the_packager_nothing(kind: str, tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
        cache(kind, tmp_path / kind, [packager.node.hls_port]) as front,
        aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, auto_decompress=False) as http,
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        for count, parts in ((1, 5), (10, 5), (200, 12)):
            before = asked(packager.node)
            met = await played(f"{front.url}/hls/live/index.m3u8", count, parts)
            cost = asked(packager.node) - before
            assert met["errors"] == [] and met["changed"] == []
            assert met["taken"] == count * parts * 2, "every part of video and of sound"
            # One request for each object, however many ask for it; a list without directives is another object each second.
            assert cost <= met["names"] + PLAIN_LISTS * (met["seconds"] + 2)
            assert packager.node.edge.stats()["unavailable"] == packager.node.edge.stats()["not_found"] == 0
        assert 1 - cost / met["replies"] >= 0.99, f"{cost} of {met['replies']} reached the packager"
        media = [target for target in met["digests"] if target.endswith((".m4s", ".mp4"))]
        for target in media:
            async with http.get(f"http://127.0.0.1:{packager.node.hls_port}{target}") as reply:
                assert hashlib.sha256(await reply.read()).hexdigest() == met["digests"][target], target
        assert len(media) == 2 * (12 + 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_recordings_are_kept_and_a_film_is_read_from_its_middle(kind: str, tmp_path: Path) -> None:
    store = WatchedFolder(tmp_path / "store")
    with recordings_site(tmp_path / "spool", store, broadcast().calls, dvr_s=60) as (base, _):
        await asyncio.to_thread(store.until, lambda: bool(store.finished))
        (entry,) = store.finished
        port = URL(base).port
        assert port is not None and entry.view.film and entry.view.poster
        async with (
            cache(kind, tmp_path / kind, [free_port()], recorder=port) as front,
            aiohttp.ClientSession(auto_decompress=False) as http,
        ):

            async def get(
                path: str, status: int = 200, **headers: str
            ) -> tuple[bytes, str, aiohttp.ClientResponse]:
                async with http.get(f"{front.url}{path}", headers=headers) as reply:
                    assert reply.status == status, await reply.text()
                    return await reply.read(), reply.headers.get("X-Cache", ""), reply

            path = entry.view.play.removesuffix("index.m3u8")
            _, _, playlist = await get(entry.view.play)
            assert playlist.headers["Access-Control-Allow-Origin"] == "*"
            assert playlist.headers["Cache-Control"] == "public, max-age=60"
            text, _, _ = await get(f"{path}v0/index.m3u8", **{"Accept-Encoding": "identity"})
            segment = next(line for line in text.decode().splitlines() if line.endswith(".m4s"))
            first, _, _ = await get(f"{path}v0/{segment}")
            again, hit, _ = await get(f"{path}v0/{segment}?anything=else")
            assert first == again == (store.root / f"{path}v0/{segment}".lstrip("/")).read_bytes()
            assert hit == "HIT", "a name of ours is one object, whatever else is asked"
            film = (store.root / entry.view.film.lstrip("/")).read_bytes()
            middle = len(film) // 2
            piece, _, reply = await get(entry.view.film, 206, Range=f"bytes={middle}-{middle + 999}")
            assert piece == film[middle : middle + 1000]
            assert reply.headers["Content-Range"] == f"bytes {middle}-{middle + 999}/{len(film)}"
            whole, _, _ = await get(entry.view.film)
            assert whole == film
            poster, _, reply = await get(entry.view.poster)
            assert reply.content_type == "image/jpeg" and poster[:2] == b"\xff\xd8"
            await get(f"{path}..%2f..%2fcatalogue", 404)
            await get("/recordings/demo/nobody/index.m3u8", 404)


@pytest.fixture
def edge() -> Iterator[Edge]:
    edge = Edge(threads=1)
    edge.open("demo", part_target_ms=320, target_duration_s=2)
    edge.put_index("demo", [("index.m3u8", b"#EXTM3U\n")])
    edge.put("demo", "v0", msn=100, part=2, live=LIVE, media=[("100.2.m4s", MEDIA)], hint="100.3.m4s")
    yield edge
    edge.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_replies_and_errors_are_those_of_the_packager_and_are_kept_as_it_says(
    kind: str, edge: Edge, tmp_path: Path
) -> None:
    async with (
        cache(kind, tmp_path / kind, [edge.port]) as front,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        for path, status in (
            ("demo/index.m3u8", 200),
            ("demo/v0/index.m3u8?_HLS_msn=100&_HLS_part=2", 200),
            ("demo/v0/100.2.m4s", 200),
            ("demo/v0/1.m4s", 404),
            ("demo/v0/index.m3u8?_HLS_msn=900", 400),
            ("demo/v0/index.m3u8?_HLS_part=1", 400),
            ("demo/v0/index.m3u8?_HLS_msn=x", 400),
            ("other/index.m3u8", 404),
        ):
            for encoding in ("gzip, deflate, br", "identity"):
                headers = {"Accept-Encoding": encoding}
                async with http.get(f"http://127.0.0.1:{edge.port}/hls/{path}", headers=headers) as own:
                    wanted = await own.read()
                async with http.get(f"{front.url}/hls/{path}", headers=headers) as reply:
                    assert (reply.status, await reply.read()) == (status, wanted), path
                    for name in (
                        "Cache-Control",
                        "Content-Type",
                        "Access-Control-Allow-Origin",
                        "Access-Control-Expose-Headers",
                    ):
                        assert reply.headers[name] == own.headers[name], f"{name} of {path}"
                    assert reply.headers.get("Content-Encoding") == own.headers.get("Content-Encoding")
        # The same again from the cache, a range of it, and what a browser has already.
        before = edge.stats()["media"]
        part = f"{front.url}/hls/demo/v0/100.2.m4s"
        async with http.get(part, headers={"Range": "bytes=10-19"}) as reply:
            assert (reply.status, await reply.read()) == (206, MEDIA[10:20])
        async with http.get(part) as reply:
            tag = reply.headers["ETag"]
        async with http.get(part, headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304
        async with http.head(part) as reply:
            assert reply.headers["Content-Length"] == str(len(MEDIA))
        assert edge.stats()["media"] == before
        async with http.options(part, headers={"Origin": "https://page"}) as reply:
            assert (reply.status, reply.headers["Access-Control-Allow-Methods"]) == (
                204,
                "GET, HEAD, OPTIONS",
            )
        async with http.get(f"{front.url}/elsewhere") as reply:
            assert (reply.status, reply.headers["Cache-Control"]) == (404, "max-age=1")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_query_that_two_programs_read_differently_spoils_nothing_for_others(
    kind: str, edge: Edge, tmp_path: Path
) -> None:
    async with (
        cache(kind, tmp_path / kind, [edge.port]) as front,
        aiohttp.ClientSession() as http,
    ):
        playlist = f"{front.url}/hls/demo/v0/index.m3u8"
        for query in (
            "_HLS_msn=100&_HLS_part=2&_HLS_msn=7",
            "_HLS_msn=100&_HLS_part=2&_HLS_part=1",
            "_hls_msn=100&_hls_part=2",
            "_HLS_msn=100&_HLS_part=2&token=mine",
            "token=mine&_HLS_part=2&_HLS_msn=100",
            "_HLS_msn=100%26_HLS_part=2",
            "_HLS_part=2",
        ):
            async with http.get(URL(f"{playlist}?{query}", encoded=True)) as reply:
                await reply.read()
        before = edge.stats()["playlists"]
        async with http.get(f"{playlist}?_HLS_msn=100&_HLS_part=2") as reply:
            assert (reply.status, await reply.read()) == (200, LIVE)
            assert reply.headers["Cache-Control"] == "max-age=12"
        async with http.get(f"{playlist}?v=7&_HLS_part=2&x=y&_HLS_msn=100") as reply:
            assert (reply.status, await reply.read()) == (200, LIVE)
        assert edge.stats()["playlists"] <= before + 1, "order and other parameters make no other object"
        for path in (
            "/hls/demo/../../etc/passwd",
            "/hls/demo/%2e%2e/x",
            "/hls/demo/v0/a%0d%0aX:%20y",
            "/hls/%00",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split()[1] in (b"400", b"404"), path
            assert b"\nX: y" not in head
            writer.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_with_no_packager_at_all_the_answer_is_a_503_that_a_page_can_read(
    kind: str, tmp_path: Path
) -> None:
    async with (
        cache(kind, tmp_path / kind, [free_port(), free_port()]) as front,
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"{front.url}/hls/demo/index.m3u8") as reply:
            assert (reply.status, reply.content_type) == (503, "application/problem+json")
            assert (await reply.json(content_type=None))["code"] == "hls_no_packager"
            assert reply.headers.getall("Access-Control-Allow-Origin") == ["*"]
            assert reply.headers.getall("Cache-Control") == ["max-age=1"]


async def test_nginx_speaks_http_2_to_viewers(edge: Edge, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1")
    made = await asyncio.create_subprocess_exec(
        "openssl", *request, "-keyout", str(key), "-out", str(certificate), stderr=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    async with cache("nginx", folder, [edge.port], certificate=(certificate, key)) as front:
        url = f"https://127.0.0.1:{front.port}/hls/demo/index.m3u8"
        asking = await asyncio.create_subprocess_exec(
            curl, "-sk", "-w", "%{http_version} %{http_code}", url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asking.communicate()
        assert out == b"#EXTM3U\n2 200"
