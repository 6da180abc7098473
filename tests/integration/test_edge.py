"""The edge over real sockets: what is held, what is refused, how long replies may be cached."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from common._native import Edge

LIVE = b"#EXTM3U\n" + b"#EXT-X-SOMETHING:1\n" * 150


@pytest.fixture
def edge() -> Iterator[Edge]:
    edge = Edge(threads=1, max_waiters=2000)
    edge.open("demo", part_target_ms=320, target_duration_s=2)
    yield edge
    edge.stop()


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    base = f"http://127.0.0.1:{edge.port}/hls/demo/"
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        base, connector=connector, headers=headers, auto_decompress=False
    ) as session:
        yield session


def put(
    edge: Edge, msn: int, part: int, *, hint: str | None = None, ended: bool = False, **more: object
) -> None:
    live = LIVE + f"#{msn}.{part}\n".encode()
    name = f"{msn}.{part}.m4s"
    edge.put(
        "demo",
        "v0",
        msn=msn,
        part=part,
        live=live,
        hint=hint,
        ended=ended,
        media=[(name, name.encode() * 100)],
        **more,
    )  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the edge's own threads have brought `condition` about; there is nothing to wait on from here."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_waiting(edge: Edge, count: int) -> None:
    """Returns once `count` requests are held."""
    await until(lambda: edge.stats()["waiters"] == count)


async def test_a_reload_is_held_until_its_part_is_put(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0)
    request = asyncio.create_task(client.get("v0/index.m3u8?_HLS_msn=100&_HLS_part=1"))
    await until_waiting(edge, 1)
    assert not request.done()
    put(edge, 100, 1)
    async with await request as reply:
        assert reply.status == 200
        assert (await reply.read()).endswith(b"#100.1\n")
        assert reply.headers["Cache-Control"] == "max-age=12", "six target durations"
    assert edge.stats()["waiters"] == 0


async def test_a_part_beyond_the_segment_is_the_first_of_the_next(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 5)
    request = asyncio.create_task(client.get("v0/index.m3u8?_HLS_msn=100&_HLS_part=6"))
    await until_waiting(edge, 1)
    put(edge, 101, 0)
    async with await request as reply:
        assert (await reply.read()).endswith(b"#101.0\n")


async def test_a_number_alone_waits_for_its_first_part_and_is_cached_for_a_second(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 5)
    request = asyncio.create_task(client.get("v0/index.m3u8?_HLS_msn=101"))
    await until_waiting(edge, 1)
    put(edge, 101, 0)
    async with await request as reply:
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "max-age=1"


async def test_a_number_that_left_the_list_is_answered_at_once(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 2)
    async with client.get("v0/index.m3u8?_HLS_msn=3&_HLS_part=1") as reply:
        assert reply.status == 200


async def test_directives_are_ignored_after_the_end(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 2, ended=True)
    async with client.get("v0/index.m3u8?_HLS_msn=900&_HLS_part=1") as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("_HLS_part=1", "hls_part_without_msn"),
        ("_HLS_msn=x", "hls_bad_msn"),
        ("_HLS_msn=-1", "hls_bad_msn"),
        ("_HLS_msn=100&_HLS_part=one", "hls_bad_part"),
        ("_HLS_msn=100&_HLS_skip=perhaps", "hls_bad_skip"),
        ("_HLS_msn=100&_HLS_msn=100", "hls_directive_twice"),
        ("_HLS_msn=", "hls_bad_msn"),
        ("_HLS_msn=+100", "hls_bad_msn"),
        ("_HLS_msn=%31%30%30", "hls_bad_msn"),
        ("_HLS_msn=18446744073709551616", "hls_bad_msn"),
        ("_HLS_msn=18446744073709551615", "hls_msn_ahead"),
        ("_HLS_msn=100&_HLS_part=4294967296", "hls_bad_part"),
        ("_HLS_msn=100&_HLS_part=4294967295", "hls_part_ahead"),
        ("_HLS_msn=100&_HLS_skip=", "hls_bad_skip"),
        ("_HLS_msn=103&_HLS_part=0", "hls_msn_ahead"),
        ("_HLS_msn=100&_HLS_part=13", "hls_part_ahead"),
        ("_HLS_msn=101&_HLS_part=11", "hls_part_ahead"),
    ],
)
async def test_bad_queries_are_400_with_a_code(
    edge: Edge, client: aiohttp.ClientSession, query: str, code: str
) -> None:
    put(edge, 100, 2)
    async with client.get(URL(f"v0/index.m3u8?{query}", encoded=True)) as reply:
        assert reply.status == 400
        assert reply.content_type == "application/problem+json"
        assert (await reply.json(content_type=None))["code"] == code
        assert reply.headers["Cache-Control"] == "max-age=1"
        assert reply.headers["Access-Control-Allow-Origin"] == "*"


async def test_lifetimes_and_headers_of_each_kind(edge: Edge, client: aiohttp.ClientSession) -> None:
    edge.put_index("demo", [("index.m3u8", b"#EXTM3U\n"), ("plain.m3u8", b"#EXTM3U\n")])
    put(edge, 100, 0, plain=LIVE)
    for path, lifetime, kind in (
        ("index.m3u8", "max-age=1", "application/vnd.apple.mpegurl"),
        ("v0/index.m3u8", "max-age=1", "application/vnd.apple.mpegurl"),
        ("v0/plain.m3u8", "max-age=1", "application/vnd.apple.mpegurl"),
        ("v0/100.0.m4s", "max-age=86400, immutable", "video/mp4"),
    ):
        async with client.get(path) as reply:
            assert reply.status == 200
            assert reply.headers["Cache-Control"] == lifetime
            assert reply.content_type == kind
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
            assert "Age" in reply.headers["Access-Control-Expose-Headers"]
            assert "Date" in reply.headers
            tag = reply.headers["ETag"]
        async with client.get(path, headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304
            assert reply.headers["Cache-Control"] == lifetime
        async with client.head(path) as reply:
            assert (reply.status, await reply.read()) == (200, b"")
            assert int(reply.headers["Content-Length"]) > 0
    async with client.get("v0/nothing.m4s") as reply:
        assert reply.status == 404
        assert reply.headers["Cache-Control"] == "max-age=1"


async def test_playlists_are_gzipped_where_that_is_accepted(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 0)
    async with client.get("v0/index.m3u8", headers={"Accept-Encoding": "br, gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        body = await packed.read()
        packed_tag = packed.headers["ETag"]
    async with client.get("v0/index.m3u8", headers={"Accept-Encoding": "gzip;q=0"}) as plain:
        assert "Content-Encoding" not in plain.headers
        assert await plain.read() == gzip.decompress(body)
        assert plain.headers["ETag"] != packed_tag


async def test_skip_gives_the_delta_when_there_is_one(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0, delta=b"delta")
    async with client.get("v0/index.m3u8?_HLS_skip=YES") as reply:
        assert await reply.read() == b"delta"
    put(edge, 100, 1)
    async with client.get("v0/index.m3u8?_HLS_skip=v2") as reply:
        assert (await reply.read()).startswith(b"#EXTM3U")


async def test_a_hinted_part_is_held_until_it_is_whole(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0, hint="100.1.m4s")
    request = asyncio.create_task(client.get("v0/100.1.m4s"))
    await until_waiting(edge, 1)
    put(edge, 100, 1, hint="100.2.m4s")
    async with await request as reply:
        assert reply.status == 200
        assert await reply.read() == b"100.1.m4s" * 100


async def test_a_hint_that_did_not_come_true_is_404(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 4, hint="100.5.m4s")
    request = asyncio.create_task(client.get("v0/100.5.m4s"))
    await until_waiting(edge, 1)
    put(edge, 101, 0, hint="101.1.m4s")
    async with await request as reply:
        assert reply.status == 404


async def test_segments_are_their_parts_and_ranges_of_them(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0)
    put(edge, 100, 1, joined=[("100.m4s", ["100.0.m4s", "100.0.m4s"])])
    whole = b"100.0.m4s" * 200
    async with client.get("v0/100.m4s") as reply:
        assert await reply.read() == whole
        assert reply.headers["Accept-Ranges"] == "bytes"
    async with client.get("v0/100.m4s", headers={"Range": "bytes=890-909"}) as reply:
        assert reply.status == 206
        assert await reply.read() == whole[890:910]
        assert reply.headers["Content-Range"] == f"bytes 890-909/{len(whole)}"
    async with client.get("v0/100.m4s", headers={"Range": "bytes=5000-"}) as reply:
        assert reply.status == 416
    with pytest.raises(KeyError, match="part"):
        put(edge, 100, 2, joined=[("101.m4s", ["nothing.m4s"])])


async def test_dropped_media_is_404(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0)
    put(edge, 100, 1, dropped=["100.0.m4s"])
    async with client.get("v0/100.0.m4s") as reply:
        assert reply.status == 404


async def test_the_first_playlist_of_a_stream_is_waited_for(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    request = asyncio.create_task(client.get("index.m3u8"))
    other = asyncio.create_task(client.get("plain.m3u8"))
    await until_waiting(edge, 2)
    edge.put_index("demo", [("index.m3u8", b"#EXTM3U\n"), ("plain.m3u8", b"#EXTM3U\n")])
    async with await request as reply:
        assert (reply.status, await reply.read()) == (200, b"#EXTM3U\n")
    async with await other as reply:
        assert reply.status == 200, "both come at once"


async def test_an_unknown_broadcast_is_404_and_a_closed_one_frees_who_waits(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    async with client.get("/hls/nobody/index.m3u8") as reply:
        assert reply.status == 404
    put(edge, 100, 0)
    request = asyncio.create_task(client.get("v0/index.m3u8?_HLS_msn=101&_HLS_part=0"))
    await until_waiting(edge, 1)
    assert edge.close("demo")
    async with await request as reply:
        assert reply.status == 404
    assert not edge.close("demo")
    with pytest.raises(KeyError):
        put(edge, 100, 1)


async def test_a_thousand_reloads_are_released_at_once(edge: Edge, client: aiohttp.ClientSession) -> None:
    put(edge, 100, 0)

    async def reload() -> None:
        async with client.get("v0/index.m3u8?_HLS_msn=100&_HLS_part=1") as reply:
            assert (await reply.read()).endswith(b"#100.1\n")

    requests = [asyncio.create_task(reload()) for _ in range(1000)]
    await until_waiting(edge, 1000)
    put(edge, 100, 1)
    await asyncio.wait_for(asyncio.gather(*requests), 30)
    assert edge.stats()["waiters"] == 0


async def test_a_client_that_goes_frees_its_place(edge: Edge) -> None:
    put(edge, 100, 0)
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"GET /hls/demo/v0/index.m3u8?_HLS_msn=101&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    await until_waiting(edge, 1)
    writer.close()
    await until_waiting(edge, 0)


async def test_ten_thousand_requests_for_future_parts_harm_nobody(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 0)
    held = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(500)]
    for _, writer in held:
        writer.write(b"GET /hls/demo/v0/index.m3u8?_HLS_msn=100&_HLS_part=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await until_waiting(edge, 500)

    async def too_far() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        one = b"GET /hls/demo/v0/index.m3u8?_HLS_msn=%d&_HLS_part=3 HTTP/1.1\r\nHost: x\r\n\r\n"
        writer.write(b"".join(one % (200 + n) for n in range(949)))
        writer.write(b"GET /hls/demo/v0/index.m3u8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        replies = await reader.read(-1)
        writer.close()
        assert replies.count(b"HTTP/1.1 200 OK") == 1, (
            "the same client is served when it asks for what there is"
        )
        return replies.count(b"HTTP/1.1 400 Bad Request")

    flood = [asyncio.create_task(too_far()) for _ in range(10)]
    async with client.get("v0/100.0.m4s") as reply:
        assert reply.status == 200, "others are served meanwhile"
    assert await asyncio.wait_for(asyncio.gather(*flood), 60) == [949] * 10
    figures = edge.stats()
    assert (figures["waiters"], figures["bad_requests"]) == (500, 9490), "who waits is still held"
    put(edge, 100, 1)
    for reader, writer in held:
        assert (await asyncio.wait_for(reader.readline(), 20)).split()[1] == b"200"
        writer.close()


async def test_clients_that_vanish_while_they_are_held_leave_nothing_behind(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 0, hint="100.1.m4s")
    gone = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(400)]
    for index, (_, writer) in enumerate(gone):
        path = (b"100.1.m4s", b"index.m3u8?_HLS_msn=100&_HLS_part=1")[index % 2]
        writer.write(b"GET /hls/demo/v0/%b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    await until_waiting(edge, 400)
    stays = asyncio.create_task(client.get("v0/100.1.m4s"))
    await until_waiting(edge, 401)
    for index, (_, writer) in enumerate(gone):
        # Half of them say goodbye, half are cut.
        writer.close() if index < 200 else writer.transport.abort()
    await until_waiting(edge, 1)
    await until(lambda: edge.stats()["connections"] == 1)
    put(edge, 100, 1)
    async with await stays as reply:
        assert (reply.status, await reply.read()) == (200, b"100.1.m4s" * 100)


async def test_above_the_limit_of_waiters_the_answer_is_503() -> None:
    edge = Edge(threads=1, max_waiters=3)
    try:
        edge.open("demo", part_target_ms=320, target_duration_s=2)
        put(edge, 100, 0)
        url = f"http://127.0.0.1:{edge.port}/hls/demo/v0/index.m3u8?_HLS_msn=100&_HLS_part=1"
        async with aiohttp.ClientSession() as session:
            held = [asyncio.create_task(session.get(url)) for _ in range(3)]
            await until_waiting(edge, 3)
            async with session.get(url) as reply:
                assert reply.status == 503
                assert reply.headers["Retry-After"] == "1"
            put(edge, 100, 1)
            for one in held:
                (await one).close()
    finally:
        edge.stop()


@pytest.mark.slow
async def test_a_reload_that_nobody_satisfies_ends_with_503() -> None:
    edge = Edge(threads=1)
    try:
        edge.open("demo", part_target_ms=320, target_duration_s=1)
        put(edge, 100, 0)
        started = time.monotonic()
        url = f"http://127.0.0.1:{edge.port}/hls/demo/v0/index.m3u8?_HLS_msn=100&_HLS_part=1"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            assert reply.status == 503
        assert 2.5 < time.monotonic() - started < 20, "three target durations"
    finally:
        edge.stop()


async def test_connections_above_the_limit_are_closed_and_places_come_back() -> None:
    edge = Edge(threads=1, max_connections=2)
    try:
        first = [socket.create_connection(("127.0.0.1", edge.port)) for _ in range(2)]
        await until(lambda: edge.stats()["connections"] == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        first[0].close()
        await until(lambda: edge.stats()["connections"] == 1)
        first[1].close()
        assert edge.stats()["refused_connections"] == 1
    finally:
        edge.stop()


DEAF = 40
RESIDENT_BOUND = 100 << 20
"""40 readers want 16 GB; what is in their sockets is the kernel's."""


@pytest.mark.slow
async def test_clients_that_never_read_take_no_memory_harm_nobody_and_are_cut_off(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    """Over HTTP/1.1, fifty segments at once each, and playlists that are small one by one."""
    big = bytes(8_000_000)
    edge.put("demo", "v0", msn=1, part=0, live=LIVE, media=[("big.m4s", big)])
    async with client.get("v0/big.m4s") as reply:
        assert len(await reply.read()) == len(big)
    before = resident()
    deaf = []
    for index in range(DEAF):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", edge.port))
        name = b"big.m4s" if index % 2 else b"index.m3u8"
        one.sendall(b"GET /hls/demo/v0/%s HTTP/1.1\r\nHost: x\r\n\r\n" % name * (50 if index % 2 else 1500))
        deaf.append(one)
    try:
        await until(lambda: edge.stats()["connections"] == DEAF + 1)
        most = 0
        # Until the last of them is cut off the others have all that they ask for.
        async with asyncio.timeout(120):
            while edge.stats()["connections"] > 1:
                async with client.get("v0/index.m3u8") as reply:
                    assert reply.status == 200 and await reply.read() == LIVE
                async with client.get("v0/big.m4s") as reply:
                    assert len(await reply.read()) == len(big)
                most = max(most, resident() - before)
                await asyncio.sleep(0.1)
        assert most < RESIDENT_BOUND, f"{most / 1e6:.0f} MB more"
    finally:
        for one in deaf:
            one.close()


def resident() -> int:
    """Bytes of this process, the edge in it, that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_ten_thousand_requests_for_parts_to_come_harm_nobody(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    put(edge, 100, 0)
    far = b"GET /hls/demo/v0/index.m3u8?_HLS_msn=103&_HLS_part=0 HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    near = b"GET /hls/demo/v0/index.m3u8?_HLS_msn=100&_HLS_part=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    before = edge.stats()["bad_requests"]

    async def refused() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(far)
        for _ in range(1000):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()

    held = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(500)]
    for _, writer in held:
        writer.write(near)
    await until(lambda: edge.stats()["waiters"] == 500)
    await asyncio.gather(*(refused() for _ in range(10)))
    assert edge.stats()["bad_requests"] - before == 10_000
    async with client.get("v0/index.m3u8") as reply:
        assert reply.status == 200
    for _, writer in held[:250]:
        writer.close()
    await until(lambda: edge.stats()["waiters"] == 250)
    put(edge, 100, 1)
    for reader, writer in held[250:]:
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
    assert edge.stats()["waiters"] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /hls/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hls/demo/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hls/demo/v0/..%2f..%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
async def test_paths_that_climb_are_404(edge: Edge, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(raw)
    assert (await reader.readline()).split()[1] == b"404"
    writer.close()


@pytest.mark.parametrize(
    "raw",
    [b"\x16\x03\x01\x02\x00garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50_000],
)
async def test_garbage_ends_its_own_connection_only(
    edge: Edge, client: aiohttp.ClientSession, raw: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(raw)
    try:
        # The edge may have cut it off by now: ENOTCONN of the half-close is an OSError and no ConnectionError.
        with contextlib.suppress(OSError):
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            first = await asyncio.wait_for(reader.readline(), 5)
            assert first == b"" or first.split()[1] in (b"400", b"431", b"505")
    finally:
        writer.close()
    put(edge, 1, 0)
    async with client.get("v0/index.m3u8") as reply:
        assert reply.status == 200


async def test_other_methods_are_refused_and_preflight_is_answered(
    edge: Edge, client: aiohttp.ClientSession
) -> None:
    async with client.post("v0/index.m3u8") as reply:
        assert reply.status == 405
        assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"
    async with client.options("v0/index.m3u8") as reply:
        assert reply.status == 204
        assert reply.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"


def _curl(*arguments: str) -> str:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    return subprocess.run(
        [curl, "-sk", *arguments], capture_output=True, text=True, timeout=20, check=True
    ).stdout


async def test_http_2_without_and_with_tls(edge: Edge, tmp_path: Path) -> None:
    put(edge, 1, 0)
    version = ("-o", "/dev/null", "-w", "%{http_version} %{http_code}")
    path = "/hls/demo/v0/index.m3u8"
    plain = await asyncio.to_thread(
        _curl, "--http2-prior-knowledge", *version, f"http://127.0.0.1:{edge.port}{path}"
    )
    assert plain == "2 200"
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-days",
            "1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    secure = Edge(threads=1, certificate=str(certificate), private_key=str(key))
    try:
        secure.open("demo", part_target_ms=320, target_duration_s=2)
        put(secure, 1, 0)
        url = f"https://127.0.0.1:{secure.port}{path}"
        assert await asyncio.to_thread(_curl, *version, url) == "2 200"
        assert await asyncio.to_thread(_curl, "--http1.1", *version, url) == "1.1 200"
    finally:
        secure.stop()


def test_what_cannot_start_says_why(edge: Edge, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot listen"):
        Edge(port=edge.port)
    with pytest.raises(ValueError, match="not an IP address"):
        Edge(host="nowhere")
    with pytest.raises(ValueError, match="both"):
        Edge(certificate="cert.pem")
    with pytest.raises(ValueError, match="certificate"):
        Edge(certificate=str(tmp_path / "none.pem"), private_key=str(tmp_path / "none.pem"))
